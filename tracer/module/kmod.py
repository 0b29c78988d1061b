# SPDX-License-Identifier: GPL-2.0-or-later
"""Load and unload the module ``msgchan``, and report its status.

This is the only file that loads modules. Failures are raised as
:class:`~tracer.errors.TracerError`, which says what to do.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tracer.errors import TracerError
from tracer.module.build import NAME, Progress, build, build_dir, silent
from tracer.module.holders import Holder, holders, kernel_protocols
from tracer.resources import source_dir

DEFAULTS = {"sockopt_base": "10128", "netlink_proto": "30", "icmp_proto": "31"}
PARAMETERS = (*DEFAULTS, "relay_tgid")
UNLOAD_FIRST = "run 'tracer kmod unload' first"

_SYSFS = Path("/sys/module")
_PROC = Path("/proc")
# Other modules whose socket options lie in the range that sockopt_base may be set to.
_SOCKOPT_OWNERS = {"ebtables": range(128, 132), "ip_vs": range(1152, 1216)}
_NETLINK_USERSOCK = 2


@dataclass(frozen=True)
class ModuleStatus:
    """The status of the module on this machine.

    ``refcount``, ``srcversion`` and ``build_id`` describe the loaded module and are None if
    none is loaded. ``holders`` are the open files that keep it loaded, as far as the
    calling user may see them. ``path`` is the module file in the build directory, None if
    it was not built; ``fits`` tells whether that file was built for the running kernel.
    """

    loaded: bool
    parameters: dict[str, str]
    refcount: int | None
    holders: list[Holder]
    srcversion: str | None
    build_id: str | None
    kernel: str
    path: str | None
    fits: bool | None

    def as_dict(self) -> dict[str, object]:
        """The same as plain types, for JSON."""
        return asdict(self)


def load(path: Path | None = None, progress: Progress = silent, **parameters: object) -> bool:
    """Load the module from the file ``path``; without ``path``, :func:`build` makes it.

    ``parameters`` are the module's own (see ``modinfo``). Returns True if it was loaded
    now, False if the same build was loaded already with these parameters. Raises
    TracerError when the caller is not root, the file was not built for the running kernel,
    another build or other parameters are loaded, or another owner has its socket options
    or netlink protocols.
    """
    wanted = _checked(parameters)
    _need_root("load")
    module = path or build(progress=progress)
    image = _read_module(module)
    info = module_info(image)
    _need_fit(module, info)
    if (_SYSFS / NAME).is_dir():
        _need_same(info, wanted)
        return False
    arguments = " ".join(f"{name}={value}" for name, value in wanted.items())
    failure = _init_module(image, arguments)
    if failure == errno.EEXIST:  # another process has loaded it in the meantime
        _need_same(info, wanted)
        return False
    if failure:
        raise _load_error(failure, wanted)
    return True


def module_info(image: bytes) -> dict[str, str]:
    """The keys vermagic, srcversion, version and name of a module's section ``.modinfo``."""
    found = {}
    for key in ("vermagic", "srcversion", "version", "name"):
        _before, start, rest = image.rpartition(f"\0{key}=".encode())
        value, end, _after = rest.partition(b"\0")
        if start and end:
            found[key] = value.decode(errors="replace")
    return found


def _checked(parameters: Mapping[str, object]) -> dict[str, str]:
    for name, value in parameters.items():
        if name not in PARAMETERS or not re.fullmatch(r"\d+(,\d+)*", str(value)):
            raise TracerError(
                f"cannot load {NAME}",
                f"{name}={value} is none of its parameters",
                f"use {', '.join(PARAMETERS)}, each with a number",
            )
    return {name: str(value) for name, value in parameters.items()}


def _need_root(verb: str) -> None:
    if os.geteuid() != 0:
        raise TracerError(
            f"cannot {verb} {NAME}",
            f"only root may {verb} a module",
            "run it as root, or in a virtual machine with 'tracer lab'",
        )
    if not (_PROC / "modules").exists():
        raise TracerError(
            f"cannot {verb} {NAME}",
            "this kernel has no loadable modules",
            "run it in a virtual machine with 'tracer lab'",
        )


def _read_module(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TracerError(
            f"cannot load {path}", error.strerror or str(error), "run 'tracer kmod build'"
        ) from error


def _need_fit(path: Path, info: Mapping[str, str]) -> None:
    kernel = os.uname().release
    built_for = info.get("vermagic", "").split(" ")[0]
    if info.get("name") != NAME:
        raise TracerError(f"cannot load {path}", f"it is not {NAME}", "run 'tracer kmod build'")
    if built_for != kernel:
        raise TracerError(
            f"cannot load {path}",
            f"it was built for kernel {built_for}, and this is {kernel}",
            "run 'tracer kmod build'",
        )


def _need_same(info: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    loaded = _read(_SYSFS / NAME / "srcversion")
    if loaded and loaded != info.get("srcversion"):
        raise TracerError(
            f"cannot load {NAME}",
            f"another build of it is loaded (srcversion {loaded})",
            UNLOAD_FIRST,
        )
    current = _parameters()
    for name, value in {**DEFAULTS, **wanted}.items():
        if current.get(name) != value:
            raise TracerError(
                f"cannot load {NAME}",
                f"it is loaded with {name}={current.get(name)}, not {value}",
                UNLOAD_FIRST,
            )


def _init_module(image: bytes, arguments: str) -> int:
    """Call ``init_module``; returns its errno, 0 for success."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = ctypes.c_ulong(len(image))
    return ctypes.get_errno() if libc.init_module(image, size, arguments.encode()) else 0


def _load_error(failure: int, wanted: Mapping[str, str]) -> TracerError:
    if failure == errno.EBUSY:
        why, todo = _taken({**DEFAULTS, **wanted})
    elif failure == errno.EINVAL:
        why = "a parameter is out of range"
        todo = "use sockopt_base 128 or from 1024, two different protocols from 0 to 31"
    elif failure == errno.ENOEXEC:
        why = "the running kernel does not take it (see dmesg)"
        todo = "run 'tracer kmod build' with the headers of this very kernel"
    elif failure in (errno.EKEYREJECTED, errno.ENOKEY):
        why = "this kernel takes signed modules only"
        todo = "sign it, turn Secure Boot off, or use 'tracer lab'"
    elif failure == errno.EPERM:
        why = "the kernel forbids loading modules (container, lockdown or modules_disabled)"
        todo = "run it on the host, or in a virtual machine with 'tracer lab'"
    else:
        why, todo = os.strerror(failure), "read dmesg"
    return TracerError(f"cannot load {NAME}", why, todo)


def _taken(parameters: Mapping[str, str]) -> tuple[str, str]:
    """Which socket option or protocol another owner has taken, and what to do about it."""
    base = int(parameters["sockopt_base"])
    for owner, options in _SOCKOPT_OWNERS.items():
        if {base, base + 1} & set(options) and (_SYSFS / owner).is_dir():
            return (
                f"socket options {base} and {base + 1} belong to {owner}, which is loaded",
                f"unload {owner}, or load with sockopt_base={DEFAULTS['sockopt_base']}",
            )
    taken = kernel_protocols()
    for name in ("netlink_proto", "icmp_proto"):
        protocol = int(parameters[name])
        if protocol == _NETLINK_USERSOCK or protocol in taken:
            return f"netlink protocol {protocol} ({name}) is taken", f"load with another {name}"
    return (
        f"socket options {base} and {base + 1} are taken by another module",
        "load with another sockopt_base",
    )


# --- unload --------------------------------------------------------------------------


def unload() -> bool:
    """Unload the module; returns False if it was not loaded.

    Raises TracerError when the caller is not root, and when the module is in use; then the
    error names its holders.
    """
    _need_root("unload")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.delete_module(NAME.encode(), ctypes.c_uint(os.O_NONBLOCK)) == 0:
        return True
    failure = ctypes.get_errno()
    if failure == errno.ENOENT:
        return False
    if failure in (errno.EAGAIN, errno.EBUSY):
        raise _in_use()
    raise TracerError(
        f"cannot unload {NAME}",
        os.strerror(failure),
        "run it on the host, or in a virtual machine with 'tracer lab'",
    )


def _in_use() -> TracerError:
    found = _holders()
    if found:
        why = "it is in use by " + ", ".join(map(str, found))
        todo = "end " + ("that process" if len({h.pid for h in found}) == 1 else "those processes")
    else:
        why = f"it is in use ({_read(_SYSFS / NAME / 'refcnt') or '?'} references)"
        todo = "end what listens on its tracepoints (perf, bpftrace) or was using it just now"
    return TracerError(f"cannot unload {NAME}", why, todo)


# --- status --------------------------------------------------------------------------


def status() -> ModuleStatus:
    """The module's status. Any user may ask, but only root sees the holders of all users."""
    loaded = (_SYSFS / NAME).is_dir()
    refcount = _read(_SYSFS / NAME / "refcnt")
    kernel = os.uname().release
    sources = source_dir("kmod")
    module = build_dir(kernel, sources) / f"{NAME}.ko"
    built = module.is_file()
    vermagic = module_info(module.read_bytes()).get("vermagic", "") if built else ""
    return ModuleStatus(
        loaded=loaded,
        parameters=_parameters(),
        refcount=int(refcount) if refcount else None,
        holders=_holders() if loaded else [],
        srcversion=_read(_SYSFS / NAME / "srcversion"),
        build_id=_build_id(_SYSFS / NAME / "notes" / ".note.gnu.build-id"),
        kernel=kernel,
        path=str(module) if built else None,
        fits=vermagic.split(" ")[0] == kernel if built else None,
    )


def _holders() -> list[Holder]:
    current = {**DEFAULTS, **_parameters()}
    return holders({int(current["netlink_proto"]), int(current["icmp_proto"])})


def _parameters() -> dict[str, str]:
    directory = _SYSFS / NAME / "parameters"
    if not directory.is_dir():
        return {}
    return {path.name: _read(path) or "" for path in sorted(directory.iterdir())}


def _build_id(path: Path) -> str | None:
    """The build id in an ELF note: name size, descriptor size, type, "GNU\\0", descriptor."""
    try:
        note = path.read_bytes()
    except OSError:
        return None
    return note[16:].hex() or None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
