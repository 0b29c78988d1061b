# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading and unloading: again and again, under fire, and refused with a reason."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgchan_raw as raw
import pytest
from msgchan_programs import compiled

from tracer.errors import TracerError
from tracer.module import kmod

ROUNDS = 100


@pytest.fixture(autouse=True)
def module(msgchan: Path) -> Iterator[Path]:
    """The module's file; whatever the test did, it is loaded as before afterwards."""
    yield msgchan
    for name in ("ebtable_filter", "ebtables"):
        subprocess.run(["modprobe", "-q", "-r", name], check=False)
    kmod.unload()
    kmod.load(msgchan)


@pytest.fixture
def expedited() -> Iterator[None]:
    """RCU's grace periods expedited: a load and unload waits for several of them."""
    switch = Path("/sys/kernel/rcu_expedited")
    switch.write_text("1")
    yield
    switch.write_text("0")


@pytest.mark.usefixtures("expedited")
def test_load_and_unload_100_times(module: Path) -> None:
    for _ in range(ROUNDS):
        assert kmod.unload()
        assert kmod.load(module)
    assert raw.stats() == [raw.Counters()] * 4


def _await_a_user() -> None:
    """Until somebody holds the module, so that the next unload meets him; not for long."""
    references = Path("/sys/module/msgchan/refcnt")
    give_up = time.monotonic() + 0.2
    while references.read_text() == "0\n" and time.monotonic() < give_up:
        os.sched_yield()


@pytest.mark.usefixtures("expedited")
def test_unload_100_times_against_threads_that_open_send_and_close(
    module: Path,
) -> None:
    unloads = refused = 0
    with subprocess.Popen(
        [compiled("open_send_close")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as threads:
        deadline = time.monotonic() + 400  # a second a round where the machine is busy
        while unloads < ROUNDS and time.monotonic() < deadline:
            if raw.libc.delete_module(b"msgchan", os.O_NONBLOCK):
                refused += 1
                os.sched_yield()
                continue
            unloads += 1
            kmod.load(module)
            _await_a_user()
        answered = [int(n) for n in threads.communicate("")[0].split()]
    print(f"{unloads} unloads, {refused} refused, answered: {answered}")
    assert unloads == ROUNDS
    assert min(answered) > 0
    assert refused > 0


def test_unload_names_the_holders() -> None:
    with raw.opened() as sock:
        with pytest.raises(TracerError) as caught:
            kmod.unload()
        fd = sock.fileno()
    comm = Path("/proc/self/comm").read_text().strip()
    assert f"{comm}[{os.getpid()}] (fd {fd}, netlink protocol 30)" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert kmod.unload()
    assert not kmod.unload()


HOLD = """
import msgchan_raw as raw
sock = raw.opened(raw.ICMP_PROTO)
print("ready", flush=True)
input()
"""


def test_unload_names_holders_in_other_network_namespaces() -> None:
    with subprocess.Popen(
        ["unshare", "-n", sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(TracerError) as caught:
            kmod.unload()
        found = kmod.status().holders
        other.communicate("\n")
    assert f"[{other.pid}]" in str(caught.value)
    assert [(h.pid, h.what) for h in found] == [(other.pid, "netlink protocol 31")]


def test_a_socket_of_another_namespace_without_process_is_found() -> None:
    """Opened there by one who came back: only the namespace's own table has it."""
    subprocess.run(["ip", "netns", "add", "msgchan-test"], check=True)
    script = (
        "import os\nimport msgchan_raw as raw\n"
        "there, home = (os.open(p, 0) for p in ('/run/netns/msgchan-test', '/proc/self/ns/net'))\n"
        "raw.libc.setns(there, 0)\nsock = raw.opened()\nraw.libc.setns(home, 0)\n"
        "print('ready', flush=True)\ninput()"
    )
    try:
        with subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            found = kmod.status().holders
            other.communicate("\n")
        assert [(h.pid, h.what) for h in found] == [(other.pid, "netlink protocol 30")]
    finally:
        subprocess.run(["ip", "netns", "delete", "msgchan-test"], check=True)


def test_loading_the_same_again_is_no_error(module: Path) -> None:
    assert not kmod.load(module)
    assert not kmod.load(module, sockopt_base=10128)


def test_loading_with_other_parameters_is_refused(module: Path) -> None:
    with pytest.raises(TracerError, match="loaded with sockopt_base=10128, not 128; run 'tracer"):
        kmod.load(module, sockopt_base=128)


def test_loading_another_build_is_refused(module: Path, tmp_path: Path) -> None:
    image = module.read_bytes()
    info = kmod.module_info(image)
    other = tmp_path / "msgchan.ko"
    fake = b"srcversion=" + b"0" * len(info["srcversion"])
    other.write_bytes(image.replace(b"srcversion=" + info["srcversion"].encode(), fake))
    with pytest.raises(TracerError, match="another build of it is loaded"):
        kmod.load(other)


def test_a_module_for_another_kernel_is_refused(module: Path, tmp_path: Path) -> None:
    kernel = os.uname().release
    other = tmp_path / "msgchan.ko"
    other.write_bytes(module.read_bytes().replace(f"vermagic={kernel}".encode(), b"vermagic=9.9"))
    kmod.unload()
    with pytest.raises(TracerError, match=f"built for kernel 9.9.*, and this is {kernel}"):
        kmod.load(other)


def test_a_module_that_the_kernel_does_not_take(module: Path, tmp_path: Path) -> None:
    """The right release, but other options: the kernel's own check refuses it."""
    other = tmp_path / "msgchan.ko"
    other.write_bytes(module.read_bytes().replace(b"mod_unload", b"mod_UNLOAD"))
    kmod.unload()
    with pytest.raises(TracerError, match="the running kernel does not take it"):
        kmod.load(other)


def test_ebtables_and_128_exclude_each_other(module: Path) -> None:
    kmod.unload()
    kmod.load(module, sockopt_base=128)
    assert subprocess.run(["modprobe", "-q", "ebtables"], check=False).returncode != 0
    kmod.unload()
    subprocess.run(["modprobe", "ebtables"], check=True)
    with pytest.raises(TracerError, match="options 128 and 129 belong to ebtables"):
        kmod.load(module, sockopt_base=128)
    assert kmod.load(module)


@pytest.mark.parametrize(
    ("name", "protocol"), [("netlink_proto", 2), ("netlink_proto", 16), ("icmp_proto", 0)]
)
def test_a_taken_protocol_is_named(module: Path, name: str, protocol: int) -> None:
    kmod.unload()
    with pytest.raises(TracerError, match=rf"netlink protocol {protocol} \({name}\) is taken"):
        kmod.load(module, **{name: protocol})


@pytest.mark.parametrize(
    "parameters",
    [
        {"sockopt_base": 0},
        {"sockopt_base": 127},
        {"sockopt_base": 1023},
        {"sockopt_base": 2**31 - 1},
        {"netlink_proto": 32},
        {"icmp_proto": 30},
    ],
)
def test_a_parameter_out_of_range_is_refused(module: Path, parameters: dict[str, int]) -> None:
    kmod.unload()
    with pytest.raises(TracerError, match="a parameter is out of range"):
        kmod.load(module, **parameters)


def test_other_parameters_are_used(module: Path) -> None:
    kmod.unload()
    kmod.load(module, sockopt_base=20000, netlink_proto=28, icmp_proto=29, relay_tgid="1,2")
    with raw.opened(28) as sock:
        assert raw.ask(sock, raw.ECHO, b"x", reply_size=1) == b"x"
    with raw.opened(29), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        assert len(raw.getsockopt(udp, 20000, b"", 64)) == 24
    assert kmod.status().parameters["relay_tgid"] == "1,2"
    with pytest.raises(OSError, match="Protocol not supported"):
        raw.opened()


def test_unload_with_a_tracepoint_enabled() -> None:
    """tracefs does not hold the module: its probe goes with it, the relay's too."""
    for name in ("request_received", "copy_to_user"):
        (Path("/sys/kernel/tracing/events/msgchan") / name / "enable").write_text("1")
    assert kmod.unload()
    assert "_copy_to_user" not in Path("/sys/kernel/debug/kprobes/list").read_text()


def test_status(module: Path) -> None:
    now = kmod.status()
    assert now.loaded
    assert now.refcount == 0
    assert now.holders == []
    assert now.parameters == {**kmod.DEFAULTS, "relay_tgid": "", "relay_missed": "0"}
    assert now.build_id is not None
    assert len(now.build_id) == 40
    assert now.srcversion == kmod.module_info(module.read_bytes())["srcversion"]


def test_modinfo_documents_the_parameters(module: Path) -> None:
    told = subprocess.run(["modinfo", module], stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in (*kmod.PARAMETERS, "relay_missed"):
        assert f"{name}:" in told
    assert "license:        GPL" in told
