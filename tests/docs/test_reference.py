# SPDX-License-Identifier: GPL-2.0-or-later
"""The docstrings, from which the frames reference is made, name the columns that frames have."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import channels_builder
import numpy as np
import pytest
import run_builder
from documents import ROOT

import tracer
from tracer.cli.record import command as record
from tracer.correlate import stages
from tracer.run import Run

RECORDING = ROOT / "tests" / "data" / "all-channels"
FRAMES = ("exchanges", "stages", "events", "sends", "tasks", "ledger")
_TERM = re.compile(r"^(\w+(?:, \w+)*)\n(?=    \S)", re.M)


def terms(docstring: str) -> list[str]:
    """What a docstring's definition lists define."""
    found = _TERM.findall(inspect.cleandoc(docstring) + "\n")
    return [name for names in found for name in names.split(", ")]


@pytest.mark.parametrize("name", FRAMES)
def test_the_columns_of_a_frame_are_those_of_its_docstring(name: str) -> None:
    documented = terms(str(inspect.getdoc(getattr(Run, name))))
    assert len(set(documented)) == len(documented)
    assert set(documented) == set(getattr(tracer.load(RECORDING), name).columns)


def test_the_lines_of_the_ledger_that_a_page_explains_exist(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "investigate.md").read_text(encoding="utf-8")
    table = page.partition("| line that fails |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = {name for cell in cells for name in re.findall("`([^`]+)`", cell)}
    assert named
    clock = run_builder.META["clock"] | {"deterministic": True}
    three = run_builder.times(np.random.default_rng(1), 3)
    today = tracer.load(run_builder.record(tmp_path / "run", three, clock=clock))
    whole = tracer.load(channels_builder.record_all(tmp_path / "all"))
    assert named <= {*whole.ledger["line"], *today.ledger["line"]}


def test_the_options_of_record_are_explained() -> None:
    page = (ROOT / "docs" / "investigate.md").read_text(encoding="utf-8")
    options = {option.opts[-1] for option in record.params if option.param_type_name == "option"}
    named = set(re.findall("--[a-z-]+", page)) | {"--output", "--pid"}  # there as -o and -p
    assert options <= named


def test_every_stage_is_explained() -> None:
    body = ast.parse(inspect.getsource(stages)).body
    place = next(i for i, node in enumerate(body) if "STAGES" in ast.unparse(node)[:6])
    docstring = body[place + 1]
    assert isinstance(docstring, ast.Expr)
    assert tuple(terms(ast.literal_eval(docstring.value))) == stages.STAGES


def test_every_stage_that_is_long_has_something_to_look_at() -> None:
    page = (ROOT / "docs" / "investigate.md").read_text(encoding="utf-8")
    table = page.partition("| stage | the time goes to | look at |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = [name for cell in cells for name in re.findall("`([^`]+)`", cell)]
    assert sorted(named) == sorted(stages.STAGES)
