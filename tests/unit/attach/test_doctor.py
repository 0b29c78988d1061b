# SPDX-License-Identifier: GPL-2.0-or-later
"""What the doctor finds on machines made of temporary files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer.attach import doctor
from tracer.attach.btf import Btf
from tracer.attach.doctor import Check
from tracer.attach.leftovers import Leftovers
from tracer.errors import TracerError

#: What no package mends comes before what one does.
NAMES = ["root", "kprobes", "tracefs", "BTF", "kernel headers", "bcc", "no leftovers", "modules"]
NAMES += ["msgchan", "clock"]
#: What recording only profits from.
PROFITS = {"no leftovers", "modules", "msgchan", "clock"}


@pytest.fixture
def tracefs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(doctor, "TRACEFS", (tmp_path / "missing", tmp_path))
    listing = "netlink_unicast\nmsgchan_echo [msgchan]\n__sys_sendto\n"
    (tmp_path / "available_filter_functions").write_text(listing)
    return tmp_path


def test_every_check_says_what_to_do() -> None:
    checks = list(doctor.checks())
    assert [check.name for check in checks] == NAMES
    assert all(check.found and check.todo for check in checks)
    assert {check.name for check in checks if not check.needed} == PROFITS


def test_require_names_the_first_needed_check_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [
        Check("good", True, "there", "nothing"),
        Check("nice", False, "not there", "ignore it", needed=False),
        Check("kprobes", False, "built without them", "use another kernel"),
        Check("BTF", False, "missing", "never said"),
    ]
    monkeypatch.setattr(doctor, "checks", lambda: iter(checks))
    with pytest.raises(TracerError) as raised:
        doctor.require()
    assert str(raised.value) == "cannot record: kprobes: built without them; use another kernel"
    assert raised.value.exit_status == 2


def test_require_is_content_when_nothing_needed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check("nice", False, "not there", "ignore it", needed=False)
    monkeypatch.setattr(doctor, "checks", lambda: iter([check]))
    doctor.require()


def test_leftovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.leftovers, "find", lambda tracefs: Leftovers(["a", "b"], {7}))
    check = next(check for check in doctor.checks() if check.name == "no leftovers")
    assert (check.ok, check.needed) == (False, False)
    assert check.found == "kprobe events: 2, processes in the relay's list: 1"
    assert "the next recording clears them away" in check.todo


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(TracerError, match=r"^cannot record: root: uid 1000; run as root$"):
        doctor.require()


def test_no_bcc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check = next(check for check in doctor.checks() if check.name == "bcc")
    assert (check.ok, check.found) == (False, "not importable by this Python")
    assert "apt install python3-bpfcc" in check.todo


def test_no_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: type("Name", (), {"release": "9.9.9-none"}))
    check = next(check for check in doctor.checks() if check.name == "kernel headers")
    assert not check.ok
    assert check.found == "/lib/modules/9.9.9-none/build is missing"
    assert check.todo.startswith("no package holds them, as this is no kernel of Debian's: link ")


def test_missing_headers_of_a_packaged_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: type("Name", (), {"release": "9.9.0-1-amd64"}))
    check = next(check for check in doctor.checks() if check.name == "kernel headers")
    assert (check.ok, check.todo) == (False, "apt install linux-headers-9.9.0-1-amd64")


@pytest.mark.parametrize(
    ("modules", "release", "todo"),
    [
        (True, "with-headers", "tracer kmod load"),
        (True, "9.9.9-none", "'tracer lab', which loads it"),
        (False, "with-headers", "'tracer lab', which loads it"),
    ],
)
def test_the_module_is_loaded_where_it_can_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: bool, release: str, todo: str
) -> None:
    (tmp_path / "with-headers").mkdir()
    monkeypatch.setattr(doctor, "MODULES", tmp_path / ("" if modules else "missing"))
    monkeypatch.setattr(doctor.headers, "directory", lambda kver: tmp_path / kver)
    monkeypatch.setattr("os.uname", lambda: type("Name", (), {"release": release}))
    assert next(check for check in doctor.checks() if check.name == "msgchan").todo == todo


@pytest.mark.parametrize(
    ("source", "ok"), [("tsc", True), ("kvm-clock", True), ("hpet", False), ("acpi_pm", False)]
)
def test_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, ok: bool) -> None:
    (tmp_path / "current").write_text(f"{source}\n")
    monkeypatch.setattr(doctor, "CLOCKSOURCE", tmp_path / "current")
    check = next(check for check in doctor.checks() if check.name == "clock")
    assert (check.ok, check.found, check.needed) == (ok, source, False)


@pytest.mark.parametrize(
    ("offered", "todo"), [("tsc hpet", "boot with clocksource=tsc: "), ("hpet", "none here: ")]
)
def test_a_clock_is_advised_only_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: str, todo: str
) -> None:
    (tmp_path / "current_clocksource").write_text("hpet\n")
    (tmp_path / "available_clocksource").write_text(f"{offered}\n")
    monkeypatch.setattr(doctor, "CLOCKSOURCE", tmp_path / "current_clocksource")
    check = next(check for check in doctor.checks() if check.name == "clock")
    assert check.todo == f"{todo}reading this clock costs a microsecond"


def test_an_unknown_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CLOCKSOURCE", tmp_path / "missing")
    assert doctor.clock_source() == "unknown"


def test_the_first_tracefs_that_can_trace_functions(tracefs: Path) -> None:
    assert doctor.tracefs() == tracefs
    (tracefs / "available_filter_functions").unlink()
    assert doctor.tracefs() is None


@pytest.mark.parametrize(
    ("known", "mounted", "todo"),
    [
        ("nodev\ttracefs\n", False, "mount -t tracefs tracefs /sys/kernel/tracing, or "),
        ("nodev\ttracefs\n", True, "use a kernel with CONFIG_FUNCTION_TRACER, or "),
        ("nodev\ttmpfs\n", False, "use a kernel with CONFIG_FUNCTION_TRACER, or "),
    ],
)
def test_mounting_tracefs_is_advised_where_it_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str, mounted: bool, todo: str
) -> None:
    (tmp_path / "filesystems").write_text(known)
    monkeypatch.setattr(doctor, "FILESYSTEMS", tmp_path / "filesystems")
    (tmp_path / "tracing").mkdir()
    if mounted:
        (tmp_path / "tracing" / "events").mkdir()
    monkeypatch.setattr(doctor, "TRACEFS", (tmp_path / "tracing", tmp_path / "missing"))
    check = next(check for check in doctor.checks() if check.name == "tracefs")
    assert check.todo == f"{todo}'tracer lab'"


def test_without_tracefs_nothing_can_be_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "filesystems").write_text("nodev\ttracefs\n")
    monkeypatch.setattr(doctor, "FILESYSTEMS", tmp_path / "filesystems")
    monkeypatch.setattr(doctor, "TRACEFS", ())
    with pytest.raises(TracerError, match="mount -t tracefs tracefs /sys/kernel/tracing"):
        doctor.offer()
    check = next(check for check in doctor.checks() if check.name == "tracefs")
    assert (check.ok, check.found) == (False, "no available_filter_functions")


def test_the_offer(tracefs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_fentry", lambda read: ("because", frozenset({"named"}), False))
    monkeypatch.setattr(doctor, "module_loaded", lambda: True)
    monkeypatch.setattr(doctor, "_has_breakpoints", lambda: False)
    offer = doctor.offer()
    assert offer.functions == {"netlink_unicast", "msgchan_echo", "__sys_sendto"}
    assert (offer.fentry, offer.btf_functions) == ("because", {"named"})
    assert (offer.module, offer.breakpoint) == (True, False)


class Named(Btf):
    """Types of a kernel that names one function, and whose tasks and sockets have BPF storage."""

    storage = True

    def __init__(self) -> None:
        pass

    def functions(self) -> set[str]:
        return {"netlink_unicast"}

    def offset(self, path: str) -> int:
        if not self.storage:
            raise KeyError(path)
        return 8


def test_fentry_needs_trampolines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_symbols", lambda: {"bpf_trampoline_link_prog": 0})
    assert doctor._fentry(Named) == ("", {"netlink_unicast"}, True)
    monkeypatch.setattr(doctor, "_symbols", dict)
    assert doctor._fentry(Named) == (
        "this kernel has no BPF trampolines",
        {"netlink_unicast"},
        False,
    )


def test_a_kernel_without_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_symbols", lambda: {"bpf_trampoline_link_prog": 0})
    monkeypatch.setattr(Named, "storage", False)
    assert doctor._fentry(Named) == ("", {"netlink_unicast"}, False)


def test_fentry_needs_types() -> None:
    def none() -> Btf:
        raise TracerError("cannot", "vmlinux: No such file", "boot another")

    assert doctor._fentry(none) == ("vmlinux: No such file", frozenset(), False)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("ffffffff81a3c4e0 T _copy_to_user\n", 0xFFFFFFFF81A3C4E0),
        ("0000000000000000 T _copy_to_user\n", 0),
        ("ffffffff81a3c4e0 T _copy_to_user_nofault\n", 0),
        ("ffffffffc0a3c4e0 t _copy_to_user\t[other]\n", 0),
        ("", 0),
    ],
    ids=["there", "hidden", "a longer name", "of a module", "none"],
)
def test_the_address_of_a_symbol(
    line: str, address: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listing = tmp_path / "kallsyms"
    listing.write_text(f"ffffffff81000000 T _text\n{line}ffffffff82000000 T _end\n")
    monkeypatch.setattr(doctor, "KALLSYMS", listing)
    doctor._symbols.cache_clear()
    try:
        assert doctor.symbol_address("_copy_to_user") == address
        with pytest.raises(KeyError):
            doctor.symbol_address("_text")
    finally:
        doctor._symbols.cache_clear()
