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

POINTS = {
    "TRACER_SYS_SENDTO": "sendto",
    "TRACER_SYS_SENDMSG": "sendmsg",
    "TRACER_SYS_SENDMMSG": "sendmmsg",
    "TRACER_SYS_WRITE": "write",
    "TRACER_SYS_RECVFROM": "recvfrom",
    "TRACER_SYS_RECVMSG": "recvmsg",
    "TRACER_SYS_RECVMMSG": "recvmmsg",
    "TRACER_SYS_READ": "read",
    "TRACER_SYS_SETSOCKOPT": "setsockopt",
    "TRACER_SYS_GETSOCKOPT": "getsockopt",
    "TRACER_SYS_POLL": "poll",
    "TRACER_NETLINK_UNICAST": "netlink_unicast",
    "TRACER_NETLINK_BROADCAST": "netlink_broadcast",
    "TRACER_NETLINK_SENDSKB": "__netlink_sendskb",
    "TRACER_NETLINK_RCV_SKB": "netlink_rcv_skb",
    "TRACER_NETLINK_DUMP": "netlink_dump",
    "TRACER_NETLINK_OVERRUN": "netlink_overrun",
    "TRACER_NF_SETSOCKOPT": "nf_setsockopt",
    "TRACER_NF_GETSOCKOPT": "nf_getsockopt",
    "TRACER_SKB_COPY": "skb_copy_datagram_iter",
    "TRACER_COPY_TO_USER": "copy_to_user",
    "TRACER_MSGCHAN_HANDLER": "msgchan_handler",
    "TRACER_MSGCHAN_COPY": "msgchan_copy",
}
#: Members of one shape in C and another here: the sock is the two halves of the union.
UNION = {"sock"}

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
    for struct in structs:
        wanted.append(f"sizeof(struct {struct})")
        for member in members(header, struct):
            wanted.append(f"offsetof(struct {struct}, {member})")
            wanted.append(f"sizeof(((struct {struct} *)0)->{member})")
    lines = [f'printf("%s\\t%ld\\n", "{name}", (long){name});' for name in wanted]
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


@pytest.mark.parametrize(
    ("struct", "dtype"),
    [("tracer_event", event.EVENT_DTYPE), ("tracer_task", event.TASK_DTYPE)],
)
def test_every_member_lies_where_the_compiler_puts_it(
    header: str, compiled: Values, struct: str, dtype: np.dtype[np.void]
) -> None:
    names = [name for name in members(header, struct) if name not in UNION]
    assert tuple(names) == dtype.names
    assert compiled[f"sizeof(struct {struct})"] == dtype.itemsize == 64
    for name in names:
        kind, offset = dtype.fields[name][:2]
        assert compiled[f"offsetof(struct {struct}, {name})"] == offset, name
        assert compiled[f"sizeof(((struct {struct} *)0)->{name})"] == kind.itemsize, name
    # Explicit padding only: the members fill the record.
    assert sum(dtype.fields[name][0].itemsize for name in names) == 64


def test_the_sock_is_the_two_halves_of_the_union(compiled: Values) -> None:
    portid, seq = (event.EVENT_DTYPE.fields[name][1] for name in ("portid", "seq"))
    assert compiled["offsetof(struct tracer_event, sock)"] == portid
    assert seq == portid + 4
    assert compiled["sizeof(((struct tracer_event *)0)->sock)"] == 8


def test_shared_members_of_both_records_coincide() -> None:
    shared = set(event.EVENT_DTYPE.names) & set(event.TASK_DTYPE.names)
    assert {"start_ns", "tid", "tgid", "netns", "cpu", "kind", "point"} <= shared
    for name in shared:
        assert event.EVENT_DTYPE.fields[name] == event.TASK_DTYPE.fields[name], name


def test_every_point_has_its_name(header: str, compiled: Values) -> None:
    names = enumerators(header, "tracer_point")
    assert names == [*POINTS, "TRACER_POINTS"]
    assert compiled["TRACER_POINTS"] == len(event.POINTS)
    assert {name: event.POINTS[compiled[name]] for name in POINTS} == POINTS
    assert event.POINTS[0] == "task"
    assert {event.CODE[name] for name in event.POINTS} == set(range(len(event.POINTS)))


@pytest.mark.parametrize(
    ("enum", "prefix"), [("tracer_kind", "KIND_"), ("tracer_direction", "TO_")]
)
def test_constants(header: str, compiled: Values, enum: str, prefix: str) -> None:
    in_c = {
        prefix + name.removeprefix("TRACER_").removeprefix("TO_"): compiled[name]
        for name in enumerators(header, enum)
    }
    here = {name: value for name, value in vars(event).items() if name.startswith(prefix)}
    assert in_c == here


def test_groups_name_known_points() -> None:
    groups = (event.SENDS, event.RECEIVES, event.NETLINK, event.SOCKOPT, event.MODULE)
    assert {name for group in groups for name in group} <= set(event.POINTS)


def test_records_are_little_endian_on_every_host() -> None:
    record = np.zeros(1, event.EVENT_DTYPE)
    record["start_ns"] = 0x0102030405060708
    assert record.tobytes()[:8] == bytes([8, 7, 6, 5, 4, 3, 2, 1])
