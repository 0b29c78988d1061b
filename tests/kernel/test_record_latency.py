# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin on real traces: a baseline, the same again, and a handler that is slower.

Named so because the tests that attach probes come last, see CONTRIBUTING.md.
"""

from __future__ import annotations

from types import ModuleType

import pytest
import scipy.special

from tracer.attach.probes import Probes
from tracer.clients import netlink
from tracer.pytest_plugin import check
from tracer.pytest_plugin.fixture import Attached
from tracer.recorder.session import Options

# pytester forgets what a session inside this one imports, and numpy cannot be loaded twice. To load
# pyroute2 five times takes a minute.
assert check
assert netlink
assert scipy.special

#: The guest's clock is a wall clock, and noisy: five runs, and a wide margin.
TEST = """
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.wire import Op

def workload():
    with MsgchanSocket() as socket:
        for token in range(1, 102):
            socket.request(Op.ECHO, b"x" * 64, token=token, reply_size=64,
                           handler_delay_ns={delay})

def test_echo(latency):
    runs = latency.repeat(workload, 5)
    assert all(len(run.exchanges) == 101 and run.trusted for run in runs)
    latency.check(runs, baseline="echo", type="msgchan echo", stage="handler", max_shift="200us",
                  allow="order")
"""


class Lent(Attached):
    """The session's probes, which stay attached."""

    def __init__(self, probes: Probes) -> None:
        super().__init__()
        self._lent = probes

    def probes(self, options: Options) -> Probes:
        """The lent ones, whatever is asked for."""
        return self._lent


class Lender:
    """Lends the session's probes to a session inside it."""

    def __init__(self, probes: Probes) -> None:
        @pytest.fixture(scope="session")
        def latency_probes() -> Lent:
            return Lent(probes)

        self._fixtures = ModuleType("lent_probes")
        self._fixtures.__dict__["latency_probes"] = latency_probes

    def pytest_configure(self, config: pytest.Config) -> None:
        """Of two fixtures of one name, that of the plugin counts that was registered last."""
        config.pluginmanager.register(self._fixtures)


STRICT = """
from tracer.clients.netlink import MsgchanSocket
from tracer.clients.wire import Op

def test_echo(latency):
    with latency.trace({how}) as run, MsgchanSocket() as socket:
        for token in range(1, 24):
            socket.request(Op.ECHO, b"x" * 64, token=token, reply_size=64)
    assert len(run.exchanges) == 23 and run.trusted
"""


def run_inside(pytester: pytest.Pytester, probes: Probes, *arguments: str) -> pytest.RunResult:
    """A session inside this one, without what it does not need: hypothesis takes long to load."""
    options = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    return pytester.runpytest(*options, *arguments, plugins=[Lender(probes)])


def test_a_project_that_makes_errors_of_warnings(pytester: pytest.Pytester, probes: Probes) -> None:
    """BCC deprecates texts as names. How probes are attached, this tree's own filter watches."""
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(STRICT.format(how="unchecked=True"))
    run_inside(pytester, probes).assert_outcomes(passed=1, warnings=0)


def test_a_trace_that_nothing_checks_is_an_error(pytester: pytest.Pytester, probes: Probes) -> None:
    pytester.makepyfile(STRICT.format(how=""))
    result = run_inside(pytester, probes)
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_slower_handler_fails_and_is_named(pytester: pytest.Pytester, probes: Probes) -> None:
    def run(delay: int, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_echo=TEST.format(delay=delay))
        return run_inside(pytester, probes, *arguments)

    run(0, "--latency-update").assert_outcomes(passed=1)
    again = run(0)
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["test_echo *netlink, msgchan echo *handler p50 * same"])
    slower = run(500_000)
    slower.assert_outcomes(failed=1)
    slower.stdout.fnmatch_lines(
        [
            "slower: netlink, msgchan echo: handler +[45]*baseline 'echo'",
            "recording  *test_echo-test_echo-*",
            "  moved: handler, *",
            "  slowest in handler *",
            "go on with: tracer report *",
        ]
    )
