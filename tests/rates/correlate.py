# SPDX-License-Identifier: GPL-2.0-or-later
"""How many records a second one core makes exchanges of, and how much memory that takes.

    python tests/rates/correlate.py --records 10000000

The records are those of a real recording, many times over: each copy comes after the one before it,
with sequence numbers of its own. Prints millions of records a second, in the frame of exchanges and
in the long form of stages, and the peak of memory above these frames and the records.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tracer
from tracer.correlate.exchanges import correlate

RECORDING = Path(__file__).parents[1] / "data" / "all-channels"
KINDS = ("send_calls", "recv_calls", "opt_calls", "extras")
MIB = 1 << 20


def times_over(frame: pd.DataFrame, copies: int, step: int, span: int) -> pd.DataFrame:
    """So many copies of the rows; each begins ``span`` ns and ``step`` records after the last."""
    number = np.repeat(np.arange(copies), len(frame))
    columns: dict[str, Any] = {}
    for name in frame.columns:
        values = np.tile(frame[name].to_numpy(), copies)
        if name == "order":
            values += number * step
        elif name.endswith("_ns"):
            values[values > 0] += number[values > 0] * span
        elif name in ("seq", "about_seq"):
            values += (number * 100_000 * (values > 0)).astype(values.dtype)
        columns[name] = values
    return pd.DataFrame(columns, copy=False)


def enlarged(records: int, *, log: bool) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, Any, Any]:
    """The records of the recording many times over, its log likewise, its tasks and meta."""
    kept = tracer.load(RECORDING)._recording
    frames = {kind: getattr(kept, kind) for kind in KINDS}
    orders = pd.concat([frame["order"] for frame in frames.values()])
    copies = max(records // len(orders), 1)
    step = int(orders.max()) + 1
    ends = [kept.sends["end_ns"], *(frame.filter(like="_ns").stack() for frame in frames.values())]
    seen = pd.concat([times[times > 0] for times in ends])
    span = int(seen.max() - seen.min()) + 1_000_000
    many = {kind: times_over(frame, copies, step, span) for kind, frame in frames.items()}
    sends = times_over(kept.sends if log else kept.sends.iloc[:0], copies, step, span)
    return many, sends, kept.tasks, kept.meta


def resident() -> int:
    """Bytes of memory in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-log", action="store_true")
    parser.add_argument("--stages", action="store_true")
    asked = parser.parse_args()
    correlate(*enlarged(1_000, log=True), fast=True)  # loads the compiled code, or compiles
    parts = enlarged(asked.records, log=not asked.no_log)
    count = sum(map(len, parts[0].values()))
    for _round in range(asked.rounds):
        before = resident()
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        begin = time.process_time()
        correlation = correlate(*parts, fast=True)
        took = time.process_time() - begin
        peak = next(
            int(line.split()[1]) * 1024
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        frames = int(correlation.exchanges.memory_usage().sum())
        print(
            f"{count} records, {len(correlation.exchanges)} exchanges: {count / took / 1e6:.1f} M "
            f"records/s, frames {frames // MIB} MiB, {(peak - before - frames) // MIB} MiB above"
        )
        if asked.stages:
            begin = time.process_time()
            rows = len(correlation.stages)
            took = time.process_time() - begin
            print(f"{rows} stages: {count / took / 1e6:.1f} M records/s")
        del correlation


if __name__ == "__main__":
    main()
