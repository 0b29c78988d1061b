# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tracer import resources
from tracer.errors import TracerError

ROOT = Path(__file__).parents[2]


def test_a_checkout_serves_its_own_sources() -> None:
    assert resources.project_root() == ROOT
    assert resources.source_dir("kmod") == ROOT / "kmod"
    assert resources.source_dir("bpf") == ROOT / "bpf"


def test_unknown_sources_are_refused() -> None:
    with pytest.raises(TracerError, match="cannot find the sources of docs"):
        resources.source_dir("docs")


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    assert resources.cache_dir("bpf") == Path("/var/caches/tracer/bpf")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert resources.cache_dir("bpf") == Path("/home/someone/.cache/tracer/bpf")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``pip install .`` would put into site-packages."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    build += ["--no-build-isolation", "--wheel-dir", str(place), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(place / "site-packages")
    return place / "site-packages"


@pytest.mark.parametrize("name", ["kmod", "bpf"])
def test_an_installation_brings_the_sources_along(installed: Path, name: str) -> None:
    ask = f"from tracer.resources import source_dir; print(source_dir({name!r}))"
    found = subprocess.run(
        [sys.executable, "-c", ask],
        env={"PYTHONPATH": str(installed)},
        cwd=installed.parent,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert Path(found) == installed / "tracer/_sources" / name
    tracked = {path.name for path in (ROOT / name).iterdir() if path.suffix in (".c", ".h")}
    assert tracked <= {path.name for path in Path(found).iterdir()}
    assert not [path for path in Path(found).rglob("*") if path.suffix in (".o", ".ko")]


def test_compiled_code_is_kept_where_the_lab_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    monkeypatch.delenv("TRACER_COMPILED", raising=False)
    assert resources.compiled_dir("bpf") == Path("/var/caches/tracer/bpf")
    monkeypatch.setenv("TRACER_COMPILED", "/shared/compiled")
    assert resources.compiled_dir("bpf") == Path("/shared/compiled/bpf")
    assert resources.cache_dir("kmod") == Path("/var/caches/tracer/kmod")
