# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares correlation with the reference matcher (tests/reference) on many random streams.

    python tests/rates/reference.py 100000 [--first SEED]

Prints how many streams were compared, with how many records and exchanges, and those in which the
two differ. Streams with a peek that the pass is known to place wrongly are left out (see
``compared.moves_a_peek``). The exit status is 1 if there are any.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS / "reference"), str(_TESTS / "unit"), str(_TESTS.parent)]

from compared import correlated, differences, matched, moves_a_peek, random_stream  # noqa: E402

_SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("streams", type=int, help="how many streams to compare")
    parser.add_argument("--first", type=int, default=0, help="the first one's seed")
    chosen = parser.parse_args()
    compared = records = exchanges = 0
    differing: list[int] = []
    for seed in range(chosen.first, chosen.first + chosen.streams):
        stream = random_stream(seed)
        if moves_a_peek(stream):
            continue
        compared += 1
        expected = matched(stream)
        records += sum(map(len, stream.rows.values()))
        exchanges += len(expected)
        told = differences(expected, correlated(stream))
        if told:
            differing.append(seed)
            if len(differing) <= _SHOWN:
                print(f"seed {seed}:", *told, sep="\n  ")
    print(f"{compared:,} streams of {records:,} records compared: {exchanges:,} exchanges,")
    print(f"{len(differing)} streams differ" + (f": {differing[:_SHOWN]}" if differing else ""))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
