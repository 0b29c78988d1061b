# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the rooms of tracer/, the arrows between them, and the circles; see scripts/rooms.

A room is a folder of tracer/, or a file that lies beside the folders. An arrow says that some
file of one room imports some file of the other. A circle is a group of files each of which
imports, by way of others, every other one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

PACKAGE = "tracer"


def room(module: str) -> str:
    """``compare`` for ``tracer.compare.tails``."""
    return module.split(".")[1] if "." in module else "__init__"


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """What ``start`` imports, by way of others as well."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        for module in graph[ahead.pop()] - found:
            found.add(module)
            ahead.append(module)
    return found


def circles(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Groups of modules that import each other, directly or by way of others."""
    known = {module: reachable(graph, module) for module in graph}
    left = {module for module in graph if module in known[module]}
    while left:
        first = min(left)
        group = {module for module in left if module in known[first] and first in known[module]}
        yield group
        left -= group


def main() -> None:
    """Print the house of the checkout that is the first argument."""
    tree = Path(sys.argv[1])
    sys.path.insert(0, str(tree))
    imports = grimp.build_graph(PACKAGE, cache_dir=None)
    files = {m: imports.find_modules_directly_imported_by(m) for m in imports.modules}
    rooms: dict[str, set[str]] = {}
    sizes: dict[str, list[int]] = {}
    for module, imported in files.items():
        path = tree / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        sizes.setdefault(room(module), []).append(len(path.read_text().splitlines()))
        rooms.setdefault(room(module), set()).update(map(room, imported))
    for name in sorted(rooms):
        rooms[name] -= {name}
        told = ", ".join(sorted(rooms[name])) or "nothing"
        print(f"{name:14} {len(sizes[name]):3} files {sum(sizes[name]):6,} lines  imports {told}")
    arrows = sum(len(imported) for imported in rooms.values())
    largest = max(max(counts) for counts in sizes.values())
    print(f"{len(rooms)} rooms, {arrows} arrows, largest file {largest} lines")
    for what, graph in (("files", files), ("rooms", rooms)):
        found = list(circles(graph))
        print(f"circles of {what}: {len(found)}")
        for group in found:
            print(f"  {len(group)}: {', '.join(sorted(group))}")


if __name__ == "__main__":
    main()
