"""gafferd's real HTTP API in a thread, over processes that are not started: for tests of its clients."""

from __future__ import annotations

import io
import json
import threading
import time
from typing import Any, Callable, NamedTuple

import gaffer
from gaffer.testing import FakeClock, FakeProcess, FakeSpawner, settle
from gaffer_plugins.http import HttpPlugin
from gaffer_plugins.streams import StreamsPlugin

START_TIMEOUT = 10.0
MEASURED = {"cpu": 1.5, "mem": 0.5, "mem_info1": 2048, "ctime": 0.2}


class Request(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RealClock(FakeClock):
    """Monotonic time, for clients that wait in real time."""

    def __call__(self) -> float:
        return time.monotonic()


class Requests:
    """A plugin that records requests, and gives the prepared answers to some of them.

    ``answers`` maps (method, path) to (status, body).
    """

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}

    @gaffer.hookimpl
    def gaffer_wrap_wsgi(self, app: Callable[..., Any]) -> Callable[..., Any]:
        def recording(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            body = b"" if "HTTP_UPGRADE" in environ else environ["wsgi.input"].read()
            environ["wsgi.input"] = io.BytesIO(body)
            query = environ.get("QUERY_STRING")
            path = environ["PATH_INFO"] + (f"?{query}" if query else "")
            headers = {name[5:].replace("_", "-"): text for name, text in environ.items() if name.startswith("HTTP_")}
            self.seen.append(Request(environ["REQUEST_METHOD"], path, headers, body))
            answer = self.answers.get((environ["REQUEST_METHOD"], path))
            if answer is None:
                return app(environ, start_response)
            text = json.dumps(answer[1]).encode()
            start_response(
                f"{answer[0]} Prepared", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
            )
            return [text]

        return recording

    @gaffer.hookimpl
    def gaffer_sample(self, processes: list[Any]) -> dict[int, dict[str, Any]]:
        return {process.pid: {"pid": process.pid, "os_pid": process.os_pid, **MEASURED} for process in processes}


class SimulatedGafferd:
    """A manager with the HTTP API and fake processes, in a thread of its own.

    ::

        with SimulatedGafferd() as gafferd:
            gafferd.load("shop.web", start=True)
            Server(gafferd.uri).info("shop.web")
    """

    def __init__(self, *plugins: Any) -> None:
        self._plugins = plugins
        self.requests = Requests()
        self.spawner = FakeSpawner(RealClock())
        self.manager: gaffer.Manager
        self.uri = ""
        self._ready = threading.Event()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> SimulatedGafferd:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT), "the manager did not start"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.manager.halt()
        self._left.set()
        self._thread.join(START_TIMEOUT)
        assert not self._thread.is_alive(), "the manager did not stop"

    def _run(self) -> None:
        import gevent

        http = HttpPlugin(["127.0.0.1:0"])
        self.manager = gaffer.Manager(plugins=[http, StreamsPlugin(), self.requests, *self._plugins])
        self.spawner.install(self.manager)
        self.manager.start()
        while not http.serving:
            gevent.sleep(0.001)
        self.uri = http.urls[0]
        self._ready.set()
        self.manager.run()
        self._left.wait()  # a manager that has stopped by itself is still asked to, through its loop
        gevent.get_hub().destroy(destroy_loop=True)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call *function* in the manager's thread; return what it returned."""
        done = threading.Event()
        found: list[Any] = []

        def run() -> None:
            try:
                found.append(function())
                settle(self.manager)
            finally:
                done.set()

        self.manager.later(run)
        assert done.wait(START_TIMEOUT) and found, f"{function} failed in the manager's thread"
        return found[0]

    def load(self, name: str, start: bool = False, **settings: Any) -> None:
        """Load a job, by default stopped; its processes run well at once unless ``min_uptime`` is given."""
        config = {"name": name, "cmd": "sleep 60", "min_uptime": 0, "start": start, **settings}
        self.call(lambda: self.manager.load(config, origin="test"))

    def job(self, name: str) -> dict[str, Any]:
        """Return what the manager knows of a job."""
        return dict(self.call(lambda: self.manager.info(name)))

    def jobs(self) -> list[str]:
        """Return the full names of the jobs."""
        return list(self.call(lambda: [str(name) for name in self.manager.jobs()]))

    def process(self, pid: int) -> FakeProcess:
        """Return a process that was started, by gaffer's number."""
        return next(one for one in self.spawner.processes if one.pid == pid)

    def sent(self, method: str = "POST") -> tuple[str, Any]:
        """Return path and JSON of the last request of that method."""
        request = [one for one in self.requests.seen if one.method == method][-1]
        return request.path, request.json if request.body else None
