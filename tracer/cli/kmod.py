# SPDX-License-Identifier: GPL-2.0-or-later
"""``tracer kmod``: build, load, unload or inspect the module msgchan."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tracer.cli.progress import step
from tracer.module import kmod
from tracer.module.build import NAME
from tracer.module.build import build as build_module


@click.group(name="kmod")
def command() -> None:
    """Build, load, unload or inspect the module msgchan.

    \b
    Example:
      tracer kmod build
      sudo .venv/bin/tracer kmod load --sockopt-base 128
      tracer kmod status --json
      sudo .venv/bin/tracer kmod unload
    """


@command.command()
@click.option("--kernel", metavar="VERSION", help="Kernel to build for; default: the running one.")
def build(kernel: str | None) -> None:
    """Build the module and print where it is.

    \b
    Example:
      tracer kmod build --kernel 6.1.0-56-amd64
    """
    click.echo(build_module(kernel, step))


@command.command()
@click.argument("module", required=False, type=click.Path(path_type=Path))
@click.option("--sockopt-base", type=int, help="First of two socket options; default: 10128.")
@click.option("--netlink-proto", type=int, help="Netlink protocol of requests; default: 30.")
@click.option("--icmp-proto", type=int, help="Netlink protocol of the notifier; default: 31.")
def load(
    module: Path | None,
    sockopt_base: int | None,
    netlink_proto: int | None,
    icmp_proto: int | None,
) -> None:
    """Load the module from the file MODULE, or build it from these sources and load that.

    \b
    Example:
      sudo .venv/bin/tracer kmod load --sockopt-base 128
    """
    given = {
        "sockopt_base": sockopt_base,
        "netlink_proto": netlink_proto,
        "icmp_proto": icmp_proto,
    }
    parameters = {name: value for name, value in given.items() if value is not None}
    new = kmod.load(module, step, **parameters)
    click.echo(f"{NAME} is loaded" + ("" if new else " already"))


@command.command()
def unload() -> None:
    """Unload the module.

    \b
    Example:
      sudo .venv/bin/tracer kmod unload
    """
    click.echo(f"{NAME} is unloaded" if kmod.unload() else f"{NAME} was not loaded")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(as_json: bool) -> None:
    """Tell whether the module is loaded, with which parameters, and who holds it.

    \b
    Example:
      tracer kmod status --json
    """
    now = kmod.status()
    click.echo(json.dumps(now.as_dict(), indent=2) if as_json else describe(now))


def describe(now: kmod.ModuleStatus) -> str:
    """The status as text, one line per fact."""
    lines = [f"kernel      {now.kernel}", f"built       {now.path or 'no'}"]
    if now.fits is False:
        lines.append("            does not fit this kernel")
    lines.append(f"loaded      {'yes' if now.loaded else 'no'}")
    if now.loaded:
        lines += [
            f"srcversion  {now.srcversion or '?'}",
            f"build id    {now.build_id or '?'}",
            f"references  {now.refcount}",
        ]
        lines += [f"parameter   {name}={value}" for name, value in now.parameters.items()]
        lines += [f"holder      {holder}" for holder in now.holders]
    return "\n".join(lines)
