# SPDX-License-Identifier: GPL-2.0-or-later
"""Ring records -> tables: every field, small ids, no address, nothing unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tracer.event import CODE, EVENT_DTYPE, MODULE, NETLINK, POINTS, SOCKOPT, TASK_DTYPE
from tracer.recorder.decode import AddressIds, Decoder
from tracer.recording import SCHEMAS

ADDRESS = 0xFFFF_8880_0000_0000


def record(point: str = "netlink_unicast", **fields: Any) -> np.ndarray:
    records = np.zeros(1, EVENT_DTYPE)
    records["kind"], records["point"] = 1, CODE[point]
    for name, value in fields.items():
        records[name] = value
    return records


def task(**fields: Any) -> np.ndarray:
    records = np.zeros(1, TASK_DTYPE)
    records["kind"] = 3
    for name, value in fields.items():
        records[name] = value
    return records.view(EVENT_DTYPE)


def random_records(rng: np.random.Generator, count: int) -> np.ndarray:
    """Records of every point, few addresses, ports and namespaces, and full-range numbers."""
    records = np.frombuffer(rng.bytes(count * 64), EVENT_DTYPE).copy()
    records["kind"] = rng.choice([1, 2], count)
    records["point"] = rng.integers(1, len(POINTS), count)
    records["start_ns"] >>= 1
    records["end_ns"] >>= 1
    records["buf"] = rng.choice([0, ADDRESS, ADDRESS + 256, ADDRESS + 512], count)
    records["portid"] = rng.choice([0, 258, 2**32 - 5], count)
    records["netns"] = rng.choice([4026531840, 4026532000], count)
    records["proto"] = rng.choice([0, 16, 30], count)
    sockopt = np.isin(records["point"], [CODE[p] for p in SOCKOPT])
    records["portid"][sockopt] = rng.choice([0x10, 0x20], sockopt.sum())
    records["seq"][sockopt] = ADDRESS >> 32
    records["direction"] = rng.integers(0, 4, count)
    return records


class Naive:
    """What the decoder does, one record at a time, from the words of its documentation."""

    def __init__(self) -> None:
        self.skbs: dict[int, int] = {}
        self.socks: dict[tuple[int, ...], int] = {}

    def __call__(self, records: np.ndarray) -> list[dict[str, Any]]:
        return [self.row(r) for r in records]

    def row(self, r: np.void) -> dict[str, Any]:
        point = POINTS[r["point"]]
        row = {name: int(r[name]) for name in EVENT_DTYPE.names if name not in ("buf", "point")}
        row |= {"point": point, "skb": -1, "sock": -1, "token": 0}
        buf, portid, seq = int(r["buf"]), int(r["portid"]), int(r["seq"])
        if point in NETLINK and buf:
            row["skb"] = self.skbs.setdefault(buf, len(self.skbs))
        if point in MODULE:
            row["token"] = buf
        if point in NETLINK and portid:
            key = (int(r["netns"]), int(r["proto"]), portid)
            row["sock"] = self.socks.setdefault(key, len(self.socks))
        if point in SOCKOPT:
            row |= {"portid": 0, "seq": 0}
            row["sock"] = self.socks.setdefault((seq << 32 | portid,), len(self.socks))
        return row


@pytest.mark.parametrize("seed", range(5))
def test_many_records_against_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decode, naive = Decoder(), Naive()
    for count in (0, 1, 101, 503):
        records = random_records(rng, count)
        events, tasks = decode(records)
        assert events.schema.names == SCHEMAS["events"].names
        assert tasks.num_rows == 0
        expected = naive(records)
        for name in events.schema.names:
            assert events[name].to_pylist() == [row[name] for row in expected], name


def test_ids_are_small_and_stable_across_blocks() -> None:
    ids = AddressIds()
    high = ADDRESS + np.arange(5, dtype=np.uint64) * np.uint64(256)
    assert ids(high[[3, 0, 3]]).tolist() == [0, 1, 0]
    assert ids(high[[4, 3, 1, 0]]).tolist() == [2, 0, 3, 1]
    assert ids(np.array([0, high[1], 0], np.uint64)).tolist() == [-1, 3, -1]
    assert ids(np.zeros(0, np.uint64)).tolist() == []
    assert ids(np.array([2**64 - 1], np.uint64)).tolist() == [4]


def test_no_address_reaches_the_tables() -> None:
    rng = np.random.default_rng(1)
    records = random_records(rng, 997)
    sockopt = np.isin(records["point"], [CODE[p] for p in SOCKOPT])
    # Full-range fields that are no address would look like one by chance.
    for name in ("start_ns", "end_ns", "size", "tid", "tgid"):
        records[name] = 1
    for name in ("portid", "seq"):
        records[name][~sockopt] = 1
    records["buf"][np.isin(records["point"], [CODE[p] for p in MODULE])] = 1
    events, _tasks = Decoder()(records)
    for name in events.schema.names:
        values = events[name].to_pylist()
        if name == "point":
            continue
        assert max(values) < ADDRESS >> 32, name
    assert events["skb"].type == pa.int32()
    assert max(events["sock"].to_pylist()) < 20


def test_the_union_is_the_sock_of_a_socket_option() -> None:
    sock = {"portid": 0x1000, "seq": ADDRESS >> 32}
    records = np.concatenate(
        [
            record("nf_setsockopt", type=10129, **sock),
            record("netlink_unicast", portid=0x1000, seq=7),
            record("nf_getsockopt", type=10129, **sock),
        ]
    )
    events, _tasks = Decoder()(records)
    assert events["sock"].to_pylist() == [0, 1, 0]
    assert events["portid"].to_pylist() == [0, 0x1000, 0]
    assert events["seq"].to_pylist() == [0, 7, 0]


def test_a_netlink_socket_is_its_namespace_protocol_and_port() -> None:
    rows = [(1, 30, 5), (1, 31, 5), (2, 30, 5), (1, 30, 6), (1, 30, 5), (1, 30, 0)]
    records = np.concatenate([record(netns=n, proto=p, portid=i) for n, p, i in rows])
    assert Decoder()(records)[0]["sock"].to_pylist() == [0, 1, 2, 3, 0, -1]


def test_tokens_keep_their_64_bits() -> None:
    events, _tasks = Decoder()(record("msgchan_handler", buf=2**64 - 1))
    assert events["token"].to_pylist() == [2**64 - 1]
    assert events["skb"].to_pylist() == [-1]


def test_task_records() -> None:
    fields = {"start_ns": 77, "tid": 5, "tgid": 4, "ppid": 3, "netns": 4026531840}
    records = np.concatenate([record(), task(comm=b"tracer", **fields), task(comm=b"\xffx")])
    events, tasks = Decoder()(records)
    assert events.num_rows == 1
    assert tasks.schema.names == SCHEMAS["tasks"].names
    assert tasks.to_pylist()[0] == fields | {"comm": "tracer"}
    assert tasks["comm"].to_pylist()[1] == "\ufffdx"


def test_a_name_of_16_bytes_without_end() -> None:
    _events, tasks = Decoder()(task(comm=b"0123456789abcdef"))
    assert tasks["comm"].to_pylist() == ["0123456789abcdef"]


@pytest.mark.parametrize(
    ("kind", "point"), [(0, 1), (4, 1), (255, 1), (1, len(POINTS)), (2, 255), (1, 0), (2, 0)]
)
def test_an_unknown_record_costs_itself_only(kind: int, point: int) -> None:
    odd = record(kind=kind, seq=7)
    odd["point"] = point
    decode = Decoder()
    for _block in range(2):
        events, tasks = decode(np.concatenate([record(seq=1), task(), odd, odd, record(seq=2)]))
        assert events["seq"].to_pylist() == [1, 2]
        assert tasks.num_rows == 1
    assert (decode.odd.count, decode.odd.first) == (4, f"kind {kind}, point {point}")


def test_the_first_unknown_record_is_told() -> None:
    decode = Decoder()
    for kind in (9, 0):
        decode(np.concatenate([record(), record(kind=kind)]))
    assert (decode.odd.count, decode.odd.first) == (2, "kind 9, point 12")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_bytes_the_ring_holds(seed: int) -> None:
    """Every record is decoded or counted, and nothing raises."""
    rng = np.random.default_rng(seed)
    noise = np.frombuffer(rng.bytes(997 * 64), EVENT_DTYPE).copy()
    noise["kind"] = rng.integers(0, 5, 997)
    noise["point"][::2] = rng.integers(0, len(POINTS) + 1, 499)
    decode = Decoder()
    events, tasks = decode(noise)
    assert events.num_rows + tasks.num_rows + decode.odd.count == 997
    assert 0 < decode.odd.count < 997


@pytest.mark.parametrize("dtype", [TASK_DTYPE, np.dtype("u1"), np.dtype([("start_ns", "<u8")])])
def test_records_of_another_type_are_refused(dtype: np.dtype) -> None:
    with pytest.raises(ValueError, match="expected"):
        Decoder()(np.zeros(64, dtype))
