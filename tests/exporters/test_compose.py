"""Compose files, read by a YAML parser; compose's replacing of variables is done after its documentation."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer_plugins.exporters import compose

from .tools import AWKWARD, ENVIRONMENTS, TEXTS, application, job, only_text

yaml = pytest.importorskip("yaml")


def interpolated(text):
    """Return a value as compose hands it on; every lone dollar would be a variable or an error."""
    assert not re.search(r"\$", text.replace("$$", "")), f"{text}: compose would look for a variable"
    return text.replace("$$", "$")


def services(export):
    return yaml.safe_load(only_text(export))


def test_an_application_becomes_services():
    web = job("python -u web.py", {"PRICE": "5 $"}, copies=3, graceful_timeout=1.5, uid=0, gid=0)
    worker = job("echo $PORT | cat", name="worker", shell=True, restart="never", redirect_input=True)
    found = services(compose.export(application(web, worker, name="My.Shop")))
    assert found == {
        "name": "my-shop",
        "services": {
            "web": {
                "build": "/srv/shop",
                "command": ["python", "-u", "web.py"],
                "environment": {"PRICE": "5 $$", "PORT": "5100"},
                "init": True,
                "restart": "always",
                "stop_signal": "SIGTERM",
                "stop_grace_period": "1500ms",
                "deploy": {"replicas": 3},
                "user": "0:0",
            },
            "worker": {
                "build": "/srv/shop",
                "command": ["/bin/sh", "-c", "echo $$PORT | cat"],
                "environment": {"PORT": "5100"},
                "init": True,
                "restart": "no",
                "stop_signal": "SIGTERM",
                "stop_grace_period": "30s",
                "stdin_open": True,
            },
        },
    }


@given(words=st.lists(AWKWARD | TEXTS, max_size=3), env=ENVIRONMENTS, more=TEXTS)
def test_words_and_variables_survive_yaml_and_compose(words, env, more):
    env = {**env, "MORE": more}
    service = services(compose.export(application(job(shlex.join(["prog", *words]), env))))["services"]["web"]
    assert [interpolated(word) for word in service["command"]] == ["prog", *words]
    seen = {key: interpolated(text) for key, text in service["environment"].items()}
    assert seen == {**env, "PORT": "5100"}


@pytest.mark.parametrize(
    "name, shown", [("shop", "shop"), ("_x", "x"), ("A+b", "a-b"), ("+", "app"), ("9lives", "9lives")]
)
def test_names_of_projects(name, shown):
    assert compose.project_name(name) == shown


def test_a_variable_called_like_a_truth_value_keeps_its_name():
    service = services(compose.export(application(job("x", {"no": "1", "Y": "2", "ON": "3"}))))["services"]["web"]
    assert service["environment"] == {"no": "1", "Y": "2", "ON": "3", "PORT": "5100"}


def test_what_it_does_not_know_is_told():
    assert compose.export(application(job("x", umask=0o22, priority=3))).notes == [
        "web: umask is left out: the container's is used",
        "web: priority is left out: say depends_on instead",
    ]
