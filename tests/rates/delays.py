# SPDX-License-Identifier: GPL-2.0-or-later
"""What a delay of the module adds to which stage, in instructions, on the deterministic clock.

    tracer lab --deterministic -- python tests/rates/delays.py record runs/delays
    python tests/rates/delays.py table runs/delays

Records a workload without a delay, then with each delay in each stage, into ``DIR/<stage>-<ns>``,
and notes in ``DIR/waits.json`` what the module told that it waited. The table has a row for each
delay: what was asked for, what the replies tell was waited, by how much the median of its stage
grew, and the stage that grew or shrank most of all others. Times are medians in ns.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from tracer.attach.probes import Probes
from tracer.clients.drive import Outcome, Workload, drive
from tracer.recorder.record import capture
from tracer.recorder.session import Options, attach
from tracer.run import Run, load

#: The channel whose stage it is, by the delay.
CHANNELS = {"handler": "netlink", "reply": "netlink", "copy": "getsockopt"}
ASKED_NS = (1, 100, 133, 1_000, 50_000)
WITHOUT = "none-0"
#: The user's own code: the interpreter's work differs from run to run, and no delay lies there.
USER = ("encode", "queue", "decode")


def record(path: Path, delays: dict[str, int], probes: Probes) -> list[Outcome]:
    """One run: echo requests over netlink, and as many sets and gets of an option."""
    with capture(path, probes=probes):
        outcomes = drive(Workload(("netlink", "sockopt"), 101, size=100, **delays))
    failed = [f"{o.channel}: {o.first_error}" for o in outcomes if o.errors or o.mismatches]
    if failed:
        raise SystemExit(f"{path}: {', '.join(failed)}")
    return outcomes


def record_all(directory: Path) -> None:
    directory.mkdir(parents=True)
    probes = attach(Options(ring=4 << 20))
    record(directory / "warm-up", {}, probes)
    sides = {WITHOUT: dict[str, int]()}
    for stage in CHANNELS:
        sides |= {f"{stage}-{ns}": {f"{stage}_delay_ns": ns} for ns in ASKED_NS}
    waits = {}
    for name, delays in sides.items():
        outcomes = record(directory / name, delays, probes)
        waits[name] = {o.channel: {w.stage: asdict(w) for w in o.waits} for o in outcomes}
    probes.close()
    (directory / "waits.json").write_text(json.dumps(waits, indent=1))


def medians(run: Run) -> pd.DataFrame:
    """The median of each stage (column, in ns) that no user's code is in, by channel."""
    columns = [c for c in run.exchanges if c.endswith("_ns") and run.exchanges[c].notna().any()]
    stages = run.exchanges.groupby("channel", observed=True)[columns].median()
    stages.columns = stages.columns.str.removesuffix("_ns")
    unwanted = ["start", "total", "send_return", "first_reply", "unexplained", *USER]
    return stages.drop(columns=unwanted, errors="ignore")


def growth(directory: Path) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """The delayed stage, the ns asked for, and by how much each stage grew, by channel."""
    without = medians(load(directory / WITHOUT))
    for stage in CHANNELS:
        for ns in ASKED_NS:
            yield stage, ns, medians(load(directory / f"{stage}-{ns}")) - without


def table(directory: Path) -> None:
    waits = json.loads((directory / "waits.json").read_text())
    print("| stage | asked | waited | the stage grew | another stage by |")
    print("|---|---:|---:|---:|---|")
    for stage, ns, grown in growth(directory):
        channel = CHANNELS[stage]
        waited = waits[f"{stage}-{ns}"][channel][stage]["p50_ns"]
        others = grown.loc[channel].drop(stage).dropna()
        most = others.abs().idxmax()
        cells = [stage, f"{ns:,}", f"{waited:,}", f"{grown.loc[channel, stage]:,.0f}"]
        print("| " + " | ".join([*cells, f"{others[most]:+,.0f} ({most})"]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["record", "table"])
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    (record_all if options.what == "record" else table)(options.directory)


if __name__ == "__main__":
    main()
