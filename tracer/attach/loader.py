# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads the compiled probes: makes the maps, and attaches each program where its name says."""

from __future__ import annotations

import os
from dataclasses import replace

from tracer.attach.bpf import RINGBUF, Map, attach_program, load_program, raise_memlock_limit
from tracer.attach.btf import Btf
from tracer.attach.compiled import Compiled

#: ``enum bpf_prog_type`` and ``enum bpf_attach_type`` of include/uapi/linux/bpf.h.
KPROBE, PERF_EVENT, RAW_TRACEPOINT, TRACING = 2, 7, 17, 26
_FENTRY, _FEXIT = 24, 25
#: The prefixes that BCC's macros give the programs. Later versions of BCC name what exports the
#: function as well.
_TRACEPOINT, _IMAGE = "raw_tracepoint__", "vmlinux__"
_SITES = {"kfunc__": _FENTRY, "kretfunc__": _FEXIT}


class Program:
    """The probes' programs and ``maps``; nothing is attached yet.

    ``ring_bytes`` is the size of the ring buffer. Raises OSError when a map cannot be made.
    """

    def __init__(self, compiled: Compiled, btf: Btf, ring_bytes: int) -> None:
        self._compiled, self._btf = compiled, btf
        self._programs: dict[str, int] = {}
        self._attached: list[int] = []
        self.maps: dict[str, Map] = {}
        raise_memlock_limit(os.uname().release)
        try:
            for name, spec in compiled.maps.items():
                size = ring_bytes if spec.type == RINGBUF else spec.entries
                self.maps[name] = Map(name, replace(spec, entries=size))
        except BaseException:
            self.close()
            raise

    def attach(self) -> None:
        """Attach all programs at kernel functions and tracepoints.

        Raises RefusedError or OSError; what has been attached by then goes with :meth:`close`.
        """
        for name in self._compiled.functions:
            if name.startswith(_TRACEPOINT):
                self.attach_tracepoint(name, name.removeprefix(_TRACEPOINT))
            elif name.startswith(tuple(_SITES)):
                self._attached.append(attach_program(self.load(name, TRACING)))

    def attach_tracepoint(self, name: str, tracepoint: str) -> None:
        """Attach one program to a raw tracepoint. Raises RefusedError or OSError."""
        self._attached.append(attach_program(self.load(name, RAW_TRACEPOINT), tracepoint))

    def load(self, name: str, kind: int) -> int:
        """The descriptor of a program, which is loaded if need be. Raises RefusedError."""
        if name not in self._programs:
            descriptors = {name: made.fd for name, made in self.maps.items()}
            instructions = self._compiled.functions[name].linked(descriptors)
            self._programs[name] = load_program(name, kind, instructions, self._site(name))
        return self._programs[name]

    def _site(self, name: str) -> tuple[int, int]:
        for prefix, site in _SITES.items():
            if name.startswith(prefix):
                function = name.removeprefix(prefix).removeprefix(_IMAGE)
                return site, self._btf.function_id(function)
        return 0, 0

    def loaded(self) -> list[int]:
        """The descriptors of all loaded programs."""
        return list(self._programs.values())

    def close(self) -> None:
        """Detach the programs and give back the maps."""
        for fd in [*self._attached, *self._programs.values()]:
            os.close(fd)
        self._attached.clear()
        self._programs.clear()
        for made in self.maps.values():
            made.close()
        self.maps.clear()
