"""A stand-in for gafferd: speaks the jobs API of docs/http-api.rst from memory, starts nothing."""

from __future__ import annotations

import json
import re
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

NODE = {"name": "gaffer", "version": "9.9"}


class Request(NamedTuple):
    method: str
    path: str
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Refusal(Exception):
    def __init__(self, status: int, code: str, reason: str) -> None:
        self.status, self.code, self.reason = status, code, reason


class Double:
    """The state behind the routes.

    ``canned`` answers a (method, path) with (status, content type, body) instead;
    ``coming`` holds updates that a job takes on one by one, each time it is asked about.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.processes: dict[int, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self.canned: dict[tuple[str, str], tuple[int, str, bytes]] = {}
        self.coming: dict[str, list[dict[str, Any]]] = {}
        self.hang_up = 0
        self.connections = 0
        self.next_pid = 1

    def add(self, name: str, running: int = 0, **settings: Any) -> dict[str, Any]:
        """Put a job in, without a request."""
        config = {"name": name, "cmd": "sleep 60", "numprocesses": 1, "graceful_timeout": 30.0, "exit_codes": [0]}
        job = {
            "name": name,
            "active": bool(running),
            "running": 0,
            "running_out": 0,
            "max_processes": running or settings.get("numprocesses", 1),
            "processes": [],
            "state": "running" if running else "stopped",
            "restarts": 0,
            "uptime": 12.5 if running else 0.0,
            "last_exit": None,
            "retry_in": None,
            "reason": None,
            "stderr": [],
            "config": {**config, **settings},
        }
        self.jobs[name] = job
        self.spawn(job, running)
        return job

    def spawn(self, job: dict[str, Any], count: int) -> None:
        for _ in range(count):
            pid, self.next_pid = self.next_pid, self.next_pid + 1
            job["processes"].append(pid)
            self.processes[pid] = {"pid": pid, "os_pid": 1000 + pid, "name": job["name"], "cmd": "sleep", "env": {}}
        job["running"] = len(job["processes"])

    def up(self, job: dict[str, Any]) -> None:
        job.update(active=True, state="running", uptime=0.1)
        self.spawn(job, job["max_processes"] - job["running"])

    def down(self, job: dict[str, Any]) -> None:
        for pid in job["processes"]:
            self.processes.pop(pid, None)
        job.update(active=False, state="stopped", processes=[], running=0, uptime=0.0)

    def job(self, session: str, name: str) -> dict[str, Any]:
        full = f"{session}.{name}"
        if full not in self.jobs:
            raise Refusal(404, "not_found", f"no job '{full}'; gafferctl processes lists them")
        return self.jobs[full]

    def of_session(self, session: str) -> list[str]:
        found = [name for name in self.jobs if name.startswith(f"{session}.")]
        if not found:
            raise Refusal(404, "not_found", f"no session '{session}'")
        return found


def load(state: Double, body: Any, session: str) -> Any:
    name = f"{session}.{body['name'].split('.')[-1]}"
    if name in state.jobs:
        raise Refusal(409, "conflict", f"job '{name}' exists already")
    if "cmd" not in body:
        raise Refusal(422, "invalid_config", "cmd: required")
    settings = {key: value for key, value in body.items() if key != "name"}
    job = state.add(name, **settings)
    if body.get("start", True):
        state.up(job)
    return {"ok": True}


def update(state: Double, body: Any, session: str, name: str) -> Any:
    job = state.job(session, name)
    job["config"] = {**body, "name": f"{session}.{name}"}
    if "start" in body:
        (state.up if body["start"] else state.down)(job)
    return 201, {"ok": True}


def info(state: Double, body: Any, session: str, name: str) -> Any:
    job = state.job(session, name)
    if state.coming.get(job["name"]):
        job.update(state.coming[job["name"]].pop(0))
    return job


def unload(state: Double, body: Any, session: str, name: str) -> Any:
    state.down(state.job(session, name))
    del state.jobs[f"{session}.{name}"]
    return {"ok": True}


def scale(state: Double, body: Any, session: str, name: str) -> Any:
    job, operation = state.job(session, name), str(body["scale"])
    old = job["max_processes"]
    new = int(operation[1:]) if operation.startswith("=") else old + int(operation)
    job["max_processes"] = max(0, new)
    return {"numprocesses": job["max_processes"]}


def set_state(state: Double, body: Any, session: str, name: str) -> Any:
    job = state.job(session, name)
    {0: state.down, 1: state.up, 2: lambda one: (state.down(one), state.up(one))}[body](job)
    return 202, {"ok": True}


def restart(state: Double, body: Any, session: str, name: str) -> Any:
    job = state.job(session, name)
    state.down(job)
    state.up(job)
    return 202, {"ok": True}


def stats(state: Double, body: Any, session: str, name: str) -> Any:
    pids = state.job(session, name)["processes"]
    each = [{"pid": pid, "os_pid": 1000 + pid, "cpu": 1.5, "mem": 0.5, "mem_info1": 2048, "ctime": 0.2} for pid in pids]
    count = len(pids)
    totals = {"cpu": 1.5 * count, "max_cpu": 1.5, "min_cpu": 1.5, "mem": 0.5 * count, "max_mem": 0.5, "min_mem": 0.5}
    return {"name": f"{session}.{name}", "stats": each, **totals}


def process(state: Double, pid: str) -> dict[str, Any]:
    if int(pid) not in state.processes:
        raise Refusal(404, "not_found", f"no process {pid}")
    return state.processes[int(pid)]


def stop_process(state: Double, body: Any, pid: str) -> Any:
    job = state.jobs[process(state, pid)["name"]]
    job["processes"].remove(int(pid))
    del state.processes[int(pid)]
    return 202, {"ok": True}


def signal(state: Double, body: Any, *target: str) -> Any:
    state.job(*target) if len(target) == 2 else process(state, *target)
    if body["signal"] in ("NOSUCH", 999):
        raise Refusal(
            400, "bad_request", f"no signal {body['signal']!r}; give a number such as 15 or a name such as TERM"
        )
    return 202, {"ok": True}


def commit(state: Double, body: Any, session: str, name: str) -> Any:
    job = state.job(session, name)
    state.spawn(job, 1)
    return {"pid": job["processes"][-1]}


RELOADED = {"loaded": ["default.new"], "unloaded": [], "updated": ["default.web"], "unchanged": ["default.db"]}
PLUGINS = [
    {"name": "http", "version": "9.9", "origin": "gaffer", "description": "", "kind": "hooks", "hooks": ["a", "b"],
     "state": "loaded"},
]  # fmt: skip
HEALTH = {"ok": True, "state": "running", "uptime": 61.0, "jobs": 2, "processes": 3, "troubled": [], "plugins": {}}
ROUTES = [
    (method, re.compile(pattern.replace("S/J", "([^/]+)/([^/]+)").replace("PID", r"(\d+)") + r"\Z"), action)
    for method, pattern, action in [
        ("GET", "/ping", lambda state, body: "OK"),
        ("GET", "/version", lambda state, body: NODE),
        ("GET", "/sessions", lambda state, body: {"sessions": sorted({name.split(".")[0] for name in state.jobs})}),
        ("GET", "/jobs", lambda state, body: {"jobs": list(state.jobs)}),
        ("GET", "/pids", lambda state, body: {"pids": list(state.processes)}),
        ("GET", "/jobs/([^/]+)", lambda state, body, one: {"sessionid": one, "jobs": state.of_session(one)}),
        ("POST", "/jobs/([^/]+)", load),
        ("GET", "/jobs/S/J", info),
        ("PUT", "/jobs/S/J", update),
        ("DELETE", "/jobs/S/J", unload),
        ("GET", "/jobs/S/J/stats", stats),
        ("GET", "/jobs/S/J/numprocesses", lambda state, body, *one: {"numprocesses": state.job(*one)["max_processes"]}),
        ("POST", "/jobs/S/J/numprocesses", scale),
        ("POST", "/jobs/S/J/signal", signal),
        ("GET", "/jobs/S/J/state", lambda state, body, *one: "1" if state.job(*one)["active"] else "0"),
        ("POST", "/jobs/S/J/state", set_state),
        ("POST", "/jobs/S/J/restart", restart),
        ("GET", "/jobs/S/J/pids", lambda state, body, *one: {"pids": state.job(*one)["processes"]}),
        ("POST", "/jobs/S/J/commit", commit),
        ("GET", "/PID", lambda state, body, pid: process(state, pid)),
        ("DELETE", "/PID", stop_process),
        ("GET", "/PID/stats", lambda state, body, pid: {"stats": {"pid": process(state, pid)["pid"], "cpu": 1.5}}),
        ("POST", "/PID/signal", signal),
        ("GET", "/plugins", lambda state, body: {"plugins": PLUGINS}),
        ("GET", "/health", lambda state, body: HEALTH),
        ("POST", "/reload", lambda state, body: {"ok": True, **RELOADED}),
        ("POST", "/shutdown", lambda state, body: (202, {"ok": True})),
    ]
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.disable_nagle_algorithm = self.server.tcp
        super().setup()
        self.state.connections += 1

    @property
    def state(self) -> Double:
        return self.server.state

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.state.requests.append(Request(self.command, self.path, self.headers, body))
        if self.state.hang_up:
            self.state.hang_up -= 1
            self.close_connection = True
            return
        canned = self.state.canned.get((self.command, self.path))
        self.answer(*(canned or self.route(body)))

    def route(self, body: bytes) -> tuple[int, str, bytes]:
        try:
            result = self.act(json.loads(body) if body else None)
        except Refusal as no:
            result = no.status, {"error": no.code, "reason": no.reason, "errno": no.status}
        status, result = result if isinstance(result, tuple) else (200, result)
        if isinstance(result, str):
            return status, "text/plain", result.encode()
        return status, "application/json", json.dumps(result).encode()

    def act(self, body: Any) -> Any:
        for method, pattern, action in ROUTES:
            found = pattern.match(self.path)
            if found and method == self.command:
                return action(self.state, body, *found.groups())
        raise Refusal(404, "not_found", f"nothing at {self.path}")

    do_GET = do_POST = do_PUT = do_DELETE = serve


class Serving(socketserver.ThreadingTCPServer):
    """Serves a double in threads, on a free port or on a unix socket.

    ::

        with Serving() as serving:
            serving.uri, serving.state
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        import socket

        self.tcp = path is None
        self.address_family = socket.AF_INET if path is None else socket.AF_UNIX
        self.state = Double()
        super().__init__(("127.0.0.1", 0) if path is None else path, Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.uri = f"http://127.0.0.1:{self.server_address[1]}" if path is None else f"unix:{path}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Serving:
        self.thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()
