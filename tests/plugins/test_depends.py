"""Starts that wait for other jobs, and stops in the other order: on fakes with a clock moved by hand."""

from __future__ import annotations

import random
import signal

import pytest

import gaffer
from gaffer.errors import ConfigError, InvalidConfig
from gaffer.testing import settle
from gaffer_plugins.depends import DependsPlugin
from gaffer_plugins.depends.plugin import MOST, Dependencies
from tests.kit.web import wait_until


@pytest.fixture
def manager(gaffer_manager, gaffer_clock):
    made = gaffer_manager(DependsPlugin(gaffer_clock))
    made.start()
    return made


def load(manager, name, *needs, start=True, **settings):
    manager.load({"name": name, "cmd": "serve", "depends_on": list(needs), **settings}, start=start)
    settle(manager)


def state(manager, name="web"):
    info = manager.info(name)
    return info["state"], info["reason"]


def last(spawner, name):
    """Return the newest process of a job."""
    return [one for one in spawner.processes if one.config.job_name.short == name][-1]


def ready(manager, clock):
    settle(manager)
    clock.advance(1.0)
    settle(manager)


# -- conditions


def test_a_start_waits_until_the_job_it_depends_on_is_ready(manager, gaffer_clock):
    load(manager, "db")
    load(manager, "web", "db")
    assert state(manager) == ("waiting", "waits for db to be ready: it is starting")
    ready(manager, gaffer_clock)
    assert state(manager) == ("starting", None) and manager.info("web")["running"] == 1


def test_all_wanted_copies_have_to_be_ready(manager, gaffer_clock):
    load(manager, "db", numprocesses=2)
    ready(manager, gaffer_clock)
    manager.scale("db", "+1")
    settle(manager)
    load(manager, "web", "db")
    assert state(manager)[1] == "waits for db to be ready: 2 of 3 processes are"
    manager.scale("db", "-1")
    settle(manager)
    assert state(manager)[0] == "starting"


def test_started_holds_from_the_first_process_on(manager):
    load(manager, "db", start=False)
    load(manager, "web", "db:started")
    assert state(manager)[1] == "waits for db, which is stopped; start it with 'gafferctl start db'"
    manager.start_job("db")
    settle(manager)
    assert manager.info("web")["running"] == 1


def test_completed_needs_an_allowed_code_of_every_copy(manager, gaffer_spawner):
    load(manager, "migrate", restart="never", numprocesses=2, exit_codes=[0, 3])
    load(manager, "web", "migrate:completed")
    assert state(manager)[1] == "waits for migrate to complete: it is starting"
    first, second = gaffer_spawner.processes
    first.exit(3)
    settle(manager)
    assert state(manager)[0] == "waiting"
    second.exit(1)
    settle(manager)
    again = "start it again with 'gafferctl start migrate'"
    assert state(manager)[1] == f"waits for migrate to complete: it ended with code 1; {again}"
    manager.start_job("migrate")
    settle(manager)
    for process in gaffer_spawner.processes[-2:]:
        process.exit(0)
    settle(manager)
    assert manager.info("web")["running"] == 1


def test_stopped_waits_for_the_last_process(manager, gaffer_spawner):
    load(manager, "web")
    load(manager, "backup", "web:stopped")
    assert state(manager, "backup")[1] == "waits for web to be stopped: it is starting"
    gaffer_spawner.last.ignores.add(signal.SIGTERM)
    manager.stop_job("web")
    settle(manager)
    assert state(manager, "backup")[1] == "waits for web to be stopped: it is stopping"
    gaffer_spawner.last.exit(0)
    settle(manager)
    assert manager.info("backup")["running"] == 1


def test_names_without_a_session_mean_the_own_one(manager):
    load(manager, "db")
    load(manager, "shop.db", start=False)
    load(manager, "shop.web", "db:started")
    load(manager, "shop.cron", "default.db:started")
    assert (state(manager, "shop.web")[0], state(manager, "shop.cron")[0]) == ("waiting", "starting")


def test_all_jobs_of_a_session(manager, gaffer_clock):
    load(manager, "shop.db")
    load(manager, "shop.web", start=False)
    load(manager, "proxy", "shop.*")
    assert state(manager, "proxy")[1] == (
        "waits for shop.db to be ready: it is starting; "
        "waits for shop.web, which is stopped; start it with 'gafferctl start shop.web'"
    )
    manager.start_job("shop.web")
    ready(manager, gaffer_clock)
    ready(manager, gaffer_clock)
    assert manager.info("proxy")["running"] == 1
    load(manager, "shop.new")
    assert manager.info("proxy")["running"] == 1


def test_the_reason_follows_what_becomes_of_the_job(manager, gaffer_clock, gaffer_spawner):
    load(manager, "disk", start=False)
    load(manager, "db", "disk")
    load(manager, "web", "db")
    assert state(manager)[1] == "waits for db to be ready: it waits for disk"
    manager.start_job("disk")
    ready(manager, gaffer_clock)
    assert state(manager)[1] == "waits for db to be ready: it is starting"
    last(gaffer_spawner, "db").exit(5)
    settle(manager)
    assert state(manager)[1] == "waits for db to be ready: it is started again later: exited with code 5"
    manager.stop_job("db")
    settle(manager)
    assert state(manager)[1].startswith("waits for db, which is stopped")
    manager.unload("db")
    settle(manager)
    assert state(manager)[1] == "waits for db, which is not loaded"


def test_one_that_failed_for_good_leaves_dependents_waiting_until_it_recovers(manager, gaffer_clock, gaffer_spawner):
    gaffer_spawner.fail("no such command")
    load(manager, "db", restart="never")
    load(manager, "web", "db")
    assert state(manager)[0] == "waiting" and "it failed: could not be started" in state(manager)[1]
    manager.start_job("db")
    ready(manager, gaffer_clock)
    assert manager.info("web")["running"] == 1


def test_a_sentence_names_three_jobs_at_most(manager):
    for number in range(5):
        load(manager, f"db{number}", start=False)
    load(manager, "web", *(f"db{number}" for number in range(5)))
    assert state(manager)[1].count("which is stopped") == 3 and state(manager)[1].endswith("and 2 more")


def test_a_committed_process_is_refused_while_a_condition_does_not_hold(manager):
    load(manager, "db", start=False)
    load(manager, "web", "db", start=False)
    with pytest.raises(gaffer.errors.Unavailable, match="waits for db, which is stopped"):
        manager.commit("web")


def test_a_process_that_is_not_ready_any_more_holds_new_starts_only(manager, gaffer_clock, gaffer_spawner):
    load(manager, "db")
    ready(manager, gaffer_clock)
    load(manager, "web", "db")
    manager.set_ready(last(gaffer_spawner, "db").pid, False, "no answer")
    settle(manager)
    assert manager.info("web")["running"] == 1
    last(gaffer_spawner, "web").exit(1)  # replaced by itself, whatever db does
    gaffer_clock.advance(40)
    settle(manager)
    assert manager.info("web")["running"] == 1
    manager.stop_job("web")
    settle(manager)
    manager.start_job("web")
    settle(manager)
    assert state(manager) == ("waiting", "waits for db to be ready: it is unready: no answer")


def test_an_update_may_take_the_dependency_away(manager):
    load(manager, "db", start=False)
    load(manager, "web", "db")
    manager.update({"name": "web", "cmd": "serve"})
    settle(manager)
    assert manager.info("web")["running"] == 1


def test_changed_dependencies_do_not_replace_processes(manager, gaffer_spawner):
    load(manager, "db")
    load(manager, "web")
    manager.update({"name": "web", "cmd": "serve", "depends_on": ["db:started"], "on_lost": "stop"})
    settle(manager)
    assert len(gaffer_spawner.processes) == 2
    manager.stop_job("db")
    settle(manager)
    assert state(manager)[0] == "waiting"


# -- on_lost


def test_stop_ends_the_dependent_until_the_job_is_back(manager, gaffer_clock, gaffer_spawner):
    load(manager, "db", numprocesses=2)
    ready(manager, gaffer_clock)
    load(manager, "web", "db", on_lost="stop")
    web = last(gaffer_spawner, "web")
    gaffer_spawner.processes[0].exit(1)
    settle(manager)
    assert web.alive, "one of two copies is left"
    gaffer_spawner.processes[1].exit(1)
    settle(manager)
    assert not web.alive and state(manager)[0] == "waiting"
    for _ in range(2):
        gaffer_clock.advance(5)
        settle(manager)
    assert manager.info("web")["running"] == 1 and manager.info("web")["restarts"] == 0


def test_restart_replaces_the_dependent_when_the_job_is_back(manager, gaffer_clock, gaffer_spawner):
    load(manager, "db")
    ready(manager, gaffer_clock)
    load(manager, "web", "db", on_lost="restart")
    web = last(gaffer_spawner, "web")
    manager.stop_job("db")
    settle(manager)
    assert web.alive
    manager.start_job("db")
    settle(manager)
    assert web.alive
    ready(manager, gaffer_clock)
    assert not web.alive and last(gaffer_spawner, "web").alive and last(gaffer_spawner, "web") is not web


def test_with_restart_a_dependent_that_dies_waits_and_is_not_replaced_twice(manager, gaffer_clock, gaffer_spawner):
    load(manager, "db")
    ready(manager, gaffer_clock)
    load(manager, "web", "db", on_lost="restart", min_uptime=0)
    manager.stop_job("db")
    settle(manager)
    last(gaffer_spawner, "web").exit(1)
    gaffer_clock.advance(5)
    settle(manager)
    assert state(manager)[0] == "waiting"
    manager.start_job("db")
    ready(manager, gaffer_clock)
    assert len([one for one in gaffer_spawner.processes if one.config.name == "web"]) == 2


def test_stop_follows_a_job_that_is_unloaded(manager, gaffer_clock):
    load(manager, "db")
    ready(manager, gaffer_clock)
    load(manager, "web", "db", on_lost="stop")
    manager.unload("db")
    settle(manager)
    assert state(manager) == ("waiting", "waits for db, which is not loaded")


# -- order of stops


def test_everything_stops_before_what_it_depends_on(manager, gaffer_spawner):
    gaffer_spawner.ignores.add(signal.SIGTERM)
    load(manager, "db", priority=9)
    load(manager, "cache", "db:started")
    load(manager, "web", "cache:started", priority=1)
    load(manager, "backup", "web:stopped", "db:started")
    assert manager.commands.run("stop_order") == {
        "groups": [["default.backup"], ["default.web"], ["default.cache"], ["default.db"]]
    }
    manager.stop(lambda manager: None)
    for name in ("web", "cache", "db"):
        settle(manager)
        assert [one.config.name for one in gaffer_spawner.alive][-1] == name
        assert [bool(one.signals) for one in gaffer_spawner.alive] == [False] * (len(gaffer_spawner.alive) - 1) + [True]
        last(gaffer_spawner, name).exit(0)
    assert manager.wait_stopped(10)


def test_a_session_is_restarted_in_order(manager, gaffer_clock, gaffer_spawner):
    load(manager, "shop.db")
    ready(manager, gaffer_clock)
    load(manager, "shop.web", "db")
    manager.commands.run("restart_session", {"sessionid": "shop"})
    settle(manager)
    assert (state(manager, "shop.db")[0], state(manager, "shop.web")[0]) == ("starting", "waiting")
    ready(manager, gaffer_clock)
    assert state(manager, "shop.web")[0] == "starting"


# -- wrong ones

WRONG = [
    ("db:redy", "unknown condition 'redy' in 'db:redy'; use one of ready, started, completed, stopped; did you mean"),
    ("*", "'[*]' needs a session: SESSION.[*]"),
    ("a b", "job name 'a b' may hold letters"),
    ("shop.", "job name must be a non-empty string"),
    (".db", "session name must be a non-empty string"),
    ("db:", "unknown condition ''"),
]


@pytest.mark.parametrize("text, sentence", WRONG)
def test_a_dependency_that_cannot_be_read(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        Dependencies().parse(text)


def test_dependencies_in_their_canonical_form():
    assert Dependencies().parse("db, shop/cache:started ,db:ready,x.*") == (
        "db:ready",
        "shop.cache:started",
        "x.*:ready",
    )
    with pytest.raises(ValueError, match=f"at most {MOST} dependencies"):
        Dependencies().check([f"job{number}" for number in range(MOST + 1)])


def test_a_job_that_can_never_start_is_refused(manager):
    load(manager, "db", start=False)
    load(manager, "none", numprocesses=0)
    load(manager, "web", "db", start=False)
    for name, needs, sentence in (
        ("new", "dbb", "depends_on: dbb:ready: there is no job 'dbb'; did you mean 'db'?"),
        ("new", "shp.*", "depends_on: shp.[*]:ready: there is no other job in session 'shp'"),
        ("new", "new", "new:ready: a job cannot wait for itself"),
        ("new", "db:completed", "db:completed: db never completes, because of restart = always"),
        ("new", "none:started", "none has numprocesses = 0, so it will never be started"),
    ):
        with pytest.raises(InvalidConfig, match=sentence):
            load(manager, name, needs)
    with pytest.raises(InvalidConfig, match="they wait for each other: db waits for web, which waits for db; take one"):
        manager.update({"name": "db", "cmd": "serve", "depends_on": ["web"]})
    load(manager, "migrate", restart="never", start=False)
    load(manager, "after", "migrate:completed")
    with pytest.raises(InvalidConfig, match="job after depends on migrate:completed: migrate never completes"):
        manager.update({"name": "migrate", "cmd": "serve"})
    assert state(manager, "after")[0] == "waiting"


class Source:
    """A plugin that brings jobs."""

    def __init__(self, **jobs):
        self.jobs = jobs

    @gaffer.hookimpl
    def gaffer_load_jobs(self):
        return [gaffer.JobConfig(name, "serve", depends_on=needs) for name, needs in self.jobs.items()]


def test_jobs_of_the_configuration_may_come_in_any_order(gaffer_manager, gaffer_clock):
    manager = gaffer_manager(DependsPlugin(gaffer_clock), Source(web=["cache"], cache=["db"], db=[]))
    manager.start()
    settle(manager)
    assert [state(manager, name)[0] for name in ("web", "cache", "db")] == ["waiting", "waiting", "starting"]


def test_a_wrong_configuration_starts_nothing(gaffer_manager, gaffer_clock, gaffer_spawner):
    source = Source(web=["cahe"], cache=["db"], db=["cache"])
    with pytest.raises(ConfigError) as caught:
        gaffer_manager(DependsPlugin(gaffer_clock), source).start()
    assert [str(problem) for problem in caught.value.problems] == [
        "job cache: depends_on: they wait for each other: cache waits for db, which waits for cache; take one out",
        "job web: depends_on: cahe:ready: there is no job 'cahe'; did you mean 'cache'?",
    ]
    assert gaffer_spawner.processes == []


def test_a_reload_may_turn_a_dependency_round(gaffer_manager, gaffer_clock):
    source = Source(a=["b"], b=[])
    manager = gaffer_manager(DependsPlugin(gaffer_clock), source)
    manager.start()
    source.jobs = {"a": [], "b": ["a"]}
    assert sorted(manager.reload_config()["updated"]) == ["default.a", "default.b"]
    source.jobs = {"a": ["b"], "b": ["a"]}
    with pytest.raises(ConfigError, match="they wait for each other"):
        manager.reload_config()


def test_without_dependencies_nothing_takes_part_in_starts(gaffer_manager):
    manager = gaffer_manager(DependsPlugin())
    manager.start()
    manager.load({"name": "web", "cmd": "serve"})
    for hook in ("gaffer_before_spawn", "gaffer_spawned", "gaffer_exited", "gaffer_stop_order"):
        assert not manager.hooks.implemented(hook)
    assert "depends" not in manager.health()["plugins"]


# -- what is shown


def test_graph_and_blame(manager, gaffer_clock):
    from gaffer_plugins.depends.report import Blame, graph

    watch = None
    load(manager, "other")
    load(manager, "db")
    gaffer_clock.advance(0.5)
    load(manager, "web", "db", "other:started")
    load(manager, "proxy", "web")
    watch = next(one.object for one in manager.plugins.list() if one.name == "depends.watch")
    everything = lambda name: True  # noqa: E731
    shown = {one["name"]: one for one in graph(watch, manager.all_jobs(), everything, gaffer_clock())}
    assert shown["default.web"] == {
        "name": "default.web",
        "state": "waiting",
        "ready": 0,
        "max_processes": 1,
        "reason": "waits for db to be ready: it is starting",
        "depends_on": [
            {"name": "default.db", "condition": "ready", "holds": False},
            {"name": "default.other", "condition": "started", "holds": True},
        ],
    }
    assert [one["name"] for one in graph(watch, manager.all_jobs(), lambda name: name.job == "db", 0.0)] == [
        "default.db"
    ]
    gaffer_clock.advance(0.5)
    settle(manager)
    gaffer_clock.advance(1.0)
    settle(manager)
    found = Blame(manager, watch, everything, gaffer_clock())
    jobs = {job["name"]: job for job in found.jobs()}
    assert [job["total"] or job["waited"] for job in jobs.values()] == [1.5, 1.5, 1.0, 1.0]
    assert jobs["default.web"]["waits"] == [{"for": "db:ready", "seconds": 0.5, "over": True}]
    assert (jobs["default.web"]["waited"], jobs["default.web"]["starting"], jobs["default.web"]["total"]) == (
        0.5,
        1.0,
        1.5,
    )
    assert jobs["default.proxy"]["total"] is None and jobs["default.proxy"]["waited"] == 1.5
    assert jobs["default.db"]["waits"] == []
    assert [(link["name"], link["for"]) for link in found.chain()] == [
        ("default.proxy", None),
        ("default.web", "web:ready"),
        ("default.db", "db:ready"),
    ]


def test_health_counts_what_waits(manager):
    load(manager, "db", start=False)
    load(manager, "web", "db")
    report = manager.health()["plugins"]["depends"]
    assert (report["dependents"], report["waiting"], report["ok"]) == (1, 1, True)


# -- 200 jobs


class OrderModel:
    """What has to have happened before each start and each stop.

    :param needs: what each job depends on.
    """

    def __init__(self, needs):
        self.needs = {name: [tuple(one.split(":")) for one in ones] for name, ones in needs.items()}
        self.seen = {"started": set(), "ready": set()}
        self.ended = set()

    @gaffer.hookimpl
    def gaffer_spawned(self, job):
        for other, condition in self.needs[job.name.job]:
            assert other in self.seen[condition], f"{job.name} before {other} was {condition}"
        self.seen["started"].add(job.name.job)

    @gaffer.hookimpl
    def gaffer_process_ready(self, job):
        self.seen["ready"].add(job.name.job)

    @gaffer.hookimpl
    def gaffer_signalled(self, job):
        for name, ones in self.needs.items():
            if any(other == job.name.job for other, _ in ones):
                assert name in self.ended, f"{job.name} was stopped before {name}"

    @gaffer.hookimpl
    def gaffer_reaped(self, job):
        self.ended.add(job.name.job)


@pytest.mark.parametrize("seed", range(3))
def test_200_jobs_start_and_stop_in_an_order_that_is_valid(gaffer_manager, gaffer_clock, seed):
    rng = random.Random(seed)
    names = [f"job{number}" for number in range(200)]
    needs = {
        name: [f"{other}:{rng.choice(['ready', 'started'])}" for other in rng.sample(names[:place], min(place, 3))]
        for place, name in enumerate(names)
    }
    rng.shuffle(names)
    model = OrderModel(needs)
    manager = gaffer_manager(DependsPlugin(gaffer_clock), Source(**{name: needs[name] for name in names}))
    manager.plugins.add(model, name="model")
    manager.start()
    for _ in range(200):
        settle(manager)
        if len(model.seen["ready"]) == 200:
            break
        gaffer_clock.advance(1.0)
    assert len(model.seen["ready"]) == 200
    manager.stop()
    assert len(model.ended) == 200 and manager.hooks.counters()["model"]["failures"] == 0


def test_graph_and_blame_over_http(start_api):
    api = start_api(DependsPlugin())
    assert api.get("/graph") == {"jobs": []} and api.get("/blame") == {"jobs": [], "chain": []}
    api.manager.load({"name": "db", "cmd": "sleep 1000"})
    wait_until(lambda: api.get("/blame")["jobs"])
    assert api.get("/blame")["jobs"][0]["waits"] == []
    api.manager.load({"name": "web", "cmd": "sleep 1000", "depends_on": ["db:stopped"]})
    shown = {job["name"]: job["depends_on"] for job in api.get("/graph")["jobs"]}
    assert shown["default.web"] == [{"name": "default.db", "condition": "stopped", "holds": False}]
    wait_until(lambda: {job["name"] for job in api.get("/blame")["jobs"]} == {"default.db", "default.web"})


def texts(cause):
    return [cause["text"], *(text for one in cause["causes"] for text in texts(one))]


def test_why_follows_what_a_job_waits_for_to_the_root(manager, gaffer_clock):
    load(manager, "disk", start=False)
    load(manager, "db", "disk")
    load(manager, "web", "db")
    found = texts(manager.why("web"))
    assert [text for text in found if "depends on" in text] == ["it depends on db:ready", "it depends on disk:ready"]
    assert "it was loaded without being started" in found[-1]
    manager.start_job("disk")
    for _ in range(3):
        ready(manager, gaffer_clock)
    manager.stop_job("db")
    settle(manager)
    assert "it goes on without db:ready (on_lost = keep)" in texts(manager.why("web"))


def test_a_reload_loads_all_jobs_before_one_of_them_counts_as_stopped(gaffer_manager, gaffer_clock):
    source = Source(other=["x:stopped"], x=[])
    manager = gaffer_manager(DependsPlugin(gaffer_clock), source)
    manager.start()
    settle(manager)
    source.jobs = {"backup": ["web:stopped"], **source.jobs, "web": []}
    asked = []

    class Slow:
        """Lets everything else happen before the next job is loaded."""

        @gaffer.hookimpl
        def gaffer_before_load(self, draft, origin):
            if draft["name"] == "web" and manager.has_job(manager.job("other").name._replace(job="backup")):
                settle(manager)
                asked.append(state(manager, "backup"))

    manager.plugins.add(Slow())
    manager.reload_config()
    settle(manager)
    assert asked == [("waiting", "waits for web, which is not loaded")]
    assert state(manager, "backup")[1] == "waits for web to be stopped: it is starting"


def test_a_start_after_a_stop_waits_even_if_the_old_process_is_still_there(manager, gaffer_clock, gaffer_spawner):
    load(manager, "db")
    ready(manager, gaffer_clock)
    load(manager, "web", "db")
    web = last(gaffer_spawner, "web")
    web.ignores.add(signal.SIGTERM)
    manager.set_ready(last(gaffer_spawner, "db").pid, False, "no answer")
    manager.stop_job("web")
    manager.start_job("web")
    settle(manager)
    web.exit(0)
    settle(manager)
    assert state(manager)[0] == "waiting" and manager.info("web")["replacements"] == 0


def test_a_rolling_reload_goes_on_without_a_dependency(manager, gaffer_clock, gaffer_spawner):
    load(manager, "db")
    ready(manager, gaffer_clock)
    load(manager, "web", "db", numprocesses=2, reload="rolling")
    ready(manager, gaffer_clock)
    old = [one for one in gaffer_spawner.processes if one.config.name == "web"]
    manager.set_ready(last(gaffer_spawner, "db").pid, False, "no answer")
    settle(manager)
    manager.reload("web")
    for _ in range(8):
        ready(manager, gaffer_clock)
    assert not any(one.alive for one in old) and manager.info("web")["ready"] == 2


class ShopOnly:
    """A plugin whose callers may read the session shop."""

    identity = gaffer.Identity("shop")

    @gaffer.hookimpl
    def gaffer_identify(self):
        return self.identity

    @gaffer.hookimpl
    def gaffer_permit(self, permission, resource):
        return permission == "read" and resource.session == "shop"


def test_a_caller_sees_the_jobs_that_it_may_read(start_api):
    api = start_api(DependsPlugin(), ShopOnly())
    api.manager.load({"name": "db", "cmd": "sleep 1000"})
    api.manager.load({"name": "shop.db", "cmd": "sleep 1000"})
    api.manager.load({"name": "shop.web", "cmd": "sleep 1000", "depends_on": ["default.db:stopped", "db:stopped"]})
    shown = {job["name"]: [one["name"] for one in job["depends_on"]] for job in api.get("/graph")["jobs"]}
    assert shown == {"shop.db": [], "shop.web": ["shop.db"]}
    wait_until(lambda: len(api.get("/blame")["jobs"]) == 2)
    assert all(link["name"].startswith("shop.") for link in api.get("/blame")["chain"])
