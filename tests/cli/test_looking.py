"""Commands that show jobs, processes and gafferd itself."""

import json

from .conftest import sent

# -- what is going on ----------------------------------------------------------------

BROKEN = {
    "active": True,
    "state": "backoff",
    "restarts": 17,
    "retry_in": 3.2,
    "reason": "it died with code 3",
    "last_exit": {"exit_status": 3, "term_signal": 0},
    "stderr": ["Traceback:", "\x1b[31mboom"],
}


def test_status(state, ctl):
    state.add("default.web", running=2)
    state.add("shop.worker")
    state.add("default.bad").update(BROKEN)
    assert ctl("status").out == (
        "NAME         STATE    PROCESSES  UPTIME  RESTARTS  LAST EXIT  NEXT RETRY\n"
        "web          running  2/2           12s         0  -                   -\n"
        "shop.worker  stopped  0/1             -         0  -                   -\n"
        "bad          backoff  0/1             -        17  code 3           3.2s\n"
        "\n"
        "bad: it died with code 3\n"
        "  Traceback:\n"
        "  \\x1b[31mboom\n"
    )
    assert ctl("status", "shop.*", "-o", "name").out == "shop.worker\n"
    assert [one["name"] for one in json.loads(ctl("status", "-o", "json").out)] == ["web", "shop.worker", "bad"]


def test_status_of_nothing(ctl):
    assert ctl("status", "-o", "json").out == "[]\n"
    assert ctl("status").out.startswith("NAME")


def test_status_of_one(state, ctl):
    state.add("default.web", running=2)
    state.add("default.bad").update(BROKEN)
    state.add("default.down")
    assert ctl("status", "web") == (
        0,
        "name        web\nstate       running\nprocesses   2/2\npids        1 2\nuptime      12s\n"
        "restarts    0\nlast exit   -\nnext retry  -\n",
        "",
    )
    ended = ctl("status", "bad")
    assert ended.code == 0
    assert "last lines of stderr:\n  Traceback:\n  \\x1b[31mboom\n" in ended.out
    assert ctl("status", "down").code == 1
    assert ctl("status", "down", "-o", "name") == (1, "down\n", "")
    assert json.loads(ctl("status", "web", "-o", "json").out)["state"] == "running"


def test_status_of_nobody(ctl):
    assert ctl("status", "none") == (1, "", "gafferctl: no job 'default.none'; gafferctl processes lists them\n")


def test_a_job_that_goes_while_status_looks(state, ctl):
    state.add("default.web", running=1)
    state.canned["GET", "/jobs"] = (200, "application/json", b'{"jobs": ["default.gone", "default.web"]}')
    assert ctl("status", "-o", "name").code == 0
    assert [line.split()[0] for line in ctl("status").out.splitlines()] == ["NAME", "web"]


def test_pids(state, ctl):
    state.add("default.web", running=2)
    state.add("shop.web", running=1)
    assert ctl("pids").out == "1\n2\n3\n"
    assert ctl("pids", "shop.web", "-o", "json").out == "[\n  3\n]\n"


def test_sessions(state, ctl):
    state.add("shop.web")
    state.add("default.web")
    assert ctl("sessions").out == "default\nshop\n"
    assert json.loads(ctl("sessions", "-o", "json").out) == ["default", "shop"]


def test_info(state, ctl):
    state.add("shop.web", running=1, cwd="/srv", start=True)
    out = ctl("info", "shop.web").out.splitlines()
    assert "state             running" in out and "cwd               /srv" in out
    assert not any(line.startswith("start") for line in out)
    assert ctl("info", "1").out.splitlines()[:3] == ["pid     1", "os_pid  1001", "name    shop.web"]
    assert json.loads(ctl("info", "1", "-o", "json").out)["os_pid"] == 1001
    assert ctl("info", "shop/web", "-o", "name").out == "shop.web\n"
    assert ctl("info", "99").code == 1


def test_stats(state, ctl):
    state.add("default.web", running=2)
    state.add("shop.web")
    assert ctl("stats").out.splitlines()[1].split() == ["web", "2", "3.0", "1.0", "4.0K", "1.5", "0.5"]
    assert ctl("stats", "web").out == (
        "PID  OS PID  CPU %  MEM %   RSS  VMS  CPU TIME  USER\n"
        "  1    1001    1.5    0.5  2.0K    -      0.2s     -\n"
        "  2    1002    1.5    0.5  2.0K    -      0.2s     -\n"
    )
    assert ctl("stats", "-o", "name").out == "web\nshop.web\n"
    assert ctl("stats", "web", "-o", "name").out == "1\n2\n"
    assert json.loads(ctl("stats", "web", "-o", "json").out)["cpu"] == 3.0
    assert ctl("stats", "none").code == 1


# -- gafferd ---------------------------------------------------------------------------


def test_ping_and_version(ctl):
    assert ctl("ping") == (0, "OK\n", "")
    assert ctl("version") == (0, "9.9\n", "")


def test_plugins(ctl):
    assert ctl("plugins").out == (
        "NAME  VERSION  STATE   ORIGIN  KIND   HOOKS\nhttp      9.9  loaded  gaffer  hooks      2\n"
    )
    assert ctl("plugins", "-o", "name").out == "http\n"
    assert json.loads(ctl("plugins", "-o", "json").out)[0]["hooks"] == ["a", "b"]


def test_health(state, ctl):
    assert ctl("health").out.startswith("ok         yes\nstate      running\nuptime     1m 1s\n")
    ill = {
        "ok": False,
        "troubled": ["shop.web"],
        "plugins": {"mail": {"ok": False, "reason": "no server", "queued": 0}},
    }
    state.canned["GET", "/health"] = (200, "application/json", json.dumps(ill).encode())
    assert ctl("health") == (
        1,
        "ok           no\ntroubled     shop.web\nplugin mail  ok no, reason no server, queued 0\n",
        "",
    )
    assert ctl("health", "-o", "name").out == "shop.web\n"
    assert json.loads(ctl("health", "-o", "json").out) == ill


def test_reload_config(state, ctl):
    assert ctl("reload-config").out == "loaded     new\nunloaded   -\nupdated    web\nunchanged  db\n"
    assert ctl("reload_config", "-o", "name").out == "new\nweb\n"
    assert json.loads(ctl("reload-config", "-o", "json").out)["unchanged"] == ["db"]
    problems = b'{"error": "invalid_config", "reason": "g.ini:1: no cmd\\ng.ini:7: unknown setting \'nam\'"}'
    state.canned["POST", "/reload"] = (422, "application/json", problems)
    assert ctl("reload-config") == (2, "", "gafferctl: g.ini:1: no cmd\ng.ini:7: unknown setting 'nam'\n")


def test_shutdown(state, ctl):
    assert ctl("shutdown", "--no-wait").out == "gafferd: shutdown requested\n"
    assert sent(state) == ("/shutdown", None)
    ended = ctl("shutdown", "--timeout", "0")
    assert ended.code == 1
    assert ended.err.endswith("still answers after 0 s; it goes on stopping\n")
