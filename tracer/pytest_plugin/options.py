# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's command-line and ini options, and the argument ``max_shift`` of checks."""

from __future__ import annotations

import argparse
import os
import re

import pytest

from tracer.errors import TracerError

#: Set in the lab's guest only: the directory that it shares with the host.
GUEST = "latency_guest"
LAB_SECONDS = 900.0
DEFAULT_SHARE, DEFAULT_NS = 0.02, 100
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(%|ns|us|µs|ms|s)")


def add(parser: pytest.Parser) -> None:
    """Declare everything that the command line and the ini file take."""
    group = parser.getgroup("latency", "latency of netlink and socket-option messages (tracer)")
    group.addoption(
        "--latency",
        action="store_true",
        help="fail latency tests where this machine cannot trace, instead of skipping them",
    )
    group.addoption(
        "--latency-update",
        action="store_true",
        help="write the baselines of the latency tests that run, and compare nothing",
    )
    group.addoption(
        "--latency-report",
        metavar="FILE",
        help="write every check with its lines, verdict and recordings to FILE, as JSON",
    )
    group.addoption(
        "--latency-lab",
        action="store_true",
        help="run the latency tests in a virtual machine whose clock counts instructions",
    )
    group.addoption(
        "--latency-lab-wall",
        action="store_true",
        help="with --latency-lab: a machine of two CPUs with a wall clock instead",
    )
    group.addoption(
        "--latency-lab-timeout",
        metavar="SECONDS",
        type=float,
        default=LAB_SECONDS,
        help=f"with --latency-lab: give up after that long, boot included ({LAB_SECONDS:g})",
    )
    group.addoption(
        "--latency-lab-args",
        metavar="ARGS",
        default="",
        help="with --latency-lab: further arguments for the pytest in the machine",
    )
    group.addoption("--latency-guest", metavar="DIR", help=argparse.SUPPRESS)
    parser.addini(
        "latency_baselines",
        help="directory of the baselines, relative to the rootdir "
        "(default: `baselines` beside each test file)",
    )


def may_trace() -> bool:
    """Whether this user is root, without which no probe can be attached."""
    return os.geteuid() == 0


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist: another process gathers its reports."""
    return hasattr(config, "workerinput")


def parse_shift(text: str | None) -> tuple[float, int]:
    """``max_shift`` as (share of the base, ns); a change up to the larger of both is allowed.

    "5%" means 5 %, but at least 100 ns; "500ns" or "2us" means that time for every line;
    "2% 100ns" gives both. None means 2 % and 100 ns. Raises :class:`TracerError` for any
    other text.
    """
    if text is None:
        return DEFAULT_SHARE, DEFAULT_NS
    amounts = {"%" if unit == "%" else "ns": (n, unit) for n, unit in _AMOUNT.findall(text)}
    rest = _AMOUNT.sub("", text, count=2).strip()
    if rest or not amounts or len(_AMOUNT.findall(text)) != len(amounts):
        raise TracerError(
            f"cannot use max_shift={text!r}",
            "it is neither a percentage nor a time nor one of each",
            'write it as "5%", "500ns", "2us" or "2% 100ns"',
        )
    share = float(amounts["%"][0]) / 100 if "%" in amounts else 0.0
    if "ns" not in amounts:
        return share, DEFAULT_NS
    number, unit = amounts["ns"]
    return share, max(1, round(float(number) * _UNITS[unit]))
