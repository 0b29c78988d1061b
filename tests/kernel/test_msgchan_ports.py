# SPDX-License-Identifier: GPL-2.0-or-later
"""The port table of netlink protocol 30: who is in it, who makes room, and what is never lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgchan_raw as raw
import pytest
from msgchan_programs import compiled

pytestmark = pytest.mark.usefixtures("msgchan")

FIRST = 5_000_000
NOBODY = ("setpriv", "--reuid=65534", "--clear-groups")

COMMON = """
import subprocess
import msgchan_raw as raw
from msgchan_programs import compiled

def many(*arguments):
    command = [compiled("many_ports"), *map(str, arguments)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    answered, refused = map(int, told.split())
    return answered, refused

def sound():
    \"\"\"The table; all that was asked is in it, port id 0 included.\"\"\"
    rows = raw.port_rows()
    assert [row[0] for row in rows].count(0) == 1
    assert len({row[0] for row in rows}) == len(rows) <= raw.PORTS_MAX + 1
    serials = [row[2] for row in rows[1:]]
    assert serials == sorted(serials)
    counted = [sum(column) for column in list(zip(*rows))[3:]]
    there = raw.stats()[raw.NETLINK]
    # Refusals are answered, and their answers counted, but waits are not counted by port.
    assert counted == [*there.all()[:-1], 0], (counted, there)
    return rows
"""


def run(script: str) -> None:
    """Run it in a network namespace of its own, whose table is empty, and which ends with it."""
    subprocess.run(
        ["unshare", "-n", sys.executable, "-c", COMMON + script],
        check=True,
        cwd=Path(__file__).parent,
    )


def test_who_may_not_ask_takes_no_room() -> None:
    """5,000 port ids of a user without rights: counted together, at port id 0."""
    before = raw.ports()
    command = [*NOBODY, compiled("many_ports"), str(FIRST), "5000", "close"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert told == "0 5000\n"
    after = raw.ports()
    others = after.pop(0) - before.pop(0, raw.Counters())
    assert after == before
    assert (others.requests, others.errors, others.replies) == (5000, 5000, 5000)


def test_the_ports_that_closed_first_make_room() -> None:
    run(
        f"""
assert many(1, {raw.PORTS_MAX} + 17, "close") == ({raw.PORTS_MAX} + 17, 0)
other, *rows = sound()
assert other[2] == 17 and raw.Counters(*other[3:]).requests == 17, other
assert [row[0] for row in rows] == list(range(18, {raw.PORTS_MAX} + 18))
assert all(row[1] and raw.Counters(*row[3:]).requests == 1 for row in rows)
"""
    )


def test_an_open_port_makes_no_room() -> None:
    run(
        f"""
with raw.opened(portid={FIRST}) as sock:
    raw.ask(sock, raw.ECHO)
    assert many(1, {raw.PORTS_MAX} + 17, "close") == ({raw.PORTS_MAX} + 17, 0)
    raw.ask(sock, raw.ECHO)
    first = sound()[1]
assert first[:3] == ({FIRST}, 0, 1) and raw.Counters(*first[3:]).requests == 2
"""
    )


def test_more_ports_at_once_than_there_is_room_for() -> None:
    """The last ones are counted together; when all are closed there is room again."""
    run(
        f"""
assert many(1, {raw.PORTS_MAX} + 17, "keep") == ({raw.PORTS_MAX} + 17, 0)
other, *rows = sound()
assert other[2] == 0 and raw.Counters(*other[3:]).requests == 17, other
assert [row[0] for row in rows] == list(range(1, {raw.PORTS_MAX} + 1))
assert many({FIRST}, 1, "close") == (1, 0)
rows = sound()
assert rows[0][2] == 1 and rows[-1][0] == {FIRST}
"""
    )


def test_a_port_used_again_keeps_its_entry() -> None:
    run(
        f"""
for number in range(101):
    with raw.opened(portid={FIRST}) as sock:
        raw.ask(sock, raw.ECHO)
        _, row = sound()
        assert row[:3] == ({FIRST}, 0, 1) and raw.Counters(*row[3:]).requests == number + 1, row
    _, row = sound()
    assert row[:3] == ({FIRST}, 1, 1), row
"""
    )


def test_a_port_that_made_room_begins_anew() -> None:
    run(
        f"""
many({FIRST}, 1, "close")
many(1, {raw.PORTS_MAX}, "close")
many({FIRST}, 1, "close")
other, *rows = sound()
assert rows[-1][:3] == ({FIRST}, 1, {raw.PORTS_MAX} + 2), rows[-1]
assert raw.Counters(*rows[-1][3:]).requests == 1
assert raw.Counters(*other[3:]).requests == other[2] == 2
"""
    )


def test_a_hundred_thousand_ports() -> None:
    run('assert many(1, 100_000, "close", 4) == (100_000, 0)\nsound()\n')


def test_programs_that_use_and_close_the_same_ports_while_another_reads() -> None:
    """Numbers are bound again before the release of their sockets is announced."""
    run(
        f"""
many(1, {raw.PORTS_MAX}, "close")
command = [compiled("many_ports"), "{FIRST}", "6000", "close", "3"]
with subprocess.Popen(command) as one, subprocess.Popen(command) as two:
    readings = 0
    while one.poll() is None or two.poll() is None:
        serials = [row[2] for row in raw.port_rows()[1:]]
        assert serials == sorted(set(serials))
        readings += 1
assert one.returncode == two.returncode == 0 and readings > 0
assert sum(raw.Counters(*row[3:]).requests for row in sound()) == {raw.PORTS_MAX} + 12000
"""
    )
