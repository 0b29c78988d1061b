# SPDX-License-Identifier: GPL-2.0-or-later
"""How many records a second one core decodes, and makes observations of.

    python tests/rates/decode.py

Decodes blocks of several sizes over and over. The records are those of netlink round trips, of
socket options, and of everything in turn. Prints the best round in millions of records a second;
on a machine that does other work too, look at the larger numbers. Then it makes observations of
all rows at once, as ``run.events`` does, and prints how many of these a second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracer.correlate.observations import observations
from tracer.event import (
    BY_UNICAST,
    EXTRA,
    LAYOUTS,
    O_BEGUN,
    O_COPIED,
    O_COPY,
    O_DONE,
    O_LEFT,
    O_MODULE,
    OPT,
    R_COPIED,
    R_COPY,
    RECORD_DTYPE,
    RECV,
    S_BEGUN,
    S_DONE,
    S_MODULE,
    S_QUEUED,
    SEND,
    X_BYSTANDER,
)
from tracer.recorder.decode import Decoder

BLOCKS = (2_048, 8_192, 32_768)
ROUNDS = 50
ADDRESS = 0xFFFF_8880_0000_0000
Records = npt.NDArray[np.void]


def of_kind(kind: int, point: int, bits: int, count: int, seed: int) -> Records:
    """Records of one kind in the order of time, as of a few threads and some hundred sk_buffs."""
    random = np.random.default_rng(seed)
    records = np.zeros(count, LAYOUTS[kind])
    names = records.dtype.names or ()
    at = 10**15 + np.cumsum(random.integers(5_000, 20_000, count)).astype(np.uint64)
    for number, name in enumerate(name for name in names if name.endswith("_ns")):
        records[name] = at + np.uint64(400 * number) + random.integers(0, 200, count, np.uint64)
    for name in ("reply_skb", "skb", "sock"):
        if name in names:
            records[name] = ADDRESS + random.integers(0, 200, count, np.uint64) * np.uint64(256)
    for name, value in (("portid", 4711), ("netns", 4026531840), ("proto", 30), ("size", 64)):
        if name in names:
            records[name] = value
    if "seq" in names:
        records["seq"] = np.arange(count)
    if "token" in names:
        records["token"] = random.integers(0, 2**63, count)
    records["tid"] = 100 + random.integers(0, 4, count)
    records["kind"], records["point"], records["bits"] = kind, point, bits
    return records.view(RECORD_DTYPE)


def round_trips(count: int) -> Records:
    """A send and a receive in turn."""
    sends = of_kind(SEND, 1, S_BEGUN | S_DONE | S_QUEUED | S_MODULE, count // 2, 1)
    receives = of_kind(RECV, 2, R_COPY | R_COPIED, count // 2, 2)
    return np.stack([sends, receives], axis=1).reshape(-1)


def options(count: int) -> Records:
    """Options that are read."""
    bits = O_BEGUN | O_DONE | O_COPY | O_COPIED | O_MODULE | O_LEFT
    return of_kind(OPT, 4, bits, count, 3)


def mixed(count: int) -> Records:
    """All kinds in turn; half of the sends were not answered."""
    queued = of_kind(EXTRA, 7, X_BYSTANDER, count // 4, 4)
    queued.view(LAYOUTS[EXTRA])["source"] = BY_UNICAST
    sinks = of_kind(SEND, 1, S_BEGUN | S_DONE | S_MODULE, count // 4, 5)
    parts = [round_trips(count // 2)[::2], options(count // 4), queued, sinks]
    return np.stack(parts, axis=1).reshape(-1)


def rate(count: int, step: Callable[[], object], rounds: int) -> float:
    """The best of the rounds, in millions a second."""
    best = float("inf")
    for _round in range(rounds):
        begin = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - begin)
    return count / best / 1e6


def main() -> None:
    """Print a line for each mix of records and size of a block."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    for make in (round_trips, options, mixed):
        for size in BLOCKS:
            block, decode = make(size), Decoder()
            told = rate(len(block), lambda block=block, decode=decode: decode(block), rounds)
            print(f"{make.__name__:12} blocks of {size:6}: {told:6.1f} M records/s")
        decode = Decoder()
        tables = [decode(make(BLOCKS[-1])) for _block in range(8)]
        kinds = ("send_calls", "recv_calls", "opt_calls", "extras")
        frames = [pa.concat_tables([part[kind] for part in tables]).to_pandas() for kind in kinds]
        count = len(observations(*frames))
        told = rate(count, lambda frames=frames: observations(*frames), max(rounds // 10, 1))
        print(f"{make.__name__:12} {count} observations: {told:6.1f} M observations/s")


if __name__ == "__main__":
    main()
