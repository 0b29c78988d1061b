# SPDX-License-Identifier: GPL-2.0-or-later
"""The attach plan: the site at which each point is observed.

A point is a logical place, such as "copy of a socket option's value"; its site is how this
kernel lets it be observed, such as a tracepoint. The plan takes the cheapest site that
measures the whole duration of the point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracer.attach.sites import (
    ABSENT,
    BREAKPOINT,
    COPY_TRACEPOINT,
    FENTRY,
    FUNCTIONS,
    HANDLED_ANY,
    HANDLED_MARKED,
    ICMP_SENT,
    KPROBE,
    MARKING,
    MODULE_TRACEPOINT,
    RAW_TRACEPOINT,
    RELAY,
    TASK_TRACEPOINTS,
    Function,
)
from tracer.errors import TracerError


@dataclass(frozen=True)
class Offer:
    """What a kernel offers to probes, as :func:`tracer.attach.doctor.offer` finds it.

    ``functions`` are the functions that ftrace can hook, ``btf_functions`` those that
    the kernel's BTF names, which fentry requires. ``fentry`` is the reason why this kernel
    refuses fentry, or ``""`` if it does not. ``module``: msgchan is loaded, with its
    tracepoints. ``breakpoint``: hardware execution breakpoints can be used. ``storage``: tasks
    and sockets can carry BPF storage.
    """

    functions: frozenset[str]
    btf_functions: frozenset[str]
    fentry: str
    module: bool
    breakpoint: bool
    storage: bool = False


@dataclass(frozen=True)
class Site:
    """The site of one point.

    ``site`` is a kind from `tracer.attach.sites`, ``target`` the kernel's name of the function
    or tracepoint, ``reason`` why this site was chosen. ``point`` is ``""`` if the probe there
    writes no records.
    """

    point: str
    site: str
    target: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """The sites of one recording.

    ``copy`` is the kind of site for the copy of a socket option's value, ``module`` whether
    msgchan's tracepoints are used, and ``functions`` the kind of site of each function.
    ``marks``: traced threads and sockets are marked by BPF storage, by which msgchan and the
    probes tell them from others at the cost of one load.
    """

    sites: tuple[Site, ...]
    copy: str
    module: bool
    functions: Mapping[str, str] = field(default_factory=dict)
    marks: bool = False

    @property
    def full(self) -> bool:
        """Whether every point of an exchange with msgchan is observed."""
        return self.module and all(site.site != ABSENT for site in self.sites if site.point)

    def as_rows(self) -> list[dict[str, str]]:
        """The plan as ``meta.json`` keeps it: point, site, target, reason."""
        return [
            {
                "point": site.point or "filter",
                "site": site.site,
                "target": site.target,
                "reason": site.reason,
            }
            for site in self.sites
        ]


def make_plan(offer: Offer, attach: str = "auto", copy: str = "auto") -> Plan:
    """Choose a site for every point.

    ``attach`` says how functions are probed: ``auto``, ``fentry`` or ``kprobe``. ``copy`` is the
    site for the copy of a socket option's value: ``auto``, ``module_tracepoint``, ``relay``,
    ``breakpoint`` or ``absent``. Raises :class:`TracerError` when a needed
    function cannot be probed or a site that was asked for is not offered.
    """
    if attach == FENTRY and offer.fentry:
        raise TracerError("cannot attach by fentry", offer.fentry, "use --attach auto or kprobe")
    functions = {f.name: _function_site(f, offer, attach) for f in FUNCTIONS}
    _require_needed(functions)
    kinds = {name: site.site for name, site in functions.items()}
    marks = offer.storage and all(kinds[name] in (FENTRY, ABSENT) for name in MARKING)
    sites = [
        Site(f.point, functions[f.name].site, f.name, functions[f.name].reason)
        for f in FUNCTIONS
        if not (f.instead and kinds[f.name] == ABSENT)
    ]
    sites.append(
        Site("skb_copy_datagram_iter", RAW_TRACEPOINT, f"skb:{COPY_TRACEPOINT}", "its begin")
    )
    sites += [Site("", RAW_TRACEPOINT, name, "follows threads") for name in TASK_TRACEPOINTS]
    sites += _module_sites(offer, marks)
    copy_site = _copy_site(offer, copy)
    sites.append(copy_site)
    return Plan(tuple(sites), copy_site.site, offer.module, kinds, marks)


def _function_site(function: Function, offer: Offer, attach: str) -> Site:
    name = function.name
    if function.instead in offer.functions:
        return Site("", ABSENT, name, f"{function.instead} tells the same")
    if name not in offer.functions:
        return Site("", ABSENT, name, "this kernel has no such traceable function")
    if attach == KPROBE:
        return Site("", KPROBE, name, "asked for")
    if offer.fentry:
        return Site("", KPROBE, name, f"no fentry: {offer.fentry}")
    if name not in offer.btf_functions:
        return Site("", KPROBE, name, "no fentry: not in the kernel's BTF")
    return Site("", FENTRY, name, "cheapest")


def _require_needed(functions: Mapping[str, Site]) -> None:
    for function in FUNCTIONS:
        site = functions[function.name]
        if function.needed and site.site == ABSENT:
            raise TracerError(
                f"cannot observe {function.point or function.name}",
                f"{function.name}: {site.reason}",
                "run 'tracer doctor' to see what this kernel offers",
            )


def _module_sites(offer: Offer, marks: bool) -> list[Site]:
    site, reason = (
        (MODULE_TRACEPOINT, "declared by msgchan")
        if offer.module
        else (ABSENT, "msgchan is not loaded ('tracer kmod load')")
    )
    handled = f"msgchan:{HANDLED_MARKED if marks else HANDLED_ANY}"
    return [
        Site("msgchan_handler", site, handled, reason),
        Site("msgchan_copy", site, handled, reason),
        Site("", site, f"msgchan:{ICMP_SENT}", reason),
    ]


def _copy_site(offer: Offer, copy: str) -> Site:
    target = {RELAY: "msgchan:copy_to_user", BREAKPOINT: "_copy_to_user"}
    if copy == "auto":
        # The module's tracepoints report begin and end of its own handlers' copies. The relay
        # reports those of all handlers, but every copy on the machine gets slower by it, so it is
        # never chosen here. The breakpoint does not see the end of a copy.
        copy = MODULE_TRACEPOINT if offer.module else BREAKPOINT if offer.breakpoint else ABSENT
    if copy in (MODULE_TRACEPOINT, RELAY) and not offer.module:
        raise TracerError(
            f"cannot observe the copy by {copy}", "msgchan is not loaded", "run 'tracer kmod load'"
        )
    if copy == BREAKPOINT and not offer.breakpoint:
        raise TracerError(
            "cannot observe the copy by breakpoint",
            "this processor offers no execution breakpoint",
            "use --copy relay or absent",
        )
    reason = "told with msgchan's requests" if copy == MODULE_TRACEPOINT else "chosen"
    return Site("copy_to_user", copy, target.get(copy, f"msgchan:{HANDLED_MARKED}"), reason)
