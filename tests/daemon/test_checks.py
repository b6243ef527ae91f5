"""gaffer.daemon.checks and reload, with a manager that has no processes."""

from __future__ import annotations

import logging
from typing import Any

import gevent
import pytest
from gevent.event import Event

from gaffer import JobConfig, Manager, Plugin, hookimpl
from gaffer.config.ini_reader import parse_text
from gaffer.config.options import Options
from gaffer.config.settings import Settings
from gaffer.daemon.checks import find_problems, warn_of_unused
from gaffer.daemon.reload import ConfigReload
from gaffer.errors import ConfigError, Conflict, Problem


def settings(text: str = "", **overrides: Any) -> Settings:
    return Settings(Options(), parse_text(text, "g.ini"), overrides, {}, "g.ini")


class Jobs:
    """A plugin that brings jobs which are never started."""

    def __init__(self, *names: str) -> None:
        self.names = names

    @hookimpl
    def gaffer_load_jobs(self) -> list[JobConfig]:
        return [JobConfig(name, "true", start=False) for name in self.names]


class TestFindProblems:
    def test_none(self) -> None:
        assert find_problems(settings(), Manager()) == []

    def test_of_settings_and_plugins_in_order_and_once(self) -> None:
        class Strict:
            @hookimpl
            def gaffer_check_config(self, settings: Settings) -> list[Problem]:
                return [Problem("g.ini", 1, "not today"), *settings.problems]

        class Broken:
            @hookimpl
            def gaffer_check_config(self) -> None:
                raise SystemExit("bye")

        found = find_problems(settings("[zzz]\n[gaffer]\nbindd = 1\n"), Manager(plugins=[Strict(), Broken()]))
        assert [str(problem).replace("Broken", "broken") for problem in found] == [
            "plugin broken cannot check the configuration: SystemExit: bye",
            "g.ini:1: not today",
            "g.ini:1: unknown section [zzz]; settings of a plugin go into [plugin:zzz]",
            "g.ini:3: unknown key 'bindd' in [gaffer]; did you mean 'bind'?",
        ]

    def test_keys_are_required_and_nothing_knows_any(self, monkeypatch: pytest.MonkeyPatch) -> None:
        locked = settings("[gaffer]\nrequire_key = true\n")
        (problem,) = find_problems(locked, Manager())
        assert str(problem).startswith("g.ini:2: keys are required, but no plugin that checks them is loaded")
        manager = Manager()
        monkeypatch.setattr(manager.hooks, "implemented", lambda name: name == "gaffer_identify")
        assert find_problems(locked, manager) == []

    def test_keys_are_required_at_one_endpoint_and_nothing_knows_any(self) -> None:
        locked = settings("[gaffer]\nhttp_endpoints = a\n[endpoint:a]\nbind = 127.0.0.1:1\nrequire_key = true\n")
        (problem,) = find_problems(locked, Manager())
        assert str(problem).startswith("g.ini:3: keys are required, but no plugin that checks them is loaded")

    def test_a_plugin_that_another_needs(self) -> None:
        class Needy(Plugin):
            name = "needy"
            mandatory = ["other"]

        (problem,) = find_problems(settings(), Manager(plugins=[Needy()]))
        assert "needs plugin 'other'" in problem.message


def test_sections_that_nothing_reads_are_told(caplog: pytest.LogCaptureFixture) -> None:
    class Mailer(Plugin):
        name = "mailer"

    text = "[webhooks]\ncreate = http://x/\n[plugin:mailer]\nto = me\n[plugin:maler]\nto = me\n[plugin:empty]\n"
    text += "[job:a]\ncmd = a\n"
    warn_of_unused(settings(text), Manager(plugins=[Mailer()]))
    assert [record.getMessage() for record in caplog.records] == [
        "g.ini:1: nothing reads [webhooks]: no plugin 'webhooks' is loaded",
        "g.ini:5: nothing reads [plugin:maler]: no plugin 'maler' is loaded",
        "g.ini:8: nothing reads [job:a]: no plugin 'inijobs' is loaded",
    ]


class TestReload:
    def test_takes_over_what_changed(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "gafferd")
        jobs = Jobs("a", "b")
        taken: list[Settings] = []
        with Manager(plugins=[jobs], settings=settings()) as manager:
            new = settings("[gaffer]\nbacklog = 7\nallowed_hosts = x\n")
            reload = ConfigReload(manager, lambda: new, taken.append)
            jobs.names = ("b", "c")
            assert reload() == {
                "loaded": ["default.c"],
                "unloaded": ["default.a"],
                "updated": [],
                "unchanged": ["default.b"],
                "needs_restart": ["backlog"],
            }
            assert manager.settings is new and taken == [new]
        messages = [record.getMessage() for record in caplog.records if record.name == "gafferd"]
        assert messages == [
            "backlog has changed; that takes effect when gafferd is started again",
            "configuration reloaded; loaded: default.c; unloaded: default.a",
        ]

    @pytest.mark.parametrize("left", [(), ("a",)])
    def test_more_than_half_of_the_jobs_go_only_by_force(self, left: tuple[str, ...]) -> None:
        jobs = Jobs("a", "b", "c")
        with Manager(plugins=[jobs], settings=settings()) as manager:
            reload = ConfigReload(manager, settings)
            jobs.names = left
            with pytest.raises(Conflict) as refused:
                reload()
            gone = [name for name in "abc" if name not in left]
            assert str(refused.value).startswith(f"the new configuration would unload {len(gone)} of 3 jobs")
            assert "gafferctl reload-config --force" in str(refused.value)
            assert len(manager.jobs()) == 3
            assert reload(force=True)["unloaded"] == [f"default.{name}" for name in gone]

    def test_half_of_the_jobs_go_without_force(self) -> None:
        jobs = Jobs("a", "b")
        with Manager(plugins=[jobs], settings=settings()) as manager:
            jobs.names = ("a",)
            assert ConfigReload(manager, settings)()["unloaded"] == ["default.b"]

    def test_any_problem_keeps_everything(self, caplog: pytest.LogCaptureFixture) -> None:
        old = settings()
        with Manager(plugins=[Jobs("a")], settings=old) as manager:
            reload = ConfigReload(manager, lambda: settings("[zzz]\n"))
            with pytest.raises(ConfigError):
                reload()
            reload.quietly()
            assert manager.settings is old and manager.jobs() == ["default.a"]
        assert [record.getMessage() for record in caplog.records] == [
            "g.ini:1: unknown section [zzz]; settings of a plugin go into [plugin:zzz]",
            "the configuration was not reloaded; everything stays as it was",
        ]

    def test_one_waits_for_the_other(self) -> None:
        gate, inside = Event(), []

        def read() -> Settings:
            inside.append(len(inside))
            gate.wait()
            return settings()

        with Manager(settings=settings()) as manager:
            reload = ConfigReload(manager, read)
            greenlets = [gevent.spawn(reload) for _ in range(2)]
            gevent.sleep(0)
            gevent.sleep(0)
            assert inside == [0]
            gate.set()
            gevent.joinall(greenlets, timeout=5, raise_error=True)
            assert inside == [0, 1]
