# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``meta.json`` must hold, given the attach plan, so that no part can vanish unnoticed.

``SHAPE`` lists every key that ``meta.json`` may hold, with its type; :func:`lacking` names the
keys that must be there and are not. The seal is a hash over all keys but ``DESCRIPTIVE``.
These checks find accidents: a file cut short, an edit by hand, a recorder that forgot a
witness. They do not find forgery: whoever changes all witnesses consistently and computes a
new seal is believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tracer.errors import TracerError
from tracer.event import POINTS, RECORD_POINTS
from tracer.recording.format import KINDS, RECORD_KINDS

DESCRIPTIVE = ("host", "boot_id", "tracer", "started", "command", "ring_bytes")
"""Keys of ``meta.json`` that may be missing or changed: nothing is judged by them."""
MODULE_CHANNELS = ("setsockopt", "getsockopt", "netlink", "icmp")
DEPTH = 20
"""How deep ``meta.json`` may be nested; seven levels are needed."""


@dataclass(frozen=True)
class Leaf:
    """A plain value: ``fits`` tests it; ``what`` completes "it should be ..." in the error."""

    what: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class Each:
    """An object with any keys, whose values all have the same shape."""

    shape: Shape


Shape = Leaf | Each | dict[str, Any] | list[Any]


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


TEXT = Leaf("a text", lambda value: isinstance(value, str))
FLAG = Leaf("true or false", lambda value: isinstance(value, bool))
#: Whole numbers that a float holds exactly; sums of many still fit into 64 bits.
COUNT = Leaf("a whole number below 2**53", _whole(-(2**53), 2**53))
SUM = Leaf("a whole number of 64 bits", _whole(0, 2**64 - 1))
PARAMETER = Leaf(
    "a text of digits",
    lambda value: isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9,
)

_COUNTERS = dict.fromkeys(
    ("requests", "replies", "copies", "request_bytes", "reply_bytes", "errors", "told"), COUNT
)
_SEEN = dict.fromkeys(("foreign", "replies", "foreign_replies"), COUNT)
_READING = {
    "early": dict.fromkeys(MODULE_CHANNELS, _SEEN),
    "counters": dict.fromkeys(MODULE_CHANNELS, _COUNTERS),
    "ports": Each(_COUNTERS),
    "late": dict.fromkeys(MODULE_CHANNELS, _SEEN),
}
_ACCOUNT = {"emitted": COUNT, "lost": COUNT, "checksum": SUM, "missed": COUNT}
_SUMMED = {"count": COUNT, "checksum": SUM}
_MODULE = {"parameters": dict.fromkeys(("netlink_proto", "icmp_proto", "sockopt_base"), PARAMETER)}
_CALL = {
    "point": TEXT, "tid": COUNT, "tgid": COUNT, "start_ns": SUM, "proto": COUNT, "portid": COUNT,
}  # fmt: skip
_ENDED = {"stopping_ns": SUM, "stopped_ns": SUM, "open": [_CALL], "cut": [COUNT]}
_THREAD = {
    "start_ns": SUM, "tid": COUNT, "tgid": COUNT, "ppid": COUNT, "netns": COUNT, "comm": TEXT,
}  # fmt: skip
_LOG = Each({"entries": COUNT, "time_sum": SUM})
_REFUSED = {whose: {"count": COUNT, "first": TEXT} for whose in ("ours", "strangers")}

#: The keys that are known when a recording begins.
_BEGIN: dict[str, Shape] = {
    "kernel": TEXT,
    "machine": TEXT,
    "cpus": COUNT,
    "netns": COUNT,
    "clock": {"name": TEXT, "source": TEXT, "deterministic": FLAG},
    "plan": [dict.fromkeys(("point", "site", "target", "reason"), TEXT)],
    "traced": [COUNT],
    "segments": dict.fromkeys(KINDS, COUNT),
}
#: The keys that are known when it has ended, whatever its plan.
_END: dict[str, Shape] = {
    "accounts": dict.fromkeys(RECORD_POINTS, _ACCOUNT),
    "decoded": dict.fromkeys(RECORD_POINTS, _SUMMED),
    "rows": dict.fromkeys(RECORD_KINDS, _SUMMED),
    "losses": dict.fromkeys(("recursion_misses", "kprobe_misses"), COUNT),
    "end": _ENDED,
    "log": _LOG,
    "spool": _REFUSED,
    "not_understood": {"count": COUNT, "first": TEXT},
    "seal": TEXT,
}

SHAPE: dict[str, Shape] = {
    **_BEGIN,
    **_END,
    **{"accounts": Each(_ACCOUNT), "decoded": Each(_SUMMED), "rows": Each(_SUMMED)},
    "module": {"srcversion": TEXT, "build_id": TEXT, **_MODULE},
    "stats": {
        "before": _READING,
        "after": {**_READING, "stopping": dict.fromkeys(MODULE_CHANNELS, _SEEN)},
    },
    "end": {**_ENDED, "interrupted_ns": SUM},
    **dict.fromkeys(("host", "boot_id", "tracer", "started"), TEXT),
    "command": [TEXT],
    "ring_bytes": COUNT,
    "running": [_THREAD],
}


def check_types(meta: dict[str, Any], what: str) -> None:
    """Raise `TracerError` for a value whose type is not that of ``SHAPE``.

    ``what`` is the beginning of the error. Missing keys and nulls are left to :func:`lacking`.
    """
    try:
        if _deeper_than(meta, DEPTH):
            raise _WrongTypeError("it", f"an object nested at most {DEPTH} deep")
        list(_gaps(meta, SHAPE, ""))
    except _WrongTypeError as error:
        place, expected = error.args
        why = f"meta.json is not that of a recording: {place} should be {expected}"
        raise TracerError(what, why, "record again") from None


class _WrongTypeError(Exception):
    """A value of a wrong type. The arguments are its path and what it should be."""


def _gaps(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """The paths below ``path`` that the shape names and where the value is missing or null."""
    if value is None:
        yield path
    elif isinstance(shape, Leaf):
        if not shape.fits(value):
            raise _WrongTypeError(path, shape.what)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _WrongTypeError(path, "a list")
        for number, item in enumerate(value):
            for gap in _gaps(item, shape[0], f"{path}.{number}"):
                raise _WrongTypeError(gap, "there")
    else:
        if not isinstance(value, dict):
            raise _WrongTypeError(path, "an object")
        inner = dict.fromkeys(value, shape.shape) if isinstance(shape, Each) else shape
        for key, wanted in inner.items():
            yield from _gaps(value.get(key), wanted, f"{path}.{key}" if path else key)


def _deeper_than(value: Any, levels: int) -> bool:
    """Whether there is anything so many levels below ``value``: looked at level by level.

    A call for each value would take seconds for the largest ``meta.json`` that is read.
    """
    level = [value]
    for _ in range(levels):
        outer = [item for item in level if isinstance(item, dict | list)]
        level = [item for of in outer for item in (of.values() if isinstance(of, dict) else of)]
    return bool(level)


def lacking(meta: dict[str, Any]) -> list[str]:
    """The witnesses that the recording must have, given its plan, and has not, as dotted paths.

    ``meta`` has passed :func:`check_types`. A plan must have a row for every point, with the
    site ``absent`` if it is not observed. A recording that was not closed lacks whatever is
    known only at its end.
    """
    plan = meta.get("plan")
    points = {row["point"] for row in plan or []}
    required = {**_BEGIN, **_END}
    if "msgchan_handler" in watched(meta):
        required |= {"module": _MODULE, "stats": {"before": _READING, "after": _READING}}
    unplanned = [] if plan is None else [p for p in POINTS[1:] if p not in points]
    return [*_gaps(meta, required, ""), *(f"plan of {point}" for point in unplanned)]


def watched(meta: Mapping[str, Any]) -> set[str]:
    """The points that the plan observes: those with a site that is not ``absent``."""
    return {row["point"] for row in meta.get("plan") or [] if row["site"] != "absent"}


def whole(meta: dict[str, Any], gaps: list[str]) -> dict[str, Any]:
    """``meta`` without those witnesses that have gaps, since half a witness must not be used."""
    broken = {tuple(gap.split(".")[:2]) for gap in gaps}
    kept = {key: value for key, value in meta.items() if value is not None}
    for key in ("accounts", "decoded", "rows", "losses"):
        parts = kept.get(key) or {}
        kept[key] = {name: part for name, part in parts.items() if (key, name) not in broken}
    for key in {path[0] for path in broken} & {"stats", "log", "spool", "not_understood", "end"}:
        kept.pop(key, None)
    return kept


def seal(meta: Mapping[str, Any]) -> str:
    """SHA-256 of ``meta`` as JSON with sorted keys, without `DESCRIPTIVE` and the seal itself."""
    sealed = {key: value for key, value in meta.items() if key not in (*DESCRIPTIVE, "seal")}
    text = json.dumps(sealed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class LogCount:
    """Counts the entries of the user's log, by process, where the log is read.

    ``meta.json`` keeps the counts as ``log``. So entries that vanish between there and the
    reader of the recording are noticed.
    """

    def __init__(self) -> None:
        self._found: dict[str, dict[str, int]] = {}

    def add(self, entries: Any) -> None:
        """Count entries with ``tgid``, ``begin_ns`` and ``end_ns`` (an array or a frame)."""
        tgid = np.asarray(entries["tgid"])
        order = np.argsort(tgid, kind="stable")
        times = (_unsigned(entries["begin_ns"]) + _unsigned(entries["end_ns"]))[order]
        tgids, first, counts = np.unique(tgid[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(times, first) if tgids.size else times
        for name, count, total in zip(tgids, counts.tolist(), sums.tolist(), strict=True):
            found = self._found.setdefault(str(name), {"entries": 0, "time_sum": 0})
            found["entries"] += count
            found["time_sum"] = (found["time_sum"] + total) % 2**64

    def as_dict(self) -> dict[str, dict[str, int]]:
        """By process id: ``entries``, and ``time_sum`` of their begins and ends modulo 2**64."""
        return self._found


def _unsigned(column: Any) -> npt.NDArray[np.uint64]:
    return np.asarray(column).astype(np.uint64)
