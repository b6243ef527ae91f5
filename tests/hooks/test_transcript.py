"""Every hook, in the order in which a whole run of gafferd calls them; the documentation prints the same list."""

from __future__ import annotations

import inspect
import os
import signal
from pathlib import Path
from typing import Any

import gevent
import pytest

import gaffer
from gaffer import hookspecs
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer.daemon.service import GafferdService
from gaffer.plugins.registry import PluginSet
from gaffer_plugins import inijobs
from gaffer_plugins.http import HttpPlugin
from gaffer_plugins.sites import SitesPlugin
from tests.kit.manager import settle
from tests.kit.web import request, wait_until

TRANSCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "transcript.txt"
HOOKS = [getattr(module, name) for module in hookspecs.MODULES for name in vars(module) if name.startswith("gaffer_")]
WEB = "[process:web]\ncmd = sleep 1000\nmin_uptime = 0\n"


class Recorder:
    """Implements every hook and writes its name down."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, list[str]]] = []
        #: Whether it holds the start of every job.
        self.holds = False
        for spec in HOOKS:
            setattr(self, spec.__name__, gaffer.hookimpl(self._implementation(spec)))

    def _implementation(self, spec: Any) -> Any:
        taken = ", ".join(inspect.signature(spec).parameters)
        namespace = {"note": self._note, "name": spec.__name__}
        exec(f"def {spec.__name__}({taken}):\n    note(name, locals())", namespace)
        return namespace[spec.__name__]

    def _note(self, name: str, given: dict[str, Any]) -> None:
        if name != "gaffer_event":
            self.steps[-1][1].append(name)
        elif "." not in given["event"]["event"]:
            self.steps[-1][1].append(f"{name}: {given['event']['event']}")
        if name == "gaffer_before_spawn" and self.holds:
            raise gaffer.Hold("it waits")

    def step(self, title: str) -> None:
        self.steps.append((title, []))

    def text(self) -> str:
        return "\n".join(f"{title}\n" + "".join(f"    {name}\n" for name in names) for title, names in self.steps)

    def called(self) -> set[str]:
        return {name.partition(":")[0] for _, names in self.steps for name in names}


class Run:
    """gafferd's parts in the order in which gafferd uses them, with a recorder as the plugin registered last."""

    def __init__(self, folder: Path) -> None:
        self.ini = folder / "g.ini"
        self.configure(WEB)
        self.recorder = Recorder()
        self.http = HttpPlugin()
        self.options = Options()

    def configure(self, jobs: str) -> None:
        self.ini.write_text(f"[gaffer]\nbind = 127.0.0.1:0\n{jobs}")

    def read(self) -> Any:
        return read_settings(str(self.ini), self.options, environ={})

    def begin(self) -> gaffer.Manager:
        self.recorder.step("gafferd is started")
        plugins = PluginSet()
        for plugin in (inijobs, self.http, SitesPlugin, self.recorder):
            plugins.add(plugin)
        plugins.pm.hook.gaffer_add_options.call_historic(kwargs={"options": self.options})
        service = GafferdService(self.read(), plugins, self.read, None)
        assert service.instead() is None
        service.check()
        self.manager = service.manager
        return self.manager

    def state(self, name: str) -> str:
        return self.manager.job(name).state(self.manager.engine.clock())

    def settled(self) -> None:
        """Wait until nothing happens any more by itself."""
        manager = self.manager
        wait_until(lambda: all(job.state(1e12) in ("running", "stopped", "failed") for job in manager.all_jobs()))
        settle(manager)
        assert manager.hooks.flush() == []


def scenario(folder: Path) -> Recorder:
    run = Run(folder)
    recorder, manager = run.recorder, run.begin()
    manager.start()
    wait_until(lambda: run.http.serving)
    run.settled()

    recorder.step("a process crashes")
    (process,) = manager.list("web")
    os.kill(process.os_pid, signal.SIGKILL)
    wait_until(lambda: manager.pids("web") not in ([], [process.pid]))
    run.settled()

    recorder.step("a client sends it a signal")
    manager.killall("web", "CONT")
    run.settled()

    recorder.step("a probe finds that it does not work, and works again")
    (pid,) = manager.pids("web")
    manager.set_ready(pid, False, "no answer")
    manager.set_ready(pid)
    run.settled()

    recorder.step("it is scaled to two processes")
    manager.scale("web", "=2")
    wait_until(lambda: len(manager.pids("web")) == 2)
    run.settled()

    recorder.step("it is scaled to one")
    manager.scale("web", "=1")
    wait_until(lambda: len(manager.pids("web")) == 1)
    run.settled()

    recorder.step("an extra process is committed, and stopped")
    extra = manager.commit("web")
    run.settled()
    manager.stop_process(extra)
    wait_until(lambda: extra not in manager.running)
    run.settled()

    recorder.step("a client looks")
    with pytest.raises(gaffer.errors.NotFound):
        manager.stats("web"), manager.process_stats(manager.pids("web")[0])
    manager.health(), manager.info("web")
    manager.why("web")
    host, port = run.http.urls[0].removeprefix("http://").split(":")
    assert request((host, int(port)), "GET", "/_plugin/none/").status == 404
    assert request((host, int(port)), "GET", "/jobs").status == 200
    with pytest.raises(gaffer.errors.Forbidden):
        manager.commands.run("state", {"name": "web"}, gaffer.Identity("caller"))

    recorder.step("it registers with a lookupd")
    manager.hooks.collect("gaffer_node_info", manager=manager)

    recorder.step("the configuration is reloaded, the job has changed")
    run.configure(WEB + "umask = 027\n")
    assert manager.reader is not None and manager.reader()["updated"] == ["default.web"]
    wait_until(lambda: len(manager.pids("web")) == 1 and manager.list("web")[0].config.umask is not None)
    run.settled()

    recorder.step("log files are to be opened again")
    manager.hooks.tell("gaffer_reopen_logs", manager=manager)
    run.settled()

    recorder.step("it is stopped")
    manager.stop_job("web")
    wait_until(lambda: run.state("web") == "stopped")
    run.settled()

    recorder.step("it is unloaded")
    manager.unload("web")
    wait_until(lambda: not list(manager.all_jobs()))
    run.settled()

    recorder.step("a job is loaded whose start a plugin holds")
    recorder.holds = True
    manager.load({"name": "late", "cmd": "serve"})
    wait_until(lambda: run.state("late") == "waiting")
    recorder.holds = False
    manager.unload("late")
    run.settled()

    recorder.step("a job is loaded that cannot be started")
    manager.load({"name": "broken", "cmd": "/no/such/program", "restart": "never"})
    run.settled()

    recorder.step("and one that flaps")
    flapping = {"attempts": 1, "window": 10, "retry_in": 3600, "max_retry": 1}
    manager.load({"name": "flaps", "cmd": "false", "flapping": flapping})
    wait_until(lambda: run.state("flaps") == "flapping")
    settle(manager)
    assert manager.hooks.flush() == []

    recorder.step("gafferd is stopped")
    manager.stop()
    return recorder


def in_two(text: str) -> tuple[list[str], list[str]]:
    """Part a transcript into what is asked and what is told: the latter waits in a queue, so one may overtake it."""
    told = {spec.__name__ for spec in HOOKS if "[TELL]" in spec.__doc__}
    lines = text.splitlines()
    names = [line.strip().partition(":")[0] for line in lines]
    asked = [line for line, name in zip(lines, names) if name not in told]
    return asked, [line for line, name in zip(lines, names) if name in told or not line.startswith(" ")]


@pytest.fixture
def recorder(tmp_path):
    with gevent.Timeout(60):
        return scenario(tmp_path)


def test_all_hooks_are_called_in_the_order_that_the_documentation_prints(recorder):
    if os.environ.get("GAFFER_WRITE_TRANSCRIPT"):
        TRANSCRIPT.write_text(recorder.text(), "utf-8")
    assert in_two(recorder.text()) == in_two(TRANSCRIPT.read_text("utf-8"))
    # A lookupd is another program, and no probe is of a kind that is not built in.
    assert {spec.__name__ for spec in HOOKS} - {"gaffer_registry", "gaffer_probe_kinds"} == recorder.called()


def test_a_call_too_many_too_few_or_too_early_is_noticed():
    text = "start\n    gaffer_before_load\n    gaffer_job_loaded\n    gaffer_event: create\n"
    for wrong in (
        text.replace("create", "delete"),
        text + "    gaffer_ready\n",
        text.replace("    gaffer_before_load\n", ""),
    ):
        assert in_two(wrong) != in_two(text)
    assert in_two(text.replace("start\n", "end\n")) != in_two(text)
