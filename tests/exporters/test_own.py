"""gaffer's own formats, read back by gafferd's parsers."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gaffer.config.ini_reader import parse_text
from gaffer.config.jobconfig import JobConfig, JobFields
from gaffer.config.settings import Options, Settings
from gaffer.errors import InvalidConfig
from gaffer_plugins import inijobs
from gaffer_plugins.exporters import own

from ..kit.exports import AWKWARD, TEXTS, VARIABLES, application, job, only_text


def read(text):
    settings = Settings(Options(), parse_text(text, "g.ini"))
    assert settings.problems == []
    return list(inijobs.gaffer_load_jobs(settings, JobFields()))


def everything():
    settings = {
        "uid": 0,
        "gid": "root",
        "umask": 0o27,
        "flapping": [2, 1, 7, 5],
        "redirect_output": ["stdout", "stderr"],
        "redirect_input": True,
        "stop_signal": "INT",
        "exit_codes": [0, 3],
        "graceful_timeout": 2.5,
        "restart": "on-failure",
    }
    return job("python -u 'my web.py' $$x", {"A": "b c", "QUOTED": "'x'"}, copies=2, **settings)


def test_ini_gives_the_same_jobs():
    exported = everything(), job("cat < x | sort", name="shell", shell=True)
    assert read(only_text(own.export_ini(application(*exported)))) == [one.config for one in exported]


def test_json_gives_the_same_jobs():
    exported = everything(), job("cat < x | sort", name="shell", shell=True)
    found = json.loads(only_text(own.export_json(application(*exported))))
    assert [JobConfig.from_dict(one) for one in found["jobs"]] == [one.config for one in exported]


@given(
    words=st.lists(AWKWARD | TEXTS, max_size=3),
    env=st.dictionaries(VARIABLES.map(str.upper), AWKWARD | TEXTS, max_size=3),
)
def test_words_and_variables_survive_the_ini_file(words, env):
    exported = job(shlex.join(["prog", *words]), env)
    try:
        text = only_text(own.export_ini(application(exported)))
    except InvalidConfig:
        held = "".join([*words, *env.values()])
        assume("\r" not in held and "'''" not in held and '"""' not in held)
        assert any(text.endswith(("'", '"')) for text in env.values()), "refused without a reason"
        return
    (config,) = read(text)
    assert config.template.expand({}) == ["prog", *words]
    assert config.env == env


@pytest.mark.parametrize("shell", [False, True])
def test_variables_that_an_ini_file_does_not_know_are_set_by_env(shell):
    exported = job("echo $$x", {"http_proxy": "a b", "UP": "1"}, shell=shell)
    (config,) = read(only_text(own.export_ini(application(exported))))
    start = ["/usr/bin/env", "http_proxy=a b"]
    assert config.template.expand({}) == start + (["/bin/sh", "-c", "echo $$x"] if shell else ["echo", "$x"])
    assert config.env == {"UP": "1"}
    assert not config.shell
