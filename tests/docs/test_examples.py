"""The examples of the documentation, run: programs as they are, plugins in a gafferd that is made of its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Callable, Iterator

import gevent
import pytest

import gaffer
from gaffer.cli.ctl.gafferctl import make_program
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer.daemon.service import GafferdService
from gaffer.errors import ConfigError
from gaffer.plugins.registry import PluginSet
from gaffer_plugins import inijobs
from gaffer_plugins.http import HttpPlugin
from tests.kit.web import request, wait_until

from ..kit.pages import DOCS, PATIENCE, Terminal, without_slowness

EXAMPLES = DOCS / "examples"

SAID = {
    "listen": [f"job.default.hello.{event} of hello" for event in "create start spawn stop_pid exit reap stop".split()],
    "file_probe": ["written 0 s ago"],
    "words": ["{'words': {'talker.stdout': 3}, 'ok': True}"],
    "watching": ["b'hello\\n' from a process that has memory: True"],
    "with_http": ['[\'default.web\'] {"hello": "you"}'],
}
NEED_CARE = {"accounts", "client", "cluster", "foreground", "feeds", "channels"}


def python(*args: str, cwd: Any = EXAMPLES) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)


def test_every_program_is_run():
    programs = {path.stem for path in EXAMPLES.glob("*.py") if not path.name.startswith("test_")}
    assert programs == set(SAID) | NEED_CARE


@pytest.mark.parametrize("name", SAID)
def test_a_program_does_what_it_says(name):
    ended = python("-W", "error", f"{name}.py")
    assert (ended.stdout.splitlines(), ended.returncode) == (SAID[name], 0)
    assert without_slowness(ended.stderr) == ""


def test_the_client(tmp_path):
    terminal = Terminal(tmp_path)
    try:
        terminal.cwd = tmp_path / "examples"
        terminal.start("gafferd -c gaffer.ini")
        ended = python("-W", "error", "client.py", f"http://127.0.0.1:{terminal.port}")
        assert ended.stderr == ""
        first, state, last = ended.stdout.splitlines()
        assert (first, last) == ("wanted: 3", "jobs: ['default.dummy', 'default.echo']")
        assert state in ("state: starting", "state: running")
    finally:
        terminal.end()


def test_a_key_that_may_only_look(tmp_path):
    terminal = Terminal(tmp_path)
    try:
        terminal.cwd = tmp_path / "examples"
        terminal.start("gafferd -c gaffer.ini")
        ended = python("-W", "error", "accounts.py", f"http://127.0.0.1:{terminal.port}")
        assert ended.stderr == ""
        assert ended.stdout == "dashboard sees ['default.dummy']\ndeleted: True\n"
    finally:
        terminal.end()


TALKS = {
    "feeds.py": [
        "proc.talker.start of talker",
        "proc.talker.spawn of talker",
        "good morning",
        "nothing more for now",
        "uses memory: True",
    ],
    "channels.py": [r"b'every byte: \x00\xff\n'", "exit", "no job 'parot'; 'gafferctl processes' lists them"],
    "../../examples/echo_client.py": ["Sent", "Receiving...", r"Received 'ECHO\n'"],
}


def test_programs_that_follow_and_talk(tmp_path):
    terminal = Terminal(tmp_path)
    try:
        terminal.cwd = tmp_path / "examples"
        terminal.start("gafferd -c gaffer.ini")
        url = f"http://127.0.0.1:{terminal.port}"
        for program, said in TALKS.items():
            ended = python("-W", "error", program, url)
            assert (ended.stdout.splitlines(), ended.stderr) == (said, ""), program
        for way, answer in {"channel": r"'ECHO\n'", "http": "'ECHO'"}.items():
            ended = python("-W", "error", "../../examples/echo_client.py", url, way)
            assert ended.stdout == f"Sent\nReceiving...\nReceived {answer}\n"
    finally:
        terminal.end()


def test_the_program_in_the_foreground():
    command = [sys.executable, "-B", "foreground.py"]
    with subprocess.Popen(command, cwd=EXAMPLES, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        said = ""
        while "good morning" not in said:
            said = program.stdout.readline()
            assert said
        program.terminate()
        assert " exit process with pid " in program.stdout.read()
        assert program.wait(PATIENCE) == 0


def test_the_tests_of_the_plugins_pass():
    ended = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", ".")
    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout


# -- plugins


class Node:
    """A manager with the plugins of one file and the parts of gafferd that read configurations."""

    def __init__(self, ini: str) -> None:
        self.options = Options()
        self.plugins = PluginSet()
        self.http = HttpPlugin()
        for plugin in (inijobs, self.http):
            self.plugins.add(plugin)
        self.ini = ini

    def start(self, **environ: str) -> GafferdService:
        self.plugins.pm.hook.gaffer_add_options.call_historic(kwargs={"options": self.options})
        settings = read_settings(self.ini, self.options, environ=environ)
        self.service = GafferdService(settings, self.plugins, lambda: settings, None)
        self.service.check()
        self.manager = self.service.manager
        self.manager.start()
        wait_until(lambda: self.http.serving)
        return self.service

    def get(self, path: str, method: str = "GET") -> Any:
        host, _, port = self.http.urls[0].removeprefix("http://").rpartition(":")
        return request((host, int(port)), method, path)


@pytest.fixture
def node(tmp_path) -> Iterator[Callable[..., Node]]:
    made: list[Node] = []

    def start(plugin: str, jobs: str = "", **environ: str) -> Node:
        ini = tmp_path / "g.ini"
        ini.write_text(f"[gaffer]\nbind = 127.0.0.1:0\n{jobs}")
        folder = tmp_path / "plugins"
        folder.mkdir()
        (folder / f"{plugin}.py").write_bytes((EXAMPLES / "plugins" / f"{plugin}.py").read_bytes())
        one = Node(str(ini))
        one.plugins.load_folder(str(folder))
        one.start(**environ)
        made.append(one)
        return one

    with gevent.Timeout(PATIENCE):
        yield start
        for one in made:
            one.manager.stop()


def started(manager: gaffer.Manager, name: str) -> list[int]:
    """The pids of a job, as soon as it has any: gafferd is ready before its jobs have started."""
    found: list[int] = []
    wait_until(lambda: found or found.extend(manager.pids(name)))
    return found


def until_replaced(manager: gaffer.Manager, name: str, pid: int) -> None:
    wait_until(lambda: manager.pids(name) not in ([], [pid]))


def test_every_plugin_is_tested():
    names = {path.stem for path in (EXAMPLES / "plugins").glob("*.py")}
    assert names == {"chat", "deadline", "limits", "mailer", "uptime", "verdict", "rounds"}


def test_chat(node):
    one = node("chat")

    def post(path, body=b""):
        host, _, port = one.http.urls[0].removeprefix("http://").rpartition(":")
        answer = request((host, int(port)), "POST", f"/chat/000/{path}", body)
        return answer.status, answer.text

    assert [post(f"{guest}/xhr") for guest in ("ada", "bob")] == [(200, "o\n")] * 2
    assert post("ada/xhr_send", b'["hello", "you"]') == (204, "")
    assert [post(f"{guest}/xhr") for guest in ("ada", "bob")] == [(200, 'a["hello","you"]\n')] * 2


def test_deadline(node):
    one = node("deadline", "[process:web]\ncmd = sleep 1000\ndeadline = 0.05\n[process:free]\ncmd = sleep 1000\n")
    free, (web,) = started(one.manager, "free"), started(one.manager, "web")
    until_replaced(one.manager, "web", web)
    assert one.manager.pids("free") == free


def test_limits(node):
    one = node("limits", "[process:web]\ncmd = sleep 1000\n", GAFFERD_MOST_PROCESSES="2")
    assert one.manager.scale("web", "=2") == 2
    with pytest.raises(gaffer.Veto, match="plugin limits: web may have up to 2 processes"):
        one.manager.scale("web", "=3")
    assert one.manager.get("web").env["TZ"] == "UTC"


def test_mailer(node, capfd):
    jobs = "[process:bad]\ncmd = sh -c 'exit 3'\nrestart = never\n[plugin:mailer]\nto = me@example.org\n"
    one = node("mailer", jobs)
    wait_until(lambda: one.manager.info("bad")["state"] == "stopped")
    one.manager.hooks.flush()
    assert capfd.readouterr().out == "To: me@example.org\nSubject: bad failed with code 3\n"


def test_mailer_finds_its_mistakes(node):
    with pytest.raises(ConfigError, match=r"g.ini:3: to: required, the address that mail goes to"):
        node("mailer", "[plugin:mailer]\nfrom = me@example.org\n")


def test_uptime(node):
    one = node("uptime", "[process:web]\ncmd = sleep 1000\n")
    shown = json.loads(one.get("/uptime").body)
    assert shown["path"] == "/uptime" and shown["uptime"] > 0
    (before,) = one.manager.pids("web")
    assert one.get("/jobs/default/web/again", "POST").status == 202
    until_replaced(one.manager, "web", before)


def test_verdict(node):
    jobs = "".join(f"[process:j{code}]\ncmd = sh -c 'exit {code}'\n" for code in (75, 78, 1))
    one = node("verdict", jobs)
    for name, state in (("j75", "backoff"), ("j78", "failed"), ("j1", "backoff")):
        wait_until(lambda: one.manager.info(name)["state"] == state)  # noqa: B023
    assert one.manager.info("j75")["retry_in"] > 50
    assert one.manager.info("j78")["reason"] == "it says that its configuration is wrong"
    assert one.manager.info("j1")["retry_in"] <= 30


def test_rounds(node, capfd):
    node("rounds")
    printed = ""
    while not printed:
        gevent.sleep(0.01)
        printed = capfd.readouterr().out
    assert printed == "round 1: guard saw nothing\n"


@pytest.mark.parametrize("name", sorted(path.stem for path in (EXAMPLES / "plugins").glob("*.py")))
def test_a_plugin_survives_a_start_that_another_plugin_stops(tmp_path, caplog, name):
    class Broken(gaffer.Plugin):
        @gaffer.hookimpl
        def gaffer_manager_start(self):
            raise RuntimeError("the port is in use")

    plugins = PluginSet()
    plugins.add(Broken())
    (tmp_path / "plugins").mkdir()
    (tmp_path / f"plugins/{name}.py").write_bytes((EXAMPLES / "plugins" / f"{name}.py").read_bytes())
    plugins.load_folder(str(tmp_path / "plugins"))
    with pytest.raises(gaffer.errors.PluginError, match="the port is in use"):
        gaffer.Manager(plugin_set=plugins).start()
    assert [record.getMessage() for record in caplog.records if "Broken" not in record.getMessage()] == []


# -- a distribution


def test_distribution(start_names, capsys):
    one, cli = start_names
    one.manager.load(gaffer.JobConfig("hello", "sleep 1000"))
    assert json.loads(one.get("/letters").body) == {"letters": len("default.hello")}
    words = ["--connect", one.http.urls[0], "letters"]
    gevent.get_hub().threadpool.apply(cli.main, (words,), {"standalone_mode": False})
    assert capsys.readouterr().out == f"{len('default.hello')}\n"


@pytest.fixture
def start_names(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(EXAMPLES / "distribution")
    import names_cli
    import names_plugin

    ini = tmp_path / "g.ini"
    ini.write_text("[gaffer]\nbind = 127.0.0.1:0\n")
    one = Node(str(ini))
    one.plugins.add(names_plugin, name="names")
    one.start()
    cli = make_program()
    names_cli.gaffer_cli(cli)
    yield one, cli
    one.manager.stop()
    for module in ("names_cli", "names_plugin"):
        del sys.modules[module]


def test_the_distribution_names_what_it_has():
    text = (EXAMPLES / "distribution" / "setup.py").read_text()
    compile(text, "setup.py", "exec")
    for module in ("names_plugin", "names_cli"):
        assert module in text and (EXAMPLES / "distribution" / f"{module}.py").is_file()
