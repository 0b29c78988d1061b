# SPDX-License-Identifier: GPL-2.0-or-later
"""How every command behaves: its help, its errors, and a reader that goes away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

import tracer
from tracer import cli
from tracer.cli import main
from tracer.errors import TracerError

Install = Callable[[Callable[[], object]], None]


@pytest.fixture
def fails_as(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make ``tracer doctor`` do what the test wants."""

    def install(body: Callable[[], object]) -> None:
        command = click.Command("doctor", callback=body)
        monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: command)

    return install


def raising(error: BaseException) -> Callable[[], object]:
    def body() -> None:
        raise error

    return body


def test_version() -> None:
    assert (
        CliRunner().invoke(main, ["--version"]).output == f"tracer, version {tracer.__version__}\n"
    )


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output


@pytest.mark.parametrize(
    "words", [*([name] for name in cli.COMMANDS), ["kmod", "load"], ["kmod", "unload"]]
)
def test_an_example_with_sudo_names_the_file(words: list[str]) -> None:
    """sudo does not look into .venv."""
    lines = CliRunner().invoke(main, [*words, "--help"]).output.splitlines()
    with_sudo = [line.split()[1] for line in lines if line.split()[:1] == ["sudo"]]
    assert set(with_sudo) <= {".venv/bin/tracer"}


def test_help_lists_every_command_without_importing_one() -> None:
    script = (
        "import sys; from tracer.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith('tracer.cli.')], 'pandas' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert all(name in said for name in cli.COMMANDS)
    assert said.endswith("[] False\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "error: tracer: No such command 'nosuch'; see tracer --help\n"),
        (["--nosuch"], "error: tracer: No such option '--nosuch'; see tracer --help\n"),
        (["lab"], "error: tracer lab: Missing argument '-- COMMAND...'; see tracer lab --help\n"),
    ],
)
def test_misuse_is_one_line_and_status_2(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, arguments, prog_name="tracer")
    assert (result.exit_code, result.stderr) == (2, said)


def test_no_arguments_is_help_and_misuse() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


class FindingError(TracerError):
    exit_status = 1


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TracerError("a", "b", "c"), 2, "error: a: b; c\n"),
        (FindingError("a", "b\nb", "c"), 1, "error: a: b b; c\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (ValueError("odd"), 2, "error: ValueError: odd; see where with tracer --debug\n"),
    ],
)
def test_failures_are_one_line(
    fails_as: Install, error: BaseException, status: int, said: str
) -> None:
    fails_as(raising(error))
    result = CliRunner().invoke(main, ["doctor"])
    assert (result.exit_code, result.stderr) == (status, said)


def test_debug_shows_the_traceback(fails_as: Install) -> None:
    error = TracerError("a", "b", "c")
    fails_as(raising(error))
    assert CliRunner().invoke(main, ["--debug", "doctor"]).exception is error


def test_a_command_s_exit_status_passes(fails_as: Install) -> None:
    fails_as(raising(click.exceptions.Exit(3)))
    assert CliRunner().invoke(main, ["doctor"]).exit_code == 3


SPEAKS = """
import click
from tracer import cli
speak = click.Command("doctor", callback=lambda: click.echo("x" * 1_000_000))
cli.LazyGroup.get_command = lambda *_: speak
cli.main(["doctor"])
"""


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """With and without PYTHONUNBUFFERED, which many container images set."""
    return {**os.environ, "PYTHONUNBUFFERED": request.param}


def test_a_closed_reader_ends_a_command_silently(environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        result = subprocess.run(
            [sys.executable, "-c", SPEAKS],
            stdout=pipe,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    assert (result.returncode, result.stderr) == (141, b"")


def test_a_reader_that_goes_away_ends_a_command_silently(environment: dict[str, str]) -> None:
    """The command is in the midst of a write: the reader has taken the first bytes of it."""
    with subprocess.Popen(
        [sys.executable, "-c", SPEAKS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.read(10) == b"x" * 10
        command.stdout.close()
        assert (command.stderr.read(), command.wait(300)) == (b"", 141)


def test_no_garbage_is_looked_for_at_the_end() -> None:
    """What was registered first is called last: after what the command registers."""
    script = (
        "import atexit, gc; from tracer.cli import main\n"
        "atexit.register(lambda: print('frozen', gc.get_freeze_count() > 0))\n"
        "main(['--version'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert said.endswith("frozen True\n")
