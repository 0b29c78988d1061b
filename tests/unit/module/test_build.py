# SPDX-License-Identifier: GPL-2.0-or-later
"""Building msgchan; what needs the real module is in tests/kernel."""

from __future__ import annotations

import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from tracer.errors import TracerError
from tracer.module import build
from tracer.module.kmod import module_info
from tracer.resources import source_dir

HEADERS = sorted(path.parents[1].name for path in Path("/lib/modules").glob("*/build/Makefile"))


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources, where nothing can be written beside them."""
    sources = tmp_path / "sources"
    shutil.copytree(source_dir("kmod"), sources)
    for path in [*sources.iterdir(), sources]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr(build, "source_dir", lambda name: sources)
    return sources


def test_build_of_read_only_sources_has_no_warning_and_is_made_once(
    build_in: Path, read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One build for all of it, with more warnings enabled: each takes many seconds."""
    monkeypatch.setenv("W", "1")
    before = sorted(read_only.iterdir())
    said: list[str] = []

    def progress(what: str) -> object:
        said.append(what)
        return nullcontext()

    built = build.build(HEADERS[-1], progress)
    assert built.parent.parent == build_in / "tracer" / "kmod"
    log = (built.parent / "build.log").read_text()
    assert re.search(r"^make -C .* W=1 modules$", log, re.MULTILINE)
    assert not re.search(r"\b(warning|error)\b", log, re.IGNORECASE)
    assert module_info(built.read_bytes())["vermagic"].startswith(HEADERS[-1] + " ")
    assert b".debug_info" not in built.read_bytes()
    assert b".debug_info" in built.with_suffix(".o").read_bytes()
    assert build.build(HEADERS[-1], progress) == built
    assert said == [f"building msgchan for kernel {HEADERS[-1]}"]
    assert sorted(read_only.iterdir()) == before


def test_a_build_goes_where_the_environment_says(
    build_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that lies there, built of these sources, is taken."""
    monkeypatch.setenv("TRACER_KMOD_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(build, "_make", lambda kver, sources, to: (to / "msgchan.ko").touch())
    assert build.build(HEADERS[-1]) == tmp_path / "build" / "msgchan.ko"
    assert not (build_in / "tracer").exists()


def test_build_that_fails_tells_the_first_error(
    build_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(source_dir("kmod"), sources)
    (sources / "main.c").write_text("#error broken on purpose\n")  # compiled first
    monkeypatch.setattr(build, "source_dir", lambda name: sources)
    with pytest.raises(TracerError, match=r"#error broken on purpose; read .*build\.log"):
        build.build(HEADERS[-1])


@pytest.mark.parametrize(
    ("kver", "remedy"),
    [
        ("9.9.0-1-amd64", "apt install linux-headers-9.9.0-1-amd64"),
        ("9.9.9-none", "no package holds them, "),
    ],
)
def test_build_without_headers_names_the_package_if_there_is_one(
    build_in: Path, kver: str, remedy: str
) -> None:
    with pytest.raises(TracerError, match=f"its headers are not at .*/{kver}/build; {remedy}"):
        build.build(kver)


def test_sources_and_kernel_decide_where_to_build(build_in: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "main.c").write_text("one")
    first = build.build_dir("6.1", sources)
    (sources / "main.c").write_text("two")
    assert len({first, build.build_dir("6.1", sources), build.build_dir("6.2", sources)}) == 3
