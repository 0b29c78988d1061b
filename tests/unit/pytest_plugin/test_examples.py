# SPDX-License-Identifier: GPL-2.0-or-later
"""The example project and the recipe name only commands, options and packages that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracer.compare.baseline import load
from tracer.correlate.stages import STAGES

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
#: For building the module, the interpreter and BCC, the guest's kernel, and the emulator.
NEEDED = {
    "gcc", "libc6-dev", "make", "kmod", "python3", "python3-venv", "python3-bpfcc",
    "linux-image-amd64", "linux-headers-amd64", "qemu-system-x86", "busybox-static", "file",
    "udev", "procps", "iproute2",
}  # fmt: skip


def github() -> tuple[dict[str, Any], list[str]]:
    """The job, and the lines that it runs."""
    value = yaml.safe_load((EXAMPLES / ".github" / "workflows" / "latency.yml").read_text())
    job = value["jobs"]["latency"]
    return job, [line for step in job["steps"] for line in step.get("run", "").splitlines()]


def gitlab() -> tuple[dict[str, Any], list[str]]:
    job = yaml.safe_load((EXAMPLES / ".gitlab-ci.yml").read_text())["latency"]
    return job, list(job["script"])


def documented() -> list[str]:
    """Every pytest command in the recipe and in the example's README."""
    texts = [(ROOT / "docs" / "ci.md").read_text(), (EXAMPLES / "README.md").read_text()]
    blocks = [b for text in texts for b in re.findall(r"```(?:sh|console)\n(.*?)```", text, re.S)]
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("pytest ")]


def parsed(pytester: pytest.Pytester, arguments: list[str]) -> pytest.Config:
    """The options as pytest reads them; an option that does not exist is an error."""
    return pytester.parseconfigure("-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("ci", [github, gitlab])
def test_the_commands_of_ci_exist(ci: Any, pytester: pytest.Pytester) -> None:
    _job, lines = ci()
    commands = [shlex.split(line) for line in lines]
    assert [Path(command[0]).name for command in commands] == [
        "apt-get", "apt-get", "python3", "pip", "pytest",
    ]  # fmt: skip
    update, install, venv, pip, test = commands
    assert update[1:] == ["update"]
    known = set((ROOT / "scripts" / "setup").read_text().replace('"', " ").split())
    assert set(install) - {"apt-get", "install", "-y", "--no-install-recommends"} == NEEDED
    assert known >= NEEDED
    assert venv == ["/usr/bin/python3", "-m", "venv", "--system-site-packages", ".venv"]
    assert (EXAMPLES / pip[-1]).read_text().splitlines()[1] == "msgchan-tracer[lab]"
    config = parsed(pytester, test[1:])
    assert config.getoption("latency")
    assert config.getoption("latency_lab")
    assert config.getoption("latency_report") == "latency.json"


def test_ci_runs_where_there_is_no_kernel_to_trace() -> None:
    job, _ = github()
    assert (job["runs-on"], job["container"]) == ("ubuntu-latest", "debian:12")
    upload = job["steps"][-1]
    assert upload["if"] == "always()"
    assert upload["with"]["path"].split() == ["latency.json", "junit.xml", "runs/"]
    assert gitlab()[0]["image"] == "debian:12"


def test_the_documented_commands_exist(pytester: pytest.Pytester) -> None:
    commands = documented()
    assert len(commands) >= 4
    for line in commands:
        parsed(pytester, shlex.split(line)[1:])


def test_the_example_s_baselines_are_sound() -> None:
    names = re.findall(r'baseline="([^"]+)"', (EXAMPLES / "tests" / "test_latency.py").read_text())
    files = sorted((EXAMPLES / "tests" / "baselines").glob("*.json"))
    assert [file.stem for file in files] == sorted(names)
    for file in files:
        (run,) = load(file).runs
        assert run.deterministic
        assert set(run.lines.index.get_level_values("stage")) <= {*STAGES, "unexplained", "total"}
        assert "/" not in load(file).made["test"].partition("::")[0].removeprefix("tests/")
