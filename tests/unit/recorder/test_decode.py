# SPDX-License-Identifier: GPL-2.0-or-later
"""Ring records -> tables: every field, small ids, no address, nothing unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tracer.event import (
    EXTRA,
    LAYOUTS,
    O_BEGUN,
    O_COPIED,
    O_COPY,
    O_DONE,
    O_LEFT,
    O_MODULE,
    OPT,
    POINTS_OF_KIND,
    R_COPIED,
    R_COPY,
    RECORD_DTYPE,
    RECORD_POINTS,
    RECV,
    S_BEGUN,
    S_DONE,
    S_MODULE,
    S_QUEUED,
    SEND,
    SEND_RECORD,
    TASK,
    checksums,
)
from tracer.recorder.decode import AddressIds, Decoder
from tracer.recording import RECORD_KINDS, SCHEMAS, row_sum

ADDRESS = 0xFFFF_8880_0000_0000
NAMES = {kind: name for name, kind in RECORD_KINDS.items()}
#: By column: the bit without which it holds anything, as bpf/event.h has it.
VALID = {
    SEND: {
        "begin_ns": S_BEGUN, "done_ns": S_DONE, "queued_ns": S_QUEUED, "reply_skb": S_QUEUED,
        "reply_size": S_QUEUED, "reply_error": S_QUEUED, "reply_type": S_QUEUED,
        "reply_flags": S_QUEUED, "token": S_MODULE, "error": S_MODULE, "channel": S_MODULE,
    },
    RECV: {"copy_ns": R_COPY, "skb": R_COPY, "size": R_COPY, "copied_ns": R_COPIED},
    OPT: {
        "begin_ns": O_BEGUN, "done_ns": O_DONE, "copy_ns": O_COPY, "copied": O_COPY,
        "copied_ns": O_COPIED, "left_ns": O_LEFT, "token": O_MODULE, "error": O_MODULE,
        "channel": O_MODULE,
    },
    EXTRA: {},
    TASK: {},
}  # fmt: skip


def record(kind: int = SEND, point: str | None = None, **fields: Any) -> np.ndarray:
    """One record of a kind, of the kind's first point if no other is given."""
    records = np.zeros(1, LAYOUTS[kind])
    records["kind"] = kind
    records["point"] = RECORD_POINTS.index(point) if point else POINTS_OF_KIND[kind][0]
    for name, value in fields.items():
        records[name] = value
    return records.view(RECORD_DTYPE)


def queued(**fields: Any) -> np.ndarray:
    return record(EXTRA, "queued", **fields)


def random_records(rng: np.random.Generator, count: int) -> np.ndarray:
    """Records of every kind and point with few addresses, all bits, and anything elsewhere."""
    records = np.frombuffer(rng.bytes(count * 128), SEND_RECORD).copy()
    point = rng.integers(0, len(RECORD_POINTS), count)
    kind_of = {point: kind for kind, points in POINTS_OF_KIND.items() for point in points}
    records["point"] = point
    records["kind"] = [kind_of[int(p)] for p in point]
    for kind, layout in LAYOUTS.items():
        view, here = records.view(layout), np.flatnonzero(records["kind"] == kind)
        for name in layout.names:
            if name.endswith("_ns"):
                view[name][here] >>= 1
            if name in ("reply_skb", "skb", "sock"):
                chosen = np.array([0, ADDRESS, ADDRESS + 256, ADDRESS + 512], np.uint64)
                view[name][here] = rng.choice(chosen, here.size)
        if kind == TASK:
            view["comm"][here] = rng.choice([b"sh", b"tracer", b"a" * 16, b"\xff"], here.size)
    return records.view(RECORD_DTYPE)


class Naive:
    """What the decoder does, one record at a time, from the words of its documentation."""

    def __init__(self) -> None:
        self.skbs: dict[int, int] = {}
        self.socks: dict[int, int] = {}
        self.order = 0

    def __call__(self, records: np.ndarray) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in RECORD_KINDS}
        numbered = list(enumerate(records, self.order))
        self.order += len(records)
        # Ids are given kind by kind.
        for name, kind in RECORD_KINDS.items():
            for order, one in numbered:
                values = one.tobytes()
                if values[122] == kind:
                    row = np.frombuffer(values, LAYOUTS[kind])[0]
                    found[name].append(self.row(kind, row) | {"order": order})
        return found

    def row(self, kind: int, r: np.void) -> dict[str, Any]:
        row = {name: r[name].tolist() for name in r.dtype.names}
        for name, bit in VALID[kind].items():
            if not row["bits"] & bit:
                row[name] = 0
        if kind == EXTRA:
            point, skb = RECORD_POINTS[row["point"]], row["skb"]
            row |= {"token": skb if point == "handled" else 0}
            row |= {"skb": skb if point == "queued" else 0}
        if kind == TASK:
            row["comm"] = row["comm"].split(b"\0")[0].decode(errors="replace")
        for name, ids in (("reply_skb", self.skbs), ("skb", self.skbs), ("sock", self.socks)):
            if name in row:
                row[name] = ids.setdefault(row[name], len(ids)) if row[name] else -1
        return row


@pytest.mark.parametrize("seed", range(5))
def test_many_records_against_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decode, naive = Decoder(), Naive()
    for count in (0, 1, 101, 503):
        records = random_records(rng, count)
        tables, expected = decode(records), naive(records)
        assert tables.keys() == RECORD_KINDS.keys()
        for kind, table in tables.items():
            assert table.schema == SCHEMAS[kind]
            for name in table.schema.names:
                assert table[name].to_pylist() == [row[name] for row in expected[kind]], name
    assert decode.odd.count == 0


@pytest.mark.parametrize("seed", range(3))
def test_records_and_rows_are_counted_and_summed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decode = Decoder()
    blocks = [random_records(rng, count) for count in (7, 0, 101)]
    tables = [decode(block) for block in blocks]
    records = np.concatenate(blocks)
    points = records.view(SEND_RECORD)["point"]
    sums = checksums(records)
    for code, point in enumerate(RECORD_POINTS):
        here = points == code
        total = int(sums[here].sum(dtype=np.uint64))
        assert decode.decoded[point] == {"count": int(here.sum()), "checksum": total}
    for kind in RECORD_KINDS:
        rows = pa.concat_tables([table[kind] for table in tables]).to_pandas()
        assert decode.rows[kind] == row_sum(kind, rows)


def test_the_order_counts_all_records() -> None:
    decode = Decoder()
    odd = record(kind=SEND)
    odd.view(SEND_RECORD)["point"] = 9
    for first in (0, 4):
        tables = decode(np.concatenate([record(RECV), record(), odd, record(RECV)]))
        assert tables["recv_calls"]["order"].to_pylist() == [first, first + 3]
        assert tables["send_calls"]["order"].to_pylist() == [first + 1]


def test_ids_are_small_and_stable_across_blocks() -> None:
    ids = AddressIds()
    high = ADDRESS + np.arange(5, dtype=np.uint64) * np.uint64(256)
    assert ids(high[[3, 0, 3]]).tolist() == [0, 1, 0]
    assert ids(high[[4, 3, 1, 0]]).tolist() == [2, 0, 3, 1]
    assert ids(np.array([0, high[1], 0], np.uint64)).tolist() == [-1, 3, -1]
    assert ids(np.zeros(0, np.uint64)).tolist() == []
    assert ids(np.array([2**64 - 1], np.uint64)).tolist() == [4]


def test_one_sk_buff_has_one_id_in_all_kinds() -> None:
    decode = Decoder()
    sent = record(SEND, reply_skb=ADDRESS, bits=S_QUEUED)
    tables = decode(np.concatenate([queued(skb=ADDRESS + 256), sent]))
    assert tables["send_calls"]["reply_skb"].to_pylist() == [0]
    assert tables["extras"]["skb"].to_pylist() == [1]
    read = [record(RECV, skb=ADDRESS + at, bits=R_COPY) for at in (256, 0, 512)]
    assert decode(np.concatenate(read))["recv_calls"]["skb"].to_pylist() == [1, 0, 2]


def test_an_address_that_is_not_valid_takes_no_id() -> None:
    decode = Decoder()
    left = [record(SEND, reply_skb=ADDRESS), record(RECV, skb=ADDRESS), record(EXTRA, skb=ADDRESS)]
    tables = decode(np.concatenate([*left, queued(skb=ADDRESS + 256)]))
    assert tables["send_calls"]["reply_skb"].to_pylist() == [-1]
    assert tables["recv_calls"]["skb"].to_pylist() == [-1]
    assert tables["extras"]["skb"].to_pylist() == [-1, 0]


def test_no_address_reaches_the_tables() -> None:
    rng = np.random.default_rng(1)
    records = random_records(rng, 997)
    # What is no address would look like one by chance.
    for kind, layout in LAYOUTS.items():
        view, here = records.view(layout), records.view(SEND_RECORD)["kind"] == kind
        addresses = {"reply_skb", "skb", "sock", "kind", "point", "bits", "comm"}
        for name in set(layout.names) - addresses:
            view[name][here] = 1
    extras = records.view(LAYOUTS[EXTRA])
    extras["skb"][(extras["kind"] == EXTRA) & (extras["point"] == 6)] = 1  # a token
    for kind, table in Decoder()(records).items():
        for name in set(table.schema.names) - {"comm"}:
            assert max(table[name].to_pylist()) < ADDRESS >> 32, (kind, name)


def test_tokens_keep_their_64_bits() -> None:
    token = 2**64 - 1
    handled = record(EXTRA, "handled", skb=token)
    sent = record(SEND, token=token, bits=S_MODULE)
    tables = Decoder()(np.concatenate([handled, sent]))
    assert tables["extras"]["token"].to_pylist() == [token]
    assert tables["extras"]["skb"].to_pylist() == [-1]
    assert tables["send_calls"]["token"].to_pylist() == [token]


def test_task_records() -> None:
    fields = {"start_ns": 77, "tid": 5, "tgid": 4, "ppid": 3, "netns": 4026531840}
    tables = Decoder()(
        np.concatenate(
            [record(), record(TASK, comm=b"tracer", **fields), record(TASK, comm=b"\xffx")]
        )
    )
    assert tables["send_calls"].num_rows == 1
    assert tables["tasks"].to_pylist()[0] == fields | {"comm": "tracer", "order": 1}
    assert tables["tasks"]["comm"].to_pylist()[1] == "\ufffdx"


def test_a_name_of_16_bytes_without_end_and_one_with_something_behind_it() -> None:
    names = [b"0123456789abcdef", b"sh\0bash"]
    tasks = Decoder()(np.concatenate([record(TASK, comm=name) for name in names]))["tasks"]
    assert tasks["comm"].to_pylist() == ["0123456789abcdef", "sh"]


def odd_pairs() -> list[tuple[int, int]]:
    known = {(kind, point) for kind, points in POINTS_OF_KIND.items() for point in points}
    near = {(kind, point) for kind in range(8) for point in range(len(RECORD_POINTS) + 2)}
    return sorted((near | {(255, 1), (1, 255)}) - known)


@pytest.mark.parametrize(("kind", "point"), odd_pairs())
def test_an_unknown_record_costs_itself_only(kind: int, point: int) -> None:
    odd = record()
    odd.view(SEND_RECORD)["kind"], odd.view(SEND_RECORD)["point"] = kind, point
    decode = Decoder()
    for _block in range(2):
        tables = decode(np.concatenate([record(seq=1), record(TASK), odd, odd, record(seq=2)]))
        assert tables["send_calls"]["seq"].to_pylist() == [1, 2]
        assert tables["tasks"].num_rows == 1
        assert sum(table.num_rows for table in tables.values()) == 3
    assert (decode.odd.count, decode.odd.first) == (4, f"kind {kind}, point {point}")
    assert sum(found["count"] for found in decode.decoded.values()) == 6


def test_the_first_unknown_record_is_told() -> None:
    decode = Decoder()
    for kind in (9, 0):
        odd = record()
        odd.view(SEND_RECORD)["kind"] = kind
        decode(np.concatenate([record(), odd]))
    assert (decode.odd.count, decode.odd.first) == (2, "kind 9, point 1")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_bytes_the_ring_holds(seed: int) -> None:
    """Every record is decoded or counted, and nothing raises."""
    rng = np.random.default_rng(seed)
    noise = np.frombuffer(rng.bytes(997 * 128), SEND_RECORD).copy()
    noise["kind"] = rng.integers(0, 6, 997)
    noise["point"][::2] = rng.integers(0, len(RECORD_POINTS) + 1, 499)
    decode = Decoder()
    tables = decode(noise.view(RECORD_DTYPE))
    rows = sum(table.num_rows for table in tables.values())
    assert rows + decode.odd.count == 997
    assert 0 < decode.odd.count < 997


def test_records_may_come_as_plain_words() -> None:
    records = random_records(np.random.default_rng(1), 101)
    for same in (records["words"], records.view(SEND_RECORD), records[::1]):
        assert Decoder()(same) == Decoder()(records)


@pytest.mark.parametrize("count", [1, 101])
def test_the_block_is_not_changed_and_not_referred_to(count: int) -> None:
    """The ring's memory may be used again for other records."""
    records = random_records(np.random.default_rng(1), count)
    before = records.copy()
    tables = Decoder()(records)
    expected = {kind: table.to_pylist() for kind, table in tables.items()}
    assert (records == before).all()
    records["words"] = 0
    assert {kind: table.to_pylist() for kind, table in tables.items()} == expected


@pytest.mark.parametrize("dtype", [np.dtype("u1"), np.dtype([("start_ns", "<u8")])])
def test_records_of_another_type_are_refused(dtype: np.dtype) -> None:
    with pytest.raises(ValueError, match="expected"):
        Decoder()(np.zeros(64, dtype))
