"""``gafferctl graph`` and ``gafferctl blame``. Imports nothing of the server's half."""

from __future__ import annotations

from typing import Any, Iterator

import click

from gaffer.api.cli import Program, View, command, output_option, print_lines, show

BLAME_COLUMNS = ("TOTAL", "WAITED", "STARTING", "NAME", "STATE", "WAITED FOR")


def gaffer_cli(cli: Program) -> None:
    """Add the commands; called through the entry point group ``gaffer.cli``."""
    cli.add_command(graph)
    cli.add_command(blame)


@command("graph")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "mermaid", "json"]),
    default="text",
    show_default=True,
    help="A tree, a diagram for documents, or JSON.",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.pass_obj
def graph(server: Any, output: str, names: tuple[str, ...]) -> None:
    """Show what each job depends on, with states.

    Below each job is what it depends on. A condition that does not hold is marked with '!'. With NAME only these jobs
    are shown, and what they depend on.

    Example: gafferctl graph -o mermaid
    """
    jobs = {job["name"]: job for job in server.transport.object("GET", "/graph")["jobs"]}
    roots = [_named(jobs, name) for name in names] or _roots(jobs)
    if output == "json":
        wanted = _reachable(jobs, roots) if names else list(jobs)
        show(View([jobs[name] for name in wanted], wanted), "json")
    elif output == "mermaid":
        print_lines(_mermaid(jobs, _reachable(jobs, roots)))
    else:
        print_lines(_tree(jobs, roots))


def _named(jobs: dict[str, Any], name: str) -> str:
    full = name.replace(":", ".").replace("/", ".")
    full = full if "." in full else f"default.{full}"
    if full not in jobs:
        from gaffer.api import NotFound, nearest

        raise NotFound(f"no job '{name}'{nearest(name, [_short(one) for one in jobs])}")
    return full


def _short(name: str) -> str:
    return name.removeprefix("default.")


def _roots(jobs: dict[str, Any]) -> list[str]:
    """Return the jobs that no other depends on, those that depend on others first."""
    needed = {need["name"] for job in jobs.values() for need in job["depends_on"]}
    return sorted((name for name in jobs if name not in needed), key=lambda name: not jobs[name]["depends_on"])


def _reachable(jobs: dict[str, Any], roots: list[str]) -> list[str]:
    found: dict[str, None] = {}
    left = roots[::-1]
    while left:
        name = left.pop()
        if name in jobs and name not in found:
            found[name] = None
            left += [need["name"] for need in reversed(jobs[name]["depends_on"])]
    return list(found)


def _tree(jobs: dict[str, Any], roots: list[str]) -> Iterator[str]:
    """Yield the lines of a tree; what is below a job is shown once."""
    shown: set[str] = set()
    # Not recursive: a chain of jobs may be longer than Python's stack.
    left: list[tuple[str, str, str, str]] = [("", "", name, "") for name in reversed(roots)]
    while left:
        before, branch, name, mark = left.pop()
        job = jobs.get(name)
        needs = job["depends_on"] if job else []
        again = name in shown and bool(needs)
        yield f"{before}{branch}{mark or _short(name)}  {_state(job)}{' (see above)' if again else ''}".rstrip()
        if again:
            continue
        shown.add(name)
        indent = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for place, need in reversed(list(enumerate(needs))):
            told = f"{_short(need['name'])}:{need['condition']}{'' if need['holds'] else ' !'}"
            left.append((indent, "└─ " if place == len(needs) - 1 else "├─ ", need["name"], told))


def _state(job: dict[str, Any] | None) -> str:
    if job is None:
        return "not loaded"
    many = f" {job['ready']}/{job['max_processes']} ready" if job["max_processes"] != 1 else ""
    return f"{job['state']}{many}"


def _mermaid(jobs: dict[str, Any], names: list[str]) -> Iterator[str]:
    yield "flowchart LR"
    ids = {name: f"n{number}" for number, name in enumerate(names)}
    for name in names:
        yield f'    {ids[name]}["{_short(name)}: {_state(jobs[name])}"]'
    for name in names:
        for need in jobs[name]["depends_on"]:
            line = "-->" if need["holds"] else "-.->"
            if need["name"] in ids:
                yield f"    {ids[name]} {line}|{need['condition']}| {ids[need['name']]}"


@command("blame")
@output_option
@click.pass_obj
def blame(server: Any, output: str) -> None:
    """Show what the latest starts waited for.

    The slowest is the first. TOTAL is from the request until the job was ready, or had completed. Below is the chain
    that made the last job wait: each waited longest for the one below it.

    Example: gafferctl blame
    """
    found = server.transport.object("GET", "/blame")
    rows = [_blame_row(job) for job in found["jobs"]]
    names = [job["name"] for job in found["jobs"]]
    show(View(found, names, BLAME_COLUMNS, rows, text=list(_chain(found["chain"]))), output)


def _blame_row(job: dict[str, Any]) -> tuple[object, ...]:
    waits = [f"{wait['for']} {_seconds(wait['seconds'])}{'' if wait['over'] else ' so far'}" for wait in job["waits"]]
    times = [_seconds(job[key]) for key in ("total", "waited", "starting")]
    return (*times, _short(job["name"]), job["state"], ", ".join(waits) or None)


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}s" if value < 10 else f"{value:.1f}s"


def _chain(chain: list[dict[str, Any]]) -> Iterator[str]:
    if len(chain) < 2:
        return
    yield ""
    yield "The last one waited for:"
    for depth, link in enumerate(chain):
        branch = f"{'   ' * (depth - 1)}└─ " if depth else ""
        condition = f" ({link['for']})" if link["for"] else ""
        total = _seconds(link["total"])
        yield f"{branch}{_short(link['name'])}{condition}  {'after ' + total if total else 'not yet'}"
