// SPDX-License-Identifier: GPL-2.0
/* Delays of a known length, which a request may ask for. */
#include <linux/ktime.h>

#include "internal.h"

/*
 * Busy, not asleep: the time is to be the stage's own, not the scheduler's.
 * Returns the nanoseconds from the first reading of the clock to the last, which
 * is what the delay adds to its stage: without one the clock is read once too.
 * No cpu_relax(): turns would be longer, and of another length on every CPU.
 */
u64 msgchan_delay(u64 ns)
{
	u64 start = ktime_get_mono_fast_ns();
	s64 waited = 0;		/* that clock may step back by a little */

	while (waited < (s64)ns)
		waited = ktime_get_mono_fast_ns() - start;
	return waited;
}
