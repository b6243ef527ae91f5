"""Events of real processes: their names, order and messages, and subscribers that cannot keep up (docs/events.rst)."""

import os
import signal

import gevent
import pytest
from gevent.event import Event

import gaffer

from ..kit.manager import eventually, settle


def load(manager, cmd="sleep 1000", name="web", **settings):
    manager.load(gaffer.JobConfig(name, cmd, **settings))


class Heard(list):
    """A subscriber: the events with their messages, in order."""

    def __call__(self, event, message):
        assert message["event"] == event
        self.append(message)

    def names(self, *but):
        return [message["event"] for message in self if message["event"] not in but]


@pytest.fixture
def heard(manager):
    everything = Heard()
    manager.subscribe(".", everything)
    return everything


def test_the_life_of_a_process_in_both_families(manager, heard):
    load(manager)
    eventually(lambda: "proc.1.spawn" in heard.names())
    manager.stop_job("web")
    eventually(lambda: "proc.web.stop" in heard.names())
    manager.unload("web")
    eventually(lambda: "job.default.web.delete" in heard.names())
    both = lambda event: [event, f"job.default.web.{event}", f"proc.web.{event}"]  # noqa: E731
    each = lambda event: [*both(event), f"proc.1.{event}"]  # noqa: E731
    assert heard.names() == [
        *("create", "job.default.web.create"),
        *both("start"),
        *each("spawn"),
        *each("stop_pid"),
        *each("exit"),
        *each("reap"),
        *both("stop"),
        *("delete", "job.default.web.delete"),
    ]


def test_jobs_of_other_sessions_have_one_family(manager, heard):
    load(manager, name="shop.web")
    eventually(lambda: "proc.1.spawn" in heard.names())
    names = heard.names()
    assert "job.shop.web.spawn" in names and not any(name.startswith("proc.web") for name in names)
    assert {message["name"] for message in heard} == {"shop.web"}
    assert {(message["session"], message["job"]) for message in heard} == {("shop", "web")}


def test_what_an_exit_says(manager, heard):
    load(manager, "sh -c 'exit 3'", restart="never")
    load(manager, "sleep 1000", "killed", restart="never")
    eventually(lambda: manager.list("killed"))
    os.kill(manager.list("killed")[0].os_pid, signal.SIGTERM)
    eventually(lambda: heard.names().count("exit") == 2)
    first, second = sorted((one for one in heard if one["event"] == "exit"), key=lambda one: one["name"] == "killed")
    assert (first["name"], first["exit_status"], first["exit_code"], first["term_signal"]) == ("web", 3, 3, 0)
    assert (second["name"], second["exit_status"], second["exit_code"], second["term_signal"]) == (
        "killed",
        143,
        143,
        15,
    )
    assert first["pid"] == 1 and first["os_pid"] > 1 and first["once"] is False and first["detach"] is False
    assert first["time"] > 1e9


def test_a_committed_process_is_marked(manager, heard):
    load(manager, start=False)
    pid = manager.commit("web")
    eventually(lambda: f"proc.{pid}.spawn" in heard.names())
    (spawn,) = [message for message in heard if message["event"] == "spawn"]
    assert spawn["once"] is True


def test_update_restart_and_scale(manager, heard):
    load(manager)
    eventually(lambda: "spawn" in heard.names())
    manager.update(gaffer.JobConfig("web", "sleep 2000"))
    eventually(lambda: heard.names().count("spawn") == 2)
    manager.restart_job("web")
    eventually(lambda: heard.names().count("spawn") == 3)
    names = [name for name in heard.names() if "." not in name]
    one_more = ["stop_pid", "exit", "reap", "spawn"]
    assert names == ["create", "start", "spawn", "update", *one_more, "restart", *one_more]


def test_a_pattern_selects_what_is_below_it_once(manager):
    families = {
        pattern: Heard() for pattern in ("job", "job.default", "proc.web", "proc.1", "exit", "spawn", ".", "proc.we")
    }
    for pattern, listener in families.items():
        manager.subscribe(pattern, listener)
        manager.subscribe(pattern, listener)
    load(manager, "true", restart="never")
    eventually(lambda: "stop" in families["."].names())
    settle(manager)
    assert families["job"].names() == families["job.default"].names()
    assert families["exit"].names() == ["exit"] and families["spawn"].names() == ["spawn"]
    assert families["proc.1"].names() == ["proc.1.spawn", "proc.1.exit", "proc.1.reap"]
    assert families["proc.web"].names() == [f"proc.web.{event}" for event in ("start", "spawn", "exit", "reap", "stop")]
    assert families["proc.we"] == []
    everything = families["."].names()
    assert len(everything) == len(set(everything))


def test_the_old_names_and_spellings_still_select(manager):
    seeds, old = Heard(), Heard()
    manager.subscribe("proc(web).spawn", seeds)
    manager.subscribe("load", old)
    load(manager)
    eventually(lambda: seeds and old)
    assert seeds.names() == ["proc.web.spawn"] and old.names() == ["create"]


def test_an_end_of_a_subscription_is_one(manager, heard):
    other = Heard()
    manager.subscribe("exit", other)
    manager.unsubscribe("exit", other)
    load(manager, "true", restart="never")
    eventually(lambda: "stop" in heard.names())
    assert other == []


def test_subscribers_hear_all_that_happened_before_the_manager_is_gone(make_manager, watch):
    manager, heard = make_manager(watch), Heard()

    def slow(event, message):
        gevent.sleep(0.005)
        heard(event, message)

    manager.subscribe("job.default.web", slow)
    load(manager)
    eventually(lambda: "job.default.web.spawn" in heard.names())
    manager.stop()
    assert [name.rpartition(".")[2] for name in heard.names()][-3:] == ["exit", "reap", "stop"]


def test_a_slow_subscriber_hurts_only_itself(make_manager, watch):
    """It hears what was kept for it in order; what was not is counted."""
    manager = make_manager(watch)
    manager.events._max_size = 50
    go_on, slow, quick = Event(), [], Heard()

    def dawdle(event, message):
        go_on.wait()
        slow.append(message["pid"])

    manager.subscribe("exit", dawdle)
    manager.subscribe("exit", quick)
    load(manager, "true", numprocesses=10, min_uptime=0.0)
    eventually(lambda: len(quick) >= 100)
    assert slow == []
    manager.stop_job("web")
    eventually(lambda: manager.info("web")["state"] == "stopped")
    (subscription,) = [one for one in manager.events._followers["exit"] if one.listener is dawdle]
    settle(manager)
    dropped = subscription.outbox.dropped
    go_on.set()
    pids = [message["pid"] for message in quick]
    eventually(lambda: len(slow) == len(pids) - dropped)
    assert dropped >= 49 and slow == pids[: len(slow)]


@pytest.mark.parametrize("error", [ValueError, SystemExit], ids=lambda error: error.__name__)
def test_a_subscriber_that_raises_hurts_only_itself(manager, heard, error):
    def bad(event, message):
        raise error("broken")

    manager.subscribe("exit", bad)
    load(manager, "true", min_uptime=0.0)
    eventually(lambda: heard.names().count("exit") >= 30)


def test_supervision_needs_no_events(make_manager):
    """There are no listeners at all."""
    manager = make_manager()
    load(manager, "true", min_uptime=0.0)
    eventually(lambda: manager.info("web")["restarts"] >= 10)
