"""Jobs with probes: readiness, restarts, reports; with processes that are not real, and a few that are."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import gevent
import pytest

import gaffer
from gaffer.errors import InvalidConfig
from gaffer.testing import settle
from gaffer_plugins.probes import ProbesPlugin
from tests.kit.ports import free_port
from tests.kit.web import wait_until


class Asked:
    """A plugin with a kind of probe that a test answers: with a sentence, or an exception."""

    def __init__(self):
        self.answer = None
        self.calls = []

    @gaffer.hookimpl
    def gaffer_probe_kinds(self):
        return {"asked": self.check}

    def check(self, text, process, env):
        self.calls.append((text, process.pid, env["PORT"]))
        answer = self.answer
        if callable(answer):
            return answer()
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def manager(gaffer_manager, asked):
    manager = gaffer_manager(ProbesPlugin(), asked)
    manager.start()
    return manager


def load(manager, **settings):
    settings = {"port": 5000, "ready_interval": 0.05, "alive_interval": 0.05, **settings}
    job = manager.load({"name": "web", "cmd": "serve", **settings})
    settle(manager)
    return job


def readiness(manager):
    return [(one["ready"], one["reason"]) for one in manager.info("web")["readiness"]]


def answers(manager):
    return manager.info("web")["plugins"]["probes"]["processes"]


# -- ready ----------------------------------------------------------------------------------------


def test_a_process_is_ready_when_its_probe_succeeds(manager, asked):
    asked.answer = ValueError("no table 'users'")
    load(manager, ready="asked db $PORT")
    wait_until(lambda: readiness(manager) == [(False, "asked db $PORT: no table 'users'")])
    assert manager.info("web")["ready"] == 0
    asked.answer = "fine"
    wait_until(lambda: readiness(manager) == [(True, None)])
    assert asked.calls[0] == ("db 5000", 1, "5000")
    asked.answer = ValueError("gone")
    wait_until(lambda: readiness(manager) == [(False, "asked db $PORT: gone")])


def test_each_copy_is_asked_itself(manager, asked):
    load(manager, ready="asked", numprocesses=3)
    wait_until(lambda: manager.info("web")["ready"] == 3)
    assert {(pid, port) for _, pid, port in asked.calls} == {(1, "5000"), (2, "5001"), (3, "5002")}


def test_before_the_first_answer_the_reason_says_so(manager, asked):
    asked.answer = lambda: gevent.sleep(100)
    load(manager, ready="asked", min_uptime=0)
    assert readiness(manager) == [(False, "its ready probe has not answered yet")]


def test_a_check_that_hangs_fails_after_its_timeout(manager, asked):
    asked.answer = lambda: gevent.sleep(100)
    load(manager, ready="asked", ready_check_timeout=0.02)
    wait_until(lambda: readiness(manager) == [(False, "asked: no answer within 0.02 s")])


@pytest.mark.parametrize(
    "error", [SystemExit("halt"), gevent.Timeout(1), KeyError("halt")], ids=lambda one: type(one).__name__
)
def test_a_check_that_raises_anything_fails(manager, asked, error):
    asked.answer = error
    load(manager, ready="asked")
    wait_until(lambda: answers(manager)[0]["ready"]["ok"] is False)
    asked.answer = None
    wait_until(lambda: readiness(manager) == [(True, None)])


def test_a_check_never_overlaps_itself(manager, asked):
    inside, most = [], []

    def slow():
        inside.append(1)
        most.append(len(inside))
        gevent.sleep(0.07)
        inside.pop()

    asked.answer = slow
    load(manager, ready="asked")
    wait_until(lambda: len(most) >= 4)
    assert set(most) == {1}


def test_numbers_may_change_while_a_process_goes_on(manager, asked):
    asked.answer = ValueError("no")
    job = load(manager, ready="asked", ready_interval=0.05, ready_check_timeout=4.0)
    wait_until(lambda: asked.calls)
    manager.update({**job.config.to_dict(), "ready_timeout": 0.01})
    wait_until(lambda: readiness(manager) == [(False, "not ready after 0.01 s: asked: no")])
    assert manager.info("web")["processes"] == [1]


def test_another_probe_replaces_the_processes(manager, asked):
    job = load(manager, ready="asked one")
    wait_until(lambda: manager.info("web")["ready"] == 1)
    manager.update({**job.config.to_dict(), "ready": None})
    settle(manager)
    assert manager.info("web")["processes"] == [2]
    assert manager.info("web")["plugins"] == {}


def test_a_committed_process_is_not_asked(manager, asked, gaffer_spawner):
    load(manager, ready="asked", start=False)
    manager.commit("web")
    settle(manager)
    assert gaffer_spawner.last.plan.unready is None and asked.calls == []


def test_nothing_is_asked_of_a_process_that_has_ended(manager, asked, gaffer_spawner):
    load(manager, ready="asked", restart="never")
    wait_until(lambda: asked.calls)
    gaffer_spawner.last.exit(0)
    settle(manager)
    number = len(asked.calls)
    gevent.sleep(0.2)
    assert len(asked.calls) == number and manager.health()["plugins"]["probes"]["watched"] == 0


def test_a_line_that_does_not_come_in_time_is_missed_and_counts_later(manager, gaffer_spawner):
    load(manager, ready="log ready", ready_timeout=0.05)
    wait_until(lambda: readiness(manager) == [(False, "not ready after 0.05 s: log ready: no such line yet")])
    gaffer_spawner.last.say(b"ready\n", "stderr")
    wait_until(lambda: readiness(manager) == [(True, None)])


# -- alive ----------------------------------------------------------------------------------------


def test_a_process_that_does_not_work_is_restarted(manager, asked):
    load(manager, alive="asked", alive_failures=2)
    wait_until(lambda: asked.calls)
    asked.answer = ValueError("deadlock")
    wait_until(lambda: manager.info("web")["state"] == "backoff")
    assert manager.info("web")["reason"] == "its alive probe failed 2 times: asked: deadlock"
    assert manager.health()["plugins"]["probes"]["restarts"] == 1


def test_why_tells_what_fails_and_what_was_restarted(manager, asked):
    asked.answer = ValueError("no table")
    load(manager, ready="asked", alive="asked")
    wait_until(lambda: asked.calls)
    settle(manager)
    texts = [cause["text"] for cause in manager.why("web")["causes"]]
    assert any(text.startswith("process 1 was asked ") and text.endswith(": asked: no table") for text in texts)
    asked.answer = None
    wait_until(lambda: readiness(manager) == [(True, None)])
    asked.answer = ValueError("deadlock")
    wait_until(lambda: manager.info("web")["state"] == "backoff")
    texts = [cause["text"] for cause in manager.why("web")["causes"]]
    assert any("process 1 was restarted 0 s ago: its alive probe failed 3 times" in text for text in texts)


def test_while_it_starts_a_process_may_fail(manager, asked):
    asked.answer = ValueError("starting")
    load(manager, alive="asked", alive_failures=1)
    wait_until(lambda: len(asked.calls) > 3)
    assert manager.info("web")["processes"] == [1]


def test_alive_is_asked_once_the_process_is_ready(manager, asked):
    asked.answer = ValueError("starting")
    load(manager, ready="asked ready", alive="asked alive", alive_failures=1)
    wait_until(lambda: len(asked.calls) > 3)
    assert {text for text, *_ in asked.calls} == {"ready"}
    asked.answer = None
    wait_until(lambda: any(text == "alive" for text, *_ in asked.calls))
    asked.answer = ValueError("halt")
    wait_until(lambda: manager.health()["plugins"]["probes"]["restarts"] == 1)


# -- reports and mistakes -------------------------------------------------------------------------


def test_the_last_answers_are_in_the_info_of_the_job(manager, asked):
    load(manager, ready="asked one", alive="asked two")
    wait_until(lambda: answers(manager)[0]["alive"]["ok"])
    (found,) = answers(manager)
    assert found["pid"] == 1 and found["ready"]["probe"] == "asked one"
    assert found["ready"].keys() == {"probe", "ok", "message", "seconds", "at"}
    assert manager.health()["plugins"]["probes"] == {
        "ok": True, "watched": 1, "checks": len(asked.calls), "failed": 0, "restarts": 0,
        "notifications": 0, "ignored_notifications": 0, "notification_pauses": 0,
    }  # fmt: skip


def test_a_job_without_probes_costs_nothing(manager, gaffer_spawner):
    manager.load({"name": "web", "cmd": "serve"})
    settle(manager)
    assert gaffer_spawner.last.plan.unready is None
    assert "probes" not in manager.health()["plugins"] and manager.info("web")["plugins"] == {}
    assert not manager.hooks.implemented("gaffer_before_spawn")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ready": "http://127.0.0.1:$PROT/"}, "ready: unknown variable $PROT; set it in env"),
        ({"alive": "asked $PROT"}, "alive: unknown variable $PROT; set it in env"),
        ({"ready": "http://127.0.0.1/", "ready_header": ["X: $PROT"]}, "ready_header: unknown variable $PROT"),
        ({"ready": "exec ./check $PROT"}, "ready: unknown variable $PROT"),
        ({"ready": "htp://x"}, "ready: 'htp://x' is no probe; did you mean 'http'?"),
        ({"alive": "log x"}, "alive: a line of output says once that a process is ready"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_load(manager, settings, said):
    with pytest.raises(InvalidConfig) as error:
        load(manager, **settings)
    assert said in str(error.value)
    assert not manager.has_job("web")


def test_a_variable_whose_value_does_not_fit_is_a_failed_start(manager):
    load(manager, ready="tcp://127.0.0.1:$APP", env={"APP": "eighty"})
    assert "ready: 'tcp://127.0.0.1:eighty' has no host and port" in manager.info("web")["reason"]


# -- the hooks --------------------------------------------------------------------------------------


def test_gaffer_probe_kinds(manager, asked):
    """A kind of a plugin's cannot replace a built-in one, and one that is no function is not used."""
    load(manager, ready="asked")
    wait_until(lambda: manager.info("web")["ready"] == 1)


def test_gaffer_job_info(gaffer_manager):
    class Backlog:
        @gaffer.hookimpl
        def gaffer_job_info(self, job):
            return {"backlog": 3} if job.name.short == "web" else None

    class Part:
        @gaffer.hookimpl
        def gaffer_job_info(self):
            return {"age": 5}

    class Broken:
        @gaffer.hookimpl
        def gaffer_job_info(self):
            return 5

    manager = gaffer_manager()
    manager.plugins.add(Backlog(), name="queue")
    manager.plugins.add(Part(), name="queue.part")
    manager.plugins.add(Broken(), name="broken")
    manager.start()
    manager.load({"name": "web", "cmd": "serve"})
    assert manager.info("web")["plugins"] == {"queue": {"backlog": 3, "age": 5}}


# -- real processes -----------------------------------------------------------------------------------

SERVER = """
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if os.path.exists("broken") else 200)
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def api(start_api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.py").write_text(SERVER)
    return start_api(ProbesPlugin())


def test_a_server_becomes_ready_and_unready(api, tmp_path):
    job = {
        "name": "web",
        "cmd": f"{shlex.quote(sys.executable)} server.py",
        "port": free_port(),
        "ready": "http://127.0.0.1:$PORT/healthz",
        "alive": "tcp://127.0.0.1:$PORT",
        "ready_failures": 1,
        "ready_interval": 0.05,
    }
    api("POST", "/jobs/default", job)
    wait_until(lambda: api.get("/jobs/default/web")["ready"] == 1)
    (tmp_path / "broken").touch()
    wait_until(lambda: api.get("/jobs/default/web")["ready"] == 0)
    (found,) = api.get("/jobs/default/web")["readiness"]
    assert found["reason"] == f"http://127.0.0.1:{job['port']}/healthz: status 503"


def test_a_command_asks_as_the_process_would(api, tmp_path):
    (tmp_path / "sub").mkdir()
    job = {
        "name": "web",
        "cmd": "sleep 100",
        "cwd": str(tmp_path / "sub"),
        "numprocesses": 2,
        "port": 5000,
        "env": {"COLOUR": "red"},
        "ready": "exec sh -c 'echo $0 $COLOUR $GAFFER_INDEX >> asked; echo; echo closed >&2; exit 3' $PORT",
        "ready_interval": 0.05,
    }
    api("POST", "/jobs/default", job)
    wait_until(lambda: [one["reason"] for one in api.get("/jobs/default/web")["readiness"]] == [REASON.format(job)] * 2)
    assert set((tmp_path / "sub" / "asked").read_text().splitlines()) == {"5000 red 0", "5001 red 1"}


REASON = "{0[ready]}: exit code 3: closed"


def test_a_command_that_hangs_is_killed_with_what_it_started(api, tmp_path):
    job = {
        "name": "web",
        "cmd": "sleep 100",
        "ready": "exec sh -c 'sleep 4711 & echo $! > child; echo waiting; wait'",
        "ready_check_timeout": 0.5,
        "ready_interval": 100.0,
    }
    api("POST", "/jobs/default", job)
    wait_until(lambda: "no answer within 0.5 s" in api.get("/jobs/default/web")["readiness"][0]["reason"])
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not alive(child))


def alive(os_pid):
    try:
        with open(f"/proc/{os_pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_command_that_does_not_exist_says_so(api):
    api("POST", "/jobs/default", {"name": "web", "cmd": "sleep 100", "ready": "exec ./none"})
    wait_until(lambda: "./none" in api.get("/jobs/default/web")["readiness"][0]["reason"])


def test_a_command_runs_as_the_user_of_the_job(api, tmp_path):
    if os.getuid():
        pytest.skip("only root starts processes of others")
    job = {"name": "web", "cmd": "sleep 100", "uid": 65534, "ready": "exec id -u", "cwd": "/"}
    api("POST", "/jobs/default", job)
    wait_until(lambda: api.get("/jobs/default/web")["ready"] == 1)
    assert api.get("/jobs/default/web")["plugins"]["probes"]["processes"][0]["ready"]["message"] == "65534"


def test_a_line_of_output_makes_ready(api, tmp_path):
    cmd = "sh -c 'echo starting; while [ ! -e go ]; do sleep 0.02; done; echo listening on 80 >&2; exec sleep 100'"
    api("POST", "/jobs/default", {"name": "web", "cmd": cmd, "ready": r"log listening on \d+"})
    wait_until(
        lambda: "no such line yet" in (api.get("/jobs/default/web")["readiness"] or [{"reason": ""}])[0]["reason"]
    )
    (tmp_path / "go").touch()
    wait_until(lambda: api.get("/jobs/default/web")["ready"] == 1)
    assert api.get("/jobs/default/web")["plugins"]["probes"]["processes"][0]["ready"]["message"] == "listening on 80"


NOTIFY = """
import os, socket, time
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect("\\0" + os.environ["NOTIFY_SOCKET"][1:])
sock.send(b"STATUS=loading")
while not os.path.exists("go"):
    time.sleep(0.02)
if os.fork() == 0:  # a worker of the process may speak for it
    sock.send(b"READY=1\\nSTATUS=" + os.environ["WATCHDOG_USEC"].encode())
    time.sleep(100)
while not os.path.exists("hang"):
    sock.send(b"WATCHDOG=1")
    time.sleep(0.02)
time.sleep(100)
"""


def test_a_process_speaks_for_itself(api, tmp_path):
    (tmp_path / "notify.py").write_text(NOTIFY)
    job = {
        "name": "web",
        "cmd": f"{shlex.quote(sys.executable)} notify.py",
        "ready": "notify",
        "alive": "notify",
        "alive_interval": 0.5,
        "alive_failures": 1,
        "restart": "never",
    }
    api("POST", "/jobs/default", job)
    said = "notify: READY=1 has not come yet; it says: loading"
    wait_until(lambda: [one["reason"] for one in api.get("/jobs/default/web")["readiness"]] == [said])
    (tmp_path / "go").touch()
    wait_until(lambda: api.get("/jobs/default/web")["ready"] == 1)
    answers = api.get("/jobs/default/web")["plugins"]["probes"]["processes"][0]
    assert answers["ready"]["message"] == "500000"
    wait_until(lambda: api.get("/jobs/default/web")["plugins"]["probes"]["processes"][0]["alive"]["ok"])
    (tmp_path / "hang").touch()
    wait_until(lambda: api.get("/jobs/default/web")["running"] == 0)
    assert api.get("/health")["plugins"]["probes"]["restarts"] == 1


def test_without_probes_nothing_of_it_is_imported():
    code = (
        "import sys, gaffer\n"
        "with gaffer.Manager(builtin=['probes']) as manager:\n"
        "    manager.load({'name': 'web', 'cmd': 'sleep 100'})\n"
        "print(*[name for name in sys.modules if name.startswith('gaffer_plugins.probes.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("gaffer_plugins.probes.kinds\n", "")
