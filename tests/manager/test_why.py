"""Situations that people ask "why" about: each is staged, and its answer says what is the matter and what helps."""

from __future__ import annotations

import socket

import pytest

import gaffer
from gaffer.commands.identity import ADMIN, Identity
from gaffer.service.port_holder import holder_of
from gaffer.testing import settle


class Stage:
    """A manager with fake processes, and one job called ``web``."""

    def __init__(self, make, spawner, clock):
        self.spawner, self.clock = spawner, clock
        self.plugin = Staged()
        self.manager = make(self.plugin)
        self.manager.start()

    def load(self, name="web", **settings):
        self.manager.load({"name": name, "cmd": "serve", "min_uptime": 0, **settings})
        settle(self.manager)

    def act(self, call, *args, **kwargs):
        call(*args, **kwargs)
        settle(self.manager)

    def exit(self, code=0, stderr=b""):
        if stderr:
            self.spawner.last.say(stderr, "stderr")
        self.act(self.spawner.last.exit, code)

    def why(self, name="web"):
        """Return all sentences and remedies, a cause before what it follows from."""
        return list(self.lines(self.manager.why(name)))

    def lines(self, cause, depth=0):
        yield "  " * depth + cause["text"] + (f" -> {cause['do']}" if cause["do"] else "")
        for one in cause["causes"]:
            yield from self.lines(one, depth + 1)


class Staged:
    """Does to starts what a test says."""

    def __init__(self):
        self.raises = None
        self.unready = None
        self.causes = None

    @gaffer.hookimpl
    def gaffer_before_spawn(self, plan):
        if self.raises is not None:
            raise self.raises
        plan.unready = self.unready

    @gaffer.hookimpl
    def gaffer_why(self, job):
        return self.causes(job) if self.causes else None


@pytest.fixture
def stage(gaffer_manager, gaffer_spawner, gaffer_clock, monkeypatch):
    monkeypatch.setattr("gaffer.supervisor.restart_policy._random", lambda: 0.5)
    return Stage(gaffer_manager, gaffer_spawner, gaffer_clock)


def loaded_only(stage):
    stage.load(start=False)


def stopped_by_a_key(stage):
    stage.load()
    identity = Identity("k1", permissions=ADMIN, trusted=True)
    stage.act(stage.manager.commands.run, "stop_job", {"name": "web"}, identity)


def stopped_by_the_program(stage):
    stage.load()
    stage.act(stage.manager.stop_job, "web")


def none_wanted(stage):
    stage.load(numprocesses=0)


def ran_to_its_end(stage):
    stage.load(restart="on-failure")
    stage.exit(0)


def never_restarted(stage):
    stage.load(restart="never")
    stage.exit(3)


def program_missing(stage):
    stage.spawner.fail("cannot execute 'serve': there is no such file")
    stage.load(restart="never")


def flaps_out(stage):
    stage.load(flapping=[1, 10, 60, 0])
    stage.exit(1, b"no database\n")


def flaps(stage):
    stage.load(flapping=[1, 10, 60, 1])
    stage.exit(1)


def dies_young(stage):
    stage.load(min_uptime=5)
    stage.exit(1, b"cannot read config.yml\n")


def dies_by_a_signal(stage):
    stage.load(min_uptime=5)
    stage.act(stage.spawner.last.die)


def start_fails_again(stage):
    stage.spawner.fail("cwd /srv/web does not exist")
    stage.load(min_uptime=5)


def refused_by_a_plugin(stage):
    stage.plugin.raises = gaffer.Veto("the vault is sealed")
    stage.load(min_uptime=5)


def held_by_a_plugin(stage):
    stage.plugin.raises = gaffer.Hold("it waits for the first connection")
    stage.load()


def held_by_another_job(stage):
    stage.load("db", min_uptime=5)
    stage.exit(1, b"disk full\n")
    stage.plugin.raises = gaffer.Hold("it waits for db")
    stage.plugin.causes = lambda job: [{"text": "it needs db", "job": "db"}] if job.name.job == "web" else None
    stage.load()


def jobs_in_a_circle(stage):
    stage.plugin.causes = lambda job: [{"text": "it needs the other", "job": {"web": "db", "db": "web"}[job.name.job]}]
    stage.load("db")
    stage.load()


def young(stage):
    stage.load(min_uptime=5)


def not_ready_yet(stage):
    stage.plugin.unready = "GET /healthz has not been answered"
    stage.load()


def not_ready_any_more(stage):
    stage.load()
    stage.act(stage.manager.set_ready, 1, False, "GET /healthz answered 503")


def unhealthy(stage):
    stage.load(min_uptime=5)
    stage.act(stage.manager.fail_process, 1, "GET /alive did not answer 3 times")


def stopping(stage):
    stage.load()
    stage.spawner.last.ignores = {15, 18}
    stage.act(stage.manager.stop_job, "web")


def replaced(stage):
    stage.load()
    stage.spawner.last.ignores = {15, 18}
    stage.act(stage.manager.restart_job, "web")


def reload_failed(stage):
    stage.load(reload="rolling")
    stage.plugin.unready = "the probe has not answered"
    stage.act(stage.manager.update, {"name": "web", "cmd": "serve -v", "reload": "rolling", "min_uptime": 0})
    stage.plugin.unready = None
    stage.act(stage.clock.advance, 200)


def reload_goes_on(stage):
    stage.load(reload="rolling")
    stage.plugin.unready = "the probe has not answered"
    stage.act(stage.manager.update, {"name": "web", "cmd": "serve -v", "reload": "rolling", "min_uptime": 0})


def well(stage):
    stage.load(numprocesses=2)


def well_after_a_death(stage):
    stage.load()
    stage.exit(7)


def waits_for_its_predecessor(stage):
    stage.load()
    stage.spawner.last.ignores = {15, 18}
    stage.act(stage.manager.unload, "web")
    stage.load()


def not_yet_started_by_gafferd(stage):
    stage.manager.engine.held = True
    stage.load()


#: The situation, and parts of lines that the answer must have.
SITUATIONS = [
    (loaded_only, ["web is stopped", "loaded without being started, by gafferd -> gafferctl start web"]),
    (stopped_by_a_key, ["web is stopped", "it was stopped by key k1 -> gafferctl start web"]),
    (stopped_by_the_program, ["it was stopped by gafferd"]),
    (none_wanted, ["numprocesses is 0 -> gafferctl scale web =1"]),
    (ran_to_its_end, ["ran to its end, and with restart = on-failure", "ended last, with code 0"]),
    (never_restarted, ["restart = never it is not started again", "process 1 ended last, with code 3"]),
    (program_missing, ["web is failed", "could not be started, and restart is never"]),
    (flaps_out, ["gaffer has given it up: it died 1 times within 10 s", "ended last, with code 1", "    no database"]),
    (flaps, ["web is flapping", "tried again in 60.0 s, since it died 1 times within 10 s"]),
    (dies_young, ["web is backoff", "did not stay up for min_uptime = 5 s, once", "cannot read config.yml"]),
    (dies_by_a_signal, ["tried again in 0.1 s", "ended last, with signal SIGSEGV"]),
    (start_fails_again, ["web is backoff", "cwd /srv/web does not exist"]),
    (refused_by_a_plugin, ["the vault is sealed"]),
    (held_by_a_plugin, ["web is waiting", "  it waits for the first connection"]),
    (held_by_another_job, ["it needs db", "    db is backoff", "disk full"]),
    (jobs_in_a_circle, ["web is running", "it needs the other", "    db is running"]),
    (young, ["web is starting", "process 1 counts as ready when it has run for min_uptime, in 5.0 s"]),
    (not_ready_yet, ["web is starting", "is not ready yet: GET /healthz has not been answered -> gafferctl logs web"]),
    (not_ready_any_more, ["web is unready", "was ready and is not any more: GET /healthz answered 503"]),
    (unhealthy, ["web is backoff", "GET /alive did not answer 3 times"]),
    (
        stopping,
        ["web is stopping", "told to end (stop) and is still there; KILL follows in 30.0 s", "stopped by gafferd"],
    ),
    (replaced, ["web is stopping", "told to end (restart) and is still there"]),
    (reload_failed, ["the last rolling reload failed: copy 1 is not ready after 60 s: the probe has not answered"]),
    (reload_goes_on, ["a rolling reload goes on: replacing 1 process"]),
    (well, ["web is running", "2 of 2 processes are ready; it was started by gafferd"]),
    (well_after_a_death, ["1 of 1 processes are ready", "process 1 ended last, with code 7"]),
    (waits_for_its_predecessor, ["an unloaded job of the same name still has processes that are being stopped"]),
    (not_yet_started_by_gafferd, ["gafferd itself is running: nothing is started meanwhile"]),
]


@pytest.mark.parametrize(("situation", "said"), SITUATIONS, ids=lambda one: getattr(one, "__name__", ""))
def test_the_answer_names_the_cause_and_what_helps(stage, situation, said):
    situation(stage)
    lines = stage.why()
    for part in said:
        assert any(part in line for line in lines), lines


def test_the_holder_of_a_port_is_named(stage):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stage.load(min_uptime=5, port=port)
        stage.exit(1, b"OSError: [Errno 98] Address already in use\n")
        holder = holder_of(port)
        assert holder is not None
        assert f"port {port} is held by os_pid {holder.os_pid}, {holder.name} -> " in "\n".join(stage.why())
    assert holder_of(port) is None


def test_other_jobs_are_shown_to_those_who_may_read_them(stage):
    held_by_another_job(stage)
    permissions = gaffer.Permissions(read=frozenset(["default.web"]))
    stage.manager.plugins.add(Reader())
    found = stage.manager.commands.run("why", {"name": "web"}, Identity("k2", permissions=permissions))
    assert "another job is the cause" in "\n".join(stage.lines(found))
    assert "db" not in "\n".join(line for line in stage.lines(found) if "waits for db" not in line)


class Reader:
    """Permits what the permissions of an identity say."""

    @gaffer.hookimpl
    def gaffer_permit(self, identity, permission, resource):
        return identity.permissions.allows(permission, resource)


def test_gaffer_why(stage, caplog):
    stage.load()
    stage.plugin.causes = lambda job: ["the release is frozen", {"text": "so it was said", "do": "wait"}]
    assert stage.why()[-2:] == ["  the release is frozen", "  so it was said -> wait"]
    stage.plugin.causes = lambda job: 7
    assert len(stage.why()) == 2 and "gaffer_why with 7, which is not used" in caplog.text
