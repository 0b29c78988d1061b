# SPDX-License-Identifier: GPL-2.0-or-later
"""How often ``tracer.compare.comparison`` is wrong, and how often it finds what was injected.

    python tests/rates/judge.py deterministic DIR     one directory per boot
    python tests/rates/judge.py wall DIR              one directory

Reads what record.py made; the first side is ``same``, every other one is named after the stage
that its delay is in. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tracer.compare.comparison import INCONCLUSIVE, SLOWER, Comparison, Options, compare_digests
from tracer.compare.conditions import ORDER
from tracer.compare.digest import Digest, digest
from tracer.compare.repeatability import USER_STAGES
from tracer.run import load

SAME_CODE = "same"
#: The type of exchange whose stage the module delays.
DELAYED = {
    "handler": ("netlink", "handler"),
    "reply": ("netlink", "reply"),
    "copy": ("getsockopt", "copy"),
}
Runs = dict[str, list[Digest]]
DRAWN = frozenset({ORDER})


def read(directory: Path) -> Runs:
    """The digests of ``DIR/<round>-<side>``, by side, in the order of recording."""
    runs: Runs = {}
    for path in sorted(directory.iterdir()):
        run = load(path)
        if not run.trusted:
            raise SystemExit(f"{path} is untrusted: tracer report {path}")
        runs.setdefault(path.name.partition("-")[2], []).append(digest(run))
    return runs


# --------------------------------------------------------------------------
# The deterministic clock: one run a side, the base from another boot


def trials(boots: Sequence[Runs], side: str) -> Iterator[Comparison]:
    """Every run of ``side`` against a run of the boot before that had no delay."""
    for before, boot in zip([boots[-1], *boots[:-1]], boots, strict=True):
        for number, run in enumerate(boot[side]):
            base = before[SAME_CODE][number % len(before[SAME_CODE])]
            yield compare_digests([base], [run])


def told(found: Comparison, stage: str) -> tuple[str, float]:
    """The verdict on the median of the delayed stage, and its change in ns."""
    channel, name = DELAYED[stage]
    lines = found.lines
    line = lines[
        (lines["channel"] == channel) & (lines["stage"] == name) & (lines["quantile"] == "p50")
    ].iloc[0]
    return str(line["verdict"]), float(line["change_ns"])


def deterministic(directory: Path) -> None:
    boots = [read(path) for path in sorted(directory.iterdir())]
    print(f"{len(boots)} boots, one run a side, the base from another boot\n")
    print("| the new run | trials | slower | same | inconclusive | rise of its stage (ns) |")
    print("|---|---:|---:|---:|---:|---|")
    alike = Counter(found.verdict for found in trials(boots, SAME_CODE))
    print(_row("same code", alike, "none"))
    for stage in DELAYED:
        answers = [told(found, stage) for found in trials(boots, stage)]
        rises = [rise for _, rise in answers]
        rose = f"{min(rises):,.0f} to {max(rises):,.0f}"
        print(_row(f"{stage} delayed", Counter(verdict for verdict, _ in answers), rose))
    print()
    _repeatability(boots)


def _row(name: str, verdicts: Counter[str], rise: str) -> str:
    counts = [verdicts.total(), verdicts[SLOWER], verdicts["same"], verdicts[INCONCLUSIVE]]
    return " | ".join(["| " + name, *map(str, counts), rise]) + " |"


def _repeatability(boots: Sequence[Runs]) -> None:
    """The largest distance between any two runs of the same code, as a share of the smaller."""
    values = pd.DataFrame(
        {run.name: run.lines["value_ns"] for boot in boots for run in boot[SAME_CODE]}
    )
    spread = pd.DataFrame({"low": values.min(axis=1), "wide": values.max(axis=1)})
    spread["wide"] -= spread["low"]
    spread["share"] = spread["wide"] / spread["low"].where(spread["low"] > 0)
    print("| quantile | stages | largest difference (ns) | largest difference (share) |")
    print("|---|---|---:|---:|")
    user = spread.index.get_level_values("stage").isin(USER_STAGES)
    for (quantile, is_user), group in spread.groupby(
        [spread.index.get_level_values("quantile"), user]
    ):
        kind = "with user code" if is_user else "within the kernel"
        print(f"| {quantile} | {kind} | {group['wide'].max():,.0f} | {group['share'].max():.2%} |")


# --------------------------------------------------------------------------
# A wall clock: resampling of the recordings


def wall(directory: Path, side_runs: int, draws: int, window: int) -> None:
    pools = read(directory)
    same = pools.pop(SAME_CODE)
    counts = ", ".join(f"{len(pool)} {name}" for name, pool in {SAME_CODE: same, **pools}.items())
    print(
        f"{side_runs} runs a side, drawn {draws} times from {window} rounds in a row "
        f"of the recordings: {counts}\n"
    )
    print("| drawn from | judged | slower | same | inconclusive | faster | median rise |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for stage in DELAYED.keys() & pools.keys():
        channel, name = DELAYED[stage]
        for label, new in (("same code", same), (f"{stage} delayed", pools[stage])):
            for what, options in (
                (f"{channel} {name}", Options(types=(channel,), stages=(name,), allow=DRAWN)),
                ("every line", Options(allow=DRAWN)),
            ):
                sides = _drawn(same, new, side_runs, draws, window)
                print(_wall_row(label, what, (compare_digests(*each, options) for each in sides)))


def _drawn(
    base: list[Digest], new: list[Digest], side_runs: int, draws: int, window: int
) -> Iterator[tuple[list[Digest], list[Digest]]]:
    """Two sides, each time from other rounds in a row: that is how the sides of a comparison are
    recorded, and what a machine does an hour later is no part of it. The draw, not the order of
    recording, mixes them."""
    random = np.random.default_rng(1)
    for _ in range(draws):
        first = random.integers(0, len(base) - window + 1)
        picks = first + random.permutation(window)
        if new is base:
            others = picks[side_runs : 2 * side_runs]
        else:
            others = first + random.permutation(window)[:side_runs]
        yield [base[i] for i in picks[:side_runs]], [new[i] for i in others]


def _wall_row(label: str, what: str, comparisons: Iterator[Comparison]) -> str:
    found = list(comparisons)
    verdicts = Counter(comparison.verdict for comparison in found)
    shares = [
        f"{verdicts[verdict] / len(found):.1%}"
        for verdict in (SLOWER, "same", INCONCLUSIVE, "faster")
    ]
    decided = [c.lines[c.lines["decides"]]["change"].median() for c in found]
    return " | ".join([f"| {label}", what, *shares, f"{np.median(decided):+.1%}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clock", choices=["deterministic", "wall"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--side-runs", type=int, default=10, help="wall: runs drawn for a side")
    parser.add_argument("--draws", type=int, default=400, help="wall: how often to draw")
    parser.add_argument("--window", type=int, default=25, help="wall: rounds in a row to draw from")
    options = parser.parse_args()
    if options.clock == "deterministic":
        deterministic(options.directory)
    else:
        wall(options.directory, options.side_runs, options.draws, options.window)


if __name__ == "__main__":
    main()
