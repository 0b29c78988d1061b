# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a stock kernel on the host's root file system and run one script in it as root.

The only file that knows virtme-ng and QEMU's options. The guest sees the host's
files read-only under throw-away overlays; one directory is shared for writing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tracer.errors import TracerError
from tracer.lab.group import Group

# Written to by many programs that only want a scratch file.
_OVERLAYS = ("/etc", "/home", "/opt", "/root", "/srv", "/tmp", "/usr", "/var")
# The emulated guest's hpet costs a microsecond a reading; the TSC costs 70 ns and
# its watchdog would compare it with the hpet. A starved emulator is no lockup.
_KERNEL_OPTIONS = (
    "tsc=reliable",
    "clocksource=tsc",
    "loglevel=7",
    "sysctl.kernel.watchdog_thresh=60",
    "rcupdate.rcu_cpu_stall_timeout=120",
)
# The instruction-counting clock jumps ahead while the guest waits for the host's
# disk, so a guest's own deadlines mean nothing and are lifted.
_DETERMINISTIC_KERNEL_OPTIONS = (
    "nokaslr",
    "norandmaps",
    "udev.event_timeout=1000000",
    "sysctl.kernel.hung_task_timeout_secs=0",
)
# The clock counts instructions and jumps while idle; the seed fixes RDRAND and the
# boot loader's entropy, the clock base what the RTC says.
_DETERMINISTIC_QEMU = (
    *("-icount", "shift=0,sleep=off"),
    *("-seed", "1"),
    *("-rtc", "base=2026-01-01T00:00:00,clock=vm"),
)
# QEMU 7.2 computes wrong results for some AVX2 instructions: numpy's argsort returned
# wrong orders. tests/kernel/test_guest.py checks.
_EMULATED_QEMU = ("-cpu", "max,-avx,-avx2,-fma,-f16c")
# How long what the guest said last may take to be passed on when a signal has come.
_PATIENCE_SECONDS = 0.2


class OutputClosedError(Exception):
    """Whoever read our output went away."""


@dataclass(frozen=True)
class Machine:
    """What to boot. ``shared`` is writable in the guest; ``console`` receives its kernel log."""

    image: Path
    cpus: int
    memory: str
    kvm: bool
    deterministic: bool
    shared: Path
    console: Path

    def command(self, script: Path) -> list[str]:
        """The command line that boots this machine and runs ``script`` in it."""
        argv = [_tool("virtme-run"), "--kimg", str(self.image), "--mods", "auto", "--force-9p"]
        argv += ["--name", "tracer-lab"]
        argv += ["--cpus", str(self.cpus), "--memory", self.memory]
        argv += [] if self.kvm else ["--disable-kvm"]
        argv += [f"--rwdir={self.shared}"]
        argv += [f"--overlay-rwdir={path}" for path in _OVERLAYS if Path(path).is_dir()]
        options = _KERNEL_OPTIONS + (_DETERMINISTIC_KERNEL_OPTIONS if self.deterministic else ())
        argv += [word for option in options for word in ("--kopt", option)]
        # The path goes through a kernel command line of 2 kB, the command itself does not.
        argv += ["--script-sh", f"sh '{script}'", "--qemu-opts"]
        # virtme-ng sends the serial console of a quiet guest to /dev/null. A second port
        # is no way out: the kernel has one console per driver.
        argv += ["-set", f"chardev.console.path={self.console}"]
        argv += () if self.kvm else _EMULATED_QEMU
        argv += _DETERMINISTIC_QEMU if self.deterministic else ()
        return argv


def require_tools() -> None:
    """Raise TracerError unless the programs that boot a machine are installed."""
    for name in ("virtme-run", "qemu-system-x86_64"):
        _tool(name)


def run(machine: Machine, script: Path, timeout: float) -> int | None:
    """Boot, run ``script``, pass its stdout and stderr through as they come.

    Returns virtme-ng's exit status, or None when ``timeout`` seconds passed first.
    Whatever happens, no process of the machine is left behind: it does not outlive this
    process either, and SIGINT, SIGTERM and SIGHUP end it before they are heeded, by
    KeyboardInterrupt and SystemExit. Raises TracerError when the tools are missing,
    OutputClosedError when our output has no reader.
    """
    _tool("qemu-system-x86_64")
    closed = threading.Event()
    with _held_signals() as signals:
        group = Group(
            machine.command(script),
            stdin=subprocess.PIPE if _interactive() else subprocess.DEVNULL,
            # Pipes, not files: QEMU would truncate and overwrite a file.
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # What a killed virtme-ng leaves behind stays beside the console's log.
            env={**os.environ, "PATH": _search_path(), "TMPDIR": str(machine.console.parent)},
        )
        with group, signals.kill(group):
            if group.process.stdin is not None:
                _forward_terminal(group.process.stdin)
            relays = _relays(group, closed)
            status = _wait(group.process, timeout)
            # Killed, not terminated: nothing in the guest outlives it anyway, and virtme-ng
            # answers a termination with a traceback.
            group.kill()
            _drain(relays, signals)
    if closed.is_set():
        raise OutputClosedError
    return status


class _Signals:
    """Signals that kill the machine at once and wait with all else until it is gone.

    A handler that raises may do so when Popen has started a process that nobody knows yet, or
    amid the clearing up.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._group: Group | None = None

    @contextlib.contextmanager
    def kill(self, group: Group) -> Iterator[None]:
        """A signal kills this group; at once, if one came before there was a group."""
        self._group = group
        if self.received:
            group.kill()
        try:
            yield
        finally:
            self._group = None

    def note(self, number: int, _frame: object) -> None:
        """The handler."""
        self.received.append(number)
        if self._group is not None:
            self._group.kill()


@contextlib.contextmanager
def _held_signals() -> Iterator[_Signals]:
    """Hold SIGINT, SIGTERM and SIGHUP back; at the end, unwind the stack if one came.

    One that is ignored, as nohup has it, stays ignored.
    """
    signals = _Signals()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [n for n in numbers if signal.getsignal(n) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, signals.note)) for number in heeded]
    try:
        yield signals
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        if signal.SIGINT in signals.received:
            raise KeyboardInterrupt
        if signals.received:
            sys.exit(128 + signals.received[0])


def _wait(process: subprocess.Popen[bytes], timeout: float) -> int | None:
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None


def _relays(group: Group, closed: threading.Event) -> list[threading.Thread]:
    """Pass both streams on until they end, which they do with the last process of the group."""
    streams = ((group.process.stdout, 1), (group.process.stderr, 2))
    return [_relay(group, source, fd, closed) for source, fd in streams if source is not None]


def _drain(relays: list[threading.Thread], signals: _Signals) -> None:
    """Wait until all is passed on; after a signal a moment only, for the reader may be stuck."""
    for relay in relays:
        while relay.is_alive() and not signals.received:
            relay.join(_PATIENCE_SECONDS)
        relay.join(_PATIENCE_SECONDS)


def _relay(group: Group, source: IO[bytes], fd: int, closed: threading.Event) -> threading.Thread:
    def copy() -> None:
        with source:
            while chunk := os.read(source.fileno(), 65536):
                try:
                    while chunk:
                        chunk = chunk[os.write(fd, chunk) :]
                except BrokenPipeError:
                    closed.set()
                    group.kill()
                    return

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def _interactive() -> bool:
    return os.isatty(0)


def _forward_terminal(guest_input: IO[bytes]) -> None:
    """Send typed lines to the guest. QEMU itself would switch the terminal's echo off."""

    def copy() -> None:
        while typed := os.read(0, 4096):
            try:
                os.write(guest_input.fileno(), typed)
            except (BrokenPipeError, ValueError):
                return

    threading.Thread(target=copy, daemon=True).start()


def _search_path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _tool(name: str) -> str:
    found = shutil.which(name, path=_search_path())
    if found is None:
        raise TracerError(
            "cannot start the virtual machine",
            f"{name} is not installed",
            "run make setup, or install qemu-system-x86 and virtme-ng",
        )
    return found
