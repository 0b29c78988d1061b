# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told of a machine on which the lab does not start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tracer.errors import TracerError
from tracer.lab import ready


@pytest.fixture(autouse=True)
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has all the lab needs, outside of a guest."""
    monkeypatch.delenv("TRACER_SHARED", raising=False)
    monkeypatch.setattr(ready.kernels, "choose", lambda wanted: "6.1.0-56-amd64")
    monkeypatch.setattr(ready.vm, "require_tools", lambda: None)
    monkeypatch.setattr(ready, "require_tools", lambda kver: None)


def missing(what: str) -> Callable[..., str]:
    def fail(*_: object) -> str:
        raise TracerError("cannot", f"no {what}", "install it")

    return fail


def test_the_kernel_that_would_be_booted() -> None:
    assert ready.kernel() == "6.1.0-56-amd64"


@pytest.mark.parametrize(
    ("place", "name"),
    [(ready.kernels, "choose"), (ready.vm, "require_tools"), (ready, "require_tools")],
)
def test_what_is_missing_is_the_reason(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str
) -> None:
    monkeypatch.setattr(place, name, missing(name))
    with pytest.raises(TracerError, match=f"no {name}; install it"):
        ready.kernel()


def test_a_guest_is_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACER_SHARED", "runs")
    with pytest.raises(TracerError, match="this is the guest of one; start it outside the guest"):
        ready.kernel()
