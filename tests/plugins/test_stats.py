"""The meter of processes: figures, deltas, reused ids, one look for all, and agreement with psutil."""

import os
import pwd
import shlex
import subprocess
import sys
import types

import gevent
import psutil
import pytest
from gevent.queue import Queue

from gaffer import JobConfig, Manager
from gaffer.plugins.calling import Hooks
from gaffer.plugins.registry import PluginSet
from gaffer_plugins.stats import StatsPlugin
from gaffer_plugins.stats.meter import ProcessMeter, ProcessRow
from gaffer_plugins.stats.portable import Portable
from gaffer_plugins.stats.proc import Proc

from ..hooks.test_registry import write
from ..kit.web import wait_until

FIELDS = {
    "pid",
    "os_pid",
    "mem_info1",
    "mem_info2",
    "cpu",
    "mem",
    "ctime",
    "username",
    "nice",
    "cmdline",
    "children",
}
IDLE = ProcessRow(parent=1, start=10.0, cpu=1.0, rss=1000, vms=4000, nice=5, age=100.0)
SLEEP = [sys.executable, "-c", "input()"]


class FakeSystem:
    """A process table that the test writes."""

    def __init__(self, **rows):
        self.rows = {int(name[1:]): row for name, row in rows.items()}
        self.looks = 0
        self.asked = []
        self.gone = set()

    def table(self, roots):
        self.looks += 1
        return self.rows.items()

    def details(self, os_pid):
        if os_pid in self.gone:
            raise ProcessLookupError
        self.asked.append(os_pid)
        return f"command {os_pid}", 0

    def memory(self):
        return 100_000


class Clock:
    now = 50.0

    def __call__(self):
        return self.now


def process(pid, os_pid, status=None):
    return types.SimpleNamespace(pid=pid, os_pid=os_pid, status=status)


@pytest.fixture
def clock():
    return Clock()


def meter(clock, **rows):
    system = FakeSystem(**rows)
    return system, ProcessMeter(system, clock)


class TestFigures:
    def test_all_fields(self, clock):
        _, stats = meter(clock, p7=IDLE)
        assert stats.sample([process(1, 7)]) == {
            1: {
                "pid": 1,
                "os_pid": 7,
                "mem_info1": 1000,
                "mem_info2": 4000,
                "cpu": 1.0,
                "mem": 1.0,
                "ctime": 1.0,
                "username": "root",
                "nice": 5,
                "cmdline": "command 7",
                "children": [],
            }
        }

    def test_first_cpu_is_since_the_start_then_since_the_last_look(self, clock):
        system, stats = meter(clock, p7=IDLE)
        asked = [process(1, 7)]
        assert stats.sample(asked)[1]["cpu"] == 1.0
        clock.now += 2
        system.rows[7] = IDLE._replace(cpu=2.5)
        assert stats.sample(asked)[1]["cpu"] == 75.0
        clock.now += 2
        assert stats.sample(asked)[1]["cpu"] == 0.0

    def test_process_without_age(self, clock):
        _, stats = meter(clock, p7=IDLE._replace(age=0.0))
        assert stats.sample([process(1, 7)])[1]["cpu"] == 0.0

    def test_id_that_is_used_again_is_another_process(self, clock):
        system, stats = meter(clock, p7=IDLE)
        stats.sample([process(1, 7)])
        clock.now += 2
        system.rows[7] = ProcessRow(1, start=101.0, cpu=0.5, rss=1, vms=1, nice=0, age=1.0)
        assert stats.sample([process(2, 7)])[2]["cpu"] == 50.0

    def test_deltas_are_forgotten_in_time(self, clock):
        system, stats = meter(clock, p7=IDLE, p8=IDLE)
        stats.sample([process(1, 7), process(2, 8)])
        del system.rows[7]
        for _ in range(7):
            clock.now += 100
            assert list(stats.sample([process(1, 7), process(2, 8)])) == [2]
        assert list(stats._seen) == [8]

    def test_vanished_between_table_and_details(self, clock):
        system, stats = meter(clock, p7=IDLE, p8=IDLE)
        system.gone = {7}
        assert list(stats.sample([process(1, 7), process(2, 8)])) == [2]

    def test_collected_process_is_not_looked_for(self, clock):
        system, stats = meter(clock, p7=IDLE)
        assert stats.sample([process(1, 7, status="exited")]) == {}
        assert system.asked == []

    def test_children_of_children(self, clock):
        _, stats = meter(clock, p7=IDLE, p8=IDLE._replace(parent=7), p9=IDLE._replace(parent=8), p5=IDLE)
        [child] = stats.sample([process(1, 7)])[1]["children"]
        assert (child["os_pid"], child["pid"]) == (8, None)
        assert [grandchild["os_pid"] for grandchild in child["children"]] == [9]
        assert set(child) == FIELDS

    def test_very_deep_trees_are_cut(self, clock):
        rows = {f"p{number}": IDLE._replace(parent=number - 1) for number in range(1000, 4000)}
        _, stats = meter(clock, **rows)
        depth, shown = 0, stats.sample([process(1, 1000)])[1]
        while shown["children"]:
            depth, [shown] = depth + 1, shown["children"]
        assert depth == 20

    def test_user_without_a_name(self, clock, monkeypatch):
        system, stats = meter(clock, p7=IDLE)
        monkeypatch.setattr(system, "details", lambda os_pid: ("", 4_000_000))
        assert stats.sample([process(1, 7)])[1]["username"] == "4000000"

    def test_user_names_are_asked_once(self, clock, monkeypatch):
        asked = []
        real = pwd.getpwuid
        monkeypatch.setattr(pwd, "getpwuid", lambda uid: asked.append(uid) or real(uid))
        _, stats = meter(clock, p7=IDLE, p8=IDLE)
        stats.sample([process(1, 7), process(2, 8)])
        assert asked == [0]


class TestCost:
    def test_one_look_for_all(self, clock):
        system, stats = meter(clock, **{f"p{number}": IDLE for number in range(100, 600)})
        asked = [process(number, number) for number in range(100, 600)]
        assert len(stats.sample(asked)) == 500
        assert system.looks == 1
        assert len(system.asked) == 500

    def test_an_answer_serves_a_tenth_of_a_second(self, clock):
        system, stats = meter(clock, p7=IDLE, p8=IDLE)
        for _ in range(5):
            stats.sample([process(1, 7)])
            clock.now += 0.015
        stats.sample([process(2, 8)])
        assert (system.looks, system.asked) == (1, [7, 8])
        clock.now += 0.1
        stats.sample([process(1, 7)])
        assert system.looks == 2

    def test_process_that_started_since_is_found(self, clock):
        system, stats = meter(clock, p7=IDLE)
        stats.sample([process(1, 7)])
        system.rows[8] = IDLE
        assert list(stats.sample([process(2, 8)])) == [2]
        assert system.looks == 2

    def test_others_may_have_their_turn_after_each_process_that_is_read_and_each_that_is_shown(self, clock):
        turns = []
        system = FakeSystem(**{f"p{number}": IDLE for number in range(100, 200)})
        stats = ProcessMeter(system, clock, lambda: turns.append(len(system.asked)))
        stats.sample([process(number, number) for number in range(100, 200)])
        assert turns == [*[0] * 100, *range(100)]

    def test_in_a_callback_of_the_hub(self):
        answers = []
        stats = ProcessMeter()
        ask = lambda: answers.append(stats.sample([process(1, os.getpid())]))  # noqa: E731
        gevent.get_hub().loop.run_callback(ask)
        gevent.sleep(0)
        assert answers[0][1]["os_pid"] == os.getpid()

    def test_of_a_manager(self):
        manager = Manager(plugins=[StatsPlugin])
        spawned = Queue()
        manager.subscribe("spawn", lambda *args: spawned.put(args))
        with manager:
            manager.load(JobConfig("web", "sleep 60", numprocesses=2))
            for _ in range(2):
                spawned.get(timeout=10)
            stats = manager.stats("web")
            [first, second] = stats["stats"]
            assert set(first) == FIELDS
            assert {first["pid"], second["pid"]} == set(manager.pids("web"))
            assert stats["mem"] == first["mem"] + second["mem"]
            assert manager.process_stats(first["pid"])["os_pid"] == first["os_pid"]

    def test_a_job_counts_the_workers_of_its_server(self):
        code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
        with Manager(plugins=[StatsPlugin]) as manager:
            manager.load(JobConfig("server", shlex.quote(sys.executable), args=["-c", code], stdin="open"))
            workers = lambda: [one for server in manager.stats("server")["stats"] for one in server["children"]]  # noqa: E731
            wait_until(lambda: workers() and workers()[0]["cmdline"].endswith("input()"))
            stats = manager.stats("server")
            (server,) = stats["stats"]
            (worker,) = server["children"]
            assert stats["mem"] == server["mem"] + worker["mem"] > worker["mem"] > 0

    def test_nothing_is_made_before_the_first_question(self):
        plugin = StatsPlugin()
        plugins = PluginSet()
        plugins.add(plugin)
        assert plugin._meter is None
        answer = Hooks(plugins.pm).ask_first("gaffer_sample", manager=None, processes=[process(1, os.getpid())])
        assert set(answer[1]) == FIELDS


@pytest.fixture
def child():
    made = []

    def start(command=SLEEP, **options):
        made.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options))
        return made[-1]

    yield start
    for one in made:
        one.kill()
        one.communicate()


def write_stat(root, os_pid, parent, threads):
    numbers = f"S {parent} 1 1 0 -1 0 0 0 0 0 5 6 0 0 20 0 {threads} 0 100 4096 2"
    write(root, {f"{os_pid}/stat": f"{os_pid} (x) {numbers}"})


class TestSystem:
    """Real processes."""

    @pytest.mark.parametrize("system", [Proc(), Portable()])
    def test_agrees_with_psutil(self, child, system):
        one = child([sys.executable, "-c", "print(sum(range(10**6)), flush=True); input()", "two words"])
        one.stdout.readline()
        truth = psutil.Process(one.pid)
        wait_until(lambda: truth.status() == psutil.STATUS_SLEEPING)  # nothing changes while it waits for us
        row = dict(system.table([one.pid]))[one.pid]
        assert row.parent == os.getpid()
        assert row.rss == pytest.approx(truth.memory_info().rss, rel=0.05)
        assert row.vms == truth.memory_info().vms
        assert row.cpu == pytest.approx(sum(truth.cpu_times()[:2]), abs=0.03)
        assert row.nice == truth.nice()
        assert 0 <= row.age < 60
        cmdline, uid = system.details(one.pid)
        assert cmdline == " ".join(truth.cmdline())
        assert uid == os.geteuid()
        assert system.memory() == pytest.approx(psutil.virtual_memory().total, rel=0.01)

    @pytest.mark.parametrize("system", [Proc(), Portable()])
    def test_zombies_are_gone(self, system):
        one = subprocess.Popen(["true"])
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
        assert one.pid not in dict(system.table([one.pid]))
        assert one.wait() == 0, "the status is still there for its parent"
        with pytest.raises(ProcessLookupError):
            system.details(one.pid)

    @pytest.mark.parametrize("system", [Proc(), Portable()])
    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
    def test_effective_user(self, child, system):
        code = "import os; os.seteuid(65534); print('ready', flush=True); input()"
        one = child([sys.executable, "-c", code])
        one.stdout.readline()
        assert system.details(one.pid)[1] == 65534

    def test_command_that_tries_to_confuse(self, child, tmp_path):
        os.symlink(sys.executable, tmp_path / "x) S 1 (y")
        one = child([str(tmp_path / "x) S 1 (y"), "-c", "print(flush=True); input()"])
        one.stdout.readline()
        assert dict(Proc().table([one.pid]))[one.pid].parent == os.getpid()

    def test_a_grandchild(self, child):
        one = child(["sh", "-c", "sleep 60 & echo; wait"], start_new_session=True)
        one.stdout.readline()
        try:
            wait_until(  # between fork and exec it has the shell's, and for a moment none
                lambda: (
                    [
                        below["cmdline"].endswith("sleep 60")
                        for below in ProcessMeter().sample([process(3, one.pid)])[3]["children"]
                    ]
                    == [True]
                )
            )
        finally:
            os.killpg(one.pid, 9)

    def test_children_of_any_thread(self, child):
        code = """
import subprocess, threading
run = lambda: subprocess.run(["sh", "-c", "echo; read x"])
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
        one = child([sys.executable, "-c", code])
        one.stdout.readline()
        table = dict(Proc().table([one.pid]))
        assert [row.parent for os_pid, row in table.items() if os_pid != one.pid] == [one.pid]

    @pytest.mark.parametrize(
        ("lists", "threads", "seen"),
        [
            ({}, 1, {10, 11, 12, 99}),
            ({10: {10: "11"}, 11: {11: "12"}, 12: {12: ""}}, 1, {10, 11, 12}),
            ({10: {10: "", 13: "11 "}, 11: {11: "", 14: "12 "}, 12: {12: "", 15: ""}}, 2, {10, 11, 12}),
            ({10: {10: "11"}, 11: {11: "12"}, 12: {12: ""}}, 5000, {10, 11, 12, 99}),
        ],
        ids=["kernel without lists", "one thread", "children of any thread", "more threads than processes"],
    )
    def test_only_what_is_below(self, tmp_path, lists, threads, seen):
        own = os.getpid()
        for os_pid, parent in {10: 1, 11: 10, 12: 11, 99: 1}.items():
            write_stat(tmp_path, os_pid, parent, threads)
        for os_pid, tasks in {**lists, **({own: {own: ""}} if lists else {})}.items():
            write(tmp_path, {f"{os_pid}/task/{thread}/children": text for thread, text in tasks.items()})
        assert set(dict(Proc(str(tmp_path)).table([10]))) == seen

    def test_processes_of_the_machine_are_listed_once_however_many_are_measured(self, tmp_path, monkeypatch):
        own, root, real, listed = os.getpid(), str(tmp_path), os.listdir, []
        write(tmp_path, {f"{own}/task/{own}/children": ""})
        for os_pid in range(100, 120):
            write_stat(tmp_path, os_pid, own, threads=200)
            write(tmp_path, {f"{os_pid}/task/{os_pid}/children": ""})

        def listdir(path):
            listed.append(path)
            return list(map(str, range(100, 10_000))) if path == root else real(path)

        monkeypatch.setattr(os, "listdir", listdir)
        assert set(dict(Proc(root).table(range(100, 120)))) == set(range(100, 120))
        assert listed.count(root) == 1

    def test_broken_tables_are_survived(self, tmp_path):
        for name, text in {"1": "", "2": "2 (x) S", "3": "3 no brackets"}.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "stat").write_text(text)
        (tmp_path / "4").mkdir()
        assert dict(Proc(str(tmp_path)).table([1, 2, 3, 4, 5])) == {}
