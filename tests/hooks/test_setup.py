"""Set-up and the life of a manager.

One test a hook, named after it: when, with what, what an answer does, what a failure does. Those of HTTP are in
``tests/plugins``, and the order of all in ``tests/hooks/test_transcript.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

import gaffer
from gaffer.config.fields import Bool, Int
from gaffer.config.jobconfig import JobConfig
from gaffer.config.options import Options
from gaffer.config.settings import Settings
from gaffer.daemon.checks import find_problems
from gaffer.daemon.service import GafferdService
from gaffer.errors import ConfigError, Conflict, InvalidConfig, PluginError, Problem
from gaffer.plugins.registry import PluginSet

from .conftest import Plugin, Told


def refused(make: Any, *plugins: Any) -> str:
    """Return why no manager can be made of these plugins."""
    with pytest.raises(PluginError) as caught:
        make(*plugins)
    return str(caught.value)


class Own:
    @gaffer.hookspec
    def mine_asked(self, number):
        """[ASK] For the tests."""


def test_gaffer_addhooks(gaffer_manager):
    class Asked(gaffer.Plugin):
        @gaffer.hookimpl
        def mine_asked(self, number):
            return number + 1

    manager = gaffer_manager(
        Plugin("own", gaffer_addhooks=lambda pluginmanager: pluginmanager.add_hookspecs(Own)), Asked
    )
    assert manager.hooks.ask("mine_asked", number=1) == [2]
    assert "plugin 'broken'" in refused(gaffer_manager, Plugin("broken", gaffer_addhooks=RuntimeError("no")))


def test_gaffer_add_options():
    def add(options):
        options.add("mine", Int(0, 9), 3, "for the tests", flags=("--mine",))

    plugins, options = PluginSet(), Options()
    plugins.add(Plugin("own", gaffer_add_options=add))
    plugins.pm.hook.gaffer_add_options.call_historic(kwargs={"options": options})
    settings = Settings(options, environ={"GAFFERD_MINE": "7"})
    assert (Settings(options).get("mine"), settings.get("mine"), settings.problems) == (3, 7, [])


def test_gaffer_job_settings(gaffer_manager):
    def add(fields):
        fields.add("mine", Bool(), True, "for the tests")

    manager = gaffer_manager(Plugin("own", gaffer_job_settings=add))
    manager.load({"name": "web", "cmd": "serve", "mine": False})
    assert manager.get("web").mine is False and manager.info("web")["config"]["mine"] is False
    with pytest.raises(InvalidConfig, match="mine: expected true or false"):
        manager.load({"name": "other", "cmd": "serve", "mine": 1})
    assert "plugin broken" in refused(gaffer_manager, Plugin("broken", gaffer_job_settings=RuntimeError("no")))


def test_gaffer_check_config(gaffer_manager):
    manager = gaffer_manager(
        Plugin("finds", gaffer_check_config=[Problem("g.ini", 7, "wrong")]),
        Plugin("yields", gaffer_check_config=lambda settings, fields, manager: iter([Problem("g.ini", 8, "wrong")])),
        Plugin("content", "gaffer_check_config"),
        Plugin("broken", gaffer_check_config=RuntimeError("no")),
    )
    problems = list(map(str, find_problems(Settings(Options()), manager)))
    assert problems == [
        "plugin broken cannot check the configuration: RuntimeError: no",
        "g.ini:7: wrong",
        "g.ini:8: wrong",
    ]


def test_gaffer_load_jobs(gaffer_manager):
    source = Plugin("source", gaffer_load_jobs=[JobConfig("a", "serve"), JobConfig("b", "serve")])
    manager = gaffer_manager(source, Plugin("nothing", "gaffer_load_jobs"))
    manager.start()
    assert manager.jobs() == ["default.a", "default.b"]
    assert source.of("gaffer_load_jobs") == [{"settings": None, "fields": manager.job_fields}]
    source.answers["gaffer_load_jobs"] = [JobConfig("b", "serve"), JobConfig("c", "serve")]
    report = manager.reload_config()
    assert (report["loaded"], report["unloaded"]) == (["default.c"], ["default.a"])
    source.answers["gaffer_load_jobs"] = RuntimeError("no")
    with pytest.raises(PluginError, match="plugin source"):
        manager.reload_config()
    assert manager.jobs() == ["default.b", "default.c"]
    with pytest.raises(PluginError, match="plugin source"):
        gaffer_manager(source).start()


def test_gaffer_check_jobs(gaffer_manager):
    source = Plugin("source", gaffer_load_jobs=[JobConfig("a", "serve"), JobConfig("b", "serve")])
    checker = Plugin("checker", "gaffer_check_jobs")
    manager = gaffer_manager(source, checker)
    manager.load(JobConfig("own", "serve"))
    manager.start()
    (asked,) = checker.of("gaffer_check_jobs")
    assert [config.name for config in asked["configs"]] == ["a", "b"]
    assert [config.name for config in asked["others"]] == ["own"]
    source.answers["gaffer_load_jobs"] = [JobConfig("c", "serve")]
    checker.answers["gaffer_check_jobs"] = [("c", "cmd", "needs a job 'db'")]
    with pytest.raises(ConfigError, match="job c: cmd: needs a job 'db'"):
        manager.reload_config()
    assert manager.jobs() == ["default.a", "default.b", "default.own"]
    with pytest.raises(ConfigError, match="job c: cmd: needs a job 'db'"):
        gaffer_manager(source, Plugin("checker", **checker.answers)).start()
    checker.answers["gaffer_check_jobs"] = RuntimeError("no")
    with pytest.raises(PluginError, match="plugin checker"):
        manager.reload_config()


def test_gaffer_manager_start(gaffer_manager, gaffer_spawner):
    order: list[str] = []
    first = Plugin("first", "gaffer_manager_stopped", gaffer_manager_start=lambda manager: order.append("first"))
    second = Plugin("second", gaffer_manager_start=lambda manager: order.append("second"))
    manager = gaffer_manager(first, second, Plugin("broken", gaffer_manager_start=RuntimeError("no")))
    manager.load({"name": "web", "cmd": "serve"})
    with pytest.raises(PluginError, match="plugin broken failed in gaffer_manager_start"):
        manager.start()
    assert order == ["first", "second"]
    assert first.names == ["gaffer_manager_start", "gaffer_manager_stopped"]
    assert (manager.state, gaffer_spawner.processes) == ("stopped", [])


def test_a_start_that_fails_is_told_to_all_plugins_as_a_stop_without_ready(gaffer_manager):
    listeners = [Plugin(name, "gaffer_ready", "gaffer_manager_stopped") for name in ("before", "after")]
    broken = Plugin("broken", "gaffer_manager_stopped", gaffer_manager_start=RuntimeError("no"))
    with pytest.raises(PluginError):
        gaffer_manager(listeners[0], broken, listeners[1]).start()
    assert [one.names for one in listeners] == [["gaffer_manager_stopped"]] * 2
    assert broken.names == ["gaffer_manager_start", "gaffer_manager_stopped"]


def test_applications_that_were_not_started_are_not_stopped(gaffer_manager):
    calls = []

    class App:
        def __init__(self, name, error=None):
            self.name, self.error = name, error

        def start(self, loop, manager):
            calls.append(f"start {self.name}")
            if self.error:
                raise self.error

        def stop(self):
            calls.append(f"stop {self.name}")

    manager = gaffer_manager(Plugin("broken", gaffer_manager_start=RuntimeError("no")))
    with pytest.raises(PluginError):
        manager.start([App("never")])
    assert calls == []
    with pytest.raises(PluginError):
        gaffer_manager().start([App("one"), App("two", RuntimeError("no")), App("three")])
    assert calls == ["start one", "start two", "stop two", "stop one"]


def test_gaffer_ready(gaffer_manager):
    told = Told(gaffer_manager, "gaffer_ready")
    assert told.once().manager is told.manager
    told.load()
    assert told.listener.calls == []


def test_gaffer_config_reloaded(told):
    old, new = Settings(Options()), Settings(Options())
    told.manager.settings = old
    told.manager.reload_config(new)
    assert vars(told.once()) == {"manager": told.manager, "old": old, "new": new}


def test_gaffer_reopen_logs(told):
    told.manager.hooks.tell("gaffer_reopen_logs", manager=told.manager)
    assert vars(told.once()) == {"manager": told.manager}


def test_gaffer_manager_stopping(told, gaffer_spawner):
    told.load()
    seen = []
    told.listener.answers["gaffer_manager_stopping"] = lambda manager: seen.append(len(gaffer_spawner.alive))
    told.manager.stop()
    assert seen == [1]


def test_gaffer_manager_stopped(told, gaffer_spawner):
    told.load()
    seen = []
    told.listener.answers["gaffer_manager_stopped"] = lambda manager: seen.append((manager, gaffer_spawner.alive))
    told.manager.stop()
    assert seen == [(told.manager, [])]


def test_gaffer_run_instead():
    def instead(**answers: Any) -> int | None:
        plugins = PluginSet()
        for name, answer in answers.items():
            plugins.add(Plugin(name, gaffer_run_instead=answer))
        settings = Settings(Options())
        return GafferdService(settings, plugins, lambda: settings, None).instead()

    assert instead() is None and instead(one=None) is None
    assert instead(first=3, second=None) == 3
    assert instead(first=3, second=0) == 0
    with pytest.raises(Conflict, match="plugin broken: exists"):
        instead(broken=Conflict("exists"))
