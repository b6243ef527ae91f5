"""What plugins are told of jobs and processes.

One test a hook, named after it: when, with what, what an answer does, what a failure does. Those of HTTP are in
``tests/plugins``, and the order of all in ``tests/hooks/test_transcript.py``.
"""

from __future__ import annotations

import signal

import pytest

import gaffer
from gaffer.commands.identity import ADMIN, Identity
from gaffer.errors import BadRequest
from gaffer.process.process import ExitStatus
from gaffer.supervisor.restart_policy import After
from gaffer.testing import settle

from .conftest import Plugin


def test_gaffer_job_loaded(told):
    found = []
    told.listener.answers["gaffer_job_loaded"] = lambda job: found.append(told.manager.job(job.name))
    job = told.load(start=False)
    assert told.once().job is job
    assert found == [job]


def test_gaffer_job_updated(told):
    job = told.load()
    previous = job.config
    told.manager.update({"name": "web", "cmd": "serve -v"})
    heard = told.once()
    assert (heard.job, heard.previous, job.config.cmd) == (job, previous, "serve -v")


def test_gaffer_job_unloaded(told, gaffer_spawner):
    gaffer_spawner.ignores = {signal.SIGTERM}
    job = told.load()
    told.manager.unload("web")
    settle(told.manager)
    assert told.listener.calls == []
    gaffer_spawner.last.exit()
    assert told.once().job is job


def test_gaffer_job_started(told):
    job = told.load(start=False)
    assert told.listener.calls == []
    told.manager.start_job("web")
    assert told.once().job is job
    told.manager.start_job("web")
    settle(told.manager)
    assert told.listener.calls == []


def test_gaffer_job_stopped(told, gaffer_spawner):
    gaffer_spawner.ignores = {signal.SIGTERM}
    job = told.load()
    told.manager.stop_job("web")
    settle(told.manager)
    assert told.listener.calls == []
    gaffer_spawner.last.exit()
    assert told.once().job is job


def test_gaffer_job_scaled(told):
    job = told.load()
    told.manager.scale("web", "=3")
    assert vars(told.once()) == {"job": job, "before": 1, "after": 3}
    told.manager.scale("web", "=3")
    settle(told.manager)
    assert told.listener.calls == []


def test_gaffer_spawned(told, gaffer_spawner):
    job = told.load()
    assert vars(told.once()) == {"job": job, "process": gaffer_spawner.last}


def test_gaffer_spawn_failed(told, gaffer_spawner):
    gaffer_spawner.fail("no such program")
    job = told.load(numprocesses=1)
    heard = told.once()
    assert (heard.job, heard.index, str(heard.error)) == (job, 0, "no such program")


def test_gaffer_signalled(told, gaffer_spawner):
    job = told.load()
    told.manager.killall("web", "usr1")
    heard = told.once()
    assert (heard.job, heard.process, heard.signum) == (job, gaffer_spawner.processes[0], signal.SIGUSR1)


def test_gaffer_process_ready(told, gaffer_spawner):
    job = told.load(min_uptime=0)
    assert vars(told.once()) == {"job": job, "process": gaffer_spawner.last, "reason": ""}


def test_gaffer_process_unready(told, gaffer_spawner):
    job = told.load(min_uptime=0)
    assert told.listener.calls == []
    for _ in range(2):
        told.manager.set_ready(1, False, "no answer")
    assert vars(told.once()) == {"job": job, "process": gaffer_spawner.last, "reason": "no answer"}
    assert told.manager.info("web")["reason"] == "no answer"


def test_gaffer_job_waiting(told):
    holds = Plugin("holds", gaffer_before_spawn=gaffer.Hold("it waits for db"))
    told.manager.plugins.add(holds)
    job = told.load(numprocesses=3)
    assert vars(told.once()) == {"job": job, "reason": "it waits for db"}
    info = told.manager.info("web")
    assert (info["state"], info["reason"], info["running"]) == ("waiting", "it waits for db", 0)
    told.manager.plugins.pm.unregister(holds)
    told.manager.release("web")
    settle(told.manager)
    assert told.manager.info("web")["running"] == 3


def test_gaffer_exited(told, gaffer_spawner):
    job = told.load(restart="never")
    gaffer_spawner.last.exit(3)
    heard = told.once()
    assert (heard.job, heard.process, heard.status) == (job, gaffer_spawner.last, ExitStatus(3, None))


def test_gaffer_reaped(told, gaffer_spawner):
    job = told.load(min_uptime=0)
    gaffer_spawner.last.exit()
    heard = told.once()
    assert (heard.job, heard.process, heard.reason) == (job, gaffer_spawner.processes[0], "exit")
    for act, reason in (
        (lambda: told.manager.restart_job("web"), "restart"),
        (lambda: told.manager.scale("web", "=0"), "scale"),
        (lambda: (told.manager.scale("web", "=1"), settle(told.manager), told.manager.stop_job("web")), "stop"),
        (lambda: (told.manager.start_job("web"), settle(told.manager), told.manager.unload("web")), "unload"),
    ):
        told.listener.clear()
        act()
        settle(told.manager)
        assert [call["reason"] for call in told.listener.of("gaffer_reaped")] == [reason]


def test_gaffer_flapping(told, gaffer_spawner):
    job = told.load(flapping=[2, 10, 60, 1])
    gaffer_spawner.last.exit(1)
    settle(told.manager)
    assert told.listener.calls == []
    gaffer_spawner.last.exit(1)
    heard = told.once()
    assert (heard.job, heard.decision, heard.history.retries) == (job, After(60.0, flapping=True), 1)


def test_gaffer_command_run(told):
    """Commands of the table; requests of handlers are in ``tests/plugins/test_audit.py``."""
    identity = Identity("k1", permissions=ADMIN, trusted=True)
    load = {"config": {"name": "web", "cmd": "serve", "env": {"A": "sesame"}, "start": False}}
    told.manager.commands.run("load", load, identity, "10.0.0.1:40000")
    heard = told.once()
    assert (heard.command, heard.permission, heard.origin) == ("load", "manage", "10.0.0.1:40000")
    assert (heard.identity, heard.error) == (identity, None)
    assert heard.args == {"config": {**load["config"], "env": {"A": "***"}}}
    with pytest.raises(BadRequest, match="start must be boolean"):
        told.manager.commands.run("load", {**load, "start": "soon"})
    settle(told.manager)
    (call,) = told.listener.calls
    assert call.args["error"].code == "bad_request"
