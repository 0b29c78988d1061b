# SPDX-License-Identifier: GPL-2.0-or-later
"""The BPF program that BCC compiles: the text of ``bpf/``, and the macros that it expects."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tracer.attach.btf import Btf
from tracer.attach.compiled import Compiled, kept, key_of
from tracer.attach.plan import Plan
from tracer.attach.sites import FENTRY, FUNCTIONS, OFFSETS, STORAGE
from tracer.attach.sockets import netns_of
from tracer.errors import TracerError
from tracer.resources import source_dir

#: The fragments of the program, joined in this order.
FRAGMENTS = (
    "event.h",
    "maps.c",
    "thread.c",
    "site.c",
    "watch.c",
    "message.c",
    "netlink.c",
    "queue.c",
    "sockopt.c",
    "poll.c",
    "module.c",
)
#: Slots for traced threads, a power of two: a thread's slot is its id modulo this.
SLOTS = 8192
MAX_PORTS = 16384
#: A power of two: `port_hints` in bpf/maps.c.
PORT_HINTS = 8192


def program_text() -> str:
    """The joined text of ``bpf/``, with ``#line`` markers for the compiler's messages."""
    directory = source_dir("bpf")
    parts = []
    for name in FRAGMENTS:
        parts.append(f'#line 1 "bpf/{name}"\n{(directory / name).read_text()}')
    return "\n".join(parts)


def compiler_flags(plan: Plan, btf: Btf, protocols: tuple[int, int]) -> list[str]:
    """The macros that the program text expects."""
    try:
        offsets = OFFSETS | (STORAGE if plan.marks else {})
        flags = [f"-D{macro}={btf.offset(path)}" for macro, path in offsets.items()]
    except KeyError as error:
        raise TracerError(
            "cannot compile the probes",
            f"the kernel's BTF has no {error.args[0]}",
            "report this kernel's version to the project",
        ) from error
    for function in FUNCTIONS:
        site = plan.functions[function.name]
        flags.append(f"-DSITE_{function.name}={site.upper()}")
        if site == FENTRY:
            flags.append(f"-DSLOTS_{function.name}={btf.slots(function.name)}")
    netlink_proto, icmp_proto = protocols
    return [
        *flags,
        f"-DMSGCHAN={int(plan.module)}",
        f"-DNETLINK_PROTO={netlink_proto}",
        f"-DICMP_PROTO={icmp_proto}",
        f"-DHOME_NETNS={netns_of()}u",
        f"-DMARKS={int(plan.marks)}",
        f"-DSLOTS={SLOTS}",
        f"-DMAX_PORTS={MAX_PORTS}",
        f"-DPORT_HINTS={PORT_HINTS}",
        "-Wno-unused-function",
        "-Wno-int-conversion",
    ]


def compiled_program(flags: list[str]) -> Compiled:
    """The probes, compiled with these flags now or by an earlier recorder.

    Raises TracerError when they do not compile.
    """
    text = program_text()

    def make() -> Compiled:
        try:
            from tracer.attach.libbcc import compiled

            return compiled(text, flags)
        except Exception as error:
            raise cannot_load(error) from error

    return kept(key_of([_bcc_version(), text, *flags]), make)


def cannot_load(error: Exception) -> TracerError:
    """What to say when the probes do not compile, or the kernel does not take them."""
    said = str(error).strip()
    return TracerError(
        "cannot load the probes",
        said.splitlines()[0] if said else "the compiler failed",
        "see the messages above; 'tracer doctor' shows what this kernel lacks",
    )


def _bcc_version() -> str:
    """What BCC says of its version, without importing it; empty where it is not installed."""
    spec = find_spec("bcc")
    if spec is None or spec.origin is None:
        return ""
    return Path(spec.origin).with_name("version.py").read_text()
