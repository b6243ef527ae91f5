"""Wrong answers of plugins: logged with the plugin's name, left out, and nothing else suffers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import gaffer
from gaffer.errors import PluginError
from gaffer.plugins.answers import checked
from gaffer.process.proc_scan import ID_VARIABLE
from gaffer.supervisor.plugin_queries import about_start

WRONG = {
    "gaffer_routes": (5, "/path", object()),
    "gaffer_load_jobs": (5, "web"),
    "gaffer_sites": (5, "site"),
    "gaffer_health": ([1], 5, "ok"),
    "gaffer_sample": ([1], 5),
    "gaffer_wrap_wsgi": (5, "app"),
    "gaffer_run_instead": ("1", True, 1.5),
}


@pytest.mark.parametrize(("hook", "answer"), [(hook, answer) for hook, answers in WRONG.items() for answer in answers])
def test_wrong_answer_is_logged_with_the_plugin_and_left_out(caplog, hook, answer):
    assert checked("theirs", hook, answer) is None
    (record,) = caplog.records
    assert f"plugin theirs answered {hook} with" in record.getMessage()
    assert "--no-plugin theirs" in record.getMessage()


def test_right_answers_and_hooks_without_a_check_pass(caplog):
    for hook, answer in (("gaffer_routes", []), ("gaffer_health", {}), ("gaffer_wrap_wsgi", print), ("gaffer_x", 5)):
        assert checked("theirs", hook, answer) is answer
    assert checked("theirs", "gaffer_routes", None) is None
    assert not caplog.records


def test_long_answers_are_shortened_in_the_log(caplog):
    checked("theirs", "gaffer_health", ["x" * 100_000] * 1000)
    assert len(caplog.text) < 1000


def test_health_of_others_is_told_beside_a_wrong_one():
    class Right:
        @gaffer.hookimpl
        def gaffer_health(self):
            return {"ok": True, "fine": 1}

    class Wrong:
        @gaffer.hookimpl
        def gaffer_health(self):
            return [1]

    with gaffer.Manager() as manager:
        manager.plugins.add(Right(), name="right")
        manager.plugins.add(Wrong(), name="wrong")
        report = manager.reports.health()
    assert report["ok"] and report["plugins"]["right"]["fine"] == 1 and "wrong" not in report["plugins"]


@pytest.mark.parametrize("change", [{"argv": None}, {"argv": []}, {"argv": "ls"}, {"env": None}, {"argv": [5]}])
def test_spoilt_plan_fails_the_start_with_a_sentence(change):
    def spoil(name, job, plan):
        vars(plan).update(change)

    hooks = SimpleNamespace(ask=spoil)
    plan = SimpleNamespace(argv=["true"], env={ID_VARIABLE: "x"})
    with pytest.raises(PluginError, match="gaffer_before_spawn left a plan"):
        about_start(hooks, SimpleNamespace(), plan)
