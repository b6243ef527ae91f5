"""Reloading the jobs of the configuration, on fake processes."""

from __future__ import annotations

import signal

import gevent
import pytest
from gevent.event import Event

import gaffer
import gaffer.api
from gaffer.config.jobconfig import JobConfig, JobFields
from gaffer.errors import Conflict, InvalidConfig
from gaffer.manager.reconcile import check_variables, parse
from gaffer.process import environment
from gaffer.testing import settle


class Source:
    """A job source whose answer can be changed, and held back."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked = 0
        self.gate = Event()
        self.gate.set()

    @gaffer.hookimpl
    def gaffer_load_jobs(self) -> list[gaffer.JobConfig]:
        self.asked += 1
        names = self.names
        self.gate.wait()
        return [name if isinstance(name, JobConfig) else JobConfig(name, "serve") for name in names]


@pytest.fixture
def source() -> Source:
    return Source("a", "b")


@pytest.fixture
def manager(gaffer_manager, source):
    manager = gaffer_manager(source)
    manager.start()
    return manager


def test_two_reloads_at_once_are_one_after_the_other(manager, source):
    source.gate.clear()
    source.names = ("b", "c")
    first = gevent.spawn(manager.reload_config)
    gevent.sleep(0)
    second = gevent.spawn(manager.reload_config)
    gevent.sleep(0)
    assert source.asked == 2  # at the start, and by the first
    source.names = ("c", "d")
    source.gate.set()
    assert first.get(timeout=5)["loaded"] == ["default.c"]
    assert second.get(timeout=5) == {
        "loaded": ["default.d"],
        "unloaded": ["default.b"],
        "updated": [],
        "unchanged": ["default.c"],
    }
    assert sorted(manager.jobs()) == ["default.c", "default.d"]


def test_failed_reload_leaves_the_next_one_a_chance(manager, source):
    source.names = ("a", "a")
    with pytest.raises(gaffer.api.InvalidConfig, match="configured twice"):
        manager.reload_config()
    source.names = ("a",)
    assert manager.reload_config()["unloaded"] == ["default.b"]


def test_reload_out_of_a_reload_is_rejected(gaffer_manager):
    class Recursive:
        manager = None

        @gaffer.hookimpl
        def gaffer_load_jobs(self):
            if self.manager is not None:
                self.manager.reload_config()
            return []

    plugin = Recursive()
    manager = gaffer_manager(plugin)
    manager.start()
    plugin.manager = manager
    with pytest.raises(Conflict, match="the configuration is being reloaded"):
        manager.reload_config()


# -- what a reload changes ---------------------------------------------------------------------------


def test_reload_touches_only_what_changed(manager, source, gaffer_spawner):
    settle(manager)
    manager.load(JobConfig("mine", "serve"))
    settle(manager)
    source.names = (JobConfig("b", "serve --new"), "a", "c")
    assert manager.reload_config() == {
        "loaded": ["default.c"],
        "unloaded": [],
        "updated": ["default.b"],
        "unchanged": ["default.a"],
    }
    settle(manager)
    alive = sorted((process.name.job, process.config.cmd) for process in gaffer_spawner.alive)
    assert alive == [("a", "serve"), ("b", "serve --new"), ("c", "serve"), ("mine", "serve")]
    assert next(process.pid for process in gaffer_spawner.alive if process.name.job == "a") == 1


def test_job_that_was_unloaded_by_hand_is_loaded_again(manager, source):
    manager.unload("a")
    settle(manager)
    report = manager.reload_config()
    assert (report["loaded"], report["unchanged"]) == (["default.a"], ["default.b"])


def test_job_that_was_loaded_by_hand_is_not_taken_over(manager, source):
    manager.load(JobConfig("mine", "serve"))
    source.names = ("a", "mine")
    with pytest.raises(Conflict, match="job mine of the configuration was loaded by hand"):
        manager.reload_config()
    assert manager.jobs() == ["default.a", "default.b", "default.mine"]


@pytest.mark.parametrize("hook", ["gaffer_before_load", "gaffer_before_unload"])
def test_refused_reload_touches_nothing(gaffer_manager, gaffer_spawner, source, hook):
    class Keeper:
        refuses = False

        @gaffer.hookimpl
        def gaffer_before_load(self, draft):
            if self.refuses and hook == "gaffer_before_load" and draft["name"] == "z":
                raise gaffer.Veto("no z")

        @gaffer.hookimpl
        def gaffer_before_unload(self, job):
            if self.refuses and hook == "gaffer_before_unload":
                raise gaffer.Veto("keep it")

    keeper = Keeper()
    manager = gaffer_manager(source, keeper)
    manager.start()
    settle(manager)
    keeper.refuses, settings = True, manager.settings
    source.names = ("c", JobConfig("b", "serve --new"), "z")
    with pytest.raises(Conflict):
        manager.reload_config({"new": "settings"})
    settle(manager)
    assert manager.jobs() == ["default.a", "default.b"] and manager.settings is settings
    assert [process.config.cmd for process in gaffer_spawner.processes] == ["serve", "serve"]


def test_jobs_are_loaded_in_the_order_of_priority(gaffer_manager, gaffer_spawner):
    manager = gaffer_manager(
        Source("late", JobConfig("second", "serve", priority=2), JobConfig("first", "x", priority=1))
    )
    manager.start()
    settle(manager)
    assert [process.name.job for process in gaffer_spawner.processes] == ["first", "second", "late"]


# -- the configuration that the arguments of a load mean ------------------------------------------------


@pytest.mark.parametrize(
    "given", [{"name": "shop.web", "cmd": "serve", "env": {"A": "1"}}, None], ids=["mapping", "job"]
)
@pytest.mark.parametrize(
    ("session", "env", "name", "result"),
    [
        (None, None, "shop.web", {"A": "1"}),
        ("bank", None, "bank.web", {"A": "1"}),
        (None, {"A": "2", "B": "3"}, "shop.web", {"A": "2", "B": "3"}),
    ],
)
def test_session_and_environment_of_the_arguments_win(given, session, env, name, result):
    config = parse(JobFields(), given or JobConfig("shop.web", "serve", env={"A": "1"}), session, env)
    assert (config.name, dict(config.env)) == (name, result)


def test_variable_that_no_process_would_have_is_rejected():
    check_variables(JobConfig("web", "serve $A $PORT $GAFFER_INDEX $$B", env={"A": "1"}, port=5000, os_env=False))
    for cmd in ("serve $B", "serve $PORT"):
        with pytest.raises(InvalidConfig, match="unknown variable"):
            check_variables(JobConfig("web", cmd, os_env=False))


def test_missing_env_file_is_rejected_when_the_job_is_loaded(tmp_path):
    with pytest.raises(InvalidConfig, match="nothing.env"):
        check_variables(JobConfig("web", "serve", env_file=str(tmp_path / "nothing.env")))


def test_env_file_is_read_once_when_a_job_is_loaded_and_once_for_the_starts_that_follow(
    gaffer_manager, gaffer_spawner, tmp_path, monkeypatch
):
    reads = []
    read = environment.read_env_file
    monkeypatch.setattr(environment, "read_env_file", lambda *args: reads.append(args) or read(*args))
    path = tmp_path / "web.env"
    path.write_text("WHO=ada\n")
    manager = gaffer_manager()
    manager.start()
    manager.load(JobConfig("web", "serve $WHO", env_file=str(path), numprocesses=3, min_uptime=0.0))
    settle(manager)
    assert len(reads) == 2 and [one.plan.argv for one in gaffer_spawner.processes] == [["serve", "ada"]] * 3
    path.write_text("WHO=bob\n")
    gaffer_spawner.last.exit(1)
    settle(manager)
    assert len(reads) == 3 and gaffer_spawner.last.plan.argv == ["serve", "bob"]


# -- ports ----------------------------------------------------------------------------------------


def with_port(name, port, number=1, **settings):
    return JobConfig(name, "serve", port=port, numprocesses=number, **settings)


def test_job_with_a_port_of_another_application_is_refused(manager):
    manager.load(with_port("a.web", 5100, 3))
    with pytest.raises(Conflict, match=r"^port 5102 of b\.web is that of a\.web; choose others with --port N"):
        manager.load(with_port("b.web", 5102))
    assert "b.web" not in manager.jobs()
    manager.load(with_port("b.web", 5103))
    with pytest.raises(Conflict, match=r"^port 5102 of b\.web"):
        manager.update(with_port("b.web", 5102))
    assert manager.get("b.web").port == 5103


def test_scaling_into_the_ports_of_another_application_is_refused(manager):
    manager.load(with_port("a.web", 5100))
    manager.load(with_port("b.web", 5102))
    assert manager.scale("a.web", 1) == 2
    with pytest.raises(Conflict, match=r"^port 5102 of a\.web is that of b\.web"):
        manager.scale("a.web", 1)
    assert manager.scale("a.web", -1) == 1


def test_port_is_free_when_the_job_that_had_it_is_gone(manager):
    manager.load(with_port("a.web", 5100, start=False))
    manager.unload("a.web")
    settle(manager)
    manager.load(with_port("b.web", 5100))


def test_jobs_of_one_application_may_exchange_ports_one_by_one(manager):
    manager.load(with_port("a.web", 5100))
    manager.load(with_port("a.clock", 5200))
    manager.update(with_port("a.web", 5200))
    manager.update(with_port("a.clock", 5100))


def test_configuration_with_one_port_for_two_jobs_is_refused_as_a_whole(manager, source):
    source.names = (with_port("a.web", 5100), with_port("b.web", 5100), with_port("c.web", 5200))
    with pytest.raises(Conflict, match=r"^port 5100 of b\.web is that of a\.web"):
        manager.reload_config()
    assert manager.jobs() == ["default.a", "default.b"]
    manager.load(with_port("manual.web", 5300))
    source.names = (with_port("a.web", 5300),)
    with pytest.raises(Conflict, match=r"^port 5300 of manual\.web is that of a\.web"):
        manager.reload_config()


def test_jobs_of_the_configuration_may_exchange_ports_at_a_reload(manager, source):
    source.names = (with_port("a.web", 5100), with_port("b.web", 5200))
    manager.reload_config()
    source.names = (with_port("a.web", 5200), with_port("b.web", 5100))
    assert manager.reload_config()["updated"] == ["a.web", "b.web"]


def test_reload_unloads_jobs_in_reverse_priority_when_those_after_them_have_ended(
    manager, source, gaffer_spawner, gaffer_clock
):
    gaffer_spawner.ignores.add(signal.SIGTERM)
    source.names = (
        JobConfig("database", "serve", priority=0),
        JobConfig("web", "serve", priority=1, graceful_timeout=5),
    )
    manager.reload_config()
    settle(manager)
    gaffer_clock.advance(10)  # what was there before ends
    settle(manager)
    database, web = (manager.list(name)[0] for name in ("database", "web"))
    source.names = ("other",)
    reload = gevent.spawn(manager.reload_config)
    settle(manager)
    assert signal.SIGTERM in web.signals and not database.signals
    for seconds in (5, 1):  # until KILL, and until what it left is looked for
        gaffer_clock.advance(seconds)
        settle(manager)
    assert reload.get(timeout=5)["unloaded"] == ["default.database", "default.web"]
    settle(manager)
    assert signal.SIGTERM in database.signals
