# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds out, by asking the kernel, what this machine offers for tracing."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tracer.attach import leftovers
from tracer.attach.btf import Btf
from tracer.attach.plan import Offer
from tracer.attach.sites import STORAGE
from tracer.errors import TracerError
from tracer.module import headers

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
FILESYSTEMS = Path("/proc/filesystems")
MODULES = Path("/proc/modules")
KALLSYMS = Path("/proc/kallsyms")
#: The symbols of the kernel image that are looked up: fentry needs the first, the breakpoint on
#: the copy to user space the second.
SYMBOLS = ("bpf_trampoline_link_prog", "_copy_to_user")
#: Debian's package of BCC's Python bindings.
BCC_PACKAGE = "python3-bpfcc"


@dataclass(frozen=True)
class Check:
    """One thing that recording needs; if ``needed`` is false, recording works without it.

    ``found`` says what was found, ``todo`` how to mend it if ``ok`` is false.
    """

    name: str
    ok: bool
    found: str
    todo: str
    needed: bool = True


def tracefs() -> Path | None:
    """Where tracefs is mounted, or None."""
    return next((path for path in TRACEFS if (path / "available_filter_functions").exists()), None)


def clock_source() -> str:
    """The kernel's clock source (``tsc``, ``hpet``, …), or ``unknown``."""
    try:
        return CLOCKSOURCE.read_text().strip()
    except OSError:
        return "unknown"


def module_loaded() -> bool:
    """Whether msgchan is loaded."""
    return Path("/sys/module/msgchan").is_dir()


def checks() -> Iterator[Check]:
    """Every check, in the order in which a user would solve what fails."""
    yield Check("root", os.geteuid() == 0, f"uid {os.geteuid()}", "run as root")
    yield _kprobes()
    yield _tracing_directory()
    yield _types()
    yield _kernel_headers()
    bindings = _importable("bcc")
    yield Check(
        "bcc",
        bindings,
        "found" if bindings else "not importable by this Python",
        f"apt install {BCC_PACKAGE}, and use a venv of /usr/bin/python3 with system site packages",
    )
    yield _leftovers()
    yield _modules()
    yield _msgchan()
    yield _clock()


def require() -> None:
    """Raise :class:`TracerError` for the first needed check that fails."""
    for check in checks():
        if check.needed and not check.ok:
            raise TracerError(f"cannot record: {check.name}", check.found, check.todo)


def offer() -> Offer:
    """What this kernel offers to the plan. Needs root; raises :class:`TracerError`."""
    directory = tracefs()
    if directory is None:
        raise TracerError(
            "cannot list what the kernel can trace",
            "tracefs is not mounted or has no function tracing",
            _tracing_directory().todo,
        )
    listing = (directory / "available_filter_functions").read_text()
    functions = frozenset(line.split(" ", 1)[0] for line in listing.splitlines())
    reason, named, storage = _fentry(Btf.of_running_kernel)
    return Offer(
        functions=functions,
        btf_functions=named,
        fentry=reason,
        module=module_loaded(),
        breakpoint=_has_breakpoints(),
        storage=storage,
    )


def _fentry(read: Callable[[], Btf]) -> tuple[str, frozenset[str], bool]:
    """Why fentry is refused (or ""), the functions in BTF, and whether tasks can be marked."""
    try:
        btf = read()
    except TracerError as error:
        return error.why, frozenset(), False
    named = frozenset(btf.functions())
    if "bpf_trampoline_link_prog" not in _symbols():
        return "this kernel has no BPF trampolines", named, False
    return "", named, all(_has(btf, path) for path in STORAGE.values())


def _has(btf: Btf, path: str) -> bool:
    try:
        btf.offset(path)
    except KeyError:
        return False
    return True


def _has_breakpoints() -> bool:
    """Whether execution breakpoints are there and the address of ``_copy_to_user`` is known."""
    if not Path("/sys/bus/event_source/devices/breakpoint").exists():
        return False
    return symbol_address("_copy_to_user") != 0


def symbol_address(name: str) -> int:
    """The address of a symbol of the kernel image; 0 when it is not there or hidden from us.

    Raises ``KeyError`` for a symbol that is not in `SYMBOLS`.
    """
    if name not in SYMBOLS:
        raise KeyError(name)
    return _symbols().get(name, 0)


@cache
def _symbols() -> dict[str, int]:
    """The addresses of those of `SYMBOLS` that the kernel image has; 0 where they are hidden.

    They stay the same until the next boot, and the list has some 5 MB, so it is read once.
    """
    text = KALLSYMS.read_bytes()
    found = {}
    for name in SYMBOLS:
        end = text.find(f" {name}\n".encode())
        if end >= 0:
            found[name] = int(text[text.rfind(b"\n", 0, end) + 1 : end].split()[0], 16)
    return found


def _importable(package: str) -> bool:
    """Whether Python can import the package; an empty directory of that name does not count."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


def _kernel_headers() -> Check:
    release = os.uname().release
    build = headers.directory(release)
    return Check(
        "kernel headers",
        build.is_dir(),
        str(build) if build.is_dir() else f"{build} is missing",
        headers.remedy(release),
    )


def _modules() -> Check:
    return Check(
        "modules",
        MODULES.exists(),
        "loadable" if MODULES.exists() else "CONFIG_MODULES is off",
        "use a kernel with loadable modules, or 'tracer lab'",
        needed=False,
    )


def _msgchan() -> Check:
    """It is built when it is loaded, so that takes a kernel with modules and its headers."""
    possible = MODULES.exists() and headers.directory(os.uname().release).is_dir()
    return Check(
        "msgchan",
        module_loaded(),
        "loaded" if module_loaded() else "not loaded",
        "tracer kmod load" if possible else "'tracer lab', which loads it",
        needed=False,
    )


def _clock() -> Check:
    source = clock_source()
    slow = "reading this clock costs a microsecond"
    try:
        offered = CLOCKSOURCE.with_name("available_clocksource").read_text().split()
    except OSError:
        offered = []
    return Check(
        "clock",
        source not in ("hpet", "acpi_pm", "unknown"),
        source,
        f"boot with clocksource=tsc: {slow}" if "tsc" in offered else f"none here: {slow}",
        needed=False,
    )


def _leftovers() -> Check:
    found = leftovers.find(tracefs())
    return Check(
        "no leftovers",
        found == leftovers.Leftovers(),
        str(found),
        "of recorders that were killed: the next recording clears them away",
        needed=False,
    )


def _kprobes() -> Check:
    there = Path("/sys/bus/event_source/devices/kprobe").exists()
    return Check(
        "kprobes",
        there,
        "offered" if there else "this kernel was built without CONFIG_KPROBE_EVENTS",
        "use a distribution kernel, or 'tracer lab'",
    )


def _tracing_directory() -> Check:
    """To mount it helps where the kernel has it and it is not mounted yet."""
    directory = tracefs()
    mounted = any(any(path.glob("*")) for path in TRACEFS)
    known = FILESYSTEMS.exists() and "\ttracefs\n" in FILESYSTEMS.read_text()
    mend = "mount -t tracefs tracefs /sys/kernel/tracing"
    if mounted or not known:
        mend = "use a kernel with CONFIG_FUNCTION_TRACER"
    return Check(
        "tracefs",
        directory is not None,
        str(directory) if directory else "no available_filter_functions",
        f"{mend}, or 'tracer lab'",
    )


def _types() -> Check:
    path = Path("/sys/kernel/btf/vmlinux")
    return Check(
        "BTF",
        path.exists(),
        "found" if path.exists() else f"{path} is missing",
        "use a kernel with CONFIG_DEBUG_INFO_BTF=y, or 'tracer lab'",
    )
