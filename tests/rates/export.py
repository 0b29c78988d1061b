# SPDX-License-Identifier: GPL-2.0-or-later
"""What `tracer export --format perfetto` costs in a long recording.

    .venv/bin/python tests/rates/export.py notebooks/recordings/first --events 1000000

The frames of a real recording are repeated, each time later by its length and with other sequence
numbers and tokens, until they have that many events. Then the timeline is written plain and
compressed. Prints the processor time per event (each is a slice, and so are the stages, exchanges
and log entries that come with it), the size of the file, the size of the process before, and what
writing added to that at most.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import tracer
from tracer.export import perfetto
from tracer.export.window import Part, cut


def repeated(part: Part, times: int) -> Part:
    """The recording ``times`` times, one after the other."""
    found = part.exchanges
    starts = [part.events["start_ns"], part.sends["begin_ns"], found["start_ns"]]
    ends = [part.events["end_ns"], part.sends["end_ns"], found["start_ns"] + found["total_ns"]]
    length = max(int(t.max()) for t in ends if len(t)) - min(int(t.min()) for t in starts if len(t))

    def repeat(frame: pd.DataFrame, step: int, *columns: str) -> pd.DataFrame:
        """The frame ``times`` times; each time ``columns`` are larger by ``step``, ids differ."""
        whole = pd.concat([frame] * times, ignore_index=True)
        number = np.repeat(np.arange(times), len(frame))
        moved = {name: whole[name] + number * step for name in columns}
        for name in ("seq", "token"):
            if name in whole:
                values = whole[name]
                other = (values + number.astype(np.uint64) * 1_000_003).astype(values.dtype)
                moved[name] = values.where(values.fillna(0) == 0, other)
        return whole.assign(**moved)

    return Part(
        part.meta,
        part.trusted,
        part.tasks,
        repeat(part.events, length + 1, "start_ns", "end_ns"),
        repeat(part.sends, length + 1, "begin_ns", "end_ns"),
        repeat(found, length + 1, "start_ns"),
        repeat(part.stages, length + 1, "start_ns").assign(
            exchange=repeat(part.stages, len(found), "exchange")["exchange"]
        ),
    )


def memory(line: str) -> float:
    """``VmRSS``, the size of this process in MB, or ``VmHWM``, the largest since it was reset."""
    status = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) / 1024


def measure(part: Part, path: Path) -> None:
    """Print a row of the table."""
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    before, began = memory("VmRSS"), time.process_time()
    counts = perfetto.write(part, path, compress=path.suffix == ".gz")
    spent = time.process_time() - began
    cells = [
        path.name,
        f"{counts['kernel']:,}",
        f"{sum(counts.values()) - counts['track']:,}",
        f"{spent / counts['kernel'] * 1e6:.1f}",
        f"{path.stat().st_size / 1e6:,.0f}",
        f"{before:,.0f}",
        f"{memory('VmHWM') - before:,.0f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)
    path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="a recording")
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    once = cut(tracer.load(options.directory), None, None)
    part = repeated(once, -(-options.events // len(once.events)))
    print(
        "| file | events | slices and flows | µs an event | MB | process before, MB | added, MB |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as directory:
        for name in ("plain.json", "compressed.json.gz"):
            # In a process of its own: what one has freed, the next would not seem to need.
            row = fork.Process(target=measure, args=(part, Path(directory, name)))
            row.start()
            row.join()


if __name__ == "__main__":
    main()
