"""Hooks that watch: events, output, statistics, health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from .markers import hookspec

if TYPE_CHECKING:
    from ..commands.identity import Identity
    from ..manager.manager import Manager
    from ..process.process import Process
    from ..process.sink_worker import Sink
    from ..supervisor.job import Job


@hookspec
def gaffer_event(event: dict[str, Any]) -> None:
    """[TELL] Every event, as the JSON-ready mapping of docs/events.rst.

    When: once an event, in order; ``event["event"]`` is its name.
    May: keep it; each plugin must treat it as read-only.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_event(event):
            print(event["event"], event.get("name"))
    """


@hookspec
def gaffer_open_sinks(job: Job, process: Process, label: str) -> Sink | None:
    """[COLLECT] Receive the output of a process as it is read.

    When: once a stream and process, before it is started. ``label`` is the
    job's own, or ``stdout`` and ``stderr`` for streams that are not redirected;
    those are piped instead of discarded when a sink is returned.
    May: return an object with ``write(data: bytes)`` and ``close()``; ``write``
    must not block, so it queues. While an attribute ``full`` of it is true, the
    stream is read a moment later. One that may hold the process up, as a terminal
    does, has ``attach(stream)``, called first: ``stream.pause()`` and
    ``stream.resume()`` stop and start reading. ``attach`` and ``close`` may wait;
    a sink that raises is closed, and costs the process and other sinks nothing.
    Returns: a sink, or None.
    On exception: that sink is missing; logged.

    Example::

        @gaffer.hookimpl
        def gaffer_open_sinks(job, process, label):
            return Journal(job.name.short, label)
    """


@hookspec
def gaffer_command_run(
    command: str,
    permission: str | None,
    args: dict[str, Any],
    identity: Identity | None,
    origin: str,
    error: Exception | None,
) -> None:
    """[TELL] A request or command was done, failed, or was refused.

    When: once for each command of the table and each request that a plugin's
    handler answers, whatever it came by: one that cannot be parsed, or may not be
    made, is told too, one for a feed once. Requests that only carry messages
    (``Route.carries``) are left out unless they fail, and so is a GET of what a
    handler does not find. ``command`` is the command's name, or
    the route, such as ``POST /hello``; ``permission`` what it needs; ``args`` has
    no secrets in it; ``identity`` is None for a caller without credentials,
    or a program of our own; ``origin`` is the other end's address,
    without keys with its user, ``127.0.0.1:40000 uid=1000``, or ``unix:uid=1000``; ``error`` is None if it was done.
    May: write it down; the error's sentence is a secret's best hiding place, so it is cleaned, too.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_command_run(command, identity, origin, error):
            if error is not None:
                print(f"{identity} at {origin}: {command}: {error}")
    """


@hookspec(firstresult=True)
def gaffer_sample(manager: Manager, processes: list[Process]) -> dict[int, dict[str, Any]] | None:
    """[ASK1] Measure processes: the statistics of docs/http-api.rst.

    When: statistics are requested.
    May: take a few milliseconds for hundreds of processes.
    Returns: ``{pid: statistics}``; processes that are gone are left out.
    On exception: the question fails with the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_sample(processes):
            return {process.pid: measure(process.os_pid) for process in processes}
    """


@hookspec
def gaffer_why(job: Job) -> list[str | dict[str, str]] | None:
    """[COLLECT] Say why a job is in its state, as far as you are the reason.

    When: ``gafferctl why``, ``GET /jobs/S/J/why``.
    May: look at what it keeps; nothing is changed.
    Returns: sentences, or ``{"text": sentence, "do": remedy, "job": name}``; what is known of a job that is
    named is added. None if there is nothing to say.
    On exception: its causes are missing; logged.

    Example::

        @gaffer.hookimpl
        def gaffer_why(job):
            if job.name in state:
                return [{"text": "the release is frozen", "do": "wait until Monday"}]
    """


@hookspec
def gaffer_health(manager: Manager) -> dict[str, Any] | None:
    """[COLLECT] Say how you are.

    When: ``GET /health`` and ``gafferctl health``.
    May: report counters; ``{"ok": False, "reason": "…"}`` makes the whole unhealthy.
    Returns: a mapping, shown under the plugin's name; or None.
    On exception: the plugin is shown as unhealthy with the reason.

    Example::

        @gaffer.hookimpl
        def gaffer_health(manager):
            return {"ok": queue.free(), "queued": len(queue)}
    """


@hookspec
def gaffer_job_info(job: Job) -> dict[str, Any] | None:
    """[COLLECT] Add what a plugin knows of a job to its info.

    When: ``GET /jobs/S/J``, ``gafferctl info`` and lists of jobs; for each job, so it must be quick.
    May: look at the job.
    Returns: a mapping for JSON, shown as ``plugins.NAME``, where parts of a plugin that are registered
        as ``NAME.PART`` are one; or None.
    On exception: left out and logged.

    Example::

        @gaffer.hookimpl
        def gaffer_job_info(job):
            return {"backlog": len(queue)} if job.name.short == "mailer" else None
    """


@hookspec
def gaffer_probe_kinds() -> dict[str, Callable[[str, Process, dict[str, str]], str | None]] | None:
    """[COLLECT] Bring further kinds of probes for the settings ``ready`` and ``alive``.

    When: a probe is written with a word that is not built in, and at each start of a process that has such a probe.
    May: anything quick.
    Returns: a mapping of words to functions, ``{"redis": check}`` for ``ready = redis localhost:6379``; or None. A
        function is called in a greenlet of its own, with the rest of the text, its variables replaced, the process and
        its environment. It waits with gevent only and is ended after the probe's timeout. It returns a sentence, or
        raises an exception whose text says why the process is not ready, or does not work.
    On exception: left out and logged.

    Example::

        @gaffer.hookimpl
        def gaffer_probe_kinds():
            def check(text, process, env):
                return f"answers {redis(text).ping()}"

            return {"redis": check}
    """
