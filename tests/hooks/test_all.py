"""Every hook has a test that bears its name, and the example of its contract works."""

from __future__ import annotations

import functools
import inspect
import os
import re
import signal
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gaffer
from gaffer import hookspecs
from gaffer.config.fields import OptionalText
from gaffer.config.jobconfig import JobConfig
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer.daemon.service import GafferdService
from gaffer.errors import Problem
from gaffer.plugins.registry import PluginSet
from gaffer.supervisor.restart_policy import GiveUp
from gaffer.testing import settle
from gaffer.web.requests.routes import Route
from gaffer_plugins import inijobs
from gaffer_plugins.http import HttpPlugin
from gaffer_plugins.sites import SitesPlugin
from tests.kit.web import request, wait_until

TESTS = Path(__file__).parents[1]
HOOKS = {
    name: spec for module in hookspecs.MODULES for name, spec in vars(module).items() if name.startswith("gaffer_")
}


@pytest.mark.parametrize("hook", HOOKS)
def test_there_is_a_test_named_after_the_hook(hook):
    assert any(re.search(rf"^ *def test_{hook}\(", path.read_text("utf-8"), re.M) for path in TESTS.rglob("test_*.py"))


# -- the examples


class State(dict):
    """What plugins keep: attributes and items."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Journal:
    def __init__(self, name, label):
        pass

    def write(self, data):
        pass

    def close(self):
        pass


class MyHooks:
    @gaffer.hookspec
    def mine(self):
        """[ASK] For the example."""


class Queue(list):
    def free(self):
        return True


def stand_ins() -> dict[str, Any]:
    """Return what the examples leave out."""
    return {
        "gaffer": gaffer,
        "signal": signal,
        "Consul": lambda url: url,
        "GiveUp": GiveUp,
        "JobConfig": JobConfig,
        "Problem": Problem,
        "Route": Route,
        "Site": gaffer.Site,
        "Journal": Journal,
        "access_log": lambda app: app,
        "balancer": SimpleNamespace(add=lambda name, pid: None, remove=lambda name, pid: None),
        "bind": lambda address: SimpleNamespace(address=address, close=lambda: None),
        "hello": lambda request: "hello",
        "mail": lambda text: None,
        "measure": lambda os_pid: {"cpu": 0.0, "mem": 0.0},
        "myhooks": MyHooks,
        "OptionalText": OptionalText,
        "os": os,
        "queue": Queue(),
        "redis": lambda address: SimpleNamespace(ping=lambda: "PONG"),
        "vault": SimpleNamespace(read=lambda name: f"token of {name}"),
    }


def example(hook: str, state: State, calls: list[str]) -> Any:
    """Return the example of *hook* as a plugin; it writes its hook into *calls*."""
    text = (inspect.getdoc(HOOKS[hook]) or "").partition("Example::")[2]
    namespace = {**stand_ins(), "state": state}
    exec(textwrap.dedent(text), namespace)
    function = namespace[hook]

    @functools.wraps(function)
    def counted(*args: Any) -> Any:
        calls.append(hook)
        return function(*args)

    return SimpleNamespace(name=f"example of {hook}", **{hook: counted})


def _hold(job):
    raise gaffer.Hold("it waits")


def drive(manager: Any, spawner: Any, http: HttpPlugin) -> None:
    """Let everything happen that any hook is about."""
    manager.start()
    wait_until(lambda: http.serving)
    manager.load({"name": "web", "cmd": "serve", "min_uptime": 0})
    settle(manager)
    manager.set_ready(manager.pids("web")[0], False, "no answer")
    settle(manager)
    manager.killall("web", "USR1")
    settle(manager)
    manager.scale("web", "=2")
    settle(manager)
    manager.scale("web", "=1")
    manager.commit("web")
    manager.update({"name": "web", "cmd": "serve -v"})
    settle(manager)
    manager.stats("web")
    manager.health(), manager.info("web")
    manager.why("web")
    assert list(manager.hooks.collect("gaffer_probe_kinds")[0][1]) == ["redis"]
    assert manager.hooks.collect("gaffer_node_info", manager=manager)[0][1]["kernel"]
    assert manager.hooks.ask_first("gaffer_registry", url="consul:here") == "consul:here"
    manager.reload_config(manager.settings)
    manager.hooks.tell("gaffer_reopen_logs", manager=manager)
    host, _, port = http.urls[0].removeprefix("http://").rpartition(":")
    assert request((host, int(port)), "GET", "/_plugin/none/").status == 404
    assert request((host, int(port)), "GET", "/hello").body == b"hello"
    caller = manager.access.identify(gaffer.Credentials("secret"))
    assert manager.commands.run("state", {"name": "web"}, caller) == 1
    spawner.processes[-1].exit(78)
    wait = SimpleNamespace(name="wait", gaffer_before_spawn=gaffer.hookimpl(_hold))
    manager.plugins.add(wait)
    manager.load({"name": "late", "cmd": "serve"})
    settle(manager)
    manager.plugins.pm.unregister(wait)
    manager.unload("late")
    spawner.fail("no such program")
    manager.load({"name": "bad", "cmd": "serve", "flapping": [1, 10, 60, 1]})
    settle(manager)
    manager.stop_job("web")
    manager.unload("web")
    settle(manager)
    manager.stop()


def test_the_examples_of_all_contracts_work(tmp_path, gaffer_spawner, caplog):
    state = State(token="secret", known_identity=gaffer.Identity("caller"))
    calls, options, plugins, http = [], Options(), PluginSet(), HttpPlugin()
    for plugin in (inijobs, http, SitesPlugin, *(example(hook, state, calls) for hook in HOOKS)):
        plugins.add(plugin)
    plugins.pm.hook.gaffer_add_options.call_historic(kwargs={"options": options})
    (tmp_path / "g.ini").write_text("[gaffer]\nbind = 127.0.0.1:0\n")
    settings = read_settings(str(tmp_path / "g.ini"), options, environ={})
    service = GafferdService(settings, plugins, lambda: settings, None)
    assert service.instead() is None
    service.check()
    gaffer_spawner.install(service.manager)
    drive(service.manager, gaffer_spawner, http)
    assert sorted(set(HOOKS) - set(calls)) == []
    assert [record.getMessage() for record in caplog.records if "example of" in record.getMessage()] == []
