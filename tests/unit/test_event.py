# SPDX-License-Identifier: GPL-2.0-or-later
"""bpf/event.h as a C compiler lays it out, against the numpy dtypes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tracer import event
from tracer.resources import source_dir

#: The names in C of what tracer.event.RECORD_POINTS names.
POINTS = {
    "TRACER_POINT_TASK": "task",
    "TRACER_POINT_SEND": "send",
    "TRACER_POINT_RECV": "recv",
    "TRACER_POINT_SET": "setsockopt",
    "TRACER_POINT_GET": "getsockopt",
    "TRACER_POINT_MESSAGE": "message",
    "TRACER_POINT_HANDLED": "handled",
    "TRACER_POINT_QUEUED": "queued",
    "TRACER_POINT_COPY": "copy",
    "TRACER_POINT_POLL": "poll",
    "TRACER_POINT_OVERRUN": "overrun",
}
KINDS = {
    event.SEND: ("tracer_send", "SEND"),
    event.RECV: ("tracer_recv", "RECV"),
    event.OPT: ("tracer_opt", "OPT"),
    event.EXTRA: ("tracer_extra", "EXTRA"),
    event.TASK: ("tracer_task", "TASK"),
}

Values = dict[str, int]


def body(text: str, what: str) -> str:
    """What stands between the braces of ``enum x`` or ``struct x``, without comments."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    found = re.search(rf"{what} \{{\n(.*?)\n\}};", text, flags=re.DOTALL)
    assert found, what
    return found[1]


def enumerators(text: str, name: str) -> list[str]:
    return re.findall(r"\b(TRACER_\w+)", body(text, f"enum {name}"))


def members(text: str, name: str) -> list[str]:
    return re.findall(r"(\w+)(?:\[\d+\])?;", body(text, f"struct {name}"))


@pytest.fixture(scope="module")
def header() -> str:
    return (source_dir("bpf") / "event.h").read_text()


@pytest.fixture(scope="module")
def compiled(header: str, tmp_path_factory: pytest.TempPathFactory) -> Values:
    """Every constant, size and offset of the header, by its name in C."""
    enums = re.findall(r"^enum (\w+)", header, flags=re.MULTILINE)
    structs = re.findall(r"^struct (\w+)", header, flags=re.MULTILINE)
    wanted = [name for enum in enums for name in enumerators(header, enum)]
    wanted += re.findall(r"^#define (TRACER_\w+)[ \t]", header, flags=re.MULTILINE)
    for struct in structs:
        wanted.append(f"sizeof(struct {struct})")
        for member in members(header, struct):
            wanted.append(f"offsetof(struct {struct}, {member})")
            wanted.append(f"sizeof(((struct {struct} *)0)->{member})")
    lines = [f'printf("%s\\t%lu\\n", "{name}", (unsigned long){name});' for name in wanted]
    return run(tmp_path_factory.mktemp("event"), "\n".join(lines))


def run(directory: Path, statements: str) -> Values:
    source = directory / "layout.c"
    source.write_text(
        "#include <stdio.h>\n#include <stddef.h>\n"
        f'#include "event.h"\nint main(void) {{\n{statements}\nreturn 0; }}\n'
    )
    program = directory / "layout"
    include = f"-I{source_dir('bpf')}"
    subprocess.run(["gcc", "-Wall", "-Werror", include, "-o", program, source], check=True)
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in (line.split("\t") for line in said.splitlines())}


@pytest.mark.parametrize("kind", KINDS)
def test_every_member_lies_where_the_compiler_puts_it(
    header: str, compiled: Values, kind: int
) -> None:
    struct, dtype = KINDS[kind][0], event.LAYOUTS[kind]
    names = members(header, struct)
    assert tuple(names) == dtype.names
    assert compiled[f"sizeof(struct {struct})"] == dtype.itemsize == event.RECORD_BYTES
    for name in names:
        field, offset = dtype.fields[name][:2]
        assert compiled[f"offsetof(struct {struct}, {name})"] == offset, name
        assert compiled[f"sizeof(((struct {struct} *)0)->{name})"] == field.itemsize, name
    # Explicit padding only: the members fill the record.
    assert sum(dtype.fields[name][0].itemsize for name in names) == event.RECORD_BYTES


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_two_words_are_the_same_in_all_kinds(kind: int) -> None:
    for name in ("tid", "tgid", "cpu", "kind", "point", "bits"):
        field = event.LAYOUTS[kind].fields[name]
        assert field[:2] == event.SEND_RECORD.fields[name][:2], name
        assert field[1] >= 14 * 8, name


@pytest.mark.parametrize("kind", KINDS)
def test_a_checksum_covers_all_fields_that_hold_something(kind: int) -> None:
    """Only what bpf/event.h says holds anything (reserved1, of tasks reserved0) is left out."""
    dtype, count = event.LAYOUTS[kind], event.WORDS[kind]
    outside = {
        name for name in dtype.names if 8 * count <= dtype.fields[name][1] < 14 * 8
    }  # fmt: skip
    assert outside <= {"reserved0", "reserved1"}


def test_every_point_has_its_name(header: str, compiled: Values) -> None:
    names = enumerators(header, "tracer_point")
    assert names == [*POINTS, "TRACER_POINTS"]
    assert compiled["TRACER_POINTS"] == len(event.RECORD_POINTS)
    assert {name: event.RECORD_POINTS[compiled[name]] for name in POINTS} == POINTS


def test_every_kind_has_its_number_its_layout_and_its_points(header: str, compiled: Values) -> None:
    assert {f"TRACER_{name}": kind for kind, (_struct, name) in KINDS.items()} == {
        name: compiled[name] for name in enumerators(header, "tracer_kind")
    }
    assert KINDS.keys() == event.LAYOUTS.keys() == event.WORDS.keys() == event.POINTS_OF_KIND.keys()
    points = [point for points in event.POINTS_OF_KIND.values() for point in points]
    assert sorted(points) == list(range(len(event.RECORD_POINTS)))
    # The header says at each point of which kind its records are.
    said = re.findall(r"(TRACER_POINT_\w+),\s*/\* (\w+):", header)
    assert len(said) == len(POINTS) - 1
    numbers = {name: kind for kind, (_struct, name) in KINDS.items()}
    for point, kind in said:
        assert compiled[point] in event.POINTS_OF_KIND[numbers[kind]], point


@pytest.mark.parametrize("letter", ["S", "R", "O", "X"])
def test_bits(header: str, compiled: Values, letter: str) -> None:
    names = re.findall(rf"^#define TRACER_({letter}_\w+)", header, flags=re.MULTILINE)
    here = {name: value for name, value in vars(event).items() if name.startswith(f"{letter}_")}
    assert {name: compiled[f"TRACER_{name}"] for name in names} == here
    assert names


def test_sources(header: str, compiled: Values) -> None:
    here = {name: value for name, value in vars(event).items() if name.startswith("BY_")}
    names = enumerators(header, "tracer_source")
    assert {name.removeprefix("TRACER_"): compiled[name] for name in names} == here


def test_constants(compiled: Values) -> None:
    assert compiled["TRACER_RECORD_BYTES"] == event.RECORD_BYTES == event.RECORD_DTYPE.itemsize
    assert compiled["TRACER_SUM_SEED"] == event.SUM_SEED
    assert compiled["TRACER_SUM_FACTOR"] == event.SUM_FACTOR
    assert compiled["TRACER_SUM_MIX"] == event.SUM_MIX
    words = {kind: compiled[f"TRACER_WORDS_{name}"] for kind, (_struct, name) in KINDS.items()}
    assert words == event.WORDS


def test_observations_have_points_of_their_own() -> None:
    assert {event.CODE[name] for name in event.POINTS} == set(range(len(event.POINTS)))
    assert {*event.SENDS, *event.RECEIVES} <= set(event.POINTS)


def test_records_are_little_endian_on_every_host() -> None:
    record = np.zeros(1, event.SEND_RECORD)
    record["enter_ns"] = 0x0102030405060708
    assert record.tobytes()[:8] == bytes([8, 7, 6, 5, 4, 3, 2, 1])


def naive_sum(record: bytes) -> int:
    """The checksum from the words of bpf/event.h."""
    words = [int.from_bytes(record[at : at + 8], "little") for at in range(0, 128, 8)]
    total = 0xCBF29CE484222325
    for word in [*words[: event.WORDS[record[122]]], words[14], words[15]]:
        total = (total ^ word) * 0x100000001B3 % 2**64
    total = (total ^ total >> 33) * event.SUM_MIX % 2**64
    return total ^ total >> 33


def random_records(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    records = np.frombuffer(rng.bytes(128 * count), event.SEND_RECORD).copy()
    records["kind"] = rng.integers(1, 6, count)
    return records


@pytest.mark.parametrize("seed", range(3))
def test_checksums_against_a_loop(seed: int) -> None:
    records = random_records(seed, 101)
    sums = event.checksums(records)
    assert sums.dtype == np.uint64
    assert sums.tolist() == [naive_sum(record.tobytes()) for record in records]
    as_words = records.view(event.RECORD_DTYPE)
    np.testing.assert_array_equal(event.checksums(as_words), sums)
    np.testing.assert_array_equal(event.checksums(as_words["words"]), sums)
    for kind in KINDS:
        ours = records[records["kind"] == kind]
        np.testing.assert_array_equal(event.checksums(ours), sums[records["kind"] == kind])


def test_the_checksum_in_c_is_the_same(tmp_path: Path) -> None:
    records = random_records(7, 23)
    bytes_ = ",".join(map(str, records.tobytes()))
    found = run(
        tmp_path,
        f"""static const unsigned char bytes[] __attribute__((aligned(8))) = {{{bytes_}}};
        static const int words[] = {{0, TRACER_WORDS_SEND, TRACER_WORDS_RECV, TRACER_WORDS_OPT,
                                     TRACER_WORDS_EXTRA, TRACER_WORDS_TASK}};
        for (unsigned long i = 0; i < sizeof(bytes) / TRACER_RECORD_BYTES; i++) {{
            const __u64 *record = (const void *)(bytes + i * TRACER_RECORD_BYTES);
            int count = words[((const struct tracer_send *)record)->kind];
            __u64 sum = TRACER_SUM_SEED;
            for (int j = 0; j < TRACER_RECORD_WORDS; j++)
                if (j < count || j >= 14)
                    sum = (sum ^ record[j]) * TRACER_SUM_FACTOR;
            sum = (sum ^ sum >> 33) * TRACER_SUM_MIX;
            sum ^= sum >> 33;
            printf("%lu\\t%lu\\n", i, (unsigned long)sum);
        }}""",
    )
    assert [found[str(i)] for i in range(23)] == event.checksums(records).tolist()


@pytest.mark.parametrize("field", ["enter_ns", "ret", "reply_skb", "tid", "cpu", "bits"])
def test_what_is_exchanged_between_two_records_is_noticed(field: str) -> None:
    """Also a single bit in the last word, which no other word follows."""
    for seed in range(100):
        records = random_records(seed, 2)
        records["kind"] = event.SEND
        records[field] = [0, 1] if seed % 2 else records[field]
        swapped = records.copy()
        swapped[field] = records[field][::-1]
        assert event.checksums(records).sum() != event.checksums(swapped).sum()


def test_what_a_record_leaves_open_does_not_count() -> None:
    records = np.zeros(2, event.RECV_RECORD)
    records["kind"] = event.RECV
    records["reserved1"][1] = 7
    assert len(set(event.checksums(records).tolist())) == 1


@pytest.mark.parametrize(
    "records",
    [
        np.zeros(128, "u1"),
        np.zeros((3, 15), "<u8"),
        np.zeros(3, [("enter_ns", "<u8")]),
        np.zeros((2, 2), event.SEND_RECORD),
    ],
)
def test_what_is_no_array_of_records_is_refused(records: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        event.words_of(records)
