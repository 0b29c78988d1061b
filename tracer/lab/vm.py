# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a stock kernel on the host's root file system and runs one script in it as root.

This is the only file that knows the options of virtme-ng and QEMU. The guest sees the host's
files read-only; what it writes goes to overlays that are thrown away, except in one directory
that it shares with the host.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tracer.errors import TracerError
from tracer.lab.boot import Boot
from tracer.lab.group import Group

# These get an overlay, because many programs write scratch files there.
_OVERLAYS = ("/etc", "/home", "/opt", "/root", "/srv", "/tmp", "/usr", "/var")
# Use the TSC as clock: a reading takes 70 ns, but a microsecond with the emulated hpet.
# tsc=reliable keeps the kernel's watchdog from comparing the two and dropping the TSC. The other
# limits are raised because on a busy host an emulated CPU may stand still for many seconds.
_KERNEL_OPTIONS = (
    "tsc=reliable",
    "clocksource=tsc",
    "loglevel=7",
    "sysctl.kernel.watchdog_thresh=60",
    "rcupdate.rcu_cpu_stall_timeout=120",
)
# A clock that counts instructions jumps ahead while the guest waits for the host's disk. So
# timeouts in the guest would expire without reason, and are switched off.
_DETERMINISTIC_KERNEL_OPTIONS = (
    "nokaslr",
    "udev.event_timeout=1000000",
    "sysctl.kernel.hung_task_timeout_secs=0",
)
# The clock counts instructions and jumps ahead while the guest is idle (icount). The seed fixes
# RDRAND and the boot loader's entropy, and base the time that the RTC tells.
_DETERMINISTIC_QEMU = (
    *("-icount", "shift=0,sleep=off"),
    *("-seed", "1"),
    *("-rtc", "base=2026-01-01T00:00:00,clock=vm"),
)
# QEMU 7.2 computes wrong results for some AVX2 instructions: numpy's argsort returned
# wrong orders. tests/kernel/test_guest.py checks.
_EMULATED_QEMU = ("-cpu", "max,-avx,-avx2,-fma,-f16c")
# The same address of a library in every process: an emulator translates code by address, and so
# it translates a library once instead of once a process.
_EMULATED_KERNEL_OPTIONS = ("norandmaps",)
#: The name under which the guest can mount the host's files a second time; see session.py.
CACHED_ROOT = "tracer-cached"
_CACHED_ROOT_QEMU = (
    *("-fsdev", f"local,id={CACHED_ROOT},path=/,security_model=none,readonly=on,multidevs=remap"),
    *("-device", f"virtio-9p-pci,fsdev={CACHED_ROOT},mount_tag={CACHED_ROOT}"),
)
# After a signal, wait at most so long until the guest's last output has been passed on.
_PATIENCE_SECONDS = 0.2
# How often a machine is booted at most, and how often its console is looked at meanwhile.
_BOOTS = 3
_WATCH_SECONDS = 5.0


class _StandsStillError(Exception):
    """The machine does not come up: its console is silent."""


class OutputClosedError(Exception):
    """The reader of our output has gone away, such as ``head`` in a pipeline."""


@dataclass(frozen=True)
class Machine:
    """What to boot. ``shared`` is writable in the guest; its kernel log goes to ``console``."""

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
        options = _KERNEL_OPTIONS + (() if self.kvm else _EMULATED_KERNEL_OPTIONS)
        options += _DETERMINISTIC_KERNEL_OPTIONS if self.deterministic else ()
        argv += [word for option in options for word in ("--kopt", option)]
        # Only the script's path is passed on the kernel command line, which is limited to 2 kB.
        argv += ["--script-sh", f"sh '{script}'", "--qemu-opts"]
        # virtme-ng sends a guest's serial console to /dev/null: redirect that to our file. A second
        # serial port would not help, since the kernel has one console per driver.
        argv += ["-set", f"chardev.console.path={self.console}"]
        argv += _CACHED_ROOT_QEMU
        argv += () if self.kvm else _EMULATED_QEMU
        argv += _DETERMINISTIC_QEMU if self.deterministic else ()
        return argv


def require_tools() -> None:
    """Raise TracerError unless the programs that boot a machine are installed."""
    for name in ("virtme-run", "qemu-system-x86_64"):
        _tool(name)


def run(machine: Machine, script: Path, timeout: float) -> int | None:
    """Boot, run ``script``, and pass on its stdout and stderr as they come.

    Returns virtme-ng's exit status, or None if ``timeout`` seconds passed first. No process of
    the machine is left behind, however this function or this process ends. On SIGINT,
    SIGTERM or SIGHUP the machine is killed first; then KeyboardInterrupt or SystemExit is
    raised. Raises TracerError when the tools are missing, OutputClosedError when our output
    has no reader. A boot that stands still is given up and begun anew, twice at most.
    """
    _tool("qemu-system-x86_64")
    deadline = time.monotonic() + timeout
    for _attempt in range(_BOOTS - 1):
        boot = Boot(machine.console)
        try:
            return _run_once(machine, script, deadline, boot)
        except _StandsStillError:
            kept = boot.keep_console()
            print(f"lab: the boot stood still ({kept}); booting again", file=sys.stderr)
    return _run_once(machine, script, deadline, None)


def _run_once(machine: Machine, script: Path, deadline: float, boot: Boot | None) -> int | None:
    """One boot, as :func:`run` says. Raises _StandsStillError when ``boot`` sees that."""
    closed = threading.Event()
    with _held_signals() as signals:
        group = Group(
            machine.command(script),
            stdin=subprocess.PIPE if interactive() else subprocess.DEVNULL,
            # Pipes, not files: QEMU would truncate and overwrite a file.
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A killed virtme-ng leaves temporary files behind: let them lie in the run's directory.
            env={**os.environ, "PATH": _search_path(), "TMPDIR": str(machine.console.parent)},
        )
        with group, signals.kill(group):
            if group.process.stdin is not None:
                _forward_terminal(group.process.stdin)
            relays = _relays(group, closed)
            status = _wait(group.process, deadline, boot)
            # SIGKILL instead of SIGTERM: nothing in the guest needs to be saved, and virtme-ng
            # prints a traceback at SIGTERM.
            group.kill()
            _drain(relays, signals)
    if closed.is_set():
        raise OutputClosedError
    return status


class _Signals:
    """A handler that kills the machine and notes the signal, to be acted on when that is gone.

    The handler must not raise an exception: it could interrupt Popen just after it has started
    a process, before we know of that, or interrupt the clearing up.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._group: Group | None = None

    @contextlib.contextmanager
    def kill(self, group: Group) -> Iterator[None]:
        """In this context a signal kills ``group``; one that came before does so at once."""
        self._group = group
        if self.received:
            group.kill()
        try:
            yield
        finally:
            self._group = None

    def note(self, number: int, _frame: object) -> None:
        """Note a signal (this is the handler) and kill the group, if there is one."""
        self.received.append(number)
        if self._group is not None:
            self._group.kill()


@contextlib.contextmanager
def _held_signals() -> Iterator[_Signals]:
    """Hold SIGINT, SIGTERM and SIGHUP back, and act on them at the end of the context.

    Then SIGINT raises KeyboardInterrupt, another one SystemExit. A signal that is ignored, as
    SIGHUP is under nohup, stays ignored.
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


def _wait(process: subprocess.Popen[bytes], deadline: float, boot: Boot | None) -> int | None:
    while (left := deadline - time.monotonic()) > 0:
        try:
            return process.wait(min(left, _WATCH_SECONDS))
        except subprocess.TimeoutExpired:
            if boot is not None and boot.stands_still():
                raise _StandsStillError from None
    return None


def _relays(group: Group, closed: threading.Event) -> list[threading.Thread]:
    """Threads that pass on both streams until the last process of the group has closed them."""
    streams = ((group.process.stdout, 1), (group.process.stderr, 2))
    return [_relay(group, source, fd, closed) for source, fd in streams if source is not None]


def _drain(relays: list[threading.Thread], signals: _Signals) -> None:
    """Wait until all output is passed on; after a signal only a moment, if a reader is stuck."""
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


def interactive() -> bool:
    """Whether a person may type into the guest: standard input is a terminal."""
    return os.isatty(0)


def _forward_terminal(guest_input: IO[bytes]) -> None:
    """Send typed lines to the guest. With the terminal itself, QEMU would turn its echo off."""

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
