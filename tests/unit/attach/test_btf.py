# SPDX-License-Identifier: GPL-2.0-or-later
"""BTF of a small C file, made by the compiler, against what the compiler says of its layout."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tracer.attach.btf import VMLINUX, Btf
from tracer.attach.sites import FUNCTIONS, OFFSETS
from tracer.errors import TracerError

SOURCE = """
#include <stddef.h>
typedef unsigned int word;
struct inner { char first; word second; };
typedef const struct inner inner_t;
struct pair { unsigned long a, b; };
struct small { int a; };
struct odd { char a[12]; };
union both { struct pair pair; char c; };
struct outer {
    char lead;
    inner_t by_typedef;
    volatile struct inner array[3];
    struct {
        long hidden;
        union { int either; struct { short deep, deeper; }; };
    };
    union { struct inner named; char bytes[40]; };
    struct inner *pointer;
    unsigned bits : 3, : 0, more : 5;
    word last;
};
struct flags { int plain; unsigned low : 4, high : 12; struct inner after; };
long sum(struct outer *outer, struct flags *flags) { return outer->last + flags->plain; }
int one(int a) { return a; }
int by_value(struct pair pair, int b, struct small small, struct odd odd) {
    return pair.a + b + small.a + odd.a[0];
}
int by_union(union both both, const struct pair *pointer) { return both.c + pointer->a; }
int none(void) { return 0; }
"""
PATHS = (
    "outer.lead",
    "outer.by_typedef",
    "outer.by_typedef.second",
    "outer.array",
    "outer.hidden",
    "outer.either",
    "outer.deep",
    "outer.deeper",
    "outer.named",
    "outer.named.second",
    "outer.bytes",
    "outer.pointer",
    "outer.last",
    "flags.plain",
    "flags.after",
    "flags.after.second",
    "pair.b",
)


def gcc(directory: Path, text: str, *options: str) -> Path:
    (directory / "types.c").write_text(text)
    output = directory / "types.out"
    command = ["gcc", *options, "-o", output, directory / "types.c"]
    subprocess.run(command, check=True, capture_output=True)
    return output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("btf")
    compiled = gcc(directory, SOURCE, "-gbtf", "-c")
    section = directory / "section"
    subprocess.run(
        ["objcopy", f"--dump-section=.BTF={section}", compiled, directory / "rest"], check=True
    )
    return section.read_bytes()


@pytest.fixture(scope="module")
def btf(data: bytes) -> Btf:
    return Btf(data)


@pytest.fixture(scope="module")
def offsets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    prints = [
        f'__builtin_printf("%zu ", offsetof(struct {path.replace(".", ", ", 1)}));'
        for path in PATHS
    ]
    main = f"int main(void) {{ {' '.join(prints)} return 0; }}"
    program = gcc(tmp_path_factory.mktemp("offsets"), SOURCE + main)
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return dict(zip(PATHS, map(int, said.split()), strict=True))


@pytest.mark.parametrize("path", PATHS)
def test_offset(btf: Btf, offsets: dict[str, int], path: str) -> None:
    assert btf.offset(path) == offsets[path]


@pytest.mark.parametrize(
    "path",
    [
        "missing.field",
        "outer.missing",
        "outer.by_typedef.third",
        "outer.lead.second",
        "outer.pointer.second",
        "outer.array.second",
    ],
)
def test_a_missing_field_is_named_by_its_path(btf: Btf, path: str) -> None:
    with pytest.raises(KeyError, match=f"^'{re.escape(path)}'$"):
        btf.offset(path)


def test_a_bit_field_has_no_offset_in_bytes_unless_it_begins_on_one(btf: Btf) -> None:
    with pytest.raises(KeyError, match=r"flags\.high is a bit field"):
        btf.offset("flags.high")
    assert btf.offset("flags.low") == 4


def test_functions(btf: Btf) -> None:
    assert btf.functions() == {"sum", "one", "by_value", "by_union", "none"}


@pytest.mark.parametrize(
    ("function", "slots"),
    [("none", 0), ("one", 1), ("sum", 2), ("by_value", 2 + 1 + 1 + 2), ("by_union", 2 + 1)],
)
def test_a_structure_by_value_takes_a_slot_for_each_8_bytes(
    btf: Btf, function: str, slots: int
) -> None:
    assert btf.slots(function) == slots


def test_slots_of_an_unknown_function(btf: Btf) -> None:
    with pytest.raises(KeyError, match="nowhere"):
        btf.slots("nowhere")


@pytest.mark.parametrize("garbage", [b"", b"\x9f\xeb", b"\x7fELF" + bytes(60), bytes(4096)])
def test_what_is_no_btf(garbage: bytes) -> None:
    with pytest.raises(TracerError, match="cannot read the kernel's type information"):
        Btf(garbage)


def test_the_other_byte_order(data: bytes) -> None:
    with pytest.raises(TracerError, match="magic 0x9feb, expected 0xeb9f"):
        Btf(data[1::-1] + data[2:])


def test_btf_that_ends_too_early(data: bytes) -> None:
    """Wherever it was cut: an error for people, never one of struct or index."""
    for length in range(0, len(data), 7):
        with pytest.raises(TracerError, match="cannot read the kernel's type information"):
            Btf(data[:length])


def test_a_kernel_that_exports_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracer.attach.btf.VMLINUX", tmp_path / "vmlinux")
    with pytest.raises(TracerError, match=r"vmlinux: No such file.*CONFIG_DEBUG_INFO_BTF=y"):
        Btf.of_running_kernel()


@pytest.mark.skipif(not VMLINUX.exists(), reason=f"this kernel exports no {VMLINUX}")
def test_the_running_kernel() -> None:
    """Any kernel with BTF has the fields that the probes read outside of netlink's own."""
    btf = Btf.of_running_kernel()
    for path in OFFSETS.values():
        if path.split(".")[0] != "netlink_sock":
            assert btf.offset(path) >= 0
    assert btf.offset("sk_buff.len") % 4 == 0
    named = btf.functions()
    assert {f.name for f in FUNCTIONS if f.needed} & named
    assert btf.slots("netlink_unicast") == 4
    assert btf.slots("nf_setsockopt") == 6
