"""Starting, stopping, scaling and replacing real processes."""

import gevent
import pytest
from gevent.event import Event

import gaffer
from gaffer.errors import BadRequest, Conflict, InvalidConfig, NotFound, Unavailable

from ..kit.manager import alive, eventually, os_pids, output, proc, said, settle

SLEEP = "sleep 1000"
#: Ignores TERM.
STUBBORN = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.05; done'"
#: Takes a moment to end.
LINGERS = "sh -c 'trap \"sleep 0.3; exit 0\" TERM; echo ready; while :; do sleep 0.05; done'"


def job(name="web", cmd=SLEEP, **settings):
    return gaffer.JobConfig(name, cmd, **settings)


def running(manager, name="web", count=1):
    """Wait until *name* has *count* live processes and nothing pending; returns them."""

    def ready():
        info = manager.info(name)
        return info["running"] == count and info["state"] in ("running", "starting", "stopped") and manager.list(name)

    found = eventually(ready, what=f"{name} never had {count} processes: {manager.info(name)}")
    return sorted(found, key=lambda process: process.index)


def stopped(manager, name="web"):
    eventually(lambda: manager.info(name)["state"] == "stopped")


# -- start and stop -------------------------------------------------------------------
def test_loaded_job_runs(manager):
    manager.load(job())
    (process,) = running(manager)
    assert alive(process.os_pid)
    assert manager.jobs() == ["default.web"]
    assert manager.pids() == [process.pid]


def test_job_loaded_before_the_manager_starts_waits_for_it(make_manager, watch):
    manager = make_manager(watch, start=False)
    manager.load(job())
    settle(manager)
    assert manager.pids() == []
    manager.start()
    running(manager)


def test_start_false_loads_a_stopped_job(manager, watch):
    manager.load(job(start=False))
    settle(manager)
    assert manager.info("web")["state"] == "stopped" and not manager.info("web")["active"]
    manager.start_job("web")
    running(manager)


def test_start_argument_wins_over_the_setting(manager):
    manager.load(job("up", start=False), start=True)
    manager.load(job("down"), start=False)
    running(manager, "up")
    assert not manager.info("down")["active"]


def test_stopped_job_stays_down(manager, watch):
    manager.load(job(numprocesses=3))
    old = running(manager, count=3)
    manager.stop_job("web")
    stopped(manager)
    settle(manager)
    assert not any(alive(process.os_pid) for process in old)
    assert watch.count("spawned") == 3
    assert manager.info("web")["max_processes"] == 3


def test_start_after_stop_while_the_old_processes_still_end(manager, watch):
    manager.load(job(cmd=LINGERS, redirect_output=["out"]))
    (old,) = running(manager)
    said(old)
    manager.stop_job("web")
    manager.start_job("web")
    assert manager.info("web")["active"]
    eventually(lambda: watch.count("spawned") == 2)
    assert not alive(old.os_pid)
    assert watch.whats("spawned", "exited", "reaped") == ["spawned", "exited", "reaped", "spawned"]


def test_restart_replaces_every_process(manager, watch):
    manager.load(job(numprocesses=3))
    old = {process.pid for process in running(manager, count=3)}
    manager.restart_job("web")
    eventually(lambda: watch.count("spawned") == 6)
    new = {process.pid for process in running(manager, count=3)}
    assert not old & new
    info = manager.info("web")
    assert (info["restarts"], info["replacements"]) == (0, 3)


def test_restart_starts_a_stopped_job(manager):
    manager.load(job(start=False))
    manager.restart_job("web")
    running(manager)


def test_never_more_processes_than_wanted(manager, watch, tmp_path):
    """Each copy holds a lock of its own while it lives; one that finds it taken says so."""
    cmd = 'flock -n lock.$GAFFER_INDEX sh -c "sleep 1000" || echo twice >> overlap'
    manager.load(job(cmd=cmd, shell=True, cwd=str(tmp_path), numprocesses=4))
    running(manager, count=4)
    for _ in range(5):
        seen = watch.count("spawned")
        manager.restart_job("web")
        eventually(lambda seen=seen: watch.count("spawned") == seen + 4)
    running(manager, count=4)
    assert not (tmp_path / "overlap").exists()


# -- one process ------------------------------------------------------------------------
def test_stopped_process_is_replaced_with_its_index(manager, watch):
    manager.load(job(numprocesses=3))
    middle = running(manager, count=3)[1]
    manager.stop_process(middle.pid)
    eventually(lambda: watch.count("spawned") == 4)
    replaced = running(manager, count=3)
    assert [process.index for process in replaced] == [0, 1, 2]
    assert replaced[1].pid != middle.pid
    assert watch.details("reaped") == ["stop"]


def test_stopall_stops_all_and_they_are_replaced(manager, watch):
    manager.load(job(numprocesses=2))
    old = running(manager, count=2)
    manager.stopall("web")
    eventually(lambda: watch.count("spawned") == 4)
    assert not any(alive(process.os_pid) for process in old)
    assert manager.info("web")["active"]


def test_children_know_their_job_and_index(manager, watch):
    manager.load(
        job(cmd="sh -c 'echo $GAFFER_JOB $GAFFER_INDEX; exec sleep 1000'", numprocesses=3, redirect_output=["out"])
    )
    manager.load(job("shop.web", cmd="sh -c 'echo $GAFFER_JOB; exec sleep 1000'", redirect_output=["out"]))
    processes = running(manager, count=3)
    said = lambda: sorted(output(process) for process in processes)  # noqa: E731
    eventually(lambda: said() == [b"web 0\n", b"web 1\n", b"web 2\n"], what=f"{said()}")
    (other,) = running(manager, "shop.web")
    eventually(lambda: output(other) == b"shop.web\n")


def test_every_copy_keeps_a_port_of_its_own(manager, watch):
    """By its index: one that comes back has the same, and only after the one before is gone."""
    manager.load(job(cmd="sh -c 'echo $PS $PORT; exec sleep 1000'", numprocesses=2, port=7000, redirect_output=["out"]))
    manager.load(
        job("shop.web", cmd="sh -c 'echo $PORT; exec sleep 9'", env={"PORT": "80"}, port=7000, redirect_output=["out"])
    )
    (other,) = running(manager, "shop.web")
    eventually(lambda: output(other) == b"80\n")
    first, second = running(manager, count=2)
    eventually(lambda: sorted(map(output, (first, second))) == [b"web.1 7000\n", b"web.2 7001\n"])
    manager.kill(first.pid, 9)
    again = lambda: [one for one in running(manager, count=2) if one.index == first.index]  # noqa: E731
    eventually(lambda: again()[0] is not first and output(again()[0]) == b"web.1 7000\n")


def test_copies_beyond_the_last_port_do_not_start(manager, watch):
    manager.load(job(numprocesses=2, port=65535))
    eventually(lambda: watch.count("spawn_failed") >= 1)
    assert "copy 2 would get PORT 65536, and 65535 is the last" in watch.details("spawn_failed")[0]
    assert manager.info("web")["running"] == 1


def test_pids_are_small_and_never_used_again(manager, watch):
    manager.load(job())
    eventually(lambda: watch.count("spawned") == 1)
    for count in (2, 3, 4):
        manager.restart_job("web")
        eventually(lambda count=count: watch.count("spawned") == count)
    assert [process.pid for process in watch.processes] == [1, 2, 3, 4]


# -- scale ---------------------------------------------------------------------------------
def test_scale_adds_removes_and_sets(manager):
    manager.load(job())
    assert manager.scale("web", 2) == 3
    running(manager, count=3)
    assert manager.scale("web", "+1") == 4
    assert manager.scale("web", -1) == 3
    assert manager.scale("web", "-1") == 2
    assert manager.scale("web", "=5") == 5
    running(manager, count=5)
    assert manager.scale("web", -100) == 0
    running_none(manager)


def running_none(manager, name="web"):
    eventually(lambda: manager.info(name)["running"] == 0)


def test_scaling_down_keeps_the_lowest_indexes_and_up_takes_the_lowest_free(manager, watch):
    manager.load(job(numprocesses=4))
    first = running(manager, count=4)
    manager.scale("web", "=2")
    kept = running(manager, count=2)
    assert [process.pid for process in kept] == [process.pid for process in first[:2]]
    manager.scale("web", "=3")
    assert [process.index for process in running(manager, count=3)] == [0, 1, 2]
    assert watch.details("reaped") == ["scale", "scale"]


def test_scaling_down_and_up_at_once_never_overlaps(manager, watch):
    manager.load(job(numprocesses=3))
    running(manager, count=3)
    manager.scale("web", "=0")
    manager.scale("web", "=3")
    eventually(lambda: watch.count("spawned") == 6)
    lived = 0
    for what in watch.whats("spawned", "reaped"):
        lived += 1 if what == "spawned" else -1
        assert lived <= 3


def test_scaling_a_stopped_job_starts_nothing(manager):
    manager.load(job(start=False))
    assert manager.scale("web", "=2") == 2
    settle(manager)
    assert manager.pids() == []
    manager.start_job("web")
    running(manager, count=2)


def test_start_keeps_a_scaled_number(manager):
    manager.load(job())
    manager.scale("web", "=3")
    manager.stop_job("web")
    stopped(manager)
    manager.start_job("web")
    running(manager, count=3)


def test_scale_to_zero_and_back(manager):
    manager.load(job())
    running(manager)
    manager.scale("web", "=0")
    running_none(manager)
    assert manager.info("web")["active"]
    manager.scale("web", 1)
    running(manager)


def test_concurrent_scale_commands_all_count(manager):
    manager.load(job(start=False))
    answers = [gevent.spawn(manager.scale, "web", "+2") for _ in range(10)]
    assert sorted(answer.get() for answer in answers) == list(range(3, 22, 2))
    assert manager.info("web")["max_processes"] == 21


@pytest.mark.parametrize("nonsense", ["", "+", "two", "1.5", "=-1", "--1", True, None, 1.5, "=1000000000000"])
def test_scale_rejects_invalid_numbers(manager, nonsense):
    manager.load(job())
    with pytest.raises(BadRequest):
        manager.scale("web", nonsense)
    assert manager.info("web")["max_processes"] == 1


# -- reload and update ------------------------------------------------------------------------
def test_reload_resets_the_number_and_replaces_all(manager, watch):
    manager.load(job(numprocesses=2))
    manager.scale("web", "=4")
    old = running(manager, count=4)
    manager.reload("web")
    eventually(lambda: watch.count("spawned") == 6)
    new = running(manager, count=2)
    assert not any(alive(process.os_pid) for process in old)
    assert manager.info("web")["max_processes"] == len(new) == 2


def test_reload_of_a_stopped_job_keeps_it_down(manager):
    manager.load(job(start=False))
    manager.scale("web", "=4")
    manager.reload("web")
    settle(manager)
    assert manager.pids() == [] and manager.info("web")["max_processes"] == 1


def test_update_resets_the_number_and_replaces_processes_that_change(manager, watch):
    manager.load(job())
    manager.scale("web", "=3")
    running(manager, count=3)
    manager.update(job(cmd="sleep 2000", numprocesses=2))
    eventually(lambda: watch.count("spawned") == 5)
    new = running(manager, count=2)
    assert all(b"2000" in proc(process, "cmdline") for process in new)
    assert manager.get("web").cmd == "sleep 2000"


def test_update_of_settings_that_processes_do_not_see_keeps_them(manager, watch):
    manager.load(job(numprocesses=2))
    old = running(manager, count=2)
    manager.update(job(numprocesses=3, graceful_timeout=1.5, restart="never", min_uptime=0.5, priority=3))
    new = running(manager, count=3)
    assert [process.pid for process in new[:2]] == [process.pid for process in old]
    assert watch.count("exited") == 0


def test_kept_process_stops_by_the_new_settings(manager, watch):
    """stop_signal and graceful_timeout need no restart, so they hold for what is running already."""
    manager.load(job(cmd=STUBBORN, graceful_timeout=1000.0, redirect_output=["out"]))
    (process,) = running(manager)
    said(process)
    manager.update(manager.get("web").replace(graceful_timeout=0.1))
    manager.stop_job("web")
    stopped(manager)
    assert watch.statuses[process.pid].signal == 9


def test_update_keeps_a_stopped_job_down_without_start(manager):
    manager.load(job(start=False))
    manager.update(job(cmd="sleep 2000"))
    settle(manager)
    assert manager.pids() == []
    manager.update(job(cmd="sleep 3000"), start=True)
    running(manager)
    manager.update(job(cmd="sleep 4000"), start=False)
    stopped(manager)


def test_invalid_update_changes_nothing(manager, watch):
    manager.load(job())
    (process,) = running(manager)
    with pytest.raises(InvalidConfig, match="numproceses.*did you mean 'numprocesses'"):
        manager.update({"name": "web", "cmd": SLEEP, "numproceses": 4})
    with pytest.raises(InvalidConfig, match="NOWHERE"):
        manager.update(job(cmd="sleep $NOWHERE"))
    with pytest.raises(NotFound):
        manager.update(job("other"))
    assert alive(process.os_pid) and manager.get("web").cmd == SLEEP
    assert manager.jobs() == ["default.web"]


# -- load and unload -----------------------------------------------------------------------------
def test_unload_stops_and_forgets(manager, watch):
    manager.load(job(numprocesses=2))
    old = running(manager, count=2)
    manager.unload("web")
    with pytest.raises(NotFound):
        manager.info("web")
    assert manager.jobs() == [] and manager.sessions == []
    eventually(lambda: watch.count("unloaded"))
    assert not any(alive(process.os_pid) for process in old)
    assert watch.details("reaped") == ["unload", "unload"]


def test_name_can_be_loaded_once(manager):
    manager.load(job())
    with pytest.raises(Conflict):
        manager.load(job(cmd="sleep 2"))
    manager.load(job(), sessionid="other")
    assert manager.jobs() == ["default.web", "other.web"]
    assert manager.sessions == ["default", "other"]


def lives(watch):
    """Yield how many processes lived after each change."""
    count = 0
    for what in watch.whats("spawned", "reaped"):
        count += 1 if what == "spawned" else -1
        yield count


def test_job_loaded_again_waits_until_its_namesake_is_gone(manager, watch):
    manager.load(job(cmd=LINGERS, redirect_output=["out"]))
    (old,) = running(manager)
    said(old)
    manager.unload("web")
    manager.load(job())
    assert manager.info("web")["active"]
    eventually(lambda: watch.count("spawned") == 2)
    assert not alive(old.os_pid)
    assert list(lives(watch)) == [1, 0, 1]
    assert watch.count("started") == 2


WRONG = pytest.mark.parametrize(
    "config",
    [
        {"name": "web"},
        {"cmd": SLEEP},
        {"name": "1", "cmd": SLEEP},
        {"name": "we b", "cmd": SLEEP},
        {"name": "web", "cmd": SLEEP, "numprocesses": -1},
        {"name": "web", "cmd": SLEEP, "numprocesses": True},
        {"name": "web", "cmd": SLEEP, "numprocesses": "3"},
        {"name": "web", "cmd": SLEEP, "stop_signal": "SIGNOTHING"},
        {"name": "web", "cmd": SLEEP, "uid": "no-such-user"},
        {"name": "web", "cmd": SLEEP, "gid": "no-such-group"},
        {"name": "web", "cmd": SLEEP, "env": {"A=B": "c"}},
        {"name": "web", "cmd": SLEEP, "colour": "red"},
        {"name": "web", "cmd": "sleep 'a"},
        {"name": "web", "cmd": "sleep \0"},
        {"name": "web", "cmd": SLEEP, "graceful_timeout": float("nan")},
        {"name": "web", "cmd": SLEEP, "graceful_timeout": -1},
        {"name": "web", "cmd": SLEEP, "env_file": "/nowhere/.env"},
        {"name": "web", "cmd": SLEEP, "redirect_output": ["a", "b", "c"]},
        {"name": "web", "cmd": SLEEP, "redirect_output": "stdout"},
        {"name": "web", "cmd": SLEEP, "restart": "sometimes"},
        {"name": "web", "cmd": SLEEP, "umask": "999"},
        ["name", "web"],
        None,
    ],
)


@WRONG
def test_invalid_job_is_not_loaded(manager, config):
    with pytest.raises((InvalidConfig, BadRequest)):
        manager.load(config)
    assert manager.jobs() == []


@WRONG
def test_update_cannot_make_a_job_invalid(manager, config):
    manager.load(job(start=False))
    with pytest.raises((InvalidConfig, BadRequest)):
        manager.update(config)
    assert manager.get("web") == job(start=False)


def test_unknown_jobs_processes_and_signals_are_errors(manager):
    manager.load(job())
    (process,) = running(manager)
    for method in (manager.start_job, manager.stop_job, manager.unload, manager.reload, manager.info, manager.commit):
        with pytest.raises(NotFound):
            method("missing")
    with pytest.raises(NotFound):
        manager.kill(999, 15)
    for signal in (0, 99, -1, "SIGNOTHING", "", None, True):
        with pytest.raises(BadRequest):
            manager.kill(process.pid, signal)
    assert alive(process.os_pid)


# -- commit ---------------------------------------------------------------------------------------
def test_committed_process_is_not_counted_and_not_replaced(manager, watch):
    manager.load(job())
    running(manager)
    pid = manager.commit("web", env={"EXTRA": "1"})
    info = manager.info("web")
    assert (info["running"], info["running_out"], info["max_processes"]) == (2, 1, 1)
    process = manager.get_process(pid)
    assert process.committed and b"EXTRA=1" in proc(process, "environ")
    manager.kill(pid, "KILL")
    eventually(lambda: watch.count("reaped") == 1)
    settle(manager)
    assert watch.count("spawned") == 2 and manager.info("web")["running_out"] == 0


def test_scaling_leaves_committed_processes_alone(manager, watch):
    manager.load(job())
    running(manager)
    pid = manager.commit("web")
    manager.scale("web", "=0")
    eventually(lambda: watch.count("reaped") == 1)
    assert manager.pids("web") == [pid]
    manager.restart_job("web")
    settle(manager)
    assert manager.pids("web") == [pid]


def test_stopped_job_can_be_committed_and_stays_stopped(manager, watch):
    manager.load(job(cmd="true", start=False))
    manager.commit("web")
    eventually(lambda: watch.count("reaped") == 1)
    settle(manager)
    assert not manager.info("web")["active"] and watch.count("spawned") == 1


def test_stop_and_unload_end_committed_processes_too(manager, watch):
    manager.load(job(start=False))
    for end in (manager.stop_job, manager.unload):
        pid = manager.commit("web")
        os_pid = manager.get_process(pid).os_pid
        end("web")
        eventually(lambda os_pid=os_pid: not alive(os_pid))


def test_committed_process_has_its_own_graceful_timeout(manager, watch):
    manager.load(job(cmd=STUBBORN, start=False, graceful_timeout=1000.0, redirect_output=["out"]))
    pid = manager.commit("web", graceful_timeout=0.1)
    said(manager.get_process(pid))
    manager.stop_process(pid)
    eventually(lambda: pid in watch.statuses)
    assert watch.statuses[pid].signal == 9


def test_commit_that_cannot_be_started_is_an_error(manager):
    manager.load(job(cmd="/nowhere/at/all", start=False))
    with pytest.raises(Unavailable, match="/nowhere/at/all"):
        manager.commit("web")
    assert manager.pids() == []


# -- the whole manager --------------------------------------------------------------------------
def test_restart_of_the_manager_replaces_active_jobs_only(make_manager, watch):
    class App:
        restarted = 0

        def restart(self):
            self.restarted += 1

    app, called = App(), []
    manager = make_manager(watch, apps=[app])
    manager.load(job("up"))
    manager.load(job("down", start=False))
    running(manager, "up")
    manager.restart(called.append)
    eventually(lambda: watch.count("spawned", "up") == 2)
    assert watch.count("spawned", "down") == 0
    assert app.restarted == 1 and called == [manager]


def test_os_pids_are_those_of_the_kernel(manager):
    manager.load(job(numprocesses=2))
    running(manager, count=2)
    assert all(alive(os_pid) for os_pid in os_pids(manager, "web"))


def test_commit_during_an_unload_leaves_nothing(manager, watch):
    """Both are on their way to the engine before it takes either; whichever wins, no process may be lost."""
    manager.load(job(start=False))
    unloading = gevent.spawn(manager.unload, "web")
    committing = gevent.spawn(manager.commit, "web")
    unloading.get()
    with pytest.raises((Unavailable, NotFound)):
        committing.get()
    settle(manager)
    assert watch.count("spawned") == 0


def test_commit_overtaken_by_a_stop_is_an_error(make_manager, watch):
    """The plugin takes its time; the stop comes in between."""
    asked, go_on = Event(), Event()

    class Slow:
        @gaffer.hookimpl
        def gaffer_before_spawn(self, plan):
            asked.set()
            go_on.wait()

    manager = make_manager(watch, Slow())
    manager.load(job(start=False))
    committing = gevent.spawn(manager.commit, "web")
    asked.wait()
    manager.stop_job("web")
    with pytest.raises(Unavailable):
        committing.get()
    go_on.set()
    settle(manager)
    assert watch.count("spawned") == 0


def test_other_greenlets_run_while_a_large_job_is_stopped(manager, monkeypatch):
    monkeypatch.setattr("gaffer.supervisor.engine.ENGINE_SLICE", 0.0)
    manager.load(job(numprocesses=40))
    eventually(lambda: len(manager.running) == 40)
    turns, seen, begin = [], [], manager.engine.termination.begin

    def count():
        while manager.running:
            turns.append(1)
            gevent.sleep(0)

    def watched(pid, steps=None):
        seen.append(len(turns))
        begin(pid, steps)

    monkeypatch.setattr(manager.engine.termination, "begin", watched)
    counting = gevent.spawn(count)
    manager.stop_job("web")
    counting.join()
    assert len(seen) == 40 and len(set(seen)) > 20
