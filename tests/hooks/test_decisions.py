"""Decisions, and watching.

One test a hook, named after it: when, with what, what an answer does, what a failure does. Those of HTTP are in
``tests/plugins``, and the order of all in ``tests/hooks/test_transcript.py``.
"""

from __future__ import annotations

import signal

import pytest
from greenlet import GreenletExit

from gaffer.errors import PluginError
from gaffer.process.process import ExitStatus
from gaffer.supervisor.restart_policy import After, Done, GiveUp, Now
from gaffer.testing import settle

from .conftest import Plugin, Told


@pytest.mark.parametrize(
    "answer, states, processes",
    [
        (Now(), ("starting", "running"), 2),
        (After(5.0), ("backoff",), 1),
        (GiveUp("enough"), ("failed",), 1),
        (Done(), ("stopped",), 1),
    ],
)
def test_gaffer_restart_decision(running, gaffer_spawner, answer, states, processes):
    plugin = Plugin("own", gaffer_restart_decision=answer)
    manager = running(plugin)
    first = gaffer_spawner.last
    first.exit(3)
    settle(manager)
    assert manager.info("web")["state"] in states
    assert len(gaffer_spawner.processes) == processes
    (asked,) = plugin.of("gaffer_restart_decision")
    assert (asked["job"], asked["process"], asked["status"]) == (manager.job("web"), first, ExitStatus(3, None))
    assert asked["history"].failures == 1


WRONG = [5, "x", [], After(float("nan")), After(float("inf")), After(1e300), After(-1.0), After("x"), After(None)]


@pytest.mark.parametrize("answer", [None, RuntimeError("no"), SystemExit(3), GreenletExit(), *WRONG], ids=repr)
def test_gaffer_restart_decision_left_to_the_built_in_policy(running, gaffer_spawner, caplog, answer):
    plugin = Plugin("own", gaffer_restart_decision=answer)
    manager = running(plugin)
    gaffer_spawner.fail("no such program")
    manager.restart_job("web")
    settle(manager)
    assert manager.info("web")["state"] == "backoff"
    (asked,) = plugin.of("gaffer_restart_decision")
    assert (asked["process"], asked["status"]) == (None, None)
    assert answer is None or "plugin own" in caplog.text
    manager.stop_job("web")
    settle(manager)
    assert len(plugin.calls) == 1


@pytest.mark.parametrize(
    "answer, sent",
    [
        ([(signal.SIGQUIT, 5.0), (signal.SIGINT, 2.0)], [signal.SIGQUIT, signal.SIGINT, signal.SIGKILL]),
        (None, [signal.SIGTERM, signal.SIGKILL]),
        (RuntimeError("no"), [signal.SIGTERM, signal.SIGKILL]),
        (GreenletExit(), [signal.SIGTERM, signal.SIGKILL]),
        (5, [signal.SIGTERM, signal.SIGKILL]),
        ([("NOPE", 1.0)], [signal.SIGTERM, signal.SIGKILL]),
        ([(signal.SIGINT, float("nan"))], [signal.SIGTERM, signal.SIGKILL]),
        ([], [signal.SIGKILL]),
    ],
)
def test_gaffer_stop_steps(running, gaffer_spawner, gaffer_clock, answer, sent):
    gaffer_spawner.ignores = {signal.SIGTERM, signal.SIGQUIT, signal.SIGINT}
    plugin = Plugin("own", gaffer_stop_steps=answer)
    manager = running(plugin, graceful_timeout=7)
    process = gaffer_spawner.last
    manager.stop_job("web")
    settle(manager)
    for _ in range(2):
        gaffer_clock.advance(7)
        settle(manager)
    assert [signum for signum in process.signals if signum != signal.SIGCONT] == sent
    assert plugin.of("gaffer_stop_steps") == [{"job": manager.job("web"), "process": process}]
    assert manager.info("web")["state"] == "stopped"


def test_gaffer_event(gaffer_manager, gaffer_spawner):
    told = Told(gaffer_manager, "gaffer_event")
    told.load()
    events = [call["event"] for call in told.listener.of("gaffer_event")]
    plain = [event for event in events if "." not in event["event"]]
    assert [event["event"] for event in plain] == ["create", "start", "spawn"]
    assert plain[-1] | {"time": 0} == {
        "event": "spawn",
        "name": "web",
        "session": "default",
        "job": "web",
        "time": 0,
        "pid": gaffer_spawner.last.pid,
        "os_pid": gaffer_spawner.last.os_pid,
        "detach": False,
        "once": False,
    }
    assert {event["event"] for event in events} > {"job.default.web.spawn", "proc.web.spawn"}
    assert told.manager.hooks.counters()["broken"]["failures"] == len(events)


def test_gaffer_open_sinks(running, gaffer_spawner):
    class Sink:
        def __init__(self):
            self.data, self.closed = b"", 0

        def write(self, data):
            self.data += data

        def close(self):
            self.closed += 1

    sinks: dict[str, Sink] = {}

    def open_sink(job, process, label):
        assert job.name.short == "web"
        return sinks.setdefault(label, Sink())

    manager = running(
        Plugin("own", gaffer_open_sinks=open_sink),
        Plugin("broken", gaffer_open_sinks=RuntimeError("no")),
        redirect_output=["out"],
    )
    process = gaffer_spawner.last
    process.say(b"hello")
    process.say(b"oh", "stderr")
    process.exit()
    settle(manager)
    assert {label: (sink.data, sink.closed) for label, sink in sinks.items()} == {
        "out": (b"hello", 1),
        "stderr": (b"oh", 1),
    }


def test_gaffer_sample(running):
    figures = {"pid": 1, "cpu": 2.0, "mem": 1.0}
    plugin = Plugin("own", gaffer_sample=lambda manager, processes: {process.pid: figures for process in processes})
    manager = running(plugin)
    assert manager.stats("web")["stats"] == [figures]
    assert plugin.of("gaffer_sample") == [{"manager": manager, "processes": manager.list("web")}]
    plugin.answers["gaffer_sample"] = {}
    assert manager.stats("web")["stats"] == []
    plugin.answers["gaffer_sample"] = RuntimeError("no")
    with pytest.raises(PluginError, match="plugin own failed in gaffer_sample"):
        manager.stats("web")


def test_gaffer_health(running):
    well = Plugin("well", gaffer_health={"queued": 3})
    manager = running(well, Plugin("silent", "gaffer_health"))
    assert manager.health()["ok"] is True
    assert manager.health()["plugins"] == {"well": {"ok": True, "queued": 3}}
    assert well.of("gaffer_health")[0] == {"manager": manager}
    well.answers["gaffer_health"] = {"ok": False, "reason": "full"}
    assert (manager.health()["ok"], manager.health()["plugins"]["well"]["reason"]) == (False, "full")
    well.answers["gaffer_health"] = RuntimeError("no")
    assert manager.health()["plugins"]["well"] == {"ok": False, "reason": "RuntimeError: no"}


def test_gaffer_node_info(running):
    place = Plugin("place", gaffer_node_info={"zone": "a"})
    manager = running(
        place, Plugin("silent", "gaffer_node_info"), Plugin("broken", gaffer_node_info=RuntimeError("no"))
    )
    assert manager.hooks.collect("gaffer_node_info", manager=manager) == [("place", {"zone": "a"})]
    assert place.of("gaffer_node_info") == [{"manager": manager}]


def test_gaffer_registry(running):
    first, last = Plugin("first", gaffer_registry="mine"), Plugin("last", "gaffer_registry")
    manager = running(first, last)
    assert manager.hooks.ask_first("gaffer_registry", url="own:") == "mine"
    assert first.of("gaffer_registry") == last.of("gaffer_registry") == [{"url": "own:"}]
    last.answers["gaffer_registry"] = RuntimeError("no")
    with pytest.raises(PluginError, match="plugin last failed in gaffer_registry"):
        manager.hooks.ask_first("gaffer_registry", url="own:")


def test_gaffer_stop_order(gaffer_manager, gaffer_spawner):
    plugin = Plugin("own", gaffer_stop_order=[("web", "default.db"), ("cache", "db")])
    manager = gaffer_manager(plugin, Plugin("broken", gaffer_stop_order=[("web",)]))
    manager.start()
    for name in ("db", "cache", "web"):
        manager.load({"name": name, "cmd": "serve", "graceful_timeout": 100})
    settle(manager)
    db, cache, web = gaffer_spawner.processes
    web.ignores.add(signal.SIGTERM)
    assert manager.commands.run("stop_order") == {"groups": [["default.web", "default.cache"], ["default.db"]]}
    manager.stop(lambda manager: None)
    settle(manager)
    assert not cache.alive and web.signals and db.alive and not db.signals
    web.exit()
    settle(manager)
    assert not db.alive and manager.wait_stopped(10)
