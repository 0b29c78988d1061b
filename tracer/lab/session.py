# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of the lab: writes the guest's script, boots, and turns the result into a status."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import TracerError
from tracer.lab import compiled, console
from tracer.lab.vm import CACHED_ROOT, Machine, interactive, run
from tracer.resources import project_root

FINDING = 1
TIMED_OUT = 124
#: Tells programs in the guest which directory of the host they can write to.
_SHARED_VARIABLE = "TRACER_SHARED"

# virtme-ng mounts the host's files without a cache: Python asks for thousands of files when it
# starts, and each question goes to the host and back. So what nobody changes while a guest runs
# is mounted once more, with a cache that is never checked; the shared directory stays as it was.
#
# $state is a file in the shared directory, which says how far the guest came: it is empty, or
# holds "refused WHY", "started" or "exited STATUS".
_CACHE_OPTIONS = "ro,trans=virtio,version=9p2000.L,access=any,msize=524288,cache=loose"
_SCRIPT = """\
#!/bin/sh
# Written by tracer lab; runs as root in the guest.
state={state}
refuse() {{
	echo "refused $*" >"$state"
	exit 125
}}
echo "<6>{up}" >/dev/kmsg
{exports}
cached=/run/{tag}
mkdir -p $cached/host $cached/shared $cached/upper $cached/work &&
	mount -t 9p -o {options} {tag} $cached/host &&
	mount --bind {shared} $cached/shared &&
	mount -t overlay -o \
		lowerdir=$cached/host/usr,upperdir=$cached/upper,workdir=$cached/work usr /usr ||
	refuse "the host's files cannot be mounted with a cache"
for directory in {cached}; do
	mount --bind "$cached/host$directory" "$directory" ||
		refuse "$directory cannot be mounted with a cache"
done
mount --bind $cached/shared {shared} || refuse "{shared} cannot be mounted again"
ip link set lo up || refuse "the loopback interface does not come up"
clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
case $clock in
tsc | kvm-clock) ;;
*) refuse "the guest's clock source is $clock, which is too slow to measure with" ;;
esac
{load}
cd {cwd} || refuse "the current directory is not visible in the guest"
echo started >"$state"
{command}
status=$?
echo "<6>{ended}" >/dev/kmsg
echo "exited $status" >"$state"
exit $status
"""


@dataclass(frozen=True)
class Outcome:
    """The result of a run: ``status`` is the lab's exit status, ``notes`` are lines about it."""

    status: int
    notes: list[str]


def shared_directory() -> Path | None:
    """In a guest, the only directory whose files remain when the guest ends; elsewhere None."""
    shared = os.environ.get(_SHARED_VARIABLE)
    return Path(shared) if shared else None


def run_command(
    machine: Machine, directory: Path, command: Sequence[str], module: Path | None, timeout: float
) -> Outcome:
    """Boot ``machine``, run ``command`` in it, and judge the result.

    ``directory`` takes the run's files; ``module`` is loaded first, if given. ``timeout`` is in
    seconds. Raises TracerError when the guest did not get as far as starting the command.
    """
    script, state = directory / "guest.sh", directory / "state"
    state.touch()
    environment = _environment(machine, module)
    script.write_text(_script(state, machine.shared, command, module, environment))
    returned = run(machine, script, timeout)
    log = machine.console.read_text(errors="replace") if machine.console.exists() else ""
    return judge(state.read_text().strip(), log, machine.console, returned, timeout)


def judge(
    state: str, log: str, console_file: Path, returned: int | None, timeout: float
) -> Outcome:
    """Turn how far the guest came, and its console, into an exit status and notes.

    ``state`` is the content of the script's state file, ``log`` the console, ``returned``
    virtme-ng's exit status or None after the ``timeout`` (seconds). If the guest's kernel
    complained, the status is not 0 even if the command succeeded. Raises TracerError when
    the command was not started.
    """
    complaints = console.complaints(log)
    word, _, rest = state.partition(" ")
    where = [f"guest console: {console_file}"]
    recent = [f"  {line}" for line in console.tail(log)]
    if word in ("", "refused") and not complaints:
        why = rest or (
            f"no sign of it within {timeout:g} s"
            if returned is None
            else f"virtme-run ended with status {returned}"
        )
        last = f" (last line of the console: {recent[-1].strip()})" if recent and not rest else ""
        raise TracerError(
            "the lab could not run the command", why + last, f"read {console_file} and the above"
        )
    status = int(rest) if word == "exited" else FINDING
    if complaints:
        said = [f"  {line}" for line in complaints[:20]]
        at = [f"  {line}" for line in console.frames(log)]
        at = ["it was at:", *at] if at else []
        notes = ["the guest's kernel complained:", *said, *at, *where]
        return Outcome(status or FINDING, notes)
    if word == "exited":
        return Outcome(status, [*where, *recent] if status else [])
    if returned is None:
        return Outcome(TIMED_OUT, [f"no end within {timeout:g} s; stopped", *where, *recent])
    return Outcome(FINDING, ["the guest died while the command ran", *where, *recent])


def cached_directories(edited: bool) -> list[Path]:
    """The directories, beside /usr, whose files the guest reads through a cache.

    They are Python's environment and the checkout; of the checkout's own files the guest must
    see every change if they may be ``edited`` meanwhile, as beside a shell in the guest.
    """
    found = [Path(sys.prefix)]
    if (root := project_root()) and not edited:
        found.append(root)
    return [path for path in found if not path.is_relative_to("/usr")]


def _script(
    state: Path,
    shared: Path,
    command: Sequence[str],
    module: Path | None,
    environment: Mapping[str, str],
) -> str:
    exports = "\n".join(f"export {name}={shlex.quote(v)}" for name, v in environment.items())
    load = f'insmod {shlex.quote(str(module))} || refuse "msgchan does not load"' if module else ""
    return _SCRIPT.format(
        state=shlex.quote(str(state)),
        exports=exports,
        tag=CACHED_ROOT,
        options=_CACHE_OPTIONS,
        cached=shlex.join(map(str, cached_directories(interactive()))),
        shared=shlex.quote(str(shared.resolve())),
        load=load,
        cwd=shlex.quote(str(Path.cwd())),
        up=console.GUEST_IS_UP,
        ended=console.COMMAND_ENDED,
        command=shlex.join(command),
    )


def _environment(machine: Machine, module: Path | None) -> dict[str, str]:
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{system}",
        "LANG": "C.UTF-8",
        "COLUMNS": os.environ.get("COLUMNS", "120"),
        # The source tree is read-only in the guest.
        "PYTHONDONTWRITEBYTECODE": "1",
        "TRACER_LAB": "1",
        _SHARED_VARIABLE: str(machine.shared.resolve()),
    }
    if module:
        environment["TRACER_MSGCHAN_KO"] = str(module)
    if machine.deterministic:
        environment |= {"TRACER_DETERMINISTIC": "1", "PYTHONHASHSEED": "0"}
    elif not machine.kvm:
        environment |= compiled.environment(machine.shared)
    return environment
