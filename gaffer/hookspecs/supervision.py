"""Hooks that take part in supervision: they are asked before, and told after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Sequence

from .markers import hookspec

if TYPE_CHECKING:
    from signal import Signals

    from ..config.jobconfig import JobConfig
    from ..config.names import JobName
    from ..process.process import ExitStatus, Process
    from ..process.spawn import SpawnPlan
    from ..supervisor.job import Job
    from ..supervisor.restart_policy import Decision, History


@hookspec
def gaffer_before_load(draft: dict[str, Any], previous: JobConfig | None, origin: str) -> None:
    """[ASK] Look at, change or refuse a job before it is loaded or updated.

    When: ``draft`` holds the settings as JSON shows them; ``previous`` is the
    configuration being replaced, None for a new job; ``origin`` says who asks
    (``config``, ``api``, ``reload``).
    May: change ``draft`` in place, or ``raise gaffer.Veto("reason")``.
    Returns: nothing; the changed draft is checked again.
    On exception: the operation is refused, nothing changes.

    Example::

        @gaffer.hookimpl
        def gaffer_before_load(draft):
            draft["env"]["REGION"] = "eu"
    """


@hookspec
def gaffer_before_unload(job: Job) -> None:
    """[ASK] Look at or refuse the removal of a job.

    When: before anything of it is stopped.
    May: ``raise gaffer.Veto("reason")``.
    Returns: nothing.
    On exception: refused, the job stays as it is.

    Example::

        @gaffer.hookimpl
        def gaffer_before_unload(job):
            if job.name.short == "database":
                raise gaffer.Veto("the database stays")
    """


@hookspec(firstresult=True)
def gaffer_before_scale(job: Job, count: int) -> int | None:
    """[ASK1] Change or refuse the wanted number of processes.

    When: ``count`` is what was asked for, never below 0.
    May: ``raise gaffer.Veto("reason")``.
    Returns: the number to use instead, or None for no opinion.
    On exception: refused, the number stays.

    Example::

        @gaffer.hookimpl
        def gaffer_before_scale(job, count):
            return min(count, 16)
    """


@hookspec
def gaffer_before_commit(job: Job) -> None:
    """[ASK] Refuse an extra process of a job.

    When: a process is committed; ``job.out`` counts it already, with those that live or were asked for.
    May: ``raise gaffer.Veto("reason")``.
    Returns: nothing.
    On exception: refused, nothing is started.

    Example::

        @gaffer.hookimpl
        def gaffer_before_commit(job):
            if job.out > 4:
                raise gaffer.Veto("four at a time")
    """


@hookspec
def gaffer_job_loaded(job: Job) -> None:
    """[TELL] A job was loaded; event ``create``.

    When: after it is in the table; its first process may have started by then.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_job_loaded(job):
            print("loaded", job.name)
    """


@hookspec
def gaffer_job_updated(job: Job, previous: JobConfig) -> None:
    """[TELL] A job got a new configuration; event ``update``.

    When: after the change, while old processes may still be stopping.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_job_updated(job, previous):
            print("changed:", sorted(previous.changed(job.config)))
    """


@hookspec
def gaffer_job_unloaded(job: Job) -> None:
    """[TELL] A job was removed and all its processes are gone; event ``delete``.

    When: after the last process.
    May: forget what you knew about the job.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_job_unloaded(job):
            state.pop(job.name, None)
    """


@hookspec
def gaffer_job_started(job: Job) -> None:
    """[TELL] A job is wanted up; event ``start``.

    When: it was not wanted up before; its first process may have started by then.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_job_started(job):
            print(job.name, "starts", job.wanted, "processes")
    """


@hookspec
def gaffer_job_stopped(job: Job) -> None:
    """[TELL] A job was stopped and no process of it is left; event ``stop``.

    When: after the last process is gone.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_job_stopped(job):
            print(job.name, "is down")
    """


@hookspec
def gaffer_job_scaled(job: Job, before: int, after: int) -> None:
    """[TELL] The wanted number of processes changed.

    When: after the change; processes follow.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_job_scaled(job, before, after):
            print(job.name, before, "->", after)
    """


@hookspec
def gaffer_before_spawn(job: Job, plan: SpawnPlan) -> None:
    """[ASK] Look at, change or refuse one process before it is started.

    When: ``plan`` holds ``argv``, ``env``, ``cwd``, ``index`` of this start.
    May: change the plan in place, wait (it holds up this job only), call the
    manager, or ``raise gaffer.Veto("reason")``. ``raise gaffer.Hold("reason")`` lets the
    start wait until ``manager.release(job.name)``; ``plan.unready = "reason"`` says that
    the process is not ready until ``manager.set_ready(pid)``.
    Returns: nothing.
    On exception: counts as a failed start; the restart policy decides.

    Example::

        @gaffer.hookimpl
        def gaffer_before_spawn(job, plan):
            plan.env["TOKEN"] = vault.read(job.name.full)
    """


@hookspec
def gaffer_spawned(job: Job, process: Process) -> None:
    """[TELL] A process was started; event ``spawn``.

    When: after the system confirmed that the command was executed.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_spawned(job, process):
            print(job.name, "has", process.os_pid)
    """


@hookspec
def gaffer_process_ready(job: Job, process: Process, reason: str) -> None:
    """[TELL] A process can be used; event ``ready``.

    When: a probe succeeded, or without one the process has lived ``min_uptime``.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_process_ready(job, process):
            balancer.add(job.name, process.pid)
    """


@hookspec
def gaffer_process_unready(job: Job, process: Process, reason: str) -> None:
    """[TELL] A process that was ready cannot be used at the moment; event ``unready``.

    When: a plugin said so; a process that exits or is stopped is told by ``gaffer_exited`` alone.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_process_unready(job, process, reason):
            balancer.remove(job.name, process.pid)
    """


@hookspec
def gaffer_job_waiting(job: Job, reason: str) -> None:
    """[TELL] The start of a job waits for something; event ``waiting``.

    When: a plugin holds it with :class:`gaffer.Hold`.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_job_waiting(job, reason):
            print(job.name, "waits:", reason)
    """


@hookspec
def gaffer_spawn_failed(job: Job, index: int, error: Exception) -> None:
    """[TELL] A process could not be started; event ``spawn_failed``.

    When: the command, its directory or its user is unusable, or a plugin refused.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_spawn_failed(job, error):
            print(job.name, "cannot start:", error)
    """


@hookspec
def gaffer_signalled(job: Job, process: Process, signum: Signals | int) -> None:
    """[TELL] gaffer sent a signal to a process, for a stop or because it was asked to.

    When: after the signal was sent; ``signum`` is a plain number where Python has no name for it.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_signalled(process, signum):
            print(process.pid, "got", int(signum))
    """


@hookspec
def gaffer_exited(job: Job, process: Process, status: ExitStatus) -> None:
    """[TELL] A process exited; event ``exit``.

    When: its status was collected; ``status.code`` and ``status.signal`` tell how.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_exited(job, process, status):
            if status.code:
                mail(f"{job.name} failed with {status.code}")
    """


@hookspec
def gaffer_reaped(job: Job, process: Process, reason: str) -> None:
    """[TELL] A process and everything it left behind is gone; event ``reap``.

    When: after ``gaffer_exited``; ``reason`` is ``exit`` when it ended by
    itself, else ``stop``, ``scale``, ``restart``, ``unload`` or ``unhealthy``.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_reaped(process):
            state.pop(process.pid, None)
    """


@hookspec
def gaffer_flapping(job: Job, decision: Decision, history: History) -> None:
    """[TELL] A process dies too often and is paused; event ``flap``.

    When: the ``flapping`` rule was met.
    May: anything; it delays only its own plugin.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_flapping(job, decision):
            print(job.name, "rests:", decision)
    """


@hookspec(firstresult=True)
def gaffer_restart_decision(
    job: Job, process: Process | None, status: ExitStatus | None, history: History
) -> Decision | None:
    """[ASK1] Decide what follows a process that exited by itself or could not start.

    When: after ``exit`` or ``spawn_failed``; both ``process`` and ``status``
    are None for a failed start. Stops that gaffer caused are not asked about.
    May: wait; it holds up this copy only.
    Returns: :class:`gaffer.supervisor.restart_policy.Now`, ``After(seconds)``, ``GiveUp(reason)``
    or None for the built-in policy.
    On exception: the built-in policy decides; logged.

    Example::

        @gaffer.hookimpl
        def gaffer_restart_decision(job, status):
            if status and status.code == 78:
                return GiveUp("configuration error, EX_CONFIG")
    """


@hookspec
def gaffer_stop_order(jobs: Sequence[Job]) -> Iterable[tuple[JobName | str, JobName | str]] | None:
    """[COLLECT] Say which jobs have to end before others are stopped.

    When: several jobs are stopped: at the end of gafferd, by ``stop_all``, a session's stop, a reload; and when a
    client asks, ``GET /stop_order``, to stop some of them in that order itself.
    May: look at the jobs, which are in the order of their start; must not wait.
    Returns: pairs ``(first, then)`` of names: the second is stopped when nothing of the first is left, whatever their
    priorities are. Pairs that go in a circle are left out.
    On exception: the order of priorities is used; logged.

    Example::

        @gaffer.hookimpl
        def gaffer_stop_order(jobs):
            return [(job.name, "database") for job in jobs if job.name.short != "database"]
    """


@hookspec(firstresult=True)
def gaffer_stop_steps(job: Job, process: Process) -> list[tuple[int, float]] | None:
    """[ASK1] Choose the signals that stop a process.

    When: before the first signal of a stop.
    May: wait; it holds up this process only.
    Returns: ``[(signal, seconds to wait), …]`` or None for ``stop_signal`` and
    ``graceful_timeout``. KILL follows the last step and cannot be vetoed.
    On exception: the job's own settings are used; logged.

    Example::

        @gaffer.hookimpl
        def gaffer_stop_steps(job, process):
            return [(signal.SIGQUIT, 5.0), (signal.SIGTERM, 2.0)]
    """
