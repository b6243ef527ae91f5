"""Commands that start, stop, signal and scale."""

import pytest

from .conftest import sent


def test_start_and_stop(state, ctl):
    state.add("default.web", numprocesses=2)
    assert ctl("start", "web").out == "web: running, 2 processes (pid 1, 2)\n"
    assert ctl("stop", "web").out == "web: stopped\n"
    assert sent(state) == ("/jobs/default/web/state", 0)


@pytest.mark.parametrize(
    "command, path, body", [("restart", "/jobs/default/web/restart", None), ("reload", "/jobs/default/web/state", 2)]
)
def test_restart_and_reload(state, ctl, command, path, body):
    state.add("default.web", running=1)
    assert ctl(command, "web").out == "web: running, 1 process (pid 2)\n"
    assert sent(state) == (path, body)


def test_start_waits(state, ctl):
    state.add("default.web")
    state.coming["default.web"] = [{}, {"state": "starting"}, {"state": "starting"}, {"state": "running"}]
    assert ctl("start", "web").code == 0
    assert not state.coming["default.web"]


def test_stop_waits(state, ctl):
    state.add("default.web", running=1)
    going = {"state": "stopping", "running": 1, "processes": [1]}
    gone = {"state": "stopped", "running": 0, "processes": []}
    state.coming["default.web"] = [{}, going, going, gone]
    assert ctl("stop", "web").out == "web: stopped\n"


def test_a_start_that_fails(state, ctl):
    state.add("default.web")
    reason = {"state": "backoff", "reason": "cannot execute /no/such: No such file or directory"}
    state.coming["default.web"] = [{}, {"state": "starting"}, reason]
    ended = ctl("start", "web")
    assert ended == (1, "", "gafferctl: web: backoff: cannot execute /no/such: No such file or directory\n")


def test_a_start_that_takes_too_long(state, ctl):
    state.add("default.web")
    state.coming["default.web"] = [{}, *[{"state": "starting"}] * 20]
    ended = ctl("start", "web", "--timeout", "0.02")
    assert ended == (1, "", "gafferctl: web: still starting after 0.02 s, 1 process (pid 1)\n")


def test_not_waiting(state, ctl):
    state.add("default.web", running=1)
    assert ctl("stop", "web", "--no-wait").out == "web: stop requested\n"
    assert [request.method for request in state.requests] == ["GET", "POST"]


@pytest.mark.parametrize(
    "names, out",
    [
        (["web", "shop.db"], ["web", "shop.db"]),
        (["web", "default.web", "default/web"], ["web"]),
        (["shop.*"], ["shop.web", "shop.db"]),
        (["shop:*", "web"], ["shop.web", "shop.db", "web"]),
        (["all"], ["web", "shop.web", "shop.db"]),
    ],
)
def test_several_jobs(state, ctl, names, out):
    for name in ("default.web", "shop.web", "shop.db"):
        state.add(name)
    assert [line.partition(":")[0] for line in ctl("start", *names).out.splitlines()] == out


def test_all_of_nothing(ctl):
    assert ctl("start", "all") == (0, "", "")


def test_one_unknown_job_does_not_keep_the_others(state, ctl):
    state.add("default.web")
    ended = ctl("start", "none", "web")
    assert ended.code == 1
    assert ended.out == "web: running, 1 process (pid 1)\n"
    assert ended.err == "gafferctl: no job 'default.none'; gafferctl processes lists them\n"


def test_an_unknown_session(ctl):
    assert ctl("stop", "none.*") == (1, "", "gafferctl: no session 'none'\n")


def test_what_is_not_allowed_ends_at_once(state, ctl):
    state.add("default.web")
    state.add("default.db")
    refusal = b'{"error": "forbidden", "reason": "this key may not manage default.web"}'
    state.canned["POST", "/jobs/default/web/state"] = (403, "application/json", refusal)
    assert ctl("start", "web", "db") == (4, "", "gafferctl: this key may not manage default.web\n")
    assert state.jobs["default.db"]["state"] == "stopped"


@pytest.mark.parametrize(
    "goal, running, code",
    [("running", 1, 0), ("ready", 1, 0), ("stopped", 0, 0), ("running", 0, 1), ("ready", 0, 1), ("stopped", 1, 1)],
)
def test_wait(state, ctl, goal, running, code):
    state.add("default.web", running=running)
    assert ctl("wait", "web", "--for", goal, "--timeout", "0").code == code


def test_wait_for_what_comes(state, ctl):
    state.add("default.web", running=1)
    state.coming["default.web"] = [{"state": "starting"}, {"state": "running"}]
    assert ctl("wait", "web", "--for", "ready") == (0, "", "")
    assert not state.coming["default.web"]


def test_wait_for_a_job_that_failed(state, ctl):
    state.add("default.web").update(state="failed", reason="it died")
    assert ctl("wait", "web", "--for", "running") == (1, "", "gafferctl: web: failed: it died\n")


@pytest.mark.parametrize("args", [["web"], ["web", "--for", "lunch"]])
def test_wait_for_what(ctl, args):
    assert ctl("wait", *args).code == 2


@pytest.mark.parametrize(
    "given, signal", [("TERM", "TERM"), ("sighup", "sighup"), ("9", 9), ("-9", 9), ("-HUP", "HUP")]
)
def test_kill(state, ctl, given, signal):
    state.add("shop.web", running=1)
    assert ctl("kill", "shop.web", given) == (0, "", "")
    assert sent(state) == ("/jobs/shop/web/signal", {"signal": signal})
    assert ctl("kill", "1", given).code == 0
    assert sent(state) == ("/1/signal", {"signal": signal})


def test_kill_with_no_such_signal(state, ctl):
    state.add("default.web", running=1)
    ended = ctl("kill", "web", "NOSUCH")
    assert ended.code == 2
    assert ended.err == "gafferctl: no signal 'NOSUCH'; give a number such as 15 or a name such as TERM\n"


def test_kill_nobody(ctl):
    assert ctl("kill", "99", "TERM").code == 1
    assert ctl("kill", "none", "TERM").code == 1


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
def test_scaling(state, ctl, words, out, scale):
    state.add("default.web", numprocesses=3)
    state.add("shop.web", numprocesses=3)
    assert ctl(*words) == (0, out, "")
    assert sent(state)[1] == {"scale": scale}


@pytest.mark.parametrize("operation", ["x", "=", "=-1", "1.5", "--2", "", "99999999999"])
def test_scaling_by_nonsense(state, ctl, operation):
    assert ctl("scale", "web", operation).code == 2
    assert not state.requests


@pytest.mark.parametrize("number", ["0", "-2", "x"])
def test_adding_nonsense(state, ctl, number):
    assert ctl("add", "web", number).code == 2
    assert ctl("sub", "web", number).code == 2
    assert not state.requests


def test_numbers(state, ctl):
    state.add("default.web", running=1).update(max_processes=3)
    assert ctl("numprocesses", "web").out == "3\n"
    assert ctl("running", "web").out == "1\n"


@pytest.mark.parametrize("command", [("wait", "web", "--for", "stopped"), ("start", "web"), ("shutdown",)])
def test_a_timeout_that_is_no_number_is_refused(state, ctl, command):
    state.add("default.web", running=1)
    ended = ctl(*command, "--timeout", "nan")
    assert (ended.code, ended.out) == (2, "")
    assert "'--timeout': nan is no number of seconds" in ended.err
    assert not state.requests
