# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading msgchan and explaining failures; what needs the real module is in tests/kernel."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tracer.cli.kmod import command, describe
from tracer.errors import TracerError
from tracer.module import holders, kmod
from tracer.module.holders import Holder
from tracer.resources import source_dir


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A file with the .modinfo of a module for the running kernel."""
    path = tmp_path / "msgchan.ko"
    vermagic = f"vermagic={os.uname().release} SMP mod_unload "
    path.write_bytes(b"\x7fELF\0version=1.0\0srcversion=ABC\0" + vermagic.encode() + b"\0")
    with path.open("ab") as file:
        file.write(b"name=msgchan\0")
    return path


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /sys/module in which msgchan is loaded with its defaults."""
    root = tmp_path / "sys"
    parameters = root / "msgchan" / "parameters"
    parameters.mkdir(parents=True)
    for name, value in {**kmod.DEFAULTS, "relay_tgid": "", "relay_missed": "0"}.items():
        (parameters / name).write_text(value + "\n")
    (root / "msgchan" / "srcversion").write_text("ABC\n")
    (root / "msgchan" / "refcnt").write_text("1\n")
    notes = root / "msgchan" / "notes"
    notes.mkdir()
    note = b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0" + bytes(range(20))
    (notes / ".note.gnu.build-id").write_bytes(note)
    monkeypatch.setattr(kmod, "_SYSFS", root)
    monkeypatch.setattr(kmod, "_need_root", lambda verb: None)
    return root


def test_load_takes_root(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(TracerError, match="only root may load a module"):
        kmod.load(module)
    with pytest.raises(TracerError, match="only root may unload a module"):
        kmod.unload()


def test_load_takes_a_kernel_with_modules(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(kmod, "_PROC", tmp_path)
    with pytest.raises(TracerError, match="this kernel has no loadable modules"):
        kmod.load(module)


@pytest.mark.parametrize("parameters", [{"sockopt": 1}, {"icmp_proto": "x"}, {"relay_tgid": "1,"}])
def test_unknown_parameters_are_refused(module: Path, parameters: dict[str, object]) -> None:
    with pytest.raises(TracerError, match="is none of its parameters"):
        kmod.load(module, **parameters)


@pytest.mark.usefixtures("loaded")
def test_load_of_the_same_is_success(module: Path) -> None:
    assert not kmod.load(module)
    assert not kmod.load(module, sockopt_base=10128)


@pytest.mark.usefixtures("loaded")
def test_load_with_other_parameters_is_refused(module: Path) -> None:
    with pytest.raises(TracerError, match="it is loaded with icmp_proto=31, not 29"):
        kmod.load(module, icmp_proto=29)


def test_load_of_another_build_is_refused(module: Path, loaded: Path) -> None:
    (loaded / "msgchan" / "srcversion").write_text("DEF\n")
    with pytest.raises(TracerError, match=r"another build of it is loaded \(srcversion DEF\)"):
        kmod.load(module)


@pytest.mark.usefixtures("loaded")
def test_load_of_a_module_for_another_kernel_is_refused(module: Path) -> None:
    release = os.uname().release.encode()
    module.write_bytes(module.read_bytes().replace(release, b"5.5.5"))
    with pytest.raises(TracerError, match=r"it was built for kernel 5\.5\.5, and this is"):
        kmod.load(module)


@pytest.mark.usefixtures("loaded")
def test_load_of_something_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.ko"
    other.write_bytes(b"not a module")
    with pytest.raises(TracerError, match="it is not msgchan"):
        kmod.load(other)
    with pytest.raises(TracerError, match="No such file or directory; run 'tracer kmod build'"):
        kmod.load(tmp_path / "absent.ko")


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (errno.EINVAL, "a parameter is out of range"),
        (errno.ENOEXEC, "the running kernel does not take it"),
        (errno.EKEYREJECTED, "takes signed modules only"),
        (errno.EPERM, "forbids loading modules"),
        (errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_load_errors_are_explained(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: int, why: str
) -> None:
    monkeypatch.setattr(kmod, "_SYSFS", tmp_path)
    monkeypatch.setattr(kmod, "_need_root", lambda verb: None)
    monkeypatch.setattr(kmod, "_init_module", lambda image, arguments: failure)
    with pytest.raises(TracerError, match=why) as caught:
        kmod.load(module)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("owner", "parameters", "why"),
    [
        ("ebtables", {"sockopt_base": 128}, "options 128 and 129 belong to ebtables"),
        ("ip_vs", {"sockopt_base": 1151}, "options 1151 and 1152 belong to ip_vs"),
        ("none", {"icmp_proto": 2}, r"netlink protocol 2 \(icmp_proto\) is taken"),
        ("none", {"netlink_proto": 9}, r"netlink protocol 9 \(netlink_proto\) is taken"),
        ("none", {}, "options 10128 and 10129 are taken by another module"),
    ],
)
def test_busy_names_what_is_taken(
    module: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    parameters: dict[str, object],
    why: str,
) -> None:
    (tmp_path / owner).mkdir()
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "netlink").write_text(
        "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n"
        "0 9 0 00000000 0 0 0 2 0 11\n0 30 77 00000000 0 0 0 2 0 12\n"
    )
    monkeypatch.setattr(kmod, "_SYSFS", tmp_path)
    monkeypatch.setattr(holders, "_PROC", tmp_path)
    monkeypatch.setattr(kmod, "_need_root", lambda verb: None)
    monkeypatch.setattr(kmod, "_init_module", lambda image, arguments: errno.EBUSY)
    with pytest.raises(TracerError, match=why):
        kmod.load(module, **parameters)


def test_holders_are_found_by_their_sockets(loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A netlink socket of this process passes for one of the module's."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.bind((0, 0))
        (loaded / "msgchan" / "parameters" / "netlink_proto").write_text("0\n")
        fd = sock.fileno()
        mine = [holder for holder in kmod.status().holders if holder.pid == os.getpid()]
        assert Holder(os.getpid(), mine[0].comm, fd, "netlink protocol 0") in mine
        monkeypatch.setattr(kmod, "holders", lambda protocols: mine[:1])
        assert str(kmod._in_use()).endswith("netlink protocol 0); end that process")


def test_in_use_without_a_known_holder(loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmod, "holders", lambda protocols: [])
    assert "it is in use (1 references)" in str(kmod._in_use())


def test_status(loaded: Path, build_in: Path) -> None:
    now = kmod.status()
    assert (now.loaded, now.refcount, now.srcversion) == (True, 1, "ABC")
    assert now.build_id == bytes(range(20)).hex()
    assert now.parameters["sockopt_base"] == "10128"
    assert (now.path, now.fits) == (None, None)
    text = describe(now)
    assert "parameter   sockopt_base=10128" in text
    (loaded / "msgchan").rename(loaded / "other")
    assert "loaded      no" in describe(kmod.status())


def test_dkms_conf_is_a_shell_text_that_names_the_module() -> None:
    script = 'kernel_source_dir=K dkms_tree=T; . ./dkms.conf; echo "$BUILT_MODULE_NAME ${MAKE[0]}"'
    told = subprocess.run(
        ["bash", "-euc", script], cwd=source_dir("kmod"), capture_output=True, text=True, check=True
    )
    assert told.stdout == "msgchan make -C K M=T/msgchan/1.0/build modules\n"


@pytest.mark.parametrize("name", ["build", "load", "unload", "status"])
def test_help_has_an_example(name: str) -> None:
    told = CliRunner().invoke(command, [name, "--help"])
    assert told.exit_code == 0
    assert f"tracer kmod {name}" in told.output


@pytest.mark.usefixtures("loaded", "build_in")
def test_status_as_json() -> None:
    told = CliRunner().invoke(command, ["status", "--json"])
    assert '"refcount": 1' in told.output


@pytest.mark.parametrize(
    ("image", "info"),
    [
        (
            b"\x7fELF\0version=1.0\0srcversion=AB\0name=msgchan\0vermagic=6.1 SMP \0.text\0",
            {"version": "1.0", "srcversion": "AB", "name": "msgchan", "vermagic": "6.1 SMP "},
        ),
        (b"\0version=1\0.text\0version=2\0", {"version": "2"}),
        (b"\0name=msgcha", {}),
        (b"rename=x\0", {}),
        (b"\0name=\xff\0", {"name": "\N{REPLACEMENT CHARACTER}"}),
        (b"", {}),
    ],
    ids=["all", "the last one", "cut off", "another key", "no text", "empty"],
)
def test_what_a_module_says_of_itself(image: bytes, info: dict[str, str]) -> None:
    assert kmod.module_info(image) == info
