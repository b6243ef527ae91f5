"""Applications on a gafferd: the ``apps`` command, and the lookup of an application's jobs and processes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable, Iterable, Sequence, TypeVar

import click

from ...config.names import JobName, parse_job_name
from ...errors import NotFound, nearest
from ...httpclient import Job, Process, Server
from ..core.output import View, state_color, view_option
from ..core.program import command
from ..operations.job_selection import ALL, is_pattern
from .context import GafferContext

APP_COLUMNS = ("NAME", "TYPES", "PROCESSES", "STATE")
if TYPE_CHECKING:
    from ...procfile.diff import Present

T = TypeVar("T")
#: A process as ``ps`` prints it, ``TYPE.PID``, and a pid alone.
_PID_PATTERN = re.compile(r"(?:.+\.)?([0-9]+)")
#: An application has the first of these states that one of its jobs has.
_STATES_BY_PRIORITY = (
    "failed",
    "flapping",
    "backoff",
    "unready",
    "stopping",
    "waiting",
    "starting",
    "running",
    "stopped",
)


class RemoteApplication:
    """The application of a context on its gafferd; the list of its jobs is requested once."""

    def __init__(self, context: GafferContext) -> None:
        self.context = context
        self.server: Server = context.server
        self._jobs: dict[str, list[JobName]] = {}

    def jobs(self, app: str | None = None) -> list[JobName]:
        """Return the jobs of an application, by default the context's own.

        :raises NotFound: it is not loaded.
        """
        session = self.context.session(app)
        if session not in self._jobs:
            self._jobs[session] = [parse_job_name(name) for name in self._of_session(self.server.jobs, session)]
        return self._jobs[session]

    def _of_session(self, ask: Callable[[str], list[T]], session: str) -> list[T]:
        try:
            return ask(session)
        except NotFound:
            near = nearest(session, self.server.sessions())
            remedy = near or "; load it with 'gaffer load', or see 'gaffer apps'"
            raise NotFound(f"gafferd at {self.server.uri} has no application '{session}'{remedy}") from None

    def infos(self, app: str | None = None) -> list[dict[str, Any]]:
        """Return everything about the jobs of an application."""
        return self._of_session(self.server.infos, self.context.session(app))

    def present(self, session: str) -> list[Present]:
        """Return the jobs that a session has; none if there is no such session."""
        try:
            infos = self.infos(session)
        except NotFound:
            return []
        from ...procfile.diff import Present

        return [
            Present(
                parse_job_name(one["name"]),
                one["config"],
                one["max_processes"],
                down="" if one["active"] else one["state"],
            )
            for one in infos
        ]

    def find(self, names: Sequence[str]) -> list[JobName]:
        """Return the jobs that *names* mean, each once: types, ``APP.TYPE``, ``APP.*``; all types if there are none.

        :raises NotFound: no such application or type.
        """
        found: dict[JobName, None] = {}
        for name in names or ["*"]:
            if name in ("*", ALL):
                found.update(dict.fromkeys(self.jobs()))
            elif is_pattern(name):
                found.update(dict.fromkeys(self.jobs(name[:-2])))
            else:
                found[self._type(name)] = None
        return list(found)

    def _type(self, name: str) -> JobName:
        job = parse_job_name(name, self.context.session())
        known = self.jobs(job.session)
        if job not in known:
            types = [one.job for one in known]
            near = nearest(job.job, types) or f"; it has {', '.join(types)}"
            raise NotFound(f"application '{job.session}' has no process type '{job.job}'{near}")
        return job

    def target(self, name: str) -> Job | Process:
        """Return the job or the process that an argument names: a type, ``APP.TYPE``, a pid or ``TYPE.PID``."""
        pid = self.pid(name)
        return Job(self.server, self._type(name)) if pid is None else Process(self.server, pid)

    def pid(self, name: str) -> int | None:
        """Return the pid in an argument, None if it has none."""
        match = _PID_PATTERN.fullmatch(name)
        return int(match[1]) if match else None

    def word(self, name: str) -> str:
        """Return the name that gafferctl uses for a type or process: a full name or a pid."""
        pid = self.pid(name)
        return self._type(name).full if pid is None else str(pid)


@command("apps")
@view_option
@click.pass_obj
def apps(context: GafferContext) -> View:
    """List the applications that gafferd has.

    The session 'default' is among them if it has jobs.

    Example: gaffer apps
    """
    server = context.server
    found: dict[str, list[dict[str, Any]]] = {}
    for info in server.infos():
        found.setdefault(parse_job_name(info["name"]).session, []).append(info)
    rows = [_row(name, infos) for name, infos in found.items()]
    data = [dict(zip(("name", "types", "processes", "state"), _plain(name, infos))) for name, infos in found.items()]
    return View(data, list(found), APP_COLUMNS, rows, {"STATE": state_color})


def _plain(name: str, infos: list[dict[str, Any]]) -> tuple[Any, ...]:
    types = [parse_job_name(info["name"]).job for info in infos]
    return name, types, sum(info["running"] for info in infos), _state(info["state"] for info in infos)


def _row(name: str, infos: list[dict[str, Any]]) -> tuple[object, ...]:
    _, types, processes, state = _plain(name, infos)
    return name, ", ".join(types), f"{processes}/{sum(info['max_processes'] for info in infos)}", state


def _state(states: Iterable[str]) -> str:
    return min(states, key=_STATES_BY_PRIORITY.index)
