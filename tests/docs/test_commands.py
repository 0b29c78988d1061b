# SPDX-License-Identifier: GPL-2.0-or-later
"""What the pages tell a user to type is typed here, page by page, block by block.

Each page has a directory of its own that looks like the top of the tree. ``tracer lab -- COMMAND``
comes first: the commands of all pages run in one guest (:mod:`guest`), and where a page asks for
one, the recorded result is given back. Everything else runs on this machine, in order.
TRACER_DOCS_KEEP=1 keeps the directories, with what every block printed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import (
    LAB,
    ROOT,
    RUN,
    SHOWN,
    Block,
    blocks,
    lab_command,
    pages,
    statements,
    words,
)

pytestmark = pytest.mark.lab

#: Not run here, by their whole text, with the reason or who runs them.
ELSEWHERE = {
    "apt-get update": "scripts/fresh-root brings what an empty machine lacks",
    "apt-get install -y git make": "the same",
    "git clone https://example.org/tracer.git tracer": "the tree is here",
    "cd tracer": "the tree is here",
    "make run": "the whole house: scripts/fresh-root",
    "make test": "the whole house: .ci/run",
    "pytest --latency-lab --latency-update": "tests/lab/test_latency_lab.py",
    "pytest --latency-lab --latency-report=latency.json --junitxml=junit.xml": "the same",
    "git add tests/baselines": "the same",
}
#: Time for one block on this machine, and for all of the lab, in seconds.
BLOCK_TIMEOUT, LAB_TIMEOUT = 300, 1500
PAGES = {page.stem: page for page in pages()}
BIN = Path(sys.executable).parent
_LAB_SHIM = """\
#!/bin/sh
# Gives back what the guest printed; everything else is the real command.
case $1 in
lab) shift; exec {python} {here}/replay.py {orders} "$PWD" "$@" ;;
*) exec {bin}/tracer "$@" ;;
esac
"""


def commands(page: Path) -> list[str]:
    """Every statement of the page's sh blocks."""
    return [line for block in blocks(page) if block.info == "sh" for line in statements(block.text)]


@pytest.fixture(scope="module")
def workplace() -> Iterator[Path]:
    """A directory under runs/, which the guest can write to, with one directory for each page."""
    (ROOT / "runs").mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="docs-", dir=ROOT / "runs"))
    for name in PAGES:
        furnish(place / name, place / "lab" / "orders.json")
    yield place
    if not os.environ.get("TRACER_DOCS_KEEP"):
        shutil.rmtree(place)


def furnish(directory: Path, orders: Path) -> None:
    """What a user finds at the top of the tree; runs/ is empty."""
    (directory / "runs").mkdir(parents=True)
    for file in ROOT.iterdir():
        if file.name != "runs" and not file.name.startswith("."):
            (directory / file.name).symlink_to(file)
    scripts = directory / ".venv" / "bin"
    scripts.mkdir(parents=True)
    for program in ("python", "pytest"):
        (scripts / program).write_text(f'#!/bin/sh\nexec {BIN}/{program} "$@"\n')
    shim = _LAB_SHIM.format(
        python=sys.executable, here=Path(__file__).parent, orders=orders, bin=BIN
    )
    (scripts / "tracer").write_text(shim)
    for script in scripts.iterdir():
        script.chmod(0o755)


@pytest.fixture(scope="module")
def lab(workplace: Path) -> None:
    """All commands behind ``tracer lab --``, run in one guest."""
    orders: list[dict[str, Any]] = []
    for name, page in PAGES.items():
        for statement in commands(page):
            argv = lab_command(statement)
            if argv is not None:
                assert argv[0] == "--", f"{page}: {statement} needs a guest of its own"
                orders.append({"directory": str(workplace / name), "argv": argv[1:]})
    # Once the probes are attached msgchan cannot be unloaded: pages that do so come first.
    unloading = {o["directory"] for o in orders if "unload" in " ".join(o["argv"])}
    orders.sort(key=lambda order: order["directory"] not in unloading)
    file = workplace / "lab" / "orders.json"
    file.parent.mkdir()
    file.write_text(json.dumps(orders))
    guest = ["python", str(Path(__file__).with_name("guest.py")), str(file)]
    command = [BIN / "tracer", "lab", "--timeout", str(LAB_TIMEOUT), "--", *guest]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_block_is_run_or_is_no_command() -> None:
    unknown = [
        f"{block}: ```{block.info}"
        for page in PAGES.values()
        for block in blocks(page)
        if block.info not in (*RUN, *SHOWN) and not block.info.startswith("{")
    ]
    assert unknown == []


def test_what_runs_elsewhere_exists() -> None:
    named = {line for page in PAGES.values() for line in commands(page)}
    assert set(ELSEWHERE) <= named, "a page no longer names it"
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {line.split()[1] for line in ELSEWHERE if line.startswith("make ")} <= targets
    known = subprocess.check_output([BIN / "pytest", "--help"], cwd=ROOT, text=True)
    options = {word.partition("=")[0] for line in ELSEWHERE for word in line.split()}
    assert [word for word in options if word.startswith("--latency") and word not in known] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_page_does_as_it_says(
    name: str, workplace: Path, lab: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = workplace / name
    monkeypatch.chdir(directory)
    namespace: dict[str, Any] = {"__name__": name}
    wrong: list[str] = []
    for block in blocks(PAGES[name]):
        if block.info not in RUN:
            continue
        printed = run_sh(block) if block.info == "sh" else run_python(block, namespace)
        (directory / f"line-{block.line}.txt").write_text(printed)
        wrong += differences(block, printed)
    assert wrong == []


def run_sh(block: Block) -> str:
    """What the block's commands print, without those that run elsewhere; they must succeed."""
    here = [line for line in statements(block.text) if line not in ELSEWHERE]
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(here)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BLOCK_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{block}: status {done.returncode}\n{done.stdout}"
    return done.stdout


def run_python(block: Block, namespace: dict[str, Any]) -> str:
    """What the block prints; the blocks of a page share their names."""
    code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, namespace)
    return printed.getvalue()


def differences(block: Block, printed: str) -> list[str]:
    """Lines that the page shows and the command did not print; numbers may differ."""
    if block.output is None:
        return []
    there = [words(line) for line in printed.splitlines()]
    return [
        f"{block}: not printed: {line}"
        for line in block.output.splitlines()
        # The guest of this test was booted once, for all.
        if words(line) and words(line) not in there and not line.startswith("lab: booting")
    ]


def test_a_lab_command_is_recognised() -> None:
    record = [*LAB, "--", "tracer", "record", "-o", "runs/one", "--", "ip", "link"]
    assert lab_command(" ".join(record)) == record[2:]
    assert lab_command(" ".join(record) + ' || echo "status $?"') == record[2:]
    assert lab_command(".venv/bin/tracer report runs/one") is None


def test_a_line_that_was_not_printed_is_found() -> None:
    block = Block(ROOT / "README.md", 1, "sh", "", "total  500  1.5%\ntrusted: yes\n")
    assert differences(block, "total 7 99.0%\ntrusted: yes") == []
    assert len(differences(block, "total 7 99.0%\ntrusted: no")) == 1
