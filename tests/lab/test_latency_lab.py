# SPDX-License-Identifier: GPL-2.0-or-later
"""The example project's latency tests in a virtual machine: one boot."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tracer.lab.kernels import choose

pytestmark = pytest.mark.lab

EXAMPLES = Path(__file__).parents[2] / "examples"
SLOWER = """

def test_slower(latency: Latency) -> None:
    with latency.trace() as run, MsgchanSocket() as socket:
        for token in range(1, COUNT + 1):
            socket.request(
                Op.ECHO, PAYLOAD, token=token, reply_size=64, handler_delay_ns=50_000
            )
    latency.check(run, baseline="netlink-echo", type="msgchan echo")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy with a test that is slower than its baseline, outside of the tracer's tree."""
    copy = shutil.copytree(EXAMPLES, tmp_path / "project")
    with (copy / "tests" / "test_latency.py").open("a") as file:
        file.write(SLOWER)
    for baseline in (copy / "tests" / "baselines").glob("*.json"):
        # Debian's point releases change the kernel's name before they change its paths.
        text = re.sub(r'("kernel": ")\S+', rf"\g<1>{choose(None)}", baseline.read_text())
        baseline.write_text(text)
    return copy


def test_the_example_passes_and_a_slower_handler_is_named(project: Path) -> None:
    arguments = [
        "--latency-lab",
        "--latency-lab-timeout=1200",
        "--latency-report=latency.json",
        "--junitxml=junit.xml",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1300,
        check=False,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "1 failed, 2 passed" in said
    assert "slower: netlink, msgchan echo: handler +50," in said
    checks = json.loads((project / "latency.json").read_text())["checks"]
    found = {(c["nodeid"].rpartition("::")[2], c["baseline"]): c["verdict"] for c in checks}
    assert found == {
        ("test_netlink_echo", "netlink-echo"): "same",
        ("test_socket_options", "set"): "same",
        ("test_socket_options", "get"): "same",
        ("test_slower", "netlink-echo"): "slower",
    }
    (moved,) = checks[-1]["comparison"]["moved"]
    assert moved["stage"] == "handler"
    assert moved["change_ns"] == pytest.approx(50_000, rel=0.02)
    assert all((Path(path) / "meta.json").exists() for c in checks for path in c["recordings"])
    (failure,) = ElementTree.parse(project / "junit.xml").iter("failure")
    assert failure.attrib["message"].startswith("slower: netlink, msgchan echo: handler")
