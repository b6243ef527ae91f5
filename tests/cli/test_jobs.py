"""Commands that add, change, show and remove jobs."""

import io
import json
import signal
import sys

import pytest


def test_processes(gafferd, gafferctl):
    gafferd.load("default.web", start=True, numprocesses=2)
    gafferd.load("shop.web")
    assert gafferctl("processes").out == "web\nshop.web\n"
    assert gafferctl("processes", "--running").out == "1\n2\n"
    assert json.loads(gafferctl("processes", "-o", "json").out) == ["web", "shop.web"]
    assert json.loads(gafferctl("processes", "--running", "-o", "json").out) == [1, 2]


def test_no_processes(gafferctl):
    assert gafferctl("processes") == (0, "", "")


@pytest.mark.parametrize(
    "words, body",
    [
        (["web", "sleep 60"], {"cmd": "sleep 60", "args": [], "start": False}),
        (["web", "sleep", "60", "--start"], {"cmd": "sleep", "args": ["60"], "start": True}),
        (["--start", "web", "python", "-m", "http.server", "-b", "::"],
         {"cmd": "python", "args": ["-m", "http.server", "-b", "::"], "start": True}),
        (["web", "--", "prog", "--start", "--help"], {"cmd": "prog", "args": ["--start", "--help"], "start": False}),
        (["web", "tar", "-cvhf", "x", "a b"], {"cmd": "tar", "args": ["-cvhf", "x", "a b"], "start": False}),
    ],
)  # fmt: skip
def test_add_process(gafferd, gafferctl, words, body):
    assert gafferctl("add_process", *words) == (0, "web: added\n", "")
    assert gafferd.sent() == ("/jobs/default", {"name": "web", "redirect_output": ["stdout", "stderr"], **body})


@pytest.mark.parametrize(
    "words, body",
    [
        (["--env", "A=1", "--env", "B=x=y", "web", "prog"], {"env": {"A": "1", "B": "x=y"}}),
        (["web", "--cwd", "/srv/web", "prog"], {"cwd": "/srv/web"}),
        (["--redirect", "out", "web", "prog"], {"redirect_output": ["out"]}),
        (["--redirect", "", "web", "prog"], {"redirect_output": []}),
        (["web", "prog", "--env", "A=1", "--cwd=/", "--start"], {"args": ["--env", "A=1", "--cwd=/"], "start": True}),
    ],
)  # fmt: skip
def test_add_process_with_settings(gafferd, gafferctl, words, body):
    assert gafferctl("add_process", *words) == (0, "web: added\n", "")
    default = {"name": "web", "cmd": "prog", "args": [], "start": False, "redirect_output": ["stdout", "stderr"]}
    assert gafferd.sent() == ("/jobs/default", {**default, **body})


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["web", "prog", "--help"]])
def test_help_of_add_process(gafferctl, words):
    assert "--redirect LABELS" in gafferctl("add_process", *words).out


@pytest.mark.parametrize("pair", ["A", "=x"])
def test_add_process_with_a_variable_that_is_none(gafferd, gafferctl, pair):
    ended = gafferctl("add_process", "--env", pair, "web", "prog")
    assert ended.code == 2 and "NAME=VALUE" in ended.err
    assert not gafferd.requests.seen


@pytest.mark.parametrize("name", ["shop.web", "shop:web", "shop/web"])
def test_add_process_to_a_session(gafferd, gafferctl, name):
    assert gafferctl("add_process", name, "sleep 60").out == "shop.web: added\n"
    assert gafferd.sent()[0] == "/jobs/shop"


def test_add_process_twice(gafferd, gafferctl):
    gafferd.load("default.web")
    assert gafferctl("add_process", "web", "x") == (
        1,
        "",
        "gafferctl: job web exists already; update it, or unload it first\n",
    )


@pytest.mark.parametrize("name", ["we b", "12", "a.b.c", ""])
def test_add_process_with_a_wrong_name(gafferd, gafferctl, name):
    ended = gafferctl("add_process", name, "sleep 60")
    assert ended.code == 2
    assert ended.err.startswith("gafferctl: ")
    assert not gafferd.requests.seen


JOB = {"name": "web", "cmd": "sleep 60", "numprocesses": 2, "min_uptime": 0}
OTHER = {"name": "shop.db", "cmd": "db", "start": False}


@pytest.mark.parametrize("command", ["load_process", "load", "load-process"])
@pytest.mark.parametrize(
    "document, out",
    [
        (JOB, "web: added\n"),
        ([JOB, OTHER], "web: added\nshop.db: added\n"),
        ({"jobs": [JOB]}, "web: added\n"),
        ({"jobs": []}, ""),
    ],
)
def test_load_process(gafferctl, tmp_path, command, document, out):
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps(document))
    assert gafferctl(command, str(file)) == (0, out, "")


def test_load_process_decides_about_the_start(gafferd, gafferctl, tmp_path):
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps([JOB, OTHER]))
    gafferctl("load", str(file))
    assert [gafferd.job(name)["active"] for name in ("default.web", "shop.db")] == [True, False]
    gafferctl("del_process", "web")
    gafferctl("del_process", "shop.db")
    gafferctl("load", str(file), "--start")
    assert [gafferd.job(name)["active"] for name in ("default.web", "shop.db")] == [True, True]


class Stdin:
    def __init__(self, data):
        self.buffer = io.BytesIO(data)


def test_load_process_from_stdin(gafferd, gafferctl, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(json.dumps(JOB).encode()))
    assert gafferctl("load", "-").out == "web: added\n"
    assert gafferd.job("default.web")["running"] == 2


@pytest.mark.parametrize(
    "data, sentence",
    [
        (b"", "jobs.json:1:1: not valid JSON"),
        (b'{\n "name": }', "jobs.json:2:10: not valid JSON"),
        (b"\xff", "jobs.json: not valid JSON: it is not UTF-8"),
        (b"3", 'job 1 of 1 is no object with a "name"'),
        (b'[{"name": "a", "cmd": "x"}, {"cmd": "x"}]', 'job 2 of 2 is no object with a "name"'),
        (b'{"name": 3}', 'job 1 of 1 is no object with a "name"'),
        (b'{"name": "a b", "cmd": "x"}', "job name 'a b' may hold"),
        (b'{"jobs": {"a": {}}}', 'job 1 of 1 is no object with a "name"'),
    ],
)
def test_load_process_of_something_else(gafferd, gafferctl, tmp_path, data, sentence):
    file = tmp_path / "jobs.json"
    file.write_bytes(data)
    ended = gafferctl("load", str(file))
    assert ended.code == 2
    assert sentence in ended.err
    assert ended.err.count("\n") == 1
    assert not gafferd.requests.seen


def test_load_process_of_no_file(gafferctl):
    assert gafferctl("load", "/no/such") == (2, "", "gafferctl: cannot read /no/such: No such file or directory\n")


def test_load_process_goes_on_after_a_job_that_exists(gafferd, gafferctl, tmp_path):
    gafferd.load("default.web")
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps([JOB, OTHER]))
    assert gafferctl("load", str(file)) == (
        1,
        "shop.db: added\n",
        "gafferctl: job web exists already; update it, or unload it first\n",
    )


def test_load_process_with_settings_that_gafferd_refuses(gafferctl, tmp_path):
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps([{"name": "web"}, OTHER]))
    assert gafferctl("load", str(file)) == (2, "shop.db: added\n", "gafferctl: job 'web': cmd: required\n")


def test_update_process_keeps_the_other_settings(gafferd, gafferctl):
    gafferd.load("default.web", env={"A": "b"}, numprocesses=3, start=True, args=["old"])
    assert gafferctl("update_process", "web", "new", "-x").out == "web: updated\n"
    path, body = gafferd.sent("PUT")
    assert path == "/jobs/default/web"
    assert (body["name"], body["cmd"], body["args"], body["env"]) == ("web", "new", ["-x"], {"A": "b"})
    assert "start" not in body
    gafferctl("update_process", "web", "new", "--start")
    assert gafferd.sent("PUT")[1]["start"] is True


def test_get_process(gafferd, gafferctl):
    gafferd.load("shop.web", args=["-p", "8 0"])
    out = gafferctl("get_process", "shop:web").out
    assert out.startswith("name              shop.web\ncmd               sleep 60\nargs              -p '8 0'\n")
    assert gafferctl("get_process", "shop.web", "-o", "name").out == "shop.web\n"
    assert json.loads(gafferctl("get_process", "shop.web", "-o", "json").out)["args"] == ["-p", "8 0"]


def test_what_get_process_prints_can_be_loaded(gafferd, gafferctl, tmp_path):
    gafferd.load("shop.web", numprocesses=4)
    file = tmp_path / "job.json"
    file.write_text(gafferctl("get_process", "shop.web", "-o", "json").out)
    gafferctl("del_process", "shop.web")
    assert gafferctl("load", str(file)).out == "shop.web: added\n"
    assert gafferd.job("shop.web")["config"]["numprocesses"] == 4


def test_del_process_removes_the_job(gafferd, gafferctl):
    gafferd.load("default.web", start=True)
    assert gafferctl("del_process", "web").out == "web: removed\n"
    assert not gafferd.jobs()
    assert gafferctl("del_process", "web").code == 1


NOT_RUNNING = "web: backoff: cannot execute nosuchprog: No such file or directory\n"


@pytest.fixture
def failing(gafferd):
    gafferd.spawner.fail("cannot execute nosuchprog: No such file or directory")


def test_add_process_with_start_tells_what_does_not_run(failing, gafferctl):
    assert gafferctl("add_process", "web", "nosuchprog", "--start") == (1, "web: added\n", f"gafferctl: {NOT_RUNNING}")


def test_add_process_does_not_wait_with_no_wait_or_without_start(failing, gafferctl):
    assert gafferctl("add_process", "--no-wait", "web", "nosuchprog", "--start") == (0, "web: added\n", "")
    assert gafferctl("add_process", "other", "nosuchprog") == (0, "other: added\n", "")


def test_update_process_with_start_tells_what_does_not_run(gafferd, gafferctl):
    gafferd.load("default.web")
    gafferd.spawner.fail("cannot execute nosuchprog: No such file or directory")
    ended = gafferctl("update_process", "web", "nosuchprog", "--start")
    assert ended == (1, "web: updated\n", f"gafferctl: {NOT_RUNNING}")


def test_load_process_tells_what_does_not_run(failing, gafferctl, tmp_path):
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps([{**JOB, "cmd": "nosuchprog", "numprocesses": 1}, OTHER]))
    assert gafferctl("load", str(file)) == (1, "web: added\nshop.db: added\n", f"gafferctl: {NOT_RUNNING}")


def test_load_of_a_procfile_tells_what_does_not_run(failing, gaffer, tmp_path):
    (tmp_path / "shop" / "Procfile").write_text("web: nosuchprog\n")
    assert gaffer("load") == (1, "shop.web: loaded, 1 process\n", f"gaffer: shop.{NOT_RUNNING}")
    assert gaffer("unload") == (0, "shop.web: unloaded\n", "")
    assert gaffer("load", "--no-wait").code == 0


def test_del_process_waits_for_the_last_process(gafferd, gafferctl):
    gafferd.spawner.ignores.add(signal.SIGTERM)
    gafferd.load("default.web", start=True, graceful_timeout=0.2)
    assert gafferctl("del_process", "web") == (0, "web: removed\n", "")
    assert gafferd.process(1).signals[-1] == signal.SIGKILL


def test_del_process_that_takes_too_long_is_a_failure(gafferd, gafferctl):
    gafferd.spawner.ignores.add(signal.SIGTERM)
    gafferd.load("default.web", start=True, graceful_timeout=60)
    ended = gafferctl("del_process", "web", "--timeout", "0.02")
    sentence = "gafferctl: web: removed, but its processes are still stopping after 0.02 s\n"
    assert ended == (1, "", sentence)


def test_del_process_does_not_wait_with_no_wait(gafferd, gafferctl):
    gafferd.spawner.ignores.add(signal.SIGTERM)
    gafferd.load("default.web", start=True, graceful_timeout=60)
    assert gafferctl("del_process", "web", "--no-wait") == (0, "web: removed, stopping\n", "")


@pytest.mark.parametrize("command", ["del_process", "start", "stop", "restart"])
def test_a_misspelt_job_fails_with_the_nearest_name(gafferd, gafferctl, command):
    gafferd.load("default.worker")
    ended = gafferctl(command, "wroker")
    assert (ended.code, ended.out) == (1, "") and ended.err.endswith("; did you mean 'worker'?\n")
