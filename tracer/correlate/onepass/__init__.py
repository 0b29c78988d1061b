# SPDX-License-Identifier: GPL-2.0-or-later
"""The pass over the records in the order of the ring, which makes the exchanges of them.

`run` feeds it window by window, and `step` takes one record. What a record means is in `calls`,
`answers`, `receiving` and `options`. `nesting` finds the requests of answers that are inside a send
call, `joining` those of the others, `ways` the reads of messages, `log` the entries of the user's
log, and `ending` completes the rows.

All but `run` and `compiled` is written in the subset of Python that numba compiles: whole numbers,
and flat sequences of them, which are lists here and arrays there. The *memory* `m` is one such
sequence. An *entry* in it, of a request for instance, is named by the position of its first field.
What waits for records that may still come is looked at again a fixed number of records later
(`fields.PATIENCE`), so the size of a window changes nothing. `out` holds the columns of the rows,
and behind them the pieces of stages.
"""
