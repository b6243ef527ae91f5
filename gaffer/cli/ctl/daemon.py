"""Commands about gafferd itself."""

from __future__ import annotations

import time
from typing import Any, Iterable, Iterator, Mapping

import click

from ...config.names import parse_job_name
from ...httpclient import Server
from ...service.exit_codes import FAILED
from ..core.output import View, cell, details_lines, duration, print_lines, view_option
from ..core.program import Failed, command, no_wait_option, timeout_option

PLUGIN_COLUMNS = ("NAME", "VERSION", "STATE", "ORIGIN", "KIND", "HOOKS")
STRAY_COLUMNS = ("OS PID", "PID", "JOB")
#: Seconds between two looks whether gafferd still answers.
PING_INTERVAL = 0.05


@command("ping")
@click.pass_obj
def ping(server: Server) -> None:
    """Print OK if gafferd answers.

    Example: gafferctl ping
    """
    print_lines([server.transport.request("GET", "/ping").text.strip()])


@command("version")
@view_option
@click.pass_obj
def version(server: Server) -> View:
    """Print gafferd's version.

    Example: gafferctl version
    """
    found = server.version()
    return View({"version": found}, [found], text=[found])


@command("plugins")
@view_option
@click.pass_obj
def plugins(server: Server) -> View:
    """List gafferd's plugins.

    Example: gafferctl plugins
    """
    found = server.plugins()
    rows = [
        (one["name"], one.get("version"), one.get("state"), one.get("origin"), one.get("kind"), len(one["hooks"]))
        for one in found
    ]
    return View(found, [one["name"] for one in found], PLUGIN_COLUMNS, rows)


@command("health")
@view_option
@click.pass_obj
def health(server: Server) -> View:
    """Show whether gafferd and its plugins are well.

    The exit code is 1 if not.

    Example: gafferctl health -o json
    """
    found = server.health()
    text = [*details_lines(_health_details(found))]
    return View(found, _short(found["troubled"]), text=text, exit_code=0 if found["ok"] else FAILED)


@command("strays")
@click.option("--kill", is_flag=True, help="Send KILL to them.")
@view_option
@click.pass_obj
def strays(server: Server, kill: bool) -> View:
    """List descendants of processes that have exited.

    gafferd ends them with the process that they descend from, so there should be none.

    Example: gafferctl strays --kill
    """
    found = server.strays(kill)
    rows = [(one["os_pid"], one["pid"], one["job"]) for one in found]
    return View(found, [str(one["os_pid"]) for one in found], STRAY_COLUMNS, rows)


def _health_details(found: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in found.items():
        if key == "plugins":
            continue
        yield key, duration(value) if key == "uptime" else " ".join(_short(value)) if key == "troubled" else value
    for plugin, report in found["plugins"].items():
        words = (f"{key} {cell(value)}" for key, value in report.items() if value not in (None, [], {}))
        yield f"plugin {plugin}", ", ".join(words)


@command("reload-config")
@click.option("--force", is_flag=True, help="Also if that unloads more than half of the jobs.")
@view_option
@click.pass_obj
def reload_config(server: Server, force: bool) -> View:
    """Make gafferd read its configuration again.

    Only what changed is touched; a configuration with problems changes nothing.
    Changed options that take effect only when gafferd is started again are named.

    Example: gafferctl reload-config
    """
    found = server.reload_config(force)
    late = found.pop("needs_restart", [])
    changes = {kind: _short(names) for kind, names in found.items() if isinstance(names, list)}
    names = [name for kind, names in changes.items() if kind != "unchanged" for name in names]
    text = [*details_lines((kind, " ".join(names)) for kind, names in changes.items())]
    if late:
        text.append(f"{', '.join(late)}: takes effect when gafferd is started again")
    return View({**changes, "needs_restart": late}, names, text=text)


def _short(names: Iterable[str]) -> list[str]:
    return [parse_job_name(name).short for name in names]


@command("shutdown")
@view_option
@no_wait_option
@timeout_option("How long to wait; by default until it is done.")
@click.pass_obj
def shutdown(server: Server, no_wait: bool, timeout: float | None) -> View:
    """Stop all jobs and end gafferd; wait for its end.

    Example: gafferctl shutdown --timeout 60
    """
    server.shutdown()
    if no_wait:
        return _shutdown_view("shutdown requested")
    deadline = None if timeout is None else time.monotonic() + timeout
    while server.ping():
        if deadline is not None and time.monotonic() >= deadline:
            raise Failed(f"gafferd at {server.uri} still answers after {timeout:g} s; it goes on stopping")
        time.sleep(PING_INTERVAL)
    return _shutdown_view("stopped")


def _shutdown_view(text: str) -> View:
    return View([{"name": "gafferd", "ok": True, "text": text}], ["gafferd"], text=[f"gafferd: {text}"])
