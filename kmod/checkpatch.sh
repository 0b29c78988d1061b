#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# checkpatch --strict over the module; $1: checkpatch.pl. Silent when clean.
#
# One exception: a TRACE_EVENT is laid out as include/trace/events/ does it,
# a list of macros each on its own line, which checkpatch takes for a function
# call with its arguments astray (PARENTHESIS_ALIGNMENT, OPEN_ENDED_LINE).
cd "$(dirname "$0")" || exit
check() {
	perl "$CHECKPATCH" --strict --no-tree --terse --no-summary "$@"
}

CHECKPATCH=$1
status=0
for file in *.c *.h; do
	case $file in
	msgchan_trace.h) check --ignore PARENTHESIS_ALIGNMENT,OPEN_ENDED_LINE -f "$file" || status=1 ;;
	*) check -f "$file" || status=1 ;;
	esac
done
exit $status
