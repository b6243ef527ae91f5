"""Commands that show jobs, processes and gafferd itself."""

import json
import re
import signal
import time

import pytest

from gaffer import __version__
from gaffer.cli.core.output import View
from gaffer.cli.ctl.stats import fitted
from gaffer.cli.operations.job_info import stopping_text
from gaffer.config.fields import Backoff

# -- jobs and processes ---------------------------------------------------------------


@pytest.fixture
def stopping(gafferd):
    """A job that is told to stop and does not end."""
    gafferd.load("default.slow", start=True, graceful_timeout=3600.0)
    gafferd.call(lambda: gafferd.process(1).ignores.add(signal.SIGTERM))
    gafferd.call(lambda: gafferd.manager.stop_job("slow"))


STOPPING = r"since (\d+-\d+-\d+ )?\d\d:\d\d:\d\d, until (\d+-\d+-\d+ )?\d\d:\d\d:\d\d, then KILL"


def test_status_says_since_when_and_until_when_a_job_is_stopped(stopping, gafferctl):
    assert re.search(f"\nstopping +{STOPPING}\n", gafferctl("status", "slow").out)
    assert re.search(f"\nslow: stopping {STOPPING}\n", gafferctl("status").out)
    (found,) = json.loads(gafferctl("status", "-o", "json").out)
    assert found["stopping"]["until"] - found["stopping"]["since"] == pytest.approx(3600.0)


@pytest.mark.parametrize("until, text", [(None, "KILL was sent"), (4.0, "until 1970-01-01 00:00:04, then KILL")])
def test_a_stop_from_another_day_has_its_date(monkeypatch, until, text):
    monkeypatch.setattr("gaffer.cli.operations.job_info.time.localtime", lambda *given: time.gmtime(*given))
    info = {"stopping": {"since": 2.0, "until": until}}
    assert stopping_text(info) == f"since 1970-01-01 00:00:02, {text}"


@pytest.fixture
def broken(gafferd, monkeypatch):
    """A job in backoff, for longer than a test lasts, whose process wrote to stderr."""
    monkeypatch.setattr("gaffer.supervisor.restart_policy.BACKOFF", Backoff(30.0, 2.0, 30.0))
    gafferd.load("default.bad", start=True, min_uptime=60, redirect_output=["out", "err"])

    def fail():
        gafferd.process(1).say(b"Traceback:\n\x1b[31mboom\n", "stderr")
        gafferd.process(1).exit(3)

    gafferd.call(fail)
    return gafferd


def without_times(text):
    return re.sub(r"\b[0-9]+(\.[0-9])?s\b", "TIME", text)


def test_status_of_all_jobs(broken, gafferctl):
    broken.load("default.web", start=True, numprocesses=2)
    broken.load("shop.worker")
    table, _, trouble = gafferctl("status").out.partition("\n\n")
    assert [re.split("  +", line) for line in without_times(table).splitlines()] == [
        ["NAME", "STATE", "PROCESSES", "UPTIME", "RESTARTS", "LAST EXIT", "NEXT RETRY"],
        ["bad", "backoff", "0/1", "-", "0", "code 3", "TIME"],
        ["web", "running", "2/2", "TIME", "0", "-", "-"],
        ["shop.worker", "stopped", "0/1", "-", "0", "-", "-"],
    ]
    assert re.fullmatch(r"bad: .*code 3.*\n  Traceback:\n  \\x1b\[31mboom\n", trouble)
    assert gafferctl("status", "shop.*", "-o", "name").out == "shop.worker\n"
    found = json.loads(gafferctl("status", "-o", "json").out)
    assert [one["name"] for one in found] == ["bad", "web", "shop.worker"]


def test_status_without_jobs(gafferctl):
    assert gafferctl("status", "-o", "json").out == "[]\n"
    assert gafferctl("status").out.startswith("NAME")


def test_status_of_a_running_job(gafferd, gafferctl):
    gafferd.load("default.web", start=True, numprocesses=2)
    code, out, err = gafferctl("status", "web")
    assert (code, err) == (0, "")
    assert without_times(out) == (
        "name        web\nstate       running\nprocesses   2/2\npids        1 2\nuptime      TIME\n"
        "restarts    0\nlast exit   -\nnext retry  -\n"
    )
    assert json.loads(gafferctl("status", "web", "-o", "json").out)["state"] == "running"


def test_status_of_a_job_in_trouble_shows_its_stderr(broken, gafferctl):
    ended = gafferctl("status", "bad")
    assert ended.code == 0
    assert "last lines of stderr:\n  Traceback:\n  \\x1b[31mboom\n" in ended.out


def test_status_of_a_stopped_job_ends_with_1(gafferd, gafferctl):
    gafferd.load("default.down")
    assert gafferctl("status", "down").code == 1
    assert gafferctl("status", "down", "-o", "name") == (1, "down\n", "")


def test_status_of_an_unknown_job(gafferctl):
    assert gafferctl("status", "none") == (1, "", "gafferctl: no job 'none'; 'gafferctl processes' lists them\n")


def test_job_that_goes_meanwhile_is_left_out(gafferd, gafferctl):
    gafferd.load("default.web", start=True)
    gafferd.requests.answers["GET", "/jobs"] = (200, {"jobs": ["default.gone", "default.web"]})
    assert gafferctl("status", "-o", "name").code == 0
    assert [line.split()[0] for line in gafferctl("status").out.splitlines()] == ["NAME", "web"]


def test_pids_of_all_and_of_a_job(gafferd, gafferctl):
    gafferd.load("default.web", start=True, numprocesses=2)
    gafferd.load("shop.web", start=True)
    assert gafferctl("pids").out == "1\n2\n3\n"
    assert gafferctl("pids", "shop.web", "-o", "json").out == "[\n  3\n]\n"


def test_sessions(gafferd, gafferctl):
    gafferd.load("shop.web")
    gafferd.load("default.web")
    assert gafferctl("sessions").out == "default\nshop\n"
    assert json.loads(gafferctl("sessions", "-o", "json").out) == ["default", "shop"]


def test_info_of_a_job(gafferd, gafferctl):
    gafferd.load("shop.web", start=True, cwd="/srv")
    pairs = dict(re.split("  +", line, maxsplit=1) for line in gafferctl("info", "shop.web").out.splitlines())
    assert (pairs["state"], pairs["cwd"]) == ("running", "/srv")
    assert "start" not in pairs
    assert gafferctl("info", "shop/web", "-o", "name").out == "shop.web\n"


def test_info_of_a_process(gafferd, gafferctl):
    gafferd.load("shop.web", start=True)
    os_pid = gafferd.process(1).os_pid
    lines = gafferctl("info", "1").out.splitlines()
    assert [line.split() for line in lines[:3]] == [["pid", "1"], ["os_pid", str(os_pid)], ["name", "shop.web"]]
    assert json.loads(gafferctl("info", "1", "-o", "json").out)["os_pid"] == os_pid
    assert gafferctl("info", "99").code == 1


def test_stats(gafferd, gafferctl):
    gafferd.load("default.web", start=True, numprocesses=2)
    gafferd.load("shop.web")
    assert gafferctl("stats").out.splitlines()[1].split() == ["web", "2", "3.0", "1.0", "4.0K", "1.5", "0.5"]
    assert gafferctl("stats", "web").out == (
        "PID   OS PID  TREE  CPU %  MEM %   RSS  VMS  CPU TIME  USER\n"
        "  1  4194305     1    1.5    0.5  2.0K    -      0.2s     -\n"
        "  2  4194306     1    1.5    0.5  2.0K    -      0.2s     -\n"
    )
    assert gafferctl("stats", "-o", "name").out == "web\nshop.web\n"
    assert gafferctl("stats", "web", "-o", "name").out == "1\n2\n"
    assert json.loads(gafferctl("stats", "web", "-o", "json").out)["cpu"] == 3.0
    assert gafferctl("stats", "none").code == 1


def test_stats_count_the_whole_tree_and_show_it_with_verbose(gafferd, gafferctl):
    gafferd.load("default.web", start=True)
    below = [{"os_pid": 7, "cpu": 2.0, "mem": 1.0, "mem_info1": 1024, "cmdline": "worker", "children": []}]
    server = {"pid": 1, "os_pid": 5, "cpu": 1.5, "mem": 0.5, "mem_info1": 2048, "ctime": 0.2, "cmdline": "server"}
    job = {"name": "default.web", "stats": [{**server, "children": below}], "cpu": 3.5, "mem": 1.5}
    gafferd.requests.answers[("GET", "/stats")] = 200, [{**job, "name": "web", "max_cpu": 3.5, "max_mem": 1.5}]
    gafferd.requests.answers[("GET", "/jobs/default/web/stats")] = 200, job
    assert gafferctl("stats").out.splitlines()[1].split() == ["web", "1", "3.5", "1.5", "3.0K", "3.5", "1.5"]
    assert gafferctl("stats", "web").out.splitlines()[1].split() == "1 5 2 3.5 1.5 3.0K - 0.2s -".split()
    for args in (["web"], []):
        assert [line.split() for line in gafferctl("stats", "-v", *args).out.splitlines()[1:]] == [
            "web 1 5 1.5 0.5 2.0K - 0.2s - server".split(),
            "web - 7 2.0 1.0 1.0K - - - worker".split(),
        ]


# -- gafferd ---------------------------------------------------------------------------


def test_ping_and_version(gafferctl):
    assert gafferctl("ping") == (0, "OK\n", "")
    assert gafferctl("version") == (0, f"{__version__}\n", "")


def test_plugins(gafferctl):
    lines = [line.split() for line in gafferctl("plugins").out.splitlines()]
    assert lines[0] == ["NAME", "VERSION", "STATE", "ORIGIN", "KIND", "HOOKS"]
    found = json.loads(gafferctl("plugins", "-o", "json").out)[0]
    assert lines[1] == ["http", __version__, "loaded", "embedder", "plugin", str(len(found["hooks"]))]
    assert gafferctl("plugins", "-o", "name").out.splitlines()[:2] == ["http", "streams"]


def test_health_when_all_is_well(gafferctl):
    ended = gafferctl("health")
    assert ended.code == 0
    pairs = [re.split("  +", line, maxsplit=1) for line in ended.out.splitlines()]
    assert pairs[:2] == [["ok", "yes"], ["state", "running"]]
    assert "plugin http" in dict(pairs)


def test_health_of_an_ill_gafferd_ends_with_1(gafferd, gafferctl):
    ill = {
        "ok": False,
        "troubled": ["shop.web"],
        "plugins": {"mail": {"ok": False, "reason": "no server", "queued": 0}},
    }
    gafferd.requests.answers["GET", "/health"] = (200, ill)
    assert gafferctl("health") == (
        1,
        "ok           no\ntroubled     shop.web\nplugin mail  ok no, reason no server, queued 0\n",
        "",
    )
    assert gafferctl("health", "-o", "name").out == "shop.web\n"
    assert json.loads(gafferctl("health", "-o", "json").out) == ill


def test_reload_config_shows_the_changes(gafferd, gafferctl):
    changes = {"loaded": ["default.new"], "unloaded": [], "updated": ["default.web"], "unchanged": ["default.db"]}
    gafferd.requests.answers["POST", "/reload"] = (200, {"ok": True, **changes})
    assert gafferctl("reload-config").out == "loaded     new\nunloaded   -\nupdated    web\nunchanged  db\n"
    assert gafferctl("reload_config", "-o", "name").out == "new\nweb\n"
    assert json.loads(gafferctl("reload-config", "-o", "json").out)["unchanged"] == ["db"]


def test_reload_config_with_problems_is_wrong_usage(gafferd, gafferctl):
    problems = {"error": "invalid_config", "reason": "g.ini:1: no cmd\ng.ini:7: unknown setting 'nam'"}
    gafferd.requests.answers["POST", "/reload"] = (422, problems)
    assert gafferctl("reload-config") == (2, "", "gafferctl: g.ini:1: no cmd\ng.ini:7: unknown setting 'nam'\n")


def test_shutdown_without_waiting(gafferd, gafferctl):
    assert gafferctl("shutdown", "--no-wait").out == "gafferd: shutdown requested\n"
    assert gafferd.sent() == ("/shutdown", None)


def test_shutdown_waits_for_the_end(gafferctl):
    assert gafferctl("shutdown") == (0, "gafferd: stopped\n", "")


def test_shutdown_gives_its_result_as_json_too(gafferctl):
    assert json.loads(gafferctl("shutdown", "-o", "json").out) == [{"name": "gafferd", "ok": True, "text": "stopped"}]


def test_shutdown_that_takes_too_long(gafferd, gafferctl):
    gafferd.spawner.ignores.add(signal.SIGTERM)
    gafferd.load("default.web", start=True, graceful_timeout=60)
    ended = gafferctl("shutdown", "--timeout", "0")
    assert ended.code == 1
    assert ended.err.endswith("still answers after 0 s; it goes on stopping\n")


# -- requests -----------------------------------------------------------------------------------


@pytest.fixture
def many(gafferd):
    """A gafferd with ten running jobs of the application ``shop`` and two others."""
    for number in range(10):
        gafferd.load(f"shop.job{number}", start=True)
    gafferd.load("default.web")
    gafferd.load("default.db")
    return gafferd


def paths(gafferd):
    found = [f"{one.method} {one.path}" for one in gafferd.requests.seen]
    del gafferd.requests.seen[:]
    return found


def test_many_jobs_are_shown_by_a_few_requests(many, gafferctl, gaffer):
    assert len(gafferctl("status").out.splitlines()) == 13
    assert paths(many) == ["GET /info"]
    assert len(gafferctl("status", "shop.*").out.splitlines()) == 11
    assert paths(many) == ["GET /info?sessionid=shop"]
    assert len(gafferctl("stats").out.splitlines()) == 13
    assert paths(many) == ["GET /stats"]
    assert len(gafferctl("stats", "shop.*").out.splitlines()) == 11
    assert paths(many) == ["GET /stats?sessionid=shop"]
    assert gaffer("ps").out.count("Total CPU") == 10
    assert paths(many) == ["GET /stats?sessionid=shop", "GET /info?sessionid=shop"]
    assert len(gaffer("apps").out.splitlines()) == 3
    assert paths(many) == ["GET /info"]


def test_many_jobs_are_stopped_by_one_request_each_and_watched_by_a_few(many, gafferctl):
    assert gafferctl("stop", "all").code == 0
    sent = paths(many)
    assert sent[:2] == ["GET /jobs", "GET /info"]
    stops = [one for one in sent if one.startswith("POST")]
    assert len(stops) == 12
    # On a busy machine some have stopped before the others; the last two are looked at by themselves.
    assert len([one for one in sent if one.startswith("GET /jobs/")]) <= 4
    assert not any(job["active"] for job in map(many.job, many.jobs()))


def test_jobs_that_may_not_be_read_are_not_taken_for_gone(many, gafferctl):
    several = ["shop.job1", "shop.job2", "shop.job3"]
    many.requests.answers["GET", "/info?sessionid=shop"] = (200, {"jobs": [many.job("shop.job1")]})
    many.requests.answers["GET", "/jobs/shop/job2"] = (403, {"error": "forbidden", "reason": "not for you"})
    ended = gafferctl("wait", *several, "--for", "running")
    assert (ended.code, "not for you" in ended.err) == (4, True)


def test_following_stats_fit_into_the_window():
    rows = [[f"job{number}", 1] for number in range(200)]
    view = fitted(View([], [], ["NAME", "PROCESSES"], rows), 24)
    assert (view.rows, view.text) == (rows[:21], ["... and 179 more"])
    assert 1 + len(view.rows) + len(view.text) == 23  # and the line of the cursor


@pytest.mark.parametrize("jobs", [2, 22])
def test_following_stats_are_whole_where_they_fit(jobs):
    view = View([], [], ["NAME"], [[number] for number in range(jobs)])
    assert fitted(view, 24) is view


def test_version_as_text_and_as_json(gafferctl):
    text = gafferctl("version").out
    assert json.loads(gafferctl("version", "-o", "json").out) == {"version": text.strip()}
