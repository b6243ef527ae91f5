"""Start, stop, restart and reload jobs: request each, wait for the results and print them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence, TypeVar

import click

from ...config.names import JobName, parse_job_name
from ...config.stop_order import stop_groups
from ...errors import GafferError, NotFound
from ...httpclient import Job, Server
from ...service.exit_codes import FAILED, UNREACHABLE
from ...service.status_line import StatusLine, waiting_text
from ..core.output import Output, View, chosen_form, current, print_lines, printable, show
from ..core.program import complain, exit_code, timeout_option
from .job_selection import find_info
from .wait import Info, Judge, Looks, Outcome, default_timeout, has_gone, has_started, has_stopped, watch

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
ROLLING_RESTART = Operation(
    "restart", lambda job: job.restart(rolling=True), lambda info: has_started(info["processes"])
)
RELOAD = Operation(
    "reload",
    Job.reload,
    lambda info: has_started(() if info["config"].get("reload_signal") else info["processes"]),
)


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

    Jobs of several priorities, and those that depend on each other, stop as gafferd stops them when it ends: those of
    one group are told when those that started after them have ended. A restart of such jobs stops all that way, and
    starts them then, the lowest number first.
    A refused job does not keep the others, and the accepted ones are waited for whatever happens to the rest.

    :param timeout: seconds to wait for all of them; None grants what the jobs' settings need.
    :param label: returns the name that a job is printed with.
    :raises CannotConnect: gafferd does not answer.
    """
    names = list(jobs)
    looks = dict(Looks(server).at(names)) if len(names) > 1 else {}
    stages = _stages(server, names, looks)
    names = [name for stage in reversed(stages) for name in stage]
    run = _Run(ctx, server, no_wait, timeout, label)
    if len(stages) == 1 or no_wait or operation in (START, RELOAD, ROLLING_RESTART):
        # Before a restart only what is known just then says which processes have to go.
        run.stage(names, operation, {} if operation in (RESTART, RELOAD, ROLLING_RESTART) else looks)
    elif operation is STOP:
        for stage in stages:
            run.stage(stage, STOP, looks)
    else:
        for stage in stages:
            run.stage(stage, STOP, looks, quiet=True)
        run.stage([name for name in names if name not in run.refused], START, {})
    show_results(ctx)
    ctx.exit(run.code)


def _stages(server: Server, names: Sequence[JobName], looks: Mapping[JobName, Info | None]) -> list[list[JobName]]:
    """Return jobs, the first to be stopped first, in the groups that stop together."""
    if len(names) < 2:
        return [list(names)]
    try:
        groups = [{parse_job_name(name) for name in group} for group in server.stop_order()]
    except NotFound:  # gaffer 0.5
        priorities = {name: info["config"].get("priority") for name, info in looks.items() if info is not None}
        return stop_groups(names[::-1], priorities.get, lambda name: name)
    stages = [[name for name in names if name in group] for group in groups]
    unknown = set(names).difference(*groups)
    return [[name for name in names if name in unknown], *stages] if unknown else [stage for stage in stages if stage]


class _Run:
    """Requests for jobs, one stage after the other, and the exit code that they make."""

    def __init__(
        self,
        ctx: click.Context,
        server: Server,
        no_wait: bool,
        timeout: float | None,
        label: Callable[[JobName], str],
    ) -> None:
        self.code = 0
        #: Jobs that could not be asked.
        self.refused: set[JobName] = set()
        self._ctx, self._server, self._no_wait, self._label = ctx, server, no_wait, label
        self._timeout, self._deadline = timeout, 0.0

    def stage(
        self, names: list[JobName], operation: Operation, known: Mapping[JobName, Info | None], quiet: bool = False
    ) -> None:
        """Request *operation* for each job and wait for the results.

        :param known: infos from before.
        :param quiet: print failures only.
        """
        infos: dict[JobName, Info] = {}

        def request(name: JobName) -> None:
            with _refusal_kept(self._ctx, self._label(name)):
                info = known.get(name) or find_info(self._server, name)
                operation.request(Job(self._server, name))
            infos[name] = info

        def print_requested() -> None:
            for name in infos:
                report(self._ctx, self._label(name), f"{operation.name} requested")

        try:
            code = for_each(self._ctx, request, names)
        except GafferError:
            print_requested()
            show_results(self._ctx)
            raise
        self.code = self.code or code
        self.refused.update(name for name in names if name not in infos)
        if self._no_wait:
            return print_requested()
        timeout = max(map(default_timeout, infos.values()), default=0.0)
        if self._timeout is not None:
            now = time.monotonic()
            self._deadline = self._deadline or now + self._timeout
            timeout = min(self._timeout, max(self._deadline - now, 0.0))
        judges = {name: operation.judge(info) for name, info in infos.items()}
        graces = {name: float(info["config"].get("graceful_timeout") or 0) for name, info in infos.items()}
        graces = graces if operation is not START else {}
        if not wait_for(self._ctx, self._server, judges, timeout, self._label, quiet, graces):
            self.code = self.code or FAILED


def report_starts(
    ctx: click.Context, server: Server, names: Iterable[JobName], label: Callable[[JobName], str] = str
) -> int:
    """Wait until jobs that were started by the way run well, and return the exit code.

    Only those that do not are printed, with the reason.
    """
    looks = dict(Looks(server).at(list(names)))
    timeout = max((default_timeout(info) for info in looks.values() if info), default=0.0)
    judges = {name: has_started() for name in looks}
    return 0 if wait_for(ctx, server, judges, timeout, label, quiet=True) else FAILED


def remove(
    ctx: click.Context,
    server: Server,
    names: Iterable[JobName],
    no_wait: bool,
    timeout: float | None,
    done: str,
    label: Callable[[JobName], str] = str,
) -> int:
    """Remove jobs, wait until none of their processes is left, and return the exit code.

    :param timeout: seconds to wait for all of them; None grants what the jobs' settings need.
    :param done: the word for a job that is gone.
    """
    infos: dict[JobName, Info] = {}
    names, code = list(names), 0

    def request(name: JobName) -> None:
        with _refusal_kept(ctx, label(name)):
            info = find_info(server, name)
            server.unload(name)
        infos[name] = info

    if no_wait:
        code = for_each(ctx, request, names)
        for name, info in infos.items():
            report(ctx, label(name), f"{done}{', stopping' if info['processes'] else ''}")
        show_results(ctx)
        return code
    deadline = 0.0
    looks = dict(Looks(server).at(names)) if len(names) > 1 else {}
    for stage in _stages(server, names, looks):
        infos.clear()
        code = for_each(ctx, request, stage) or code
        left = max(map(default_timeout, infos.values()), default=0.0)
        if timeout is not None:
            now = time.monotonic()
            deadline = deadline or now + timeout
            left = min(timeout, max(deadline - now, 0.0))
        judges = {name: has_gone(server, info["processes"], done) for name, info in infos.items()}
        graces = {name: float(info["config"].get("graceful_timeout") or 0) for name, info in infos.items()}
        if not wait_for(ctx, server, judges, left, label, graces=graces):
            code = code or FAILED
        if code not in (0, FAILED):
            break  # the others would be refused, too
    show_results(ctx)
    return code


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
    graces: Mapping[JobName, float] | None = None,
    all_results: bool = False,
) -> bool:
    """Wait for all jobs and return whether all ended well.

    Each is printed as soon as it has ended, failures on stderr. A terminal shows meanwhile which are waited for.

    :param timeout: seconds; None waits for ever.
    :param quiet: print failures only.
    :param all_results: with *quiet*, JSON has the others too.
    :param graces: seconds after which processes that do not end are killed.
    """
    good = True
    waiting = dict.fromkeys(judges)

    def text(seconds: float) -> str:
        return printable(waiting_text([label(name) for name in waiting], seconds, timeout, kill_time()))

    line = StatusLine(text, on=type(current.get()) is Output)  # not for one of many nodes

    def kill_time() -> float | None:
        return max((graces[name] for name in waiting if name in graces), default=None) if graces else None

    judges = {name: _with_progress(judge, label(name), line) for name, judge in judges.items()}
    for name, outcome in watch(server, judges, timeout, sleep=line.sleep):
        line.clear()
        del waiting[name]
        good = good and outcome.good
        if not (quiet and outcome.good) or (all_results and _as_json(ctx)):
            report(ctx, label(name), outcome.text, outcome.good)
    return good


def _with_progress(judge: Judge, label: str, line: StatusLine) -> Judge:
    """Return a judge that prints each step of a rolling reload on stderr, too."""
    printed = ""

    def judge_and_print(info: Info | None) -> Outcome | None:
        nonlocal printed
        roll = (info or {}).get("rolling")
        if roll is not None and roll["text"] != printed and not roll["error"]:
            printed = roll["text"]
            line.clear()
            click.echo(f"{label}: {printed}", err=True)
        return judge(info)

    return judge_and_print


#: Where results are kept in a context's ``meta`` for ``-o json``.
_RESULTS = "gaffer.results"


def _as_json(ctx: click.Context) -> bool:
    return chosen_form(ctx) == "json"


def report(ctx: click.Context, name: str, text: str, good: bool = True) -> None:
    """Print what became of a job, failures on stderr, or keep it for :func:`show_results`."""
    _keep(ctx, name, text, good)
    if not good:
        complain(ctx.find_root().info_name, f"{name}: {text}")
    elif not _as_json(ctx):
        print_lines([f"{name}: {text}"])


def _keep(ctx: click.Context, name: str, text: str, good: bool) -> None:
    if _as_json(ctx):
        ctx.meta.setdefault(_RESULTS, []).append({"name": name, "ok": good, "text": text})


@contextmanager
def _refusal_kept(ctx: click.Context, name: str) -> Iterator[None]:
    """Keep the reason for :func:`show_results` if a job is refused; :func:`for_each` prints it."""
    try:
        yield
    except GafferError as error:
        _keep(ctx, name, str(error), False)
        raise


def show_results(ctx: click.Context) -> None:
    """Print what became of each job, if JSON was asked for."""
    if _as_json(ctx):
        show(View(ctx.meta.get(_RESULTS, []), []), "json")
