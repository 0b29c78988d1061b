# SPDX-License-Identifier: GPL-2.0-or-later
"""The system call bpf(2) on a real kernel: what the maps do, and what is refused."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tracer.attach.bpf import Map, MapSpec, RefusedError, load_program
from tracer.attach.loader import RAW_TRACEPOINT

#: enum bpf_map_type; the flag BPF_F_NO_PREALLOC, which storage maps need.
HASH, PERCPU_ARRAY, LRU_HASH, TASK_STORAGE, NO_PREALLOC = 1, 6, 9, 29, 1


def key(number: int) -> bytes:
    return struct.pack("<I", number)


def value(number: int) -> bytes:
    return struct.pack("<Q", number)


@pytest.fixture(params=[HASH, LRU_HASH])
def table(request: pytest.FixtureRequest) -> Iterator[Map]:
    made = Map("table", MapSpec(request.param, 4, 8, 256, 0))
    yield made
    made.close()


def test_values_come_and_go(table: Map) -> None:
    assert table.get(key(1)) is None
    for number in range(5):
        table.put(key(number), value(10 + number))
    table.put(key(4), value(99))
    assert table.get(key(4)) == value(99)
    assert sorted(table.keys()) == [key(number) for number in range(5)]
    table.remove(key(2))
    table.remove(key(2))
    assert table.get(key(2)) is None
    assert dict(table.items()).keys() == {key(number) for number in (0, 1, 3, 4)}
    table.clear()
    assert table.keys() == []


def test_who_inserts_first_has_it(table: Map) -> None:
    assert table.insert(key(1), value(1))
    assert not table.insert(key(1), value(2))
    assert table.get(key(1)) == value(1)
    table.remove(key(1))
    assert table.insert(key(1), value(2))


def test_what_is_taken_is_gone(table: Map) -> None:
    assert table.take() == []
    for number in range(100):
        table.put(key(number), value(number))
    assert sorted(table.take()) == sorted(value(number) for number in range(100))
    assert table.keys() == []
    assert table.take() == []


def test_a_full_table_says_so() -> None:
    table = Map("small", MapSpec(HASH, 4, 8, 2, 0))
    table.put(key(1), value(1))
    table.put(key(2), value(2))
    with pytest.raises(OSError, match="Argument list too long"):
        table.put(key(3), value(3))
    table.close()


def test_a_value_for_each_processor() -> None:
    table = Map("counters", MapSpec(PERCPU_ARRAY, 4, 8, 1, 0))
    found = table.get(key(0))
    assert found is not None
    assert len(found) % 8 == 0
    assert set(found) == {0}
    table.close()


def test_storage_of_tasks_has_types() -> None:
    Map("marked", MapSpec(TASK_STORAGE, 4, 4, 0, NO_PREALLOC)).close()


def test_what_the_kernel_refuses_is_told_with_its_reason() -> None:
    """A program without an instruction that ends it."""
    with pytest.raises(RefusedError, match=r"program broken: .*: .*(exit|last insn)"):
        load_program("broken", RAW_TRACEPOINT, bytes.fromhex("b700000000000000"))
