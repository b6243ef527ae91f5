"""gaffer_plugins.procfile: applications as a source of jobs."""

from __future__ import annotations

import os

import pytest

import gaffer
from gaffer.config.jobconfig import JobFields
from gaffer.config.settings import Options, read_settings
from gaffer.errors import ConfigError, InvalidConfig
from gaffer.testing import settle
from gaffer_plugins import inijobs, procfile


def options():
    found = Options()
    procfile.gaffer_add_options(found)
    return found


@pytest.fixture
def settings(tmp_path):
    """Return a function that writes files and reads the ini file among them."""

    def write(ini, **files):
        for name, text in {"Procfile": "web: ./web\nclock: ./clock\n", **files}.items():
            path = tmp_path / "app" / name.replace("dot_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        (tmp_path / "g.ini").write_text(ini)
        return read_settings(str(tmp_path / "g.ini"), options(), environ={"PORT": "7000"})

    return write


def jobs(settings):
    assert settings.problems == []
    assert procfile.gaffer_check_config(settings, JobFields()) == []
    return {one.job_name.full: one for one in procfile.gaffer_load_jobs(settings, JobFields())}


def complaints(settings, folder):
    problems = procfile.gaffer_check_config(settings, JobFields())
    with pytest.raises(ConfigError) as caught:
        procfile.gaffer_load_jobs(settings, JobFields())
    assert sorted(problems) == caught.value.problems
    return [str(problem).replace(f"{folder}/", "") for problem in problems]


def test_an_application_becomes_a_session(settings, tmp_path):
    found = jobs(settings("[procfile:shop]\npath = app/Procfile\n", dot_env="A=1\n"))
    assert list(found) == ["shop.web", "shop.clock"]
    web = found["shop.web"]
    assert (web.cmd, web.cwd, dict(web.env), web.numprocesses) == ("./web", str(tmp_path / "app"), {"A": "1"}, 1)
    assert (web.port, found["shop.clock"].port) == (5100, 5200)
    assert web.start is True


def test_everything_that_can_be_said(settings, tmp_path):
    found = jobs(
        settings(
            "[procfile:shop]\nroot = app\nenv_file = app/one, app/two\nconcurrency = web=3, all=2\nport = 6000\n"
            "start = no\n[procfile:one]\npath = app/Procfile\ntypes = clock\nport = none\n",
            one="A=1\nB=1\n",
            two="A=2\n",
        )
    )
    assert list(found) == ["shop.web", "shop.clock", "one.clock"]
    assert [found[name].numprocesses for name in ("shop.web", "shop.clock")] == [3, 2]
    assert dict(found["shop.web"].env) == {"A": "2", "B": "1"}
    assert (found["shop.clock"].port, found["one.clock"].port) == (6100, None)
    assert (found["shop.web"].start, found["one.clock"].start) == (False, True)


def test_problems_have_their_place(settings, tmp_path):
    read = settings(
        "[procfile:a]\npath = app/bad\n"
        "[procfile:b]\npath = app/none\n"
        "[procfile:c]\npath = app/Procfile\nconcurrency = wbe=2, web\ntypes = clok\nenv_file = app/nothing\n"
        "[procfile:d]\n"
        "[procfile:e]\npath = app/worse\nport = x\nstart = maybe\nconcurency = web=1\n"
        "[procfile:a b]\npath = app/Procfile\n"
        "[procfile:f]\npath = app/Procfile\nenv_file = app/wrong\n"
        "[procfile:g]\npath = app/Procfile\nconcurrency = web=101\n",
        bad="web: a\nthis is no line\n",
        worse="web: a\nnor is this\n",
        wrong="PORT=http\n",
    )
    assert sorted(complaints(read, tmp_path)) == sorted(
        [
            "app/bad:2: expected 'name: command', not 'this is no line'",
            "g.ini:4: app/none: there is no such Procfile; correct the path",
            "g.ini:9: app/nothing: there is no such environment file; create it, or leave it out of env_file",
            "g.ini:7: concurrency: the Procfile has no process type 'wbe'; did you mean 'web'?",
            "g.ini:7: concurrency: expected TYPE=NUMBER,TYPE=NUMBER, such as web=2,worker=1, not 'web'",
            "g.ini:8: types: app/Procfile has no process type 'clok'; did you mean 'clock'?",
            "g.ini:10: path: required, the Procfile; or root, its folder",
            "app/worse:2: expected 'name: command', not 'nor is this'",
            "g.ini:13: port: expected an integer, not 'x'",
            "g.ini:14: start: expected true or false, not 'maybe'",
            "g.ini:15: unknown key 'concurency' in [procfile:e]; did you mean 'concurrency'?",
            "g.ini:16: application name 'a b' may hold letters, digits, '_', '+' and '-' only, "
            "and start with a letter, a digit or '_'",
            "app/wrong:1: PORT: expected a number from 1 to 65535, not 'http'; port wins over it",
            "g.ini:23: concurrency: 101 processes of web: a type has 100 ports; use port = none for more",
        ]
    )


def test_a_reload_touches_only_what_changed(settings, tmp_path, gaffer_spawner):
    ini = "[procfile:shop]\npath = app/Procfile\n"
    manager = gaffer.Manager(plugins=[inijobs, procfile], settings=settings(ini))
    gaffer_spawner.install(manager)
    with manager:
        settle(manager)
        pids = {name: manager.pids(name) for name in ("shop.web", "shop.clock")}
        changed = settings(ini, Procfile="web: ./web\nclock: ./clock --fast\nnew: ./new\n")
        report = manager.reload_config(changed)
        assert report == {
            "loaded": ["shop.new"],
            "unloaded": [],
            "updated": ["shop.clock"],
            "unchanged": ["shop.web"],
        }
        assert manager.pids("shop.web") == pids["shop.web"]
        os.unlink(tmp_path / "app" / "Procfile")
        with pytest.raises((ConfigError, InvalidConfig)):
            manager.reload_config(changed)
        assert manager.jobs() == ["shop.clock", "shop.new", "shop.web"], "a problem changes nothing"
