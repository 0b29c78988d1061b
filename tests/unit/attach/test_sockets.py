# SPDX-License-Identifier: GPL-2.0-or-later
"""Netlink sockets of a running process, found in /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tracer.attach.sockets import bound_netlink_sockets, descriptor_of, netns_of

NETLINK_ROUTE, NETLINK_USERSOCK, NETLINK_GENERIC = 0, 2, 16


def netlink(protocol: int) -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)


def test_the_sockets_of_this_process() -> None:
    before = set(bound_netlink_sockets(os.getpid()))
    with netlink(NETLINK_ROUTE) as route, netlink(NETLINK_GENERIC) as generic:
        route.bind((0, 0))
        generic.bind((0, 0))
        found = set(bound_netlink_sockets(os.getpid())) - before
        expected = {
            (netns_of(), NETLINK_ROUTE, route.getsockname()[0], route.fileno()),
            (netns_of(), NETLINK_GENERIC, generic.getsockname()[0], generic.fileno()),
        }
    assert found == expected
    assert set(bound_netlink_sockets(os.getpid())) == before


def test_port_ids_above_31_bits() -> None:
    """A second socket gets a port id that is negative as a signed number."""
    with netlink(NETLINK_ROUTE) as first, netlink(NETLINK_ROUTE) as second:
        first.bind((0, 0))
        second.bind((0xF000_0001, 0))
        found = {socket.portid for socket in bound_netlink_sockets(os.getpid())}
        assert 0xF000_0001 in found


def test_the_sockets_of_another_process() -> None:
    program = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\n"
        "s.bind((4242, 0))\n"
        "print('bound', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with (
        netlink(NETLINK_ROUTE) as ours,
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child,
    ):
        ours.bind((4243, 0))
        assert child.stdout is not None
        assert child.stdout.readline() == b"bound\n"
        (found,) = bound_netlink_sockets(child.pid)
        assert found[:3] == (netns_of(), NETLINK_ROUTE, 4242)
        with socket.socket(fileno=descriptor_of(child.pid, found.fd)) as same:
            assert same.getsockname() == (4242, 0)
        child.communicate()


def test_a_process_that_is_gone() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert list(bound_netlink_sockets(child.pid)) == []
    with pytest.raises(ProcessLookupError):
        descriptor_of(child.pid, 0)
    with pytest.raises(OSError, match=str(child.pid)):
        netns_of(child.pid)
