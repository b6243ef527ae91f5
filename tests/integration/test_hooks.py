"""Plugins that take part in supervision, with real processes: what they may change, and what they cannot spoil."""

import os
import signal

import gevent
import pytest
from gevent.event import Event

import gaffer
from gaffer.errors import Conflict, InvalidConfig, PluginError
from gaffer.supervisor.restart_policy import After, GiveUp, Now

from ..kit.manager import alive, belongings, eventually, output, pass_deadlines, proc, said, settle

DEAF = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.02; done'"


def plugin(**hooks):
    """Make a plugin of functions whose names are those of hooks without ``gaffer_``."""

    class Made:
        pass

    for name, function in hooks.items():
        setattr(Made, f"gaffer_{name}", staticmethod(gaffer.hookimpl(function, specname=f"gaffer_{name}")))
    return Made()


def load(manager, cmd="sleep 1000", name="web", **settings):
    manager.load(gaffer.JobConfig(name, cmd, **settings))


def process(manager, name="web"):
    return eventually(lambda: manager.list(name))[0]


# -- loading -------------------------------------------------------------------------------
def test_plugin_may_change_what_is_loaded(make_manager, watch):
    def before_load(draft, origin):
        draft["env"] = {**draft["env"], "REGION": "eu", "ORIGIN": origin}
        draft["numprocesses"] = 2

    manager = make_manager(watch, plugin(before_load=before_load))
    load(manager, env={"A": "1"})
    eventually(lambda: manager.info("web")["running"] == 2)
    environment = proc(process(manager), "environ").split(b"\0")
    assert {b"REGION=eu", b"ORIGIN=api", b"A=1"} <= set(environment)


def test_plugin_may_refuse_a_job(make_manager, watch):
    def before_load(draft, previous):
        if draft["cmd"].startswith("rm"):
            raise gaffer.Veto("not on this machine")

    manager = make_manager(watch, plugin(before_load=before_load))
    with pytest.raises(Conflict, match="plugin .*: not on this machine"):
        load(manager, "rm -rf /nowhere")
    assert manager.jobs() == []
    load(manager)
    found = process(manager)
    with pytest.raises(Conflict):
        manager.update(gaffer.JobConfig("web", "rm -rf /nowhere"))
    assert alive(found.os_pid) and manager.get("web").cmd == "sleep 1000"


def test_draft_made_invalid_by_a_plugin_is_rejected(make_manager, watch):
    manager = make_manager(watch, plugin(before_load=lambda draft: draft.update(numprocesses=-1)))
    with pytest.raises(InvalidConfig, match="numprocesses"):
        load(manager)
    assert manager.jobs() == []


def test_update_cannot_be_moved_to_another_job(make_manager, watch):
    """A plugin that gives the draft another name does not change that other job."""
    renaming = []
    manager = make_manager(watch, plugin(before_load=lambda draft: renaming and draft.update(name="b")))
    load(manager, name="a")
    load(manager, name="b")
    renaming.append(True)
    try:
        manager.update(gaffer.JobConfig("a", "sleep 2000"))
    except gaffer.errors.GafferError:
        pass
    assert manager.get("b").cmd == "sleep 1000"


def test_plugin_may_keep_a_job(make_manager, watch):
    def before_unload(job):
        raise gaffer.Veto("it stays")

    manager = make_manager(watch, plugin(before_unload=before_unload))
    load(manager)
    with pytest.raises(Conflict, match="it stays"):
        manager.unload("web")
    assert alive(process(manager).os_pid) and manager.jobs() == ["default.web"]


def test_plugin_may_limit_a_number(make_manager, watch):
    manager = make_manager(watch, plugin(before_scale=lambda count: min(count, 2)))
    load(manager)
    assert manager.scale("web", "=50") == 2
    eventually(lambda: manager.info("web")["running"] == 2)


@pytest.mark.parametrize("answer", ["many", [1], 1e400, {}], ids=str)
def test_limit_that_is_no_number_is_an_error_of_the_plugin(make_manager, watch, answer):
    manager = make_manager(watch, plugin(before_scale=lambda: answer))
    load(manager)
    with pytest.raises(PluginError, match="gaffer_before_scale"):
        manager.scale("web", 1)
    assert manager.info("web")["max_processes"] == 1


# -- before a start ---------------------------------------------------------------------------
def test_plugin_may_change_a_start(make_manager, watch, tmp_path):
    def before_spawn(job, plan):
        plan.env["TOKEN"] = f"{job.name}-{plan.index}"
        plan.argv[-1] += "; exec sleep 1000"
        plan.cwd = str(tmp_path)

    manager = make_manager(watch, plugin(before_spawn=before_spawn))
    load(manager, "sh -c 'pwd; echo $TOKEN'", redirect_output=["out"])
    said(process(manager), f"{tmp_path}\nweb-0\n".encode())


def test_plugin_may_refuse_a_start(make_manager, watch):
    vetoes = []

    def before_spawn(plan):
        if len(vetoes) < 3:
            vetoes.append(plan.pid)
            raise gaffer.Veto("no licence")

    manager = make_manager(watch, plugin(before_spawn=before_spawn))
    load(manager)
    eventually(lambda: watch.count("spawn_failed") >= 1)
    assert "no licence" in watch.details("spawn_failed")[0]
    info = manager.info("web")
    assert info["state"] in ("backoff", "starting", "running") and info["active"]
    process(manager)
    assert watch.count("spawn_failed") == 3 and manager.info("web")["reason"] is None


def test_refused_commit_is_an_error_for_its_caller(make_manager, watch):
    def before_spawn(plan):
        raise gaffer.Veto("no licence")

    manager = make_manager(watch, plugin(before_spawn=before_spawn))
    load(manager, start=False)
    with pytest.raises(Conflict, match="no licence"):
        manager.commit("web")


@pytest.mark.parametrize(
    "change", [{"argv": []}, {"argv": [1]}, {"env": {"A": 1}}, {"env": {"A": "a\0b"}}, {"cwd": "/nowhere"}]
)
def test_start_that_a_plugin_made_impossible_has_failed(make_manager, watch, change):
    manager = make_manager(watch, plugin(before_spawn=lambda plan: vars(plan).update(change)))
    load(manager, restart="never", redirect_output=["a", "b"], redirect_input=True)
    eventually(lambda: manager.info("web")["state"] == "failed")
    assert watch.count("spawn_failed") == 1 and manager.info("web")["reason"]


def test_plugin_cannot_change_gaffer_id(make_manager, watch):
    """Without it a daemon would not be found at the stop."""
    manager = make_manager(
        watch, plugin(before_spawn=lambda plan: setattr(plan, "env", {"PATH": os.environ["PATH"], "GAFFER_ID": "mine"}))
    )
    load(manager, "sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" & exec sleep 1000'", redirect_output=["out"])
    found = process(manager)
    eventually(lambda: output(found).endswith(b"\n"))
    daemon = int(output(found))
    manager.stop_job("web")
    eventually(lambda: watch.count("stopped"))
    assert not alive(daemon)


def test_plugin_may_refuse_forever_and_the_job_can_be_stopped(make_manager, watch):
    def before_spawn():
        raise ValueError("broken")

    manager = make_manager(watch, plugin(before_spawn=before_spawn))
    load(manager)
    eventually(lambda: watch.count("spawn_failed") >= 2)
    assert "ValueError: broken" in watch.details("spawn_failed")[0]
    manager.stop_job("web")
    seen = watch.count("spawn_failed")
    pass_deadlines(manager)
    assert watch.count("spawn_failed") == seen


def test_slow_plugin_delays_only_its_job(make_manager, watch):
    go_on = Event()

    def before_spawn(job):
        if job.name.job == "slow":
            go_on.wait()

    manager = make_manager(watch, plugin(before_spawn=before_spawn))
    load(manager, name="slow", priority=0)
    load(manager, name="quick", priority=1)
    process(manager, "quick")
    assert manager.info("slow")["state"] == "starting" and manager.info("slow")["running"] == 0
    manager.scale("quick", "=3")
    eventually(lambda: manager.info("quick")["running"] == 3)
    go_on.set()
    process(manager, "slow")


@pytest.mark.parametrize("end", ["stop_job", "unload", "scale", "manager"])
def test_start_cancelled_while_a_plugin_is_asked_never_happens(make_manager, watch, end):
    asked, go_on = Event(), Event()

    def before_spawn():
        asked.set()
        go_on.wait()

    manager = make_manager(watch, plugin(before_spawn=before_spawn))
    load(manager)
    asked.wait()
    if end == "scale":
        manager.scale("web", "=0")
    elif end == "manager":
        manager.stop()
    else:
        getattr(manager, end)("web")
    go_on.set()
    settle(manager)
    assert watch.count("spawned") == 0 and belongings(manager.node_id) == []


def test_start_repeated_while_a_plugin_is_asked_happens_once(make_manager, watch):
    thinking = []

    def before_spawn():
        thinking.append(Event())
        thinking[-1].wait()

    manager = make_manager(watch, plugin(before_spawn=before_spawn))
    load(manager)
    eventually(lambda: len(thinking) == 1)
    manager.stop_job("web")
    manager.start_job("web")
    eventually(lambda: len(thinking) == 2)
    for event in reversed(thinking):
        event.set()
    process(manager)
    settle(manager)
    assert watch.count("spawned") == 1


def test_update_while_a_plugin_is_asked_reaches_the_start(make_manager, watch):
    """What is started has the configuration that the job has by then."""
    asked, go_on = Event(), Event()

    def before_spawn():
        asked.set()
        go_on.wait()

    manager = make_manager(watch, plugin(before_spawn=before_spawn))
    load(manager, "sleep 1000")
    asked.wait()
    manager.update(gaffer.JobConfig("web", "sleep 2000"))
    go_on.set()
    eventually(lambda: manager.info("web")["running"] == 1 and manager.info("web")["state"] != "stopping")
    eventually(lambda: manager.list("web") and proc(manager.list("web")[0], "cmdline") == b"sleep\x002000\x00")
    settle(manager)
    assert manager.info("web")["running"] == 1


# -- after an end -----------------------------------------------------------------------------------
def test_plugin_may_decide_what_follows_an_exit(make_manager, watch):
    def restart_decision(status, history):
        if status.code == 78:
            return GiveUp("configuration error")
        return Now() if len(history.exits) < 3 else After(0.01)

    manager = make_manager(watch, plugin(restart_decision=restart_decision))
    load(manager, "sh -c 'exit 3'", min_uptime=1000.0)
    eventually(lambda: watch.count("spawned") >= 6)
    load(manager, "sh -c 'exit 78'", name="broken")
    info = eventually(lambda: manager.info("broken")["state"] == "failed" and manager.info("broken"))
    assert info["reason"] == "configuration error" and watch.count("spawned", "broken") == 1


def test_plugin_that_never_answers_does_not_keep_a_job_from_being_stopped_and_started(make_manager, watch):
    manager = make_manager(watch, plugin(restart_decision=lambda: gevent.sleep(1000)))
    load(manager, "sh -c '[ -e /nowhere ] && exec sleep 1000; exit 1'")
    eventually(lambda: manager.info("web")["state"] == "backoff")
    manager.stop_job("web")
    assert manager.info("web")["state"] == "stopped"
    manager.start_job("web")
    eventually(lambda: watch.count("spawned") == 2)


def test_stops_are_not_asked_about(make_manager, watch):
    asked = []
    manager = make_manager(watch, plugin(restart_decision=lambda job: asked.append(job.name.job)))
    load(manager)
    manager.stop_process(process(manager).pid)
    eventually(lambda: watch.count("spawned") == 2)
    manager.kill(process(manager).pid, "KILL")
    eventually(lambda: watch.count("spawned") == 3)
    manager.stop_job("web")
    eventually(lambda: watch.count("stopped"))
    assert asked == []


# -- how to stop ---------------------------------------------------------------------------------------
def signals(watch):
    return watch.details("signalled")


def test_plugin_may_choose_the_steps_of_a_stop(make_manager, watch):
    manager = make_manager(watch, plugin(stop_steps=lambda: [("INT", 0.1), (signal.SIGTERM, 0.1), (12, 0.1)]))
    load(manager, "sh -c 'trap \"\" TERM INT USR2; echo ready; while :; do sleep 0.02; done'", redirect_output=["out"])
    said(process(manager))
    manager.stop_job("web")
    eventually(lambda: watch.count("stopped"))
    assert signals(watch) == [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, signal.SIGKILL]


def test_process_that_exits_while_a_plugin_is_asked_about_its_stop(make_manager, watch):
    asked, go_on = Event(), Event()

    def stop_steps():
        asked.set()
        go_on.wait()

    manager = make_manager(watch, plugin(stop_steps=stop_steps))
    load(manager, "sh -c 'setsid sleep 1000 & exec sleep 1000'")
    found = process(manager)
    eventually(lambda: len(belongings(manager.node_id)) == 2)
    manager.stop_job("web")
    asked.wait()
    os.kill(found.os_pid, signal.SIGKILL)
    eventually(lambda: watch.count("stopped"))
    go_on.set()
    settle(manager)
    assert belongings(manager.node_id) == []


# -- being told ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("error", [ValueError, SystemExit], ids=lambda error: error.__name__)
def test_plugin_that_fails_when_notified_is_muted_alone(make_manager, watch, error):
    calls = []

    def exited():
        calls.append(1)
        raise error("broken")

    manager = make_manager(watch, plugin(exited=exited))
    load(manager, "true", min_uptime=0.0)
    eventually(lambda: watch.count("exited") >= 30)
    assert len(calls) == 20
    (counters,) = [one for one in manager.hooks.counters().values() if one["failures"]]
    assert counters["failures"] == 20 and counters["muted"] == ["gaffer_exited"]
    health = manager.health()
    assert not health["ok"] and health["plugins"]["Made"]["muted"] == ["gaffer_exited"]


def test_plugin_that_is_slow_when_notified_delays_only_itself(make_manager, watch):
    slow, go_on = [], Event()

    def spawned(process):
        go_on.wait()
        slow.append(process.pid)

    manager = make_manager(watch, plugin(spawned=spawned))
    load(manager, "true", min_uptime=0.0)
    eventually(lambda: watch.count("exited") >= 20)
    assert slow == []
    manager.stop_job("web")
    go_on.set()
    eventually(lambda: len(slow) == watch.count("spawned"))
    assert slow == sorted(slow)


def test_hook_may_call_the_manager(make_manager, watch):
    done = []

    def spawned(job, process):
        if job.name.job == "web" and len(done) == 0:
            done.append(manager.info("web")["running"])
            manager.load(gaffer.JobConfig("helper", "sleep 1000"))
            manager.scale("web", "=2")
            manager.stop_process(process.pid)

    def before_spawn(job, plan):
        plan.env["OTHERS"] = str(len(manager.pids()))

    manager = make_manager(watch, plugin(spawned=spawned, before_spawn=before_spawn))
    load(manager)
    eventually(lambda: watch.count("spawned") == 4 and manager.info("web")["running"] == 2)
    assert done == [1] and manager.info("helper")["running"] == 1


def test_hook_that_asks_for_its_own_job_again_and_again_does_not_hang(make_manager, watch):
    """Each end is answered by a restart, from within the plugin's own call."""
    manager = make_manager(watch, plugin(job_stopped=lambda job: manager.start_job(job.name)))
    load(manager)
    for count in range(1, 6):
        eventually(lambda count=count: watch.count("spawned") == count)
        manager.stop_job("web")
    eventually(lambda: watch.count("spawned") == 6)


def test_two_managers_in_one_program_are_independent(make_manager):
    from ..kit.manager import Watch

    watches = [Watch(), Watch()]
    first = make_manager(watches[0], plugin(before_spawn=lambda plan: plan.env.update(WHOSE="first")))
    second = make_manager(watches[1], plugin(before_scale=lambda count: min(count, 1)))
    for manager in (first, second):
        load(manager)
        assert manager.scale("web", "=3") == (3 if manager is first else 1)
    eventually(lambda: len(first.pids()) == 3 and len(second.pids()) == 1)
    assert b"WHOSE=first" in proc(first.list()[0], "environ")
    assert b"WHOSE=" not in proc(second.list()[0], "environ")
    first.stop()
    assert belongings(first.node_id) == [] and len(belongings(second.node_id)) == 1
    assert watches[0].count("stopped") == 1 and watches[1].count("stopped") == 0
    load(second, name="other")
    process(second, "other")
    assert watches[0].count("spawned") == 3 and watches[1].count("spawned") == 2
