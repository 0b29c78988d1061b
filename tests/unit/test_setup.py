# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/setup prints, with programs that only say they did their work."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "scripts" / "setup"
PROGRAMS = {
    "apt-get": "exit 0",
    "dpkg-query": "echo installed",
    "dpkg": "echo amd64",
    "find": "exit 0",  # no kernel that could lack its headers
}
BENCH = {"bpftrace", "bpfcc-tools", "linux-perf", "strace"}
VENV = """\
import os, sys
os.makedirs(f"{sys.argv[-1]}/bin")
os.symlink("/usr/bin/python3", f"{sys.argv[-1]}/bin/python")
"""
PIP = """\
import os, sys
print("Requirement already satisfied")
print("WARNING: Location /usr/lib/python3 is ignored", file=sys.stderr)
sys.exit(int(os.environ["PIP_ENDS_WITH"]))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the script in it, beside programs and modules that stand for the real ones."""
    for name, text in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    for name, text in (("venv", VENV), ("pip", PIP)):
        (tmp_path / "modules" / name).mkdir(parents=True)
        (tmp_path / "modules" / name / "__init__.py").touch()
        (tmp_path / "modules" / name / "__main__.py").write_text(text)
    (tmp_path / "tree" / "scripts").mkdir(parents=True)
    (tmp_path / "tree" / "pyproject.toml").touch()
    shutil.copy(SETUP, tmp_path / "tree" / "scripts" / "setup")
    return tmp_path / "tree"


def run(tree: Path, pip_ends_with: int, *group: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{tree.parent}/bin:{os.environ['PATH']}",
        "PYTHONPATH": f"{tree.parent}/modules",
        "PIP_ENDS_WITH": str(pip_ends_with),
    }
    return subprocess.run(
        ["sh", tree / "scripts" / "setup", *group], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_pip_is_not_heard_when_it_succeeds(tree: Path) -> None:
    done = run(tree, 0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "making .venv\n")
    again = run(tree, 0)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_what_pip_said_is_shown_when_it_fails(tree: Path) -> None:
    done = run(tree, 1)
    assert (done.returncode, done.stdout) == (2, "")
    begun, *said, why = done.stderr.splitlines()
    assert begun == "making .venv"
    assert sorted(said) == [
        "Requirement already satisfied",
        "WARNING: Location /usr/lib/python3 is ignored",
    ]
    assert why == "error: pip could not install the dependencies; read its message above"
    assert run(tree, 1).returncode == 2


@pytest.mark.parametrize(("group", "wanted"), [((), False), (("bench",), True)])
def test_the_tools_of_the_bench_are_installed_for_it_only(
    tree: Path, group: tuple[str, ...], wanted: bool
) -> None:
    asked = tree.parent / "asked"
    query = f'#!/bin/sh\necho "$4" >>{asked}\necho installed\n'
    (tree.parent / "bin" / "dpkg-query").write_text(query)
    assert run(tree, 0, *group).returncode == 0
    named = set(asked.read_text().split())
    assert "python3-bpfcc" in named
    assert named & BENCH == (BENCH if wanted else set())


def test_an_unknown_group_is_refused(tree: Path) -> None:
    done = run(tree, 0, "bensh")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: cannot set up 'bensh': say bench, or nothing\n"
