# SPDX-License-Identifier: GPL-2.0-or-later
"""How often ``tracer.compare.comparison`` is wrong about tails, and how few slow requests it finds.

    python tests/rates/judge_tails.py DIR     one directory per boot

Reads what record_tails.py made. Prints Markdown tables: verdicts on like runs of different
boots; the fewest slow requests that were found in every trial; and how stages were disturbed.
A trial takes a run of one boot, and of another boot's run with slow requests as many slow and
other ones as it needs, at random.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from tracer.compare.comparison import FASTER, INCONCLUSIVE, SAME, SLOWER, Options, compare_digests
from tracer.compare.digest import Digest, digest, quantile_lines, tails
from tracer.compare.repeatability import DISTURBANCE_NS, TICK_NS, USER_STAGES
from tracer.correlate.stages import STAGES
from tracer.run import Run, load

TRIALS = 300
#: The recording that record_tails.py makes last.
LAST = "5000-slow"
#: The stages that a user who wants to be sure asks for, and the one that was slowed.
ASKED = Options(types=("netlink",), stages=("handler", "reply", "copy"))
SLOWED = "handler_ns"
#: Slowed is a request whose handler took at least so long, in ns.
SLOW_FROM = 1_000_000


@dataclass
class Boot:
    """Runs by their number of requests: like ones, and one with slow requests (and its rows)."""

    same: dict[int, list[Digest]] = field(default_factory=dict)
    slow: dict[int, tuple[Digest, pd.DataFrame]] = field(default_factory=dict)
    times: list[pd.DataFrame] = field(default_factory=list)


def read(directory: Path) -> Boot:
    """One boot's recordings."""
    boot = Boot()
    for path in sorted(directory.iterdir()):
        run = load(path)
        if not run.trusted:
            raise SystemExit(f"{path} is untrusted: tracer report {path}")
        count, side = int(path.name.split("-")[0]), path.name.split("-")[1]
        if side == "same":
            boot.same.setdefault(count, []).append(digest(run))
            boot.times.append(_disturbed(run))
        else:
            boot.slow[count] = digest(run), run.exchanges
    return boot


# --------------------------------------------------------------------------
# False alarms


def alike(boots: Sequence[Boot]) -> None:
    """Verdicts on like runs, one of either boot, of every stage of every type."""
    print("| requests | pairs | same | slower | faster | inconclusive |")
    print("|---:|---:|---:|---:|---:|---:|")
    for count in sorted(boots[0].same):
        found = Counter(
            compare_digests([base], [new]).verdict
            for one, other in combinations(boots, 2)
            for base, new in product(one.same[count], other.same[count])
        )
        verdicts = (SAME, SLOWER, FASTER, INCONCLUSIVE)
        cells = [f"{count:,}", f"{found.total():,}", *(f"{found[v]:,}" for v in verdicts)]
        print("| " + " | ".join(cells) + " |", flush=True)


# --------------------------------------------------------------------------
# Slow requests


def found(boots: Sequence[Boot]) -> None:
    """The fewest slow requests with which no trial is ``same``, and each is ``slower``."""
    print(f"| requests | never `same` in {TRIALS} trials | `slower` in {TRIALS} of {TRIALS} |")
    print("|---:|---:|---:|")
    for count in sorted(boots[0].slow):
        cells = [f"{count:,}"]
        for reached in (lambda verdict: verdict != SAME, lambda verdict: verdict == SLOWER):
            slow = 1
            while not all(reached(verdict) for verdict in trials(boots, count, slow)):
                slow += 1
            cells.append(f"{slow} ({slow / count:.2%})")
        print("| " + " | ".join(cells) + " |", flush=True)


def trials(boots: Sequence[Boot], count: int, slow: int) -> Iterator[str]:
    """The verdict when ``slow`` of ``count`` requests are slow, one after another."""
    random = np.random.default_rng((count, slow))
    for _ in range(TRIALS):
        one, other = random.permutation(len(boots))[:2]
        base = boots[one].same[count][random.integers(len(boots[one].same[count]))]
        yield compare_digests(
            [base], [_drawn(*boots[other].slow[count], count, slow, random)], ASKED
        ).verdict


def _drawn(
    run: Digest, rows: pd.DataFrame, count: int, slow: int, random: np.random.Generator
) -> Digest:
    """The digest of ``count`` rows of which ``slow`` are slow."""
    slowed = np.flatnonzero(rows[SLOWED] >= SLOW_FROM)
    others = np.flatnonzero(rows[SLOWED] < SLOW_FROM)
    picks = [random.choice(slowed, slow, False), random.choice(others, count - slow, False)]
    drawn = rows.iloc[np.sort(np.concatenate(picks))]
    return replace(run, lines=quantile_lines(drawn)[0], tails=tails(drawn))


# --------------------------------------------------------------------------
# Disturbances


def _disturbed(run: Run) -> pd.DataFrame:
    """By stage: exchanges, their median, how many took 100 ns longer, and by far; the longest."""
    found = []
    for kind, group in run.exchanges.groupby("channel", observed=True):
        for stage in STAGES:
            times = group[f"{stage}_ns"].dropna().to_numpy(np.int64)
            if not times.size or not times.any():
                continue
            more = times - np.median(times)
            found.append(
                {
                    "kind": kind,
                    "user": stage in USER_STAGES,
                    "exchanges": times.size,
                    "ticks": times.size * np.median(times) / TICK_NS,
                    "disturbed": (more > 100).sum(),
                    "long": (more > DISTURBANCE_NS).sum(),
                    "longest": more.max(),
                    "most": (more > 100).mean(),
                    "most_long": (more > DISTURBANCE_NS).mean(),
                }
            )
    return pd.DataFrame(found)


def disturbances(boots: Sequence[Boot]) -> None:
    """How often, and for how long, stages took more than their median."""
    print(
        "| stages | times measured | timer interrupts in them | 100 ns longer | in one run at most "
        f"| {DISTURBANCE_NS // 1000} µs longer | in one run at most | longest (µs) |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    times = pd.concat([table for boot in boots for table in boot.times])
    for user, group in times.groupby("user"):
        cells = [
            "with user code" if user else "within the kernel",
            f"{group['exchanges'].sum():,}",
            f"{group['ticks'].sum():,.0f}",
            f"{group['disturbed'].sum():,}",
            f"{group['most'].max():.2%}",
            f"{group['long'].sum():,}",
            f"{group['most_long'].max():.2%}",
            f"{group['longest'].max() / 1000:,.0f}",
        ]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    directories = sorted(parser.parse_args().directory.iterdir())
    # A boot whose last recording is missing was interrupted.
    boots = [read(path) for path in directories if (path / LAST / "meta.json").exists()]
    print(f"{len(boots)} boots, one run a side, the base from another boot\n")
    alike(boots)
    print()
    found(boots)
    print()
    disturbances(boots)


if __name__ == "__main__":
    main()
