"""The HTTP plugin's life: binding before anything runs, answering when all is loaded, and until the very end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import gevent
import pytest
from gevent.event import Event

import gaffer
from gaffer.config.options import Options
from gaffer.config.settings import Settings, read_settings
from gaffer.daemon.checks import find_problems
from gaffer.errors import ConfigError, GafferError, PluginError
from gaffer.web.requests.access_rules import AccessRules
from gaffer.web.requests.routes import Route
from gaffer_plugins.http import HttpPlugin
from tests.kit.web import connect, everything, in_thread, parse, request, talk, wait_until

PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def address_of(url):
    if url.startswith("unix:"):
        return url.removeprefix("unix:")
    host, _, port = url.partition("://")[2].rpartition(":")
    return (host.strip("[]"), int(port), 0, 0) if "[" in host else (host, int(port))


def read(tmp_path, http, text="", environ=None, **overrides):
    """Read settings as gafferd does, with the plugin's own options."""
    options = Options()
    http.gaffer_add_options(options)
    path = tmp_path / "gafferd.ini"
    path.write_text(text)
    return read_settings(str(path), options, overrides, environ or {})


class Watching:
    """A plugin that notes when things happen."""

    def __init__(self):
        self.seen = []

    @gaffer.hookimpl
    def gaffer_event(self, event):
        self.seen.append(event["event"])


# -- binding ------------------------------------------------------------------------------------


def test_every_kind_of_address(start_api, tmp_path):
    api = start_api(http=HttpPlugin(["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/socket"]))
    assert [url.split(":")[0] for url in api.http.urls] == ["http", "http", "unix"]
    for url in api.http.urls:
        assert request(address_of(url), "GET", "/ping").text == "OK"
    api.manager.stop()
    assert not os.path.exists(tmp_path / "socket") and api.http.urls == []


def test_a_port_in_use_stops_the_start_before_any_child(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        watching = Watching()

        class Jobs:
            @gaffer.hookimpl
            def gaffer_load_jobs(self):
                return [gaffer.JobConfig("web", "sleep 1000")]

        http = HttpPlugin([f"unix:{tmp_path}/first", address])
        manager = gaffer.Manager(plugins=[http, Jobs(), watching])
        with pytest.raises(GafferError, match=f"cannot listen on {address}: the address is in use"):
            manager.start()
        assert watching.seen == [] and manager.state == "stopped"
        assert not os.path.exists(tmp_path / "first")


def test_sockets_are_closed_when_another_plugin_stops_the_start():
    class Broken:
        @gaffer.hookimpl
        def gaffer_manager_start(self):
            raise ValueError("no")

    http = HttpPlugin(["127.0.0.1:0"])
    with pytest.raises(PluginError, match="no"):
        gaffer.Manager(plugins=[http, Broken()]).start()
    assert http.urls == [] and not http.serving


def test_children_do_not_inherit_the_sockets(start_api):
    api = start_api()
    api.manager.load(gaffer.JobConfig("list", "ls -l /proc/self/fd", redirect_output=["out"], restart="never"))
    wait_until(lambda: api.manager.info("list")["last_exit"])
    inode = os.fstat(api.http._bound[0].sock.fileno()).st_ino
    api.manager.load(gaffer.JobConfig("sleep", "sleep 1000"))
    wait_until(lambda: api.manager.running)
    (process,) = api.manager.running.values()
    held = [os.readlink(f"/proc/{process.os_pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.os_pid}/fd")]
    assert f"socket:[{inode}]" not in held and len(held) >= 3


def test_addresses_that_other_machines_reach_have_to_be_meant():
    with pytest.raises(ConfigError, match=r"other machines can reach 0.0.0.0:0"):
        gaffer.Manager(plugins=[HttpPlugin(["0.0.0.0:0"])]).start()
    manager = gaffer.Manager(plugins=[HttpPlugin(["0.0.0.0:0"], AccessRules(anonymous=True))])
    with manager:
        pass


def test_keys_that_no_plugin_checks_open_no_endpoint(tmp_path):
    http = HttpPlugin()
    settings = read(tmp_path, http, "[gaffer]\nrequire_key = true\nbind = 127.0.0.1:0\n")
    with pytest.raises(PluginError, match="no plugin that checks them"):
        gaffer.Manager(plugins=[http], settings=settings).start()
    assert http.urls == []


def test_keys_that_one_endpoint_wants_and_no_plugin_checks_open_no_endpoint_either(tmp_path):
    http = HttpPlugin()
    text = "[gaffer]\nhttp_endpoints = a\n[endpoint:a]\nbind = 127.0.0.1:0\nrequire_key = true\n"
    with pytest.raises(PluginError, match="no plugin that checks them"):
        gaffer.Manager(plugins=[http], settings=read(tmp_path, http, text)).start()
    assert http.urls == []


# -- settings -----------------------------------------------------------------------------------


def test_endpoints_of_the_settings(start_api, tmp_path):
    http = HttpPlugin()
    text = f"""
[gaffer]
http_endpoints = one, two
http_max_body = 2000
[endpoint:one]
bind = 127.0.0.1:0, [::1]:0
[endpoint:two]
bind = unix:{tmp_path}/two
"""
    settings = read(tmp_path, http, text)
    assert settings.problems == []
    api = start_api(http=http, settings=settings)
    assert len(api.http.urls) == 3
    body = b'"' + b"x" * 2000 + b'"'
    assert "2000 bytes" in api("POST", "/jobs/default", body=body).assert_problem(413, "too_large")


def test_hosts_and_origins_that_cannot_be_meant(tmp_path):
    http = HttpPlugin()
    settings = read(tmp_path, http, "[gaffer]\nallowed_origins = *\nallowed_hosts = a/b, ok.example\n")
    problems = [str(problem) for problem in http.gaffer_check_config(settings, gaffer.Manager())]
    assert len(problems) == 2
    assert problems[0].startswith(f"{tmp_path}/gafferd.ini:3: allowed_hosts: 'a/b'")
    assert problems[1].startswith(f"{tmp_path}/gafferd.ini:2: allowed_origins: '*'")


def test_the_rules_are_reloaded(start_api, tmp_path):
    http = HttpPlugin()
    api = start_api(http=http, settings=read(tmp_path, http, "[gaffer]\nbind = 127.0.0.1:0\n"))
    request(api.address, "GET", "/", host="gaffer.example").assert_problem(421, "misdirected")
    api.manager.reload_config(read(tmp_path, http, "[gaffer]\nbind = 127.0.0.1:0\nallowed_hosts = gaffer.example\n"))
    wait_until(lambda: request(api.address, "GET", "/", host="gaffer.example").status == 200)


def test_the_name_that_it_listens_on_is_its_own(start_api):
    api = start_api(http=HttpPlugin(["localhost:0"]))
    assert request(api.address, "GET", "/ping", host="localhost").text == "OK"
    request(api.address, "GET", "/ping", host="evil.example").assert_problem(421, "misdirected")


def test_pages_of_other_origins(start_api):
    api = start_api()
    raw = b"POST /shutdown HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n"
    parse(talk(api.address, raw)).assert_problem(403, "forbidden")
    form = b"POST /jobs/default HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n"
    parse(talk(api.address, form + b"Content-Type: text/plain\r\n\r\n{}")).assert_problem(415, "unsupported_media_type")
    assert api.manager.state == "running"


# -- when answers come --------------------------------------------------------------------------


def test_connections_wait_until_jobs_are_loaded():
    """Sockets are bound first; a client that connects early gets its OK when it is true."""
    answers = []

    class Slow:
        @gaffer.hookimpl
        def gaffer_load_jobs(self):
            early = gevent.spawn(talk, address_of(http.urls[0]), PING)
            early.rawlink(lambda done: answers.append(parse(done.value).text))
            gevent.sleep(0.05)
            assert answers == []
            return [gaffer.JobConfig("web", "sleep 1000")]

    http = HttpPlugin(["127.0.0.1:0"])
    with gaffer.Manager(plugins=[http, Slow()]):
        wait_until(lambda: answers)
        assert answers == ["OK"]


def test_api_answers_until_jobs_have_stopped(start_api, tmp_path):
    api = start_api()
    command = f"trap '' TERM; touch {tmp_path}/deaf; while true; do sleep 0.05; done"
    api.manager.load(gaffer.JobConfig("stubborn", command, shell=True, graceful_timeout=600))
    wait_until((tmp_path / "deaf").exists)
    (process,) = api.manager.list("stubborn")
    stopping = gevent.spawn(api.manager.stop)
    wait_until(lambda: api.manager.state == "stopping")
    assert api("GET", "/ping").status == 200
    assert api.get("/jobs/default/stubborn")["active"] is False
    api("POST", "/jobs/default", {"name": "late", "cmd": "true"}).assert_problem(503, "unavailable")
    os.kill(process.os_pid, signal.SIGKILL)
    stopping.join(10)
    assert stopping.successful()
    with pytest.raises(ConnectionRefusedError):
        connect(api.address)


def test_running_requests_end_before_the_manager_has_stopped(start_api):
    started = Event()

    def slow(request):
        started.set()
        gevent.sleep(0.05)
        return {"done": True}

    class Slow:
        @gaffer.hookimpl
        def gaffer_routes(self):
            return [Route("GET", "/slow", handler=slow, permission="read")]

    api = start_api(Slow())
    sock = connect(api.address)
    sock.sendall(PING.replace(b"/ping", b"/slow"))
    assert started.wait(5)
    api.manager.stop()
    assert parse(everything(sock)).json == {"done": True}
    sock.close()


def test_bottle_and_the_server_are_imported_only_when_a_process_runs():
    code = """
import sys, time
import gaffer, gevent
from gaffer.supervisor import engine
from gaffer_plugins.http import HttpPlugin
engine.SLICE = 60.0
class Watch:
    imported = None
    def find_spec(self, name, path=None, target=None):
        if name in ("bottle", "gevent.pywsgi") and not self.imported:
            Watch.imported = time.monotonic()
sys.meta_path.insert(0, Watch())
class Jobs:
    @gaffer.hookimpl
    def gaffer_load_jobs(self):
        return [gaffer.JobConfig("a", "sleep 1000")]
with gaffer.Manager(plugins=[HttpPlugin(["127.0.0.1:0"]), Jobs()]) as manager:
    assert "bottle" not in sys.modules
    while not manager.running or not Watch.imported:
        gevent.sleep(0.001)
    (process,) = manager.running.values()
    print(process.started <= Watch.imported, "gevent.ssl" in sys.modules)
"""
    done = in_thread(subprocess.run, [sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=60)
    assert done.stdout == b"True False\n", done.stderr


# -- other plugins ------------------------------------------------------------------------------


def test_gaffer_routes(start_api):
    class Hello:
        @gaffer.hookimpl
        def gaffer_routes(self, manager):
            def hello(request, name):
                return {"hello": name, "jobs": len(manager.jobs())}

            return [Route("GET", "/hello/<name>", handler=hello, permission="read")]

    assert start_api(Hello()).get("/hello/you") == {"hello": "you", "jobs": 0}


@pytest.mark.parametrize(
    ("route", "says"),
    [
        (Route("GET", "/jobs/<a>/<b>", command="info"), "plugins http and .* both answer GET /jobs/<a>/<b>"),
        (Route("GET", "/x", handler=print), "no permission is declared"),
        (Route("GET", "/x", command="nonsense"), "no command 'nonsense'"),
    ],
)
def test_wrong_routes_stop_the_start_and_name_the_plugin(route, says):
    class Wrong:
        name = "wrongful"

        @gaffer.hookimpl
        def gaffer_routes(self):
            return [route]

    http = HttpPlugin(["127.0.0.1:0"])
    with pytest.raises(PluginError, match=says) as caught:
        gaffer.Manager(plugins=[http, Wrong()]).start()
    assert "wrongful" in str(caught.value) and http.urls == []


@pytest.mark.parametrize(("checks", "count"), [(True, 2), (False, 0)])
def test_wrong_routes_are_problems_of_the_configuration_where_it_is_only_checked(checks, count):
    class Wrong:
        name = "wrongful"

        @gaffer.hookimpl
        def gaffer_routes(self):
            return [Route("GET", "/jobs/<a>/<b>", command="info"), Route("GET", "/x", command="nonsense")]

    http = HttpPlugin()
    manager = gaffer.Manager(plugins=[http, Wrong()])
    settings = Settings(Options(), overrides={"check": checks})
    problems = [str(problem) for problem in find_problems(settings, manager)]
    assert len(problems) == count and all("wrongful" in problem for problem in problems)


def test_gaffer_wrap_wsgi(start_api):
    class Stamp:
        def __init__(self, name):
            self.stamp = name

        @gaffer.hookimpl
        def gaffer_wrap_wsgi(self, app):
            def wrapped(environ, start_response):
                def start(status, headers, exc_info=None):
                    return start_response(status, [*headers, ("X-Stamp", self.stamp)])

                return app(environ, start)

            return wrapped

    api = start_api(Stamp("inner"), Stamp("outer"))
    answer = talk(api.address, PING)
    assert answer.index(b"X-Stamp: inner") < answer.index(b"X-Stamp: outer")
    # What the guard refuses never reaches a plugin.
    assert "x-stamp" not in request(api.address, "GET", "/ping", host="evil.example").headers


def test_a_middleware_that_cannot_be_made_stops_the_start():
    class Broken:
        @gaffer.hookimpl
        def gaffer_wrap_wsgi(self, app):
            raise ValueError("broken")

    http = HttpPlugin(["127.0.0.1:0"])
    with pytest.raises(PluginError, match="broken"):
        gaffer.Manager(plugins=[http, Broken()]).start()
    assert http.urls == []


def test_two_managers_in_one_process(start_api):
    one, other = start_api(), start_api()
    one.manager.load(gaffer.JobConfig("web", "sleep 1000", start=False))
    assert one.get("/jobs") == {"jobs": ["default.web"]} and other.get("/jobs") == {"jobs": []}
