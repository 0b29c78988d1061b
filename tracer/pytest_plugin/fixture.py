# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixture ``latency``: trace blocks of a test, and check them against a baseline."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tracer.errors import TracerError
from tracer.pytest_plugin import options
from tracer.pytest_plugin.outcome import LatencyUnfit, passed_so_far
from tracer.recorder.traced import Traced

if TYPE_CHECKING:
    from tracer.attach.probes import Probes
    from tracer.compare.comparison import Comparison
    from tracer.recorder.session import Options
    from tracer.run import Run

NO_ROOT = "tracing needs root: run pytest as root, or with --latency-lab"
NEVER_CHECKED = (
    "traced, never checked: without latency.check this test passes however slow the messages "
    "become; check what it recorded, or trace with unchecked=True"
)
IN_THE_LAB = "or run in a virtual machine: pytest --latency-lab"


class Attached:
    """The probes of a test session. They stay attached until a test wants other options."""

    def __init__(self) -> None:
        self._options: Options | None = None
        self._probes: Probes | None = None

    def probes(self, options: Options) -> Probes:
        """Probes attached with these options. Raises :class:`TracerError`."""
        from tracer.recorder.session import attach

        if self._probes is None or self._options != options:
            self.close()
            self._probes, self._options = attach(options), options
        return self._probes

    def close(self) -> None:
        """Detach the probes, if any are attached."""
        if self._probes is not None:
            self._probes.close()
        self._probes = None


@pytest.fixture(scope="session")
def latency_probes(pytestconfig: pytest.Config) -> Iterator[Attached]:
    """The probes, compiled once a session. Skips the test without root; fails with --latency."""
    from tracer.recorder.session import Options

    if not options.may_trace():
        if pytestconfig.getoption("latency"):
            raise LatencyUnfit(NO_ROOT)
        pytest.skip(NO_ROOT)
    # A check imports this, so have it before the first trace: the blocks that are traced before
    # and after a check would else run in processes of different size.
    import tracer.run  # noqa: F401

    attached = Attached()
    try:
        attached.probes(Options())
    except TracerError as error:
        raise LatencyUnfit(f"{error}; {IN_THE_LAB}") from error
    yield attached
    attached.close()


@pytest.fixture
def latency(
    request: pytest.FixtureRequest,
    latency_probes: Attached,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Latency]:
    """Trace blocks of this test and check them against a committed baseline.

    It is an error if a test passes that traced something but checked nothing: it would pass
    however slow the messages became.
    """
    shared = request.config.getoption(options.GUEST)
    directory = Path(shared) if shared else tmp_path_factory.getbasetemp()
    found = Latency(request.node, latency_probes, directory / "recordings")
    yield found
    if found.must_check and passed_so_far(request.node):
        raise LatencyUnfit(NEVER_CHECKED)


class Latency:
    """The object that a test gets from the fixture ``latency``."""

    def __init__(self, item: pytest.Item, attached: Attached, directory: Path) -> None:
        self._item = item
        self._attached = attached
        self._directory = directory
        self._traced = self._checked = False

    @property
    def must_check(self) -> bool:
        """Whether the test has traced something (not ``unchecked``) and has made no check."""
        return self._traced and not self._checked

    @contextmanager
    def trace(self, *, unchecked: bool = False, **how: Any) -> Iterator[Traced]:
        """Trace the calling process while the block runs.

        ``with latency.trace() as run: ...`` and then ``latency.check(run, ...)``. A test that
        looks at ``run.exchanges`` itself instead of checking against a baseline must pass
        ``unchecked=True``. ``how`` are the fields of :class:`tracer.recorder.session.Options`
        (attach, copy, ring). If they differ from those of the last trace, the probes are compiled
        again, which takes seconds. Raises :class:`LatencyUnfit` if this machine cannot trace.
        """
        from tracer.recorder.record import capture
        from tracer.recorder.session import Options

        self._traced = self._traced or not unchecked
        try:
            probes = self._attached.probes(Options(**how))
            with capture(self._free_path(), probes=probes) as traced:
                yield traced
        except TracerError as error:
            raise LatencyUnfit(str(error)) from error

    def repeat(self, workload: Callable[[], object], runs: int = 10, **how: Any) -> list[Traced]:
        """Call ``workload`` ``runs`` times, each in a trace of its own, and return the traces.

        A check on a wall clock needs several runs. ``how`` as in :meth:`trace`.
        """
        traced = []
        for _ in range(runs):
            with self.trace(**how) as run:
                workload()
            traced.append(run)
        return traced

    def check(
        self,
        runs: Traced | Run | Sequence[Traced | Run],
        baseline: str,
        *,
        stage: str | Sequence[str] | None = None,
        type: str | Sequence[str] | None = None,
        max_shift: str | None = None,
        allow: str | Sequence[str] = (),
    ) -> Comparison | None:
        """Compare one run or several with the baseline of that name.

        ``stage`` and ``type`` ("msgchan echo", or a channel like "netlink") select what is
        compared; ``max_shift`` is what may change, "5%", "500ns" or "2% 100ns" (the larger),
        by default the larger of 2 % and 100 ns. ``allow`` names conditions that may be violated
        (:data:`tracer.compare.conditions.CONDITIONS`).

        Returns the comparison when it is the same or faster, None with --latency-update.
        Raises :class:`LatencyRegression`, :class:`LatencyInconclusive`, or
        :class:`LatencyUnfit` when nothing can be compared. A test that catches these fails all
        the same; one that expects them is marked ``pytest.mark.xfail``.
        """
        from tracer.pytest_plugin.check import Asked, check

        self._checked = True
        given = list(runs) if isinstance(runs, Sequence) else [runs]
        asked = Asked(
            baseline, _several(stage), _several(type), max_shift, frozenset(_several(allow))
        )
        try:
            read = [run.run if isinstance(run, Traced) else run for run in given]
        except TracerError as error:
            raise LatencyUnfit(str(error)) from error
        return check(self._item, read, asked)

    def _free_path(self) -> Path:
        """A new directory, named after the test, for a recording that is kept after the test."""
        name = re.sub(r"[^\w.-]+", "-", f"{self._item.path.stem}-{self._item.name}").strip("-")
        number = 1
        while (path := self._directory / f"{name}-{number}").exists():
            number += 1
        return path


def _several(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
