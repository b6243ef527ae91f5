"""Commands that start, stop, signal and scale."""

import json
import signal
import time

import pytest

import gaffer
from gaffer.httpclient import CannotConnect
from gaffer.httpclient.transport import Transport

from ..kit.gafferd import eventually


class StopOrder:
    """A plugin that notes starts, stop signals and ends of processes, in order."""

    def __init__(self):
        self.seen = []

    @gaffer.hookimpl
    def gaffer_spawned(self, job):
        self.seen.append(f"start {job.name.job}")

    @gaffer.hookimpl
    def gaffer_signalled(self, job, signum):
        if signum == signal.SIGTERM:
            self.seen.append(f"TERM {job.name.job}")

    @gaffer.hookimpl
    def gaffer_reaped(self, job):
        self.seen.append(f"end {job.name.job}")


def test_start_and_stop(gafferd, gafferctl):
    gafferd.load("default.web", numprocesses=2)
    assert gafferctl("start", "web").out == "web: running, 2 processes (pid 1, 2)\n"
    assert gafferctl("stop", "web").out == "web: stopped\n"
    assert gafferd.sent() == ("/jobs/default/web/state", 0)


@pytest.mark.parametrize(
    "command, path, body", [("restart", "/jobs/default/web/restart", None), ("reload", "/jobs/default/web/state", 2)]
)
def test_restart_and_reload_wait_for_new_processes(gafferd, gafferctl, command, path, body):
    gafferd.load("default.web", start=True)
    assert gafferctl(command, "web").out == "web: running, 1 process (pid 2)\n"
    assert gafferd.sent() == (path, body)


def test_start_waits_for_min_uptime(gafferd, gafferctl):
    gafferd.load("default.web", min_uptime=0.2)
    begin = time.monotonic()
    assert gafferctl("start", "web").code == 0
    assert time.monotonic() - begin >= 0.2


def test_stop_waits_for_the_last_process(gafferd, gafferctl):
    gafferd.spawner.ignores.add(signal.SIGTERM)
    gafferd.load("default.web", start=True, graceful_timeout=0.2)
    assert gafferctl("stop", "web").out == "web: stopped\n"
    assert gafferd.process(1).signals[-1] == signal.SIGKILL


def test_start_that_fails_prints_the_reason(gafferd, gafferctl):
    gafferd.load("default.web")
    gafferd.spawner.fail("cannot execute /no/such: No such file or directory")
    ended = gafferctl("start", "web")
    assert ended == (1, "", "gafferctl: web: backoff: cannot execute /no/such: No such file or directory\n")


def test_start_that_takes_too_long_is_a_failure(gafferd, gafferctl):
    gafferd.load("default.web", min_uptime=60)
    ended = gafferctl("start", "web", "--timeout", "0.02")
    assert ended == (1, "", "gafferctl: web: still starting after 0.02 s, 1 process (pid 1)\n")


def test_no_wait_returns_after_the_request(gafferd, gafferctl):
    gafferd.load("default.web", start=True)
    assert gafferctl("stop", "web", "--no-wait").out == "web: stop requested\n"
    assert [request.method for request in gafferd.requests.seen] == ["GET", "POST"]


@pytest.mark.parametrize("command, after", [("stop", []), ("restart", ["db", "also", "web", "last"])])
def test_jobs_stop_in_reverse_priority_when_those_after_them_have_ended(gafferd, gafferctl, command, after):
    order = StopOrder()
    gafferd.call(lambda: gafferd.manager.plugins.add(order, name="order"))
    for name, priority in (("db", 0), ("web", 5), ("also", 5), ("last", None)):
        gafferd.load(f"default.{name}", start=True, priority=priority)
    ended = gafferctl(command, "all")
    assert (ended.code, ended.err) == (0, "")
    # Plugins are told a moment later.
    eventually(lambda: len(order.seen) == 12 + len(after))
    assert order.seen[4:6] == ["TERM last", "end last"] and order.seen[10:12] == ["TERM db", "end db"]
    assert sorted(order.seen[6:10]) == ["TERM also", "TERM web", "end also", "end web"]
    assert order.seen[12:] == [f"start {name}" for name in after]


@pytest.mark.parametrize(
    "names, out",
    [
        (["web", "shop.db"], ["web", "shop.db"]),
        (["web", "default.web", "default/web"], ["web"]),
        (["shop.*"], ["shop.db", "shop.web"]),
        (["shop:*", "web"], ["shop.db", "shop.web", "web"]),
        (["all"], ["web", "shop.db", "shop.web"]),
    ],
)
def test_names_and_patterns_of_jobs(gafferd, gafferctl, names, out):
    for name in ("default.web", "shop.web", "shop.db"):
        gafferd.load(name)
    assert [line.partition(":")[0] for line in gafferctl("start", *names).out.splitlines()] == out


def test_all_without_jobs_does_nothing(gafferctl):
    assert gafferctl("start", "all") == (0, "", "")


def test_unknown_job_does_not_keep_the_others(gafferd, gafferctl):
    gafferd.load("default.web")
    ended = gafferctl("start", "none", "web")
    assert ended.code == 1
    assert ended.out == "web: running, 1 process (pid 1)\n"
    assert ended.err == "gafferctl: no job 'none'; 'gafferctl processes' lists them\n"


def test_unknown_session_is_a_failure(gafferctl):
    assert gafferctl("stop", "none.*") == (1, "", "gafferctl: no session 'none'; 'gafferctl sessions' lists them\n")


def test_forbidden_ends_the_requests_at_once(gafferd, gafferctl):
    gafferd.load("default.web")
    gafferd.load("default.db")
    refusal = {"error": "forbidden", "reason": "this key may not manage default.web"}
    gafferd.requests.answers["POST", "/jobs/default/web/state"] = (403, refusal)
    assert gafferctl("start", "web", "db") == (4, "", "gafferctl: this key may not manage default.web\n")
    assert gafferd.job("default.db")["state"] == "stopped"


@pytest.mark.parametrize(
    "goal, start, code",
    [
        ("running", True, 0),
        ("ready", True, 0),
        ("stopped", False, 0),
        ("running", False, 1),
        ("ready", False, 1),
        ("stopped", True, 1),
    ],
)
def test_wait_for_a_state_that_is_or_is_not(gafferd, gafferctl, goal, start, code):
    gafferd.load("default.web", start=start)
    assert gafferctl("wait", "web", "--for", goal, "--timeout", "0").code == code


def test_wait_for_a_state_that_comes(gafferd, gafferctl):
    gafferd.load("default.web", start=True, min_uptime=0.1)
    assert gafferd.job("default.web")["state"] == "starting"
    assert gafferctl("wait", "web", "--for", "ready") == (0, "", "")
    assert gafferd.job("default.web")["state"] == "running"


def test_wait_for_a_job_that_failed_ends_at_once(gafferd, gafferctl):
    gafferd.load("default.web", start=True, flapping=[1, 10.0, 0.01, 0])
    gafferd.call(lambda: gafferd.process(1).exit(3))
    assert gafferd.job("default.web")["state"] == "failed"
    ended = gafferctl("wait", "web", "--for", "running")
    assert ended.code == 1 and ended.err.startswith("gafferctl: web: failed: ")


@pytest.mark.parametrize("args", [["web"], ["web", "--for", "lunch"]])
def test_wait_needs_a_known_state(gafferctl, args):
    assert gafferctl("wait", *args).code == 2


@pytest.mark.parametrize(
    "given, sent, number",
    [("TERM", "TERM", 15), ("sighup", "sighup", 1), ("9", 9, 9), ("-9", 9, 9), ("-HUP", "HUP", 1)],
)
@pytest.mark.parametrize("target, path", [("shop.web", "/jobs/shop/web/signal"), ("1", "/1/signal")])
def test_kill(gafferd, gafferctl, given, sent, number, target, path):
    gafferd.load("shop.web", start=True)
    assert gafferctl("kill", target, given) == (0, "", "")
    assert gafferd.sent() == (path, {"signal": sent})
    assert gafferd.process(1).signals == [number]


def test_kill_with_an_unknown_signal(gafferd, gafferctl):
    gafferd.load("default.web", start=True)
    ended = gafferctl("kill", "web", "NOSUCH")
    assert ended.code == 2
    assert "no signal 'NOSUCH'; give a number such as 15 or a name such as TERM" in ended.err


def test_kill_of_an_unknown_process_or_job(gafferctl):
    assert gafferctl("kill", "99", "TERM").code == 1
    assert gafferctl("kill", "none", "TERM").code == 1


# -- how many ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, out, scale",
    [
        (["add", "web"], "4\n", "+1"),
        (["add", "web", "2"], "5\n", "+2"),
        (["sub", "web"], "2\n", "-1"),
        (["sub", "web", "2"], "1\n", "-2"),
        (["scale", "web", "2"], "5\n", 2),
        (["scale", "web", "+2"], "5\n", "+2"),
        (["scale", "web", "-1"], "2\n", "-1"),
        (["scale", "web", "-10"], "0\n", "-10"),
        (["scale", "web", "=7"], "7\n", "=7"),
        (["scale", "shop.web", "=0"], "0\n", "=0"),
    ],
)
def test_scaling(gafferd, gafferctl, words, out, scale):
    gafferd.load("default.web", numprocesses=3)
    gafferd.load("shop.web", numprocesses=3)
    assert gafferctl(*words) == (0, out, "")
    assert gafferd.sent()[1] == {"scale": scale}


@pytest.mark.parametrize("operation", ["x", "=", "=-1", "1.5", "--2", "", "99999999999"])
def test_scaling_by_something_else_is_wrong_usage(gafferd, gafferctl, operation):
    assert gafferctl("scale", "web", operation).code == 2
    assert not gafferd.requests.seen


@pytest.mark.parametrize("number", ["0", "-2", "x"])
def test_adding_something_else_is_wrong_usage(gafferd, gafferctl, number):
    assert gafferctl("add", "web", number).code == 2
    assert gafferctl("sub", "web", number).code == 2
    assert not gafferd.requests.seen


def test_wanted_and_living_processes(gafferd, gafferctl):
    gafferd.load("default.web", start=True, numprocesses=3)
    gafferd.spawner.fail("no memory", "no memory")
    gafferd.call(lambda: [gafferd.process(pid).exit() for pid in (2, 3)])
    assert gafferctl("numprocesses", "web").out == "3\n"
    assert gafferctl("running", "web").out == "1\n"


@pytest.mark.parametrize("command", [("wait", "web", "--for", "stopped"), ("start", "web"), ("shutdown",)])
def test_timeout_that_is_no_number_is_refused(gafferd, gafferctl, command):
    gafferd.load("default.web", start=True)
    ended = gafferctl(*command, "--timeout", "nan")
    assert (ended.code, ended.out) == (2, "")
    assert "'--timeout': nan is no number of seconds" in ended.err
    assert not gafferd.requests.seen


def test_results_as_json(gafferd, gafferctl):
    gafferd.load("default.web")
    gafferd.load("default.db", priority=1)
    ended = gafferctl("start", "web", "-o", "json")
    assert json.loads(ended.out) == [{"name": "web", "ok": True, "text": "running, 1 process (pid 1)"}]
    ended = gafferctl("wait", "web", "--for", "ready", "-o", "json")
    assert json.loads(ended.out) == [{"name": "web", "ok": True, "text": "running, 1 process (pid 1)"}]
    results = json.loads(gafferctl("restart", "web", "db", "-o", "json").out)
    assert sorted((one["name"], one["ok"]) for one in results) == [("db", True), ("web", True)]
    assert json.loads(gafferctl("stop", "web", "-o", "json", "--no-wait").out)[0]["text"] == "stop requested"


def test_failures_are_in_json_and_on_stderr(gafferd, gafferctl):
    gafferd.load("default.web", min_uptime=60)
    ended = gafferctl("start", "web", "-o", "json", "--timeout", "0.02")
    assert (ended.code, json.loads(ended.out)[0]["ok"]) == (1, False) and ended.err


@pytest.mark.parametrize(
    "words, results",
    [
        (("stop",), {"shop.web": "stopped", "shop.db": "stopped"}),
        (("stop", "web", "--no-wait"), {"shop.web": "stop requested"}),
        (("reload",), {"shop.web": "running, 1 process (pid 2)",
                       "shop.db": "stopped, and stays so; 'gafferctl start shop.db' starts it"}),
        (("unload",), {"shop.web": "unloaded", "shop.db": "unloaded"}),
    ],
)  # fmt: skip
def test_gaffer_gives_results_as_json_too(gafferd, gaffer, words, results):
    gafferd.load("shop.web", start=True)
    gafferd.load("shop.db")
    ended = gaffer(*words, "-o", "json")
    assert {one["name"]: one["text"] for one in json.loads(ended.out)} == results
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("more, text", [((), "removed"), (("--no-wait",), "removed, stopping")])
def test_results_of_a_removal_as_json(gafferd, gafferctl, more, text):
    gafferd.load("default.web", start=True)
    ended = gafferctl("del_process", "web", "-o", "json", *more)
    assert json.loads(ended.out) == [{"name": "web", "ok": True, "text": text}]


@pytest.mark.parametrize("command", ["stop", "restart", "del_process"])
def test_refused_jobs_are_in_json_too(gafferd, gafferctl, command):
    ended = gafferctl(command, "wbe", "-o", "json")
    ((result),) = json.loads(ended.out)
    assert (ended.code, result["name"], result["ok"]) == (1, "wbe", False)
    assert ended.err == f"gafferctl: {result['text']}\n"


def test_json_has_the_jobs_that_were_accepted_before_gafferd_went_away(gafferd, gafferctl, monkeypatch):
    gafferd.load("default.web", start=True)
    gafferd.load("default.db", start=True)

    real, asked = Transport.request, []

    def request(transport, method, path, *rest, **more):
        asked.extend([path] if method == "POST" else [])
        if len(asked) == 2:
            raise CannotConnect("gafferd has gone")
        return real(transport, method, path, *rest, **more)

    monkeypatch.setattr(Transport, "request", request)
    ended = gafferctl("stop", "web", "db", "-o", "json", "--no-wait")
    results = [(one["ok"], one["text"]) for one in json.loads(ended.out)]
    assert (ended.code, results) == (3, [(False, "gafferd has gone"), (True, "stop requested")])


class NeedsDb:
    """A plugin that says that the job db is needed."""

    @gaffer.hookimpl
    def gaffer_stop_order(self):
        return [("shop.web", "shop.db")]


@pytest.mark.parametrize("program, words", [("gafferctl", ["stop", "shop.*"]), ("gaffer", ["unload", "shop"])])
def test_a_job_is_stopped_when_those_that_need_it_have_ended(gafferd, gafferctl, gaffer, program, words):
    gafferd.call(lambda: gafferd.manager.plugins.add(NeedsDb()))
    for name in ("web", "db", "other"):
        gafferd.load(f"shop.{name}", start=True)
    lines = (gaffer if program == "gaffer" else gafferctl)(*words).out.splitlines()
    assert len(lines) == 3 and lines[-1].startswith("shop.db: ")
