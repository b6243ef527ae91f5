"""Commands about single processes, and the lists of them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable

from ..config.names import JobName, parse_job_name
from ..errors import BadRequest
from . import visibility
from .command import CHANGES, GROUP, JOB, PROCESS, SIGNAL, START, Arg, command
from .jobs import from_outside
from .schemas import BOOLEAN, PIDS, SHORT_NAME, STRING, Schema, listed, refer, returns

if TYPE_CHECKING:
    from ..manager.manager import Manager

#: How long a writer waits for a process that does not read, in seconds.
STDIN_TIMEOUT = 10.0
_LINES: Schema = {"type": ["string", "array"], "items": STRING, "examples": ["hello\n"]}
_RUNNING = Arg("running", BOOLEAN, "the pids of live processes instead", required=False)


@command(
    "pids",
    permission="read",
    target="visible",
    args=(JOB._replace(required=False),),
    returns=returns(pids=PIDS),
    show=visibility.pids,
)
def pids(manager: Manager, name: str | None = None) -> dict[str, Any]:
    """Pids of all processes, or of one job's."""
    return {"pids": manager.pids(name)}


@command(
    "processes",
    permission="read",
    target="visible",
    args=(_RUNNING,),
    returns={"anyOf": [listed(SHORT_NAME), PIDS]},
    show=visibility.processes,
)
def processes(manager: Manager, running: bool = False) -> list[Any]:
    """Short names of all jobs, or pids of all processes."""
    return manager.pids() if running else [parse_job_name(name).short for name in manager.jobs()]


@command(
    "process_info",
    permission="read",
    target="process",
    args=(PROCESS,),
    returns=refer("ProcessInfo"),
    show=visibility.settings,
)
def process_info(manager: Manager, pid: int) -> dict[str, Any]:
    """A process."""
    return manager.process_info(pid)


@command(
    "process_template",
    permission="read",
    target="process",
    args=(PROCESS,),
    returns=refer("ProcessTemplate"),
    show=visibility.settings,
)
def process_template(manager: Manager, pid: int) -> dict[str, Any]:
    """A process with all settings that it runs with."""
    process = manager.get_process(pid)
    return {**process.config.to_dict(), **process.info}


@command("stop_process", permission="manage", target="process", args=(PROCESS,))
def stop_process(manager: Manager, pid: int) -> None:
    """Stop one process; its job replaces it."""
    manager.stop_process(pid)


@command(
    "update_of_process",
    permission="manage",
    target="process",
    args=(PROCESS, CHANGES, START),
    errors=(409, 422, 503),
)
def update_of_process(manager: Manager, pid: int, config: dict[str, Any], start: bool | None = None) -> None:
    """Change the job of a process; it stays up or down as it is."""
    name: JobName = manager.get_process(pid).name
    if "name" in config and not _is_called(config["name"], name):
        raise BadRequest(f"process {pid} belongs to job '{name}', but the job is called {config['name']!r}")
    manager.update(from_outside({**config, "name": name.full}), start=start)


def _is_called(said: Any, name: JobName) -> bool:
    with suppress(BadRequest):
        return parse_job_name(said) == name
    return False


@command("kill", permission="manage", target="process", args=(PROCESS, SIGNAL, GROUP))
def kill(manager: Manager, pid: int, signal: int | str, group: bool = False) -> None:
    """Send a signal to one process."""
    manager.kill(pid, signal, group)


@command(
    "send",
    permission="write",
    target="process",
    args=(
        PROCESS,
        Arg("lines", _LINES, "text, or a list of texts; nothing is put between them"),
        Arg("stream", STRING, "a custom stream instead of stdin", required=False),
        Arg("eof", BOOLEAN, "close the stream after that", required=False),
    ),
    errors=(403, 409, 503),
    waits=True,
)
def send(
    manager: Manager,
    pid: int,
    lines: str | list[Any],
    check: Callable[[], None],
    stream: str | None = None,
    eof: bool = False,
) -> None:
    """Write to a process: stdin, or one of its custom streams."""
    parts = [lines] if isinstance(lines, str) else lines
    if not all(isinstance(part, str) for part in parts):
        raise BadRequest("lines must be text, or a list of texts")
    writer = manager.get_process(pid).writer(stream)
    data = "".join(parts).encode("utf-8", "replace")
    if data:
        writer.deliver(data, STDIN_TIMEOUT, check)
    if eof:
        writer.finish()
