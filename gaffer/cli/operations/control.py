"""Start, stop, restart and reload jobs: request each, wait for the results and print them."""

from __future__ import annotations

from typing import Callable, Iterable, NamedTuple, TypeVar

import click

from ...config.names import JobName
from ...errors import GafferError
from ...httpclient import Job, Server
from ..core.output import print_lines
from ..core.program import FAILED, UNREACHABLE, complain, exit_code, timeout_option
from .wait import Info, Judge, Looks, default_timeout, has_started, has_stopped, watch

T = TypeVar("T")

control_timeout_option = timeout_option(
    "How long to wait; by default 30 plus the longest graceful_timeout and min_uptime of the jobs."
)


class Operation(NamedTuple):
    """An operation on a job, and the test of its result.

    :param request: asks gafferd for it.
    :param judge: makes the judge of the result from the job's info before.
    """

    name: str
    request: Callable[[Job], None]
    judge: Callable[[Info], Judge]


START = Operation("start", Job.start, lambda info: has_started())
STOP = Operation("stop", Job.stop, lambda info: has_stopped)
RESTART = Operation("restart", Job.restart, lambda info: has_started(info["processes"]))
RELOAD = Operation("reload", Job.reload, lambda info: has_started(info["processes"]))


def control(
    ctx: click.Context,
    server: Server,
    jobs: Iterable[JobName],
    operation: Operation,
    no_wait: bool,
    timeout: float | None,
    label: Callable[[JobName], str] = str,
) -> None:
    """Carry out *operation* on each job and end the command with its exit code.

    A refused job does not keep the others, and the accepted ones are waited for whatever happens to the rest.

    :param timeout: seconds to wait for all of them; None grants what the jobs' settings need.
    :param label: returns the name that a job is printed with.
    :raises CannotConnect: gafferd does not answer.
    """
    infos: dict[JobName, Info] = {}
    names = list(jobs)
    # Before a restart only what is known just then says which processes have to go.
    known = {} if operation in (RESTART, RELOAD) else dict(Looks(server).at(names)) if len(names) > 1 else {}

    def request(name: JobName) -> None:
        info = known.get(name) or server.info(name)
        operation.request(Job(server, name))
        infos[name] = info

    def print_requested() -> None:
        print_lines(f"{label(name)}: {operation.name} requested" for name in infos)

    try:
        code = for_each(ctx, request, names)
    except GafferError:
        print_requested()
        raise
    if no_wait:
        print_requested()
        ctx.exit(code)
    longest = max(map(default_timeout, infos.values()), default=0.0)
    judges = {name: operation.judge(info) for name, info in infos.items()}
    good = wait_for(ctx, server, judges, longest if timeout is None else timeout, label)
    ctx.exit(code or (0 if good else FAILED))


def for_each(ctx: click.Context, act: Callable[[T], None], targets: Iterable[T]) -> int:
    """Call *act* for each target and return the exit code; the reason of a refusal goes to stderr.

    A refusal that concerns one target does not keep the others. One that would meet them too,
    such as a key that is not valid, ends the loop.

    :raises CannotConnect: gafferd does not answer.
    """
    code = 0
    for target in targets:
        try:
            act(target)
        except GafferError as error:
            code = exit_code(error)
            if code == UNREACHABLE:
                raise
            complain(ctx.find_root().info_name, str(error))
            if code != FAILED:
                break
    return code


def wait_for(
    ctx: click.Context,
    server: Server,
    judges: dict[JobName, Judge],
    timeout: float | None,
    label: Callable[[JobName], str] = str,
    quiet: bool = False,
) -> bool:
    """Wait for all jobs and return whether all ended well.

    Each is printed as soon as it has ended, failures on stderr.

    :param timeout: seconds; None waits for ever.
    :param quiet: print failures only.
    """
    good = True
    for name, outcome in watch(server, judges, timeout):
        sentence = f"{label(name)}: {outcome.text}"
        if not outcome.good:
            complain(ctx.find_root().info_name, sentence)
            good = False
        elif not quiet:
            print_lines([sentence])
    return good
