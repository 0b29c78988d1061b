# SPDX-License-Identifier: GPL-2.0-or-later
"""The layouts here are those that a C compiler sees in kmod/msgchan.h."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tracer.clients import wire
from tracer.errors import TracerError

KMOD = Path(__file__).parents[3] / "kmod"
STRUCTS = {
    "msgchan_request": wire.REQUEST_FIELDS,
    "msgchan_reply": wire.REPLY_FIELDS,
    "msgchan_counters": wire.COUNTERS_FIELDS,
    "msgchan_port": wire.PORT_FIELDS,
    "msgchan_icmp": wire.ICMP_FIELDS,
    "nlmsghdr": wire.NLMSGHDR_FIELDS,
}
CONSTANTS = {
    "MSGCHAN_SOCKOPT_BASE": wire.Parameters().sockopt_base,
    "MSGCHAN_NETLINK_PROTO": wire.Parameters().netlink_proto,
    "MSGCHAN_ICMP_PROTO": wire.Parameters().icmp_proto,
    "MSGCHAN_SO_TEXT": wire.SO_TEXT,
    "MSGCHAN_SO_REQUEST": wire.SO_REQUEST,
    "sizeof(MSGCHAN_SOCKOPT_TEXT)": len(wire.SOCKOPT_TEXT),
    "sizeof(MSGCHAN_NETLINK_TEXT) - 1": len(wire.NETLINK_TEXT),
    "MSGCHAN_TEXT_MAX": wire.TEXT_MAX,
    "MSGCHAN_TYPE_TEXT": wire.TYPE_TEXT,
    "MSGCHAN_TYPE_TEXT_REPLY": wire.TYPE_TEXT_REPLY,
    "MSGCHAN_TYPE_REQUEST": wire.TYPE_REQUEST,
    "MSGCHAN_TYPE_REPLY": wire.TYPE_REPLY,
    "IMP2_U_PID": wire.IMP2_U_PID,
    "IMP2_K_MSG": wire.IMP2_K_MSG,
    "IMP2_CLOSE": wire.IMP2_CLOSE,
    "MSGCHAN_DELAY_MAX_NS": wire.DELAY_MAX_NS,
    "MSGCHAN_PAYLOAD_MAX": wire.PAYLOAD_MAX,
    "MSGCHAN_OPS": len(wire.Op),
    "MSGCHAN_CHANNELS": len(wire.CHANNELS),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What gcc says of every expression that is compared below."""
    compiler = shutil.which("gcc")
    assert compiler, "gcc is needed to hold the layouts to the header"
    expressions = list(CONSTANTS)
    for name, fields in STRUCTS.items():
        expressions.append(f"sizeof(struct {name})")
        expressions += [f"offsetof(struct {name}, {field})" for field, _ in fields]
    expressions += [f"MSGCHAN_OP_{op.name}" for op in wire.Op]
    expressions += [f"MSGCHAN_CH_{name.upper()}" for name in wire.CHANNELS]
    lines = "\n".join(f'printf("%lld\\n", (long long)({e}));' for e in expressions)
    directory = tmp_path_factory.mktemp("wire")
    source = directory / "wire.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n#include <linux/netlink.h>\n"
        f'#include "msgchan.h"\nint main(void)\n{{\n{lines}\nreturn 0;\n}}\n'
    )
    program = directory / "wire"
    subprocess.run([compiler, "-I", KMOD, "-o", program, source], check=True)
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return dict(zip(expressions, map(int, out.split()), strict=True))


@pytest.mark.parametrize("name", STRUCTS)
def test_a_struct_has_the_compilers_layout(compiled: dict[str, int], name: str) -> None:
    offset = 0
    for field, kind in STRUCTS[name]:
        assert compiled[f"offsetof(struct {name}, {field})"] == offset, field
        offset += struct.calcsize("=" + kind)
    assert compiled[f"sizeof(struct {name})"] == offset


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_is_the_headers(compiled: dict[str, int], name: str) -> None:
    assert compiled[name] == CONSTANTS[name]


def test_operations_and_channels_have_the_headers_numbers(compiled: dict[str, int]) -> None:
    assert [compiled[f"MSGCHAN_OP_{op.name}"] for op in wire.Op] == list(wire.Op)
    assert [compiled[f"MSGCHAN_CH_{name.upper()}"] for name in wire.CHANNELS] == [0, 1, 2, 3]


def test_texts_are_the_headers() -> None:
    text = (KMOD / "msgchan.h").read_text()
    assert f'MSGCHAN_SOCKOPT_TEXT\t"{wire.SOCKOPT_TEXT[:-1].decode()}"' in text
    assert f'MSGCHAN_NETLINK_TEXT\t"{wire.NETLINK_TEXT.decode()}"' in text


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1009])
def test_a_source_counts_up_from_its_token(size: int) -> None:
    token = 2**63 + 0xFE
    assert wire.source_payload(token, size) == bytes((token + i) & 0xFF for i in range(size))


def test_parameters_come_from_the_loaded_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MODULE", tmp_path / "msgchan")
    assert wire.parameters() == (10128, 30, 31)
    with pytest.raises(TracerError, match="msgchan is not loaded"):
        wire.require_loaded()
    (tmp_path / "msgchan/parameters").mkdir(parents=True)
    (tmp_path / "msgchan/parameters/sockopt_base").write_text("128\n")
    (tmp_path / "msgchan/parameters/netlink_proto").write_text("29\n")
    assert wire.parameters() == (128, 29, 31)
    wire.require_loaded()
