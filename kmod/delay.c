// SPDX-License-Identifier: GPL-2.0
/* Delays of a known length, which a request may ask for. */
#include <linux/ktime.h>

#include "internal.h"

/*
 * Wait in a busy loop. Sleeping would add the scheduler's time to the stage that
 * is delayed, and the delay would no longer be of a known length.
 *
 * Returns the nanoseconds from the first reading of the clock to the last. That
 * is exactly what the delay adds to its stage, because the first reading happens
 * with ns == 0 as well. The loop does without cpu_relax(), which would make each
 * turn longer, by a different amount on every CPU model.
 */
u64 msgchan_delay(u64 ns)
{
	u64 start = ktime_get_mono_fast_ns();
	s64 waited = 0;		/* signed, because this clock may step back a little */

	while (waited < (s64)ns)
		waited = ktime_get_mono_fast_ns() - start;
	return waited;
}
