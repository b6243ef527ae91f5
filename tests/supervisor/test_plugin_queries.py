"""Questions to plugins about starts, stops and restarts: answers, refusals and failures."""

import signal
from types import SimpleNamespace

import pluggy
import pytest

import gaffer
from gaffer.config.jobconfig import JobConfig
from gaffer.errors import PluginError, Veto
from gaffer.plugins.calling import Hooks
from gaffer.process.spawn import SpawnPlan
from gaffer.supervisor import plugin_queries
from gaffer.supervisor.job import Copy, Job
from gaffer.supervisor.messages import Decide
from gaffer.supervisor.restart_policy import After, Now


class Specs:
    @gaffer.hookspec
    def gaffer_before_spawn(self, job, plan): ...

    @gaffer.hookspec
    def gaffer_open_sinks(self, job, process, label): ...

    @gaffer.hookspec
    def gaffer_stop_steps(self, job, process): ...

    @gaffer.hookspec
    def gaffer_restart_decision(self, job, process, status, history): ...


@pytest.fixture
def hooks():
    pm = pluggy.PluginManager("gaffer")
    pm.add_hookspecs(Specs)
    return Hooks(pm)


def plugin(hooks, name="own", **functions):
    made = SimpleNamespace(**{f"gaffer_{hook}": gaffer.hookimpl(function) for hook, function in functions.items()})
    hooks._pm.register(made, name)


def fail(error):
    def function():
        raise error

    return function


def job(**settings):
    return Job(JobConfig("web", "serve", **settings))


def plan():
    return SpawnPlan(["serve"], {"GAFFER_ID": "node.7", "A": "1"}, None, 0, 7)


class Sink:
    def write(self, data): ...

    def close(self): ...


@pytest.mark.parametrize("hook", ["before_spawn", "open_sinks"])
def test_starts_are_asked_about_once_a_plugin_wants_that(hooks, hook):
    assert not plugin_queries.any_about_starts(hooks)
    plugin(hooks, **{hook: lambda: None})
    assert plugin_queries.any_about_starts(hooks)


def test_plugin_may_change_the_plan_but_not_the_id(hooks):
    def change(plan):
        plan.argv = [b"other", "word"]
        plan.env = {"B": "2", "GAFFER_ID": "x"}

    plugin(hooks, before_spawn=change)
    changed = plan()
    plugin_queries.about_start(hooks, job(), changed)
    assert changed.argv == ["other", "word"]
    assert changed.env == {"B": "2", "GAFFER_ID": "node.7"}


def test_plugin_may_refuse_a_start(hooks):
    plugin(hooks, before_spawn=fail(Veto("not now")))
    with pytest.raises(Veto, match="plugin own: not now"):
        plugin_queries.about_start(hooks, job(), plan())


def test_failing_plugin_refuses_a_start_under_its_name(hooks):
    plugin(hooks, before_spawn=fail(ValueError("no")))
    with pytest.raises(PluginError, match="plugin own failed in gaffer_before_spawn"):
        plugin_queries.about_start(hooks, job(), plan())


@pytest.mark.parametrize(
    "settings, labels",
    [
        ({}, ["stdout", "stderr"]),
        ({"redirect_output": ["out"]}, ["out", "stderr"]),
        ({"redirect_output": ["out", "err"]}, ["out", "err"]),
        ({"redirect_output": ["both", "both"]}, ["both"]),
        ({"custom_streams": ["chat"]}, ["stdout", "stderr", "chat"]),
        ({"tty": True}, ["stdout"]),
        ({"tty": True, "redirect_output": ["screen"]}, ["screen"]),
    ],
)
def test_sinks_are_asked_for_once_a_stream(hooks, settings, labels):
    asked = []
    plugin(hooks, open_sinks=lambda label: asked.append(label))
    opened = plan()
    plugin_queries.about_start(hooks, job(**settings), opened)
    assert asked == labels and opened.sinks == {}


def test_failing_plugin_costs_its_own_sink_only(hooks):
    plugin(hooks, "bad", open_sinks=fail(ValueError("no disk")))
    plugin(hooks, "good", open_sinks=lambda label: Sink() if label == "stderr" else None)
    opened = plan()
    plugin_queries.about_start(hooks, job(), opened)
    assert {label: [sink.owner for sink in sinks] for label, sinks in opened.sinks.items()} == {
        "stderr": ["plugin good's sink for stderr of web"]
    }


@pytest.mark.parametrize(
    "answer, steps",
    [
        (None, None),
        ([], []),
        ([("INT", 1), (15, 2)], [(signal.SIGINT, 1.0), (signal.SIGTERM, 2.0)]),
    ],
)
def test_stop_steps_are_those_of_the_plugin(hooks, answer, steps):
    plugin(hooks, stop_steps=lambda: answer)
    assert plugin_queries.about_stop(hooks, job(), None) == steps


@pytest.mark.parametrize(
    "answer",
    [
        [("NOSUCH", 1)],
        [(99, 1.0)],
        [("TERM", "soon")],
        [("TERM", -1.0)],
        [("TERM", float("nan"))],
        [("TERM",)],
        ["TERM"],
        "TERM",
        7,
    ],
    ids=str,
)
def test_invalid_stop_steps_leave_the_job_its_own(hooks, answer, caplog):
    plugin(hooks, stop_steps=lambda: answer)
    assert plugin_queries.about_stop(hooks, job(), None) is None
    assert "plugin own answered gaffer_stop_steps with" in caplog.text and "which is not used" in caplog.text


def test_failing_plugin_leaves_the_job_its_own_stop(hooks, caplog):
    plugin(hooks, stop_steps=fail(ValueError("no")))
    assert plugin_queries.about_stop(hooks, job(), None) is None
    assert "plugin own failed in gaffer_stop_steps" in caplog.text


def ended():
    return Decide(Copy(0), None, None, 1, 0.5)


@pytest.mark.parametrize("answer", [Now(), After(2.0), None])
def test_restart_decision_is_that_of_the_plugin(hooks, answer):
    plugin(hooks, restart_decision=lambda: answer)
    assert plugin_queries.about_restart(hooks, job(), ended()) == answer


@pytest.mark.parametrize("answer", ["now", 3])
def test_invalid_restart_decision_leaves_it_to_the_policy(hooks, caplog, answer):
    plugin(hooks, restart_decision=lambda: answer)
    assert plugin_queries.about_restart(hooks, job(), ended()) is None
    assert f"plugin own answered gaffer_restart_decision with {answer!r}, which is not used" in caplog.text


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no")], ids=repr)
def test_failing_plugin_leaves_the_decision_to_the_policy(hooks, caplog, error):
    plugin(hooks, restart_decision=fail(error))
    assert plugin_queries.about_restart(hooks, job(), ended()) is None
    assert "the built-in policy decides" in caplog.text
