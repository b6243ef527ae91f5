"""What happened in the engine, as hooks and as the events of docs/events.rst."""

import inspect
import json
import signal
from types import SimpleNamespace

import pytest

from gaffer import hookspecs
from gaffer.config.jobconfig import JobConfig
from gaffer.events.event_log import EventLog
from gaffer.manager.job_table import JobTable
from gaffer.manager.notifier import Notifier, event_names, exit_info
from gaffer.manager.process_table import ProcessTable
from gaffer.process.process import ExitStatus
from gaffer.supervisor.job import Copy, Job
from gaffer.supervisor.messages import Notify
from gaffer.supervisor.restart_policy import After, History

SPECS = {
    name: spec for module in hookspecs.MODULES for name, spec in vars(module).items() if name.startswith("gaffer_")
}
STATUS = ExitStatus(3, None)


class Hooks:
    """Keeps what is told, in order."""

    def __init__(self):
        self.told = []
        self.all = True

    def implemented(self, name):
        return self.all

    def tell(self, name, **kwargs):
        self.told.append((name, kwargs))


@pytest.fixture
def manager():
    engine = SimpleNamespace(unblocked=[])
    engine.unblock = engine.unblocked.append
    return SimpleNamespace(
        rolls={}, hooks=Hooks(), events=EventLog(100), engine=engine, job_table=JobTable(), process_table=ProcessTable()
    )


def published(manager):
    return [(event.name, event.message) for event in manager.events.kept(".", 0, 0)[1]]


@pytest.fixture
def notifier(manager):
    return Notifier(manager)


def job(name="web"):
    return Job(JobConfig(name, "serve"))


def process(committed=False, detach=False):
    return SimpleNamespace(
        pid=7, os_pid=4711, committed=committed, config=SimpleNamespace(detach=detach), readers={}, duplexes=None
    )


#: One of each that the machine tells.
TOLD = {
    "create": Notify("create"),
    "update": Notify("update", data=JobConfig("web", "old")),
    "delete": Notify("delete"),
    "start": Notify("start"),
    "stop": Notify("stop"),
    "restart": Notify("restart"),
    "scale": Notify("scale", data=(1, 2, False)),
    "spawn": Notify("spawn", process()),
    "stop_pid": Notify("stop_pid", process()),
    "spawn_failed": Notify("spawn_failed", data=(Copy(4), OSError("no such program"))),
    "exit": Notify("exit", process(), STATUS),
    "reap": Notify("reap", process(), "scale"),
    "flap": Notify("flap", data=(Copy(0), After(7.0, flapping=True))),
}
every_event = pytest.mark.parametrize("what", TOLD.values(), ids=TOLD)


def message(manager):
    """Return the first message published, without its name and time."""
    found = dict(published(manager)[0][1])
    assert found.pop("time") == 17.5
    found.pop("event")
    return found


# -- names


def test_an_event_has_its_plain_name_and_that_of_its_job():
    assert event_names(job("shop.web"), Notify("start")) == ["start", "job.shop.web.start"]


def test_jobs_of_the_default_session_have_the_classic_names_too():
    assert event_names(job(), Notify("start")) == ["start", "job.default.web.start", "proc.web.start"]


@pytest.mark.parametrize("event", ["create", "update", "delete", "restart"])
def test_there_was_no_classic_name_for_all_events(event):
    assert event_names(job(), Notify(event)) == [event, f"job.default.web.{event}"]


def test_events_of_a_process_have_its_pid():
    assert event_names(job("shop.web"), Notify("spawn", process())) == ["spawn", "job.shop.web.spawn", "proc.7.spawn"]


@every_event
def test_no_name_is_published_twice(what):
    names = event_names(job(), what)
    assert len(set(names)) == len(names)


# -- messages


@every_event
def test_messages_are_json_and_bear_their_own_name(notifier, manager, what):
    notifier.notify(job(), what, 17.5)
    for name, event in published(manager):
        assert event["event"] == name and json.loads(json.dumps(event)) == event


def test_a_message_names_the_job(notifier, manager):
    notifier.notify(job("shop.web"), Notify("start"), 17.5)
    assert message(manager) == {"name": "shop.web", "session": "shop", "job": "web"}


def test_the_default_session_is_left_out_of_the_name(notifier, manager):
    notifier.notify(job(), Notify("start"), 17.5)
    assert message(manager) == {"name": "web", "session": "default", "job": "web"}


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("detach", [False, True])
def test_a_message_about_a_process_says_which_and_of_what_sort(notifier, manager, committed, detach):
    notifier.notify(job(), Notify("spawn", process(committed, detach)), 17.5)
    found = message(manager)
    assert (found["pid"], found["os_pid"], found["once"], found["detach"]) == (7, 4711, committed, detach)


@pytest.mark.parametrize(
    ("status", "code", "term_signal"),
    [
        (ExitStatus(0, None), 0, 0),
        (ExitStatus(3, None), 3, 0),
        (ExitStatus(None, 9), 137, 9),
        (ExitStatus(None, None), 255, 0),
    ],
)
def test_an_exit_tells_how(notifier, manager, status, code, term_signal):
    notifier.notify(job(), Notify("exit", process(), status), 17.5)
    found = message(manager)
    assert (found["exit_status"], found["exit_code"], found["term_signal"]) == (code, code, term_signal)


def test_what_was_cleaned_up_tells_why(notifier, manager):
    notifier.notify(job(), TOLD["reap"], 17.5)
    assert message(manager)["reason"] == "scale"


def test_a_failed_start_tells_why(notifier, manager):
    notifier.notify(job(), TOLD["spawn_failed"], 17.5)
    assert message(manager)["reason"] == "no such program"


def test_a_flapping_job_tells_when_it_is_tried_again(notifier, manager):
    notifier.notify(job(), TOLD["flap"], 17.5)
    assert message(manager)["retry_in"] == 7.0


def test_the_last_exit_is_remembered_without_listeners(notifier, manager):
    manager.hooks.all = False
    manager.events.remember(0)
    one = job()
    notifier.notify(one, TOLD["exit"], 17.5)
    assert one.last_exit_info == exit_info(process(), STATUS, 17.5)


@every_event
def test_nothing_is_built_without_listeners(notifier, manager, what, monkeypatch):
    manager.hooks.all = False
    manager.events.remember(0)
    monkeypatch.setattr("gaffer.manager.notifier._message", lambda *args: pytest.fail("it was built"))
    notifier.notify(job(), what, 17.5)
    assert manager.hooks.told == published(manager) == []


# -- hooks


@every_event
def test_plugins_get_every_argument_that_the_hook_has(notifier, manager, what):
    notifier.notify(job(), what, 17.5)
    for name, kwargs in manager.hooks.told:
        assert kwargs.keys() == inspect.signature(SPECS[name]).parameters.keys()


@every_event
def test_a_plugin_hears_every_event_that_is_published(notifier, manager, what):
    notifier.notify(job(), what, 17.5)
    heard = [kwargs["event"] for name, kwargs in manager.hooks.told if name == "gaffer_event"]
    assert heard == [event for _, event in published(manager)]


@pytest.mark.parametrize(
    ("event", "hook", "arguments"),
    [
        ("create", "gaffer_job_loaded", {}),
        ("update", "gaffer_job_updated", {"previous": TOLD["update"].data}),
        ("delete", "gaffer_job_unloaded", {}),
        ("start", "gaffer_job_started", {}),
        ("stop", "gaffer_job_stopped", {}),
        ("scale", "gaffer_job_scaled", {"before": 1, "after": 2}),
        ("spawn", "gaffer_spawned", {"process": TOLD["spawn"].process}),
        ("spawn_failed", "gaffer_spawn_failed", {"index": 4, "error": TOLD["spawn_failed"].data[1]}),
        ("exit", "gaffer_exited", {"process": TOLD["exit"].process, "status": STATUS}),
        ("reap", "gaffer_reaped", {"process": TOLD["reap"].process, "reason": "scale"}),
    ],
)
def test_the_hook_of_each_event(notifier, manager, event, hook, arguments):
    one = job()
    notifier.notify(one, TOLD[event], 17.5)
    assert manager.hooks.told[0] == (hook, {"job": one, **arguments})


def test_the_hook_of_flapping_gets_the_history(notifier, manager):
    notifier.notify(job(), TOLD["flap"], 17.5)
    name, kwargs = manager.hooks.told[0]
    assert (name, kwargs["decision"]) == ("gaffer_flapping", After(7.0, flapping=True))
    assert isinstance(kwargs["history"], History)


def test_scaling_alone_is_an_update(notifier, manager):
    notifier.notify(job(), TOLD["scale"], 17.5)
    assert published(manager) == []  # the event of the update that brought it tells of it
    notifier.notify(job(), Notify("scale", data=(1, 2, True)), 17.5)
    assert published(manager)[0][1]["event"] == "update"
    assert [name for name, _ in manager.hooks.told if name.startswith("gaffer_job")] == ["gaffer_job_scaled"] * 2


def test_a_signal_is_told_by_name(notifier, manager):
    notifier.signalled(job(), process(), 15)
    name, kwargs = manager.hooks.told[0]
    assert name == "gaffer_signalled" and kwargs["signum"] is signal.SIGTERM


def test_a_signal_without_a_name_does_not_break_the_stop_that_sent_it(notifier, manager):
    notifier.signalled(job(), process(), signal.SIGRTMIN + 1)
    assert manager.hooks.told[0][1]["signum"] == signal.SIGRTMIN + 1


# -- the tables of the manager


def test_processes_are_in_the_table_while_they_live(notifier, manager):
    one = process()
    notifier.process_started(one)
    assert manager.process_table.live == {7: one} and one.owner is manager
    notifier.process_gone(one)
    notifier.process_gone(one)
    assert manager.process_table.live == {} and manager.process_table.ended.get(7) is one


def test_job_may_start_when_its_unloaded_namesake_is_gone(notifier, manager):
    first = manager.job_table.add(JobConfig("web", "serve"))
    manager.job_table.unload(first)
    second = manager.job_table.add(JobConfig("web", "serve"))
    assert second.blocked
    notifier.removed(first)
    assert manager.engine.unblocked == [second] and manager.job_table.all() == [second]
