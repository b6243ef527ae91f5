"""The code that gaffer's old documents print, run: overview, plugins, HTTP, webhooks, events, manager and client.

Where they said pyuv it is gevent, and what they left out (``.... # do smth``) is done. A test is one block of theirs.
"""

import inspect
import re
import threading

import gevent
import pytest
from gevent.event import Event

import gaffer
from gaffer import util
from gaffer.console_output import Color, ConsoleOutput, status_bar
from gaffer.errors import PluginError
from gaffer.events.emitter import EventEmitter
from gaffer.http_handler import HttpEndpoint, HttpHandler
from gaffer.httpclient import Server
from gaffer.manager.manager import Manager
from gaffer.pidfile import Pidfile
from gaffer.plugins.registry import PluginSet
from gaffer.process.process import Process, ProcessConfig, ProcessWatcher, get_process_stats
from gaffer.procfile.parser import Procfile, get_env
from gaffer.sig_handler import BaseSigHandler, SigHandler
from gaffer.webhooks import WebHooks
from tests.kit.feed_client import Reader
from tests.kit.web import in_thread, parse, request, talk, wait_until

CAT = "sh -c 'echo ready; exec cat'"
FREE = [HttpEndpoint("127.0.0.1:0")]


@pytest.fixture(autouse=True)
def no_hang():
    with gevent.Timeout(60):
        yield


@pytest.fixture
def manager():
    """A manager that runs, with the plugin that measures."""
    with gaffer.Manager(builtin=("stats",)) as manager:
        yield manager


@pytest.fixture
def process(manager):
    """The only process of a job that answers what is written to it."""
    manager.add_process("nameofprocesstemplate", CAT, redirect_output=["stdout", "stderr"], redirect_input=True)
    wait_until(manager.pids)
    (pid,) = manager.pids("nameofprocesstemplate")
    return manager.running[pid]


class Callback:
    """``callback(evtype, msg)``."""

    def __init__(self):
        self.heard = []

    def __call__(self, evtype, msg):
        self.heard.append((evtype, msg))

    def wait(self):
        wait_until(lambda: self.heard)
        return self.heard[-1]

    def data(self):
        return b"".join(msg["data"] for _, msg in self.heard)


def url_of(handler):
    wait_until(lambda: handler.serving)
    return handler.urls[0]


def get(url, path):
    host, _, port = url.rpartition("//")[2].rpartition(":")
    return request((host, int(port)), "GET", path).json


# -- overview -------------------------------------------------------------------------------


def test_running_an_application():
    # initialize the controller with the default loop
    loop = gevent.get_hub().loop
    manager = Manager(loop=loop)

    # start the controller
    http = HttpHandler(endpoints=FREE)
    manager.start(applications=[http])

    assert get(url_of(http), "/jobs") == {"jobs": []}

    stopped = []
    manager.stop(stopped.append)  # stop the controller
    manager.run()  # run the event loop
    assert stopped == [manager]


class MyApplication:
    """The structure of an application; the page on applications prints it once more."""

    def __init__(self):
        self.calls = []

    def start(self, loop, manager):
        # this method is called by the manager to start the controller
        self.calls.append(("start", loop, manager))

    def stop(self):
        # method called when the manager stops
        self.calls.append("stop")

    def restart(self):
        # method called when the manager restarts
        self.calls.append("restart")


def test_an_application_of_ones_own():
    app = MyApplication()
    manager = Manager(apps=[app])
    manager.start()
    manager.restart()
    manager.stop()
    assert app.calls == [("start", gevent.get_hub().loop, manager), "restart", "stop"]


STATS = {
    "mem_info1": int,
    "mem_info2": int,
    "cpu": (int, float),
    "mem": (int, float),
    "ctime": (int, float),
    "pid": int,
    "username": str,
    "nice": int,
    "cmdline": str,
    "children": list,
}


@pytest.mark.parametrize("of", ["name", "pid"])
@pytest.mark.parametrize("listener_first", [False, True])
def test_statistics_are_monitored_in_both_documented_orders(manager, process, of, listener_first):
    name_or_id = "nameofprocesstemplate" if of == "name" else process.pid
    listener = Callback()
    arguments = (listener, name_or_id) if listener_first else (name_or_id, listener)
    manager.monitor(*arguments)
    evtype, msg = listener.wait()
    assert evtype == "STATS" and msg["pid"] == process.pid
    assert all(isinstance(msg[key], kind) for key, kind in STATS.items()), msg
    assert manager.statistics
    manager.unmonitor(*arguments)
    assert not manager.statistics


def test_a_process_is_monitored_directly(manager, process):
    listener = Callback()
    process = manager.running[process.pid]
    process.monitor(listener)
    evtype, info = listener.wait()
    assert evtype == "stat" and info["pid"] == process.pid and process.stats["os_pid"] == process.os_pid
    process.unmonitor(listener)
    assert not manager.statistics


def test_streams_are_monitored(process):
    somecallback, everything = Callback(), Callback()
    process.monitor_io("stdout", somecallback)
    # to subscribe to all process streams replace the stream name by ''
    process.monitor_io("", everything)
    process.write("somedata\n")
    wait_until(lambda: somecallback.data().endswith(b"somedata\n"))
    label, msg = somecallback.heard[-1]
    assert label == msg["event"] == "stdout" and msg["name"] == "nameofprocesstemplate" and msg["pid"] == process.pid
    process.unmonitor_io("stdout", somecallback)
    heard = somecallback.data()
    process.write("more\n")
    wait_until(lambda: everything.data().endswith(b"more\n"))
    assert somecallback.data() == heard


def test_stdin_is_written_from_many_threads(process):
    callback = Callback()
    process.monitor_io("stdout", callback)
    process.write("somedata")
    process.writelines(["line", "line"])
    publishers = [threading.Thread(target=process.writelines, args=(["line", "line"],)) for _ in range(3)]
    for publisher in publishers:
        publisher.start()
    wait_until(lambda: callback.data().endswith(b"somedata" + 8 * b"line"))
    for publisher in publishers:
        publisher.join()


# -- plugins --------------------------------------------------------------------------------

PLUGIN = """
from gaffer import Plugin

__all__ = ['DummyPlugin']

from .app import DummyApp

class DummyPlugin(Plugin):
    name = "dummy"
    version = "1.0"
    description = "test"

    def app(self, cfg):
        return DummyApp()
"""
APP = """
class DummyApp(object):

    def start(self, loop, manager):
        print("start dummy app")

    def stop(sef):
        print("stop dummy")

    def rester(self):
        print("restart dummy")
"""
MANDATORY = """
from gaffer import Plugin

__all__ = ['NeedyPlugin']

class NeedyPlugin(Plugin):
    name = "needy"
    mandatory = ['somedep']
"""


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes a plugin folder of the given files."""

    def make(files):
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return str(tmp_path)

    return make


def test_a_plugin_in_a_folder(folder, capsys):
    files = {"__init__.py": PLUGIN, "app.py": APP}
    site = {"dummy/_site/index.html": "<h1>dummy</h1>"}
    plugins = PluginSet()
    plugins.load_folder(folder({**{f"dummy/plugin/{name}": text for name, text in files.items()}, **site}))
    (info,) = plugins.list()
    assert (info.name, info.version, info.description) == ("dummy", "1.0", "test")
    assert [site.name for site in plugins.sites] == ["dummy"]
    with Manager(plugin_set=plugins) as manager:
        manager.restart()  # their example misspells it, and does without
    assert capsys.readouterr().out == "start dummy app\nstop dummy\n"


def test_a_mandatory_plugin_that_is_missing(folder):
    plugins = PluginSet()
    plugins.load_folder(folder({"needy/plugin/__init__.py": MANDATORY}))
    with pytest.raises(PluginError, match="plugin 'needy' .* needs plugin 'somedep'"):
        Manager(plugin_set=plugins).start()


# -- HTTP and webhooks ----------------------------------------------------------------------


def test_http_in_ones_own_program():
    manager = Manager(apps=[HttpHandler(FREE)])
    manager.start()
    (http,) = [plugin for _, plugin in manager.plugins.pm.list_name_plugin()]
    assert get(url_of(http), "/version")["name"] == "gaffer"
    manager.stop()


DUMMY = "sh -c 'n=11; while :; do n=$((n+1)); echo STDERR $n >&2; echo STDOUTi $n; sleep 0.02; done'"


@pytest.fixture
def node():
    """The node that the page on HTTP talks to: process 1 counts, process 2 echoes."""
    http = HttpHandler(FREE)
    with Manager(apps=[http], builtin=("streams", "websocket")) as manager:
        for name, cmd in (("dummy", DUMMY), ("echo", "cat")):
            manager.add_process(name, cmd, redirect_output=["stdout", "stderr"], redirect_input=True)
            wait_until(lambda name=name: manager.pids(name))
        host, _, port = url_of(http).rpartition("//")[2].rpartition(":")
        yield manager, (host, int(port))


def test_output_streams(node):
    _, address = node
    with Reader(address, "/streams/1/stderr?feed=continuous") as reader:
        lines = (reader.chunk() + reader.chunk()).decode().splitlines()
        assert re.fullmatch(r"STDERR \d+", lines[0])
    # Lines that came within a moment are one item.
    assert re.fullmatch(r"(STDERR \d+\n)+", request(address, "GET", "/streams/1/stderr?feed=longpoll").text)
    assert re.fullmatch(r"(STDOUTi \d+\n)+", request(address, "GET", "/streams/1/stdout?feed=longpoll").text)
    with Reader(address, "/streams/1/stderr?feed=eventsource&heartbeat=true") as reader:
        first, second, _ = (reader.until(b"\r\n\r\n") + reader.until(b"\r\n\r\n")).decode().split("\r\n\r\n")
        for event in (first, second):
            # They did not have ids.
            assert re.fullmatch(r"(id: .+\r\n)?event: stderr\r\ndata: STDERR \d+", event)


@pytest.mark.parametrize("name", ["stdin", "ttin"])
def test_writing_to_stdin(node, name):
    manager, address = node
    # What curl -d says of itself.
    head = f"POST /streams/2/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n"
    said = f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nECHO\n"
    written = parse(talk(address, said.encode()))
    assert written.json == {"ok": True}
    wait_until(lambda: manager.get_process(2).reader("stdout").ring.end == 5)
    assert request(address, "GET", "/streams/2/stdout?feed=longpoll").text == "ECHO\n"


def test_the_echo_client(node):
    def program():
        with Server(f"http://{address[0]}:{address[1]}") as server, server.get_process(2).socket() as ws:
            ws.send("ECHO\n")
            return ws.read(20)

    _, address = node
    assert in_thread(program) == b"ECHO\n"


def test_the_same_name_twice_redirects_stderr_to_stdout(node):
    manager, address = node
    manager.add_process("both", "sh -c 'echo 1; echo 2 >&2; exec cat'", redirect_output=["out", "out"])
    wait_until(lambda: manager.pids("both"))
    with Reader(address, f"/streams/{manager.pids('both')[0]}/out?feed=continuous&since=0") as reader:
        assert reader.until(b"2\n") == b"1\n2\n"


def test_webhooks_in_ones_own_program():
    posted = []

    def receive(request):
        posted.append(request.json)
        return None

    receiver = HttpHandler(FREE, handlers=[("/echo", receive)])
    with Manager(apps=[receiver]):
        hooks = [("create", f"{url_of(receiver)}/echo")]
        webhooks = WebHooks(hooks=hooks)

        manager = Manager()
        manager.start(apps=[webhooks])
        manager.load({"name": "dummy", "cmd": "sleep 1000", "start": False})
        wait_until(lambda: posted)
        manager.stop()
    assert posted[0]["event"] == "create" and posted[0]["name"] == "dummy"


# -- manager and events ---------------------------------------------------------------------


def test_the_manager_is_started_with_the_class_of_an_application():
    started = Event()

    class App:
        def start(self, loop, manager):
            started.set()

    m = Manager()

    # start the application
    m.start(apps=[App])

    # do smth
    m.load(ProcessConfig("sometemplate", "sleep 1000"), start=False)
    assert m.scale("sometemplate", 1) == 2  # increase of 1
    assert m.scale("sometemplate", -1) == 1  # decrease of 1
    assert m.scale("sometemplate", "+1") == 2  # increase of 1
    assert m.scale("sometemplate", "-1") == 1  # decrease of 1
    assert m.scale("sometemplate", "=1") == 1  # set the number of processes to 1

    m.stop()  # stop the controller
    m.run()  # run the event loop
    assert started.is_set()


def test_running_what_was_not_started_is_an_error():
    with pytest.raises(RuntimeError, match="not started"):
        Manager().run()


def test_the_example_of_events():
    heard = []

    def subscriber(event, *args, **kwargs):
        heard.append(("a", event, args, kwargs))

    def subscriber2(event, *args, **kwargs):
        heard.append(("a.b", event, args, kwargs))

    def subscriber3(event, *args, **kwargs):
        heard.append((".", event, args, kwargs))

    arg, val = 1, 2
    event = EventEmitter(gevent.get_hub().loop)

    # subscribe to all events with the pattern a.*
    event.subscribe("a", subscriber)

    # subscribe to all events "a.b"
    event.subscribe("a.b", subscriber2)

    # subscribe to all events (wildcard)
    event.subscribe(".", subscriber3)

    # publish an event
    event.publish("a.b", arg, namedarg=val)

    wait_until(lambda: len(heard) == 3)
    assert sorted(heard) == [(name, "a.b", (1,), {"namedarg": 2}) for name in (".", "a", "a.b")]
    event.close()


# -- httpclient -----------------------------------------------------------------------------


def test_the_client(manager):
    http = HttpHandler(FREE)
    with Manager(apps=[http], builtin=("stats",)) as node:
        url = url_of(http).replace("127.0.0.1", "localhost")

        def program():
            loop = None
            s = Server(url, loop=loop)

            # add a process without starting it
            process = s.add_process("dummy", "sleep 1000", start=False)
            assert (s.jobs(), process.running) == (["default.dummy"], 0)

            # start a process
            process.start()

            # increase the number of process by 2 (so 3 will run)
            assert process.add(2) == 3
            while process.running < 3:
                pass
            assert len(process.stats()["stats"]) == 3

            # stop all processes
            process.stop()
            while process.running:
                pass
            s.close()

        in_thread(program)
        assert node.info("dummy")["state"] == "stopped"


# -- every class and method, with its arguments ---------------------------------------------

DOCUMENTED = {
    Manager: """Manager(loop=None) active commit(name, graceful_timeout, env=None) get(name) get_process(pid)
        get_process_id() info(name) jobs(sessionid=None) jobs_walk(callback, sessionid=None) kill(pid, sig)
        killall(name, sig) list(name=None) load(config, sessionid=None, env=None, start) manage(name)
        monitor(listener, name) pids(name=None) reload(name, sessionid=None) restart(callback=None) run() scale(name, n)
        send(pid, lines, stream=None) sessions start(apps) start_job(name) stats(name) stop(callback=None)
        stop_job(name) stop_process(pid) stopall(name) subscribe(topic) unload(name_or_process, sessionid=None)
        unmonitor(listener, name) unsubscribe(topic, channel) update(config, sessionid=None, env=None, start) wakeup()
        walk(callback, name=None)""",
    Process: """Process(loop, pid, name, cmd, args=None, env=None, uid=None, gid=None, cwd=None, detach=False,
        shell=False, redirect_output, redirect_input=False, custom_streams, custom_channels, on_exit_cb=None)
        active close() closed info kill(signum) monitor(listener=None) monitor_io(io_label, listener) os_pid
        spawn(once=False, graceful_timeout=None, env=None) stats status stop() unmonitor(listener)
        unmonitor_io(io_label, listener) write(data) writelines(data)""",
    ProcessConfig: """ProcessConfig(name, cmd) DEFAULT_PARAMS from_dict(config) get(key, default=None)
        make_process(loop, pid, label, env=None, on_exit=None) to_dict()""",
    ProcessWatcher: """ProcessWatcher(loop, process) active refresh(interval=0) stop(all_events=False)
        subscribe(listener) subscribe_once(listener) unsubscribe(listener)""",
    EventEmitter: """EventEmitter(loop, max_size=10000) close() publish(evtype) subscribe(evtype, listener, once=False)
        subscribe_once(evtype, listener) unsubscribe(evtype, listener, once=False) unsubscribe_all(events)
        unsubscribe_once(evtype, listener)""",
    Procfile: """Procfile(procfile, root=None, envs=None) as_configparser(concurrency_settings=None)
        as_dict(name, concurrency_settings=None) get_appname() parse(procfile) parse_cmd(v) processes()""",
    Pidfile: "Pidfile(fname) create(pid) rename(path) unlink() validate()",
    WebHooks: """WebHooks(hooks) close() decref() incref() maybe_start_monitor() maybe_stop_monitor() refcount
        register_hook(event, url) restart() start(loop, manager) stop() unregister_hook(event, url)""",
    Color: "Color() output(color_name, lines)",
    ConsoleOutput: """ConsoleOutput(colorize=True, output_streams=True, actions=None) DEFAULT_ACTIONS restart()
        start(loop, manager) stop()""",
    BaseSigHandler: """BaseSigHandler() QUIT_SIGNALS handle_quit(handle, signum) handle_reload(handle, signum) restart()
        start(loop) stop()""",
    SigHandler: "SigHandler() handle_quit(handle) handle_reload(handle) start(loop, manager)",
    HttpHandler: "HttpHandler(endpoints, handlers)",
    HttpEndpoint: "HttpEndpoint(uri, backlog, ssl_options)",
    Server: "Server(uri, loop=None)",
}
FUNCTIONS = {
    get_process_stats: "process=None, interval=0",
    get_env: "envs",
    status_bar: "s",
}


def documented():
    for owner, text in DOCUMENTED.items():
        for name, _, arguments in _members(text):
            yield owner, name, arguments


def _members(text):
    found = []
    for part in text.replace("\n", " ").split(" "):
        if found and found[-1].count("(") > found[-1].count(")"):
            found[-1] += " " + part
        elif part:
            found.append(part)
    return [(*member.partition("(")[:2], member.partition("(")[2].removesuffix(")")) for member in found]


def check(function, arguments):
    """The documented arguments are there, in order, with their defaults where those were told."""
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    for wanted, parameter in zip(filter(None, map(str.strip, arguments.split(","))), parameters):
        name, _, default = wanted.partition("=")
        assert parameter.name == name and parameter.kind == parameter.POSITIONAL_OR_KEYWORD, (function, parameter)
        assert not default or eval(default) == parameter.default, (function, parameter)
    assert len(parameters) >= len([one for one in arguments.split(",") if one.strip()]), function


@pytest.mark.parametrize("owner, name, arguments", list(documented()))
def test_what_was_documented_is_there(owner, name, arguments):
    if name == owner.__name__:
        check(owner, arguments)
    elif callable(getattr(owner, name, None)):
        check(getattr(owner, name), arguments)
    else:
        # An attribute: of the class, of its instances, or one of their slots.
        assert hasattr(owner, name) or name in inspect.getsource(owner.__init__), (owner, name)


@pytest.mark.parametrize("function, arguments", list(FUNCTIONS.items()))
def test_functions_that_were_documented_are_there(function, arguments):
    check(function, arguments)


UTIL = """bind_sockets bytes2human check_gid check_uid daemonize getcwd hostname is_ipv6 is_ssl parse_address
    parse_job_name parse_signal_value parse_ssl_options setproctitle_ substitute_env"""


@pytest.mark.parametrize("name", UTIL.split())
def test_the_functions_of_util(name):
    assert callable(getattr(util, name))
