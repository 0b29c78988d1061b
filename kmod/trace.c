// SPDX-License-Identifier: GPL-2.0
/* The one place where the tracepoints of msgchan_trace.h come to be. */
#include <linux/types.h>

#define CREATE_TRACE_POINTS
#include "msgchan_trace.h"
