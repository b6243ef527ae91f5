"""Before something happens to a job.

One test a hook, named after it: when, with what, what an answer does, what a failure does. Those of HTTP are in
``tests/plugins``, and the order of all in ``tests/hooks/test_transcript.py``.
"""

from __future__ import annotations

import pytest

import gaffer
from gaffer.errors import InvalidConfig, PluginError
from gaffer.testing import settle

from .conftest import Plugin


def test_gaffer_before_load(running):
    plugin = Plugin("own", gaffer_before_load=lambda draft, previous, origin: draft["env"].update(REGION="eu"))
    manager = running(plugin)
    assert manager.get("web").env["REGION"] == "eu"
    before = manager.get("web")
    manager.update({"name": "web", "cmd": "serve -v"})
    assert [(call["previous"], call["origin"]) for call in plugin.of("gaffer_before_load")] == [
        (None, "api"),
        (before, "api"),
    ]
    plugin.answers["gaffer_before_load"] = gaffer.Veto("not on Fridays")
    for change in (manager.load, manager.update):
        with pytest.raises(gaffer.Veto, match="plugin own: not on Fridays"):
            change({"name": "web" if change == manager.update else "other", "cmd": "else"})
    assert (manager.jobs(), manager.get("web").cmd) == (["default.web"], "serve -v")
    plugin.answers["gaffer_before_load"] = lambda draft, previous, origin: draft.update(numprocesses="many")
    with pytest.raises(InvalidConfig, match="numprocesses"):
        manager.update({"name": "web", "cmd": "serve"})


def test_gaffer_before_unload(running, gaffer_spawner):
    plugin = Plugin("own", gaffer_before_unload=gaffer.Veto("it stays"))
    manager = running(plugin)
    with pytest.raises(gaffer.Veto, match="plugin own: it stays"):
        manager.unload("web")
    assert (manager.jobs(), len(gaffer_spawner.alive)) == (["default.web"], 1)
    assert plugin.of("gaffer_before_unload") == [{"job": manager.job("web")}]
    plugin.answers.clear()
    manager.unload("web")
    assert manager.jobs() == []


def test_gaffer_before_scale(running):
    plugin = Plugin("own", gaffer_before_scale=3)
    manager = running(plugin)
    assert manager.scale("web", "=9") == 3
    assert plugin.of("gaffer_before_scale") == [{"job": manager.job("web"), "count": 9}]
    plugin.answers["gaffer_before_scale"] = None
    assert manager.scale("web", "+1") == 4
    assert manager.scale("web", -9) == 0
    assert plugin.of("gaffer_before_scale")[-1]["count"] == 0
    plugin.answers["gaffer_before_scale"] = gaffer.Veto("enough")
    with pytest.raises(gaffer.Veto, match="plugin own: enough"):
        manager.scale("web", 1)
    assert manager.job("web").wanted == 0


def test_gaffer_before_commit(running, gaffer_spawner):
    def most(job):
        if job.out > 1:
            raise gaffer.Veto("one at a time")

    plugin = Plugin("own", gaffer_before_commit=most)
    manager = running(plugin)
    assert manager.commit("web") in manager.running
    with pytest.raises(gaffer.Veto, match="plugin own: one at a time"):
        manager.commit("web")
    job = manager.job("web")
    assert plugin.of("gaffer_before_commit") == [{"job": job}, {"job": job}]
    assert (job.out, len(gaffer_spawner.alive)) == (1, 2)
    plugin.answers["gaffer_before_commit"] = OSError("no")
    with pytest.raises(PluginError, match="own"):
        manager.commit("web")
    assert job.out == 1


def test_gaffer_before_spawn(running, gaffer_spawner):
    def change(job, plan):
        plan.argv.append("--token")
        plan.env["TOKEN"] = f"{job.name.full} {plan.index}"
        plan.cwd = "/"

    plugin = Plugin("own", gaffer_before_spawn=change)
    manager = running(plugin, numprocesses=2, min_uptime=0)
    plan = gaffer_spawner.last.plan
    assert (plan.argv, plan.env["TOKEN"], plan.cwd) == (["serve", "--token"], "default.web 1", "/")
    plugin.answers["gaffer_before_spawn"] = gaffer.Veto("no token")
    gaffer_spawner.processes[0].exit(1)
    settle(manager)
    info = manager.info("web")
    assert (info["state"], info["reason"]) == ("backoff", "plugin own: no token")
    assert len(gaffer_spawner.processes) == 2
