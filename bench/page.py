# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep a result as bench/VERSION.json, write docs/benchmarks.md and its picture, print the table.

    python -m bench.page runs/bench/6.1.json

Without a result it writes the page anew from those that are kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.guard import Guard, read_guard
from bench.picture import picture
from bench.result import CALLS, Result, read, write
from bench.table import figures, table

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
PICTURE = HERE.parent / "docs" / "_static" / "benchmarks.svg"


def series(kernel: str) -> str:
    """The first two numbers of a kernel's version: one result is kept for each."""
    return ".".join(kernel.split("-")[0].split(".")[:2])


def kept() -> list[Result]:
    """The results in bench/, that of the oldest kernel first."""
    found = [read(path) for path in HERE.glob("[0-9]*.json")]
    return sorted(found, key=lambda result: [int(n) for n in series(result.kernel).split(".")])


def page(results: Sequence[Result], guard: Guard) -> str:
    """The text of docs/benchmarks.md."""
    templates = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    rounds = results[-1].sides[0].rounds
    return templates.get_template("benchmarks.md.j2").render(
        results=results,
        guard=guard,
        table=table,
        figures=figures,
        count=rounds[0][CALLS[0]]["count"],
        rounds=len(rounds),
    )


def main() -> None:
    """Keep the result, if one is given; write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("result", type=Path, nargs="?")
    options = parser.parse_args()
    if options.result:
        # The guest's clock counts instructions and knows no date.
        result = replace(read(options.result), date=date.today().isoformat())
        write(HERE / f"{series(result.kernel)}.json", result)
        print(f"{result.kernel}, instructions (times ftrace's):\n\n{table(result)}")
    results = kept()
    PAGE.write_text(page(results, read_guard()))
    PICTURE.write_text(picture(results[-1]).svg())


if __name__ == "__main__":
    main()
