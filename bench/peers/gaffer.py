"""gafferd, as installed beside this Python; ordered over the HTTP jobs API."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from ..stamps import BenchError
from .base import Load, Peer, free_port

_CONFIG = """\
[gaffer]
http_endpoints = bench

[endpoint:bench]
bind = 127.0.0.1:{port}
"""

# min_uptime = 0 says that a child which is killed right after its start has nevertheless started well. With the
# default of 1 s gaffer would wait before it replaces it, as it should, and the figure would be that wait.
_JOB = """
[process:child{number:05d}]
cmd = {child} {stamps}
numprocesses = {copies}
start = {autostart}
min_uptime = 0
"""


class Gaffer(Peer):
    name = "gaffer"

    @classmethod
    def missing(cls) -> str | None:
        return None if _gafferd().exists() else f"no gafferd beside {sys.executable}: pip install -e ."

    def configure(self, load: Load) -> list[str]:
        self.port = free_port()
        self.names = [f"child{number:05d}" for number in range(load.jobs)]
        text = _CONFIG.format(port=self.port)
        for number in range(load.jobs):
            text += _JOB.format(
                number=number,
                child=self.child,
                stamps=self.stamps.path,
                copies=load.copies,
                autostart=str(load.autostart).lower(),
            )
        config = self.work / "gaffer.ini"
        config.write_text(text, "utf-8")
        return [str(_gafferd()), "-c", str(config)]

    def wait_ready(self) -> None:
        """Connections are answered once the jobs are loaded, so the first answer is the one to wait for."""
        self.wait_for_port(self.port)
        deadline = time.monotonic() + 60
        while self._request("GET", "/ping").strip() != b"OK":
            if time.monotonic() > deadline:
                raise BenchError("gafferd does not answer /ping with OK")
            time.sleep(0.02)

    def start(self) -> None:
        self._all("1")

    def stop(self) -> None:
        self._all("0")
        for name in self.names:
            while json.loads(self._request("GET", f"/jobs/default/{name}"))["running"]:
                time.sleep(0.005)

    def _all(self, state: str) -> None:
        for name in self.names:
            self._request("POST", f"/jobs/default/{name}/state", state.encode())

    def numprocesses(self, name: str, scale: str) -> Any:
        """Scale a job; *scale* as in the jobs API: ``=500``, ``+1``."""
        body = json.dumps({"scale": scale}).encode()
        return json.loads(self._request("POST", f"/jobs/default/{name}/numprocesses", body))

    def quit(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.alive()
            raise BenchError(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if response.status >= 400:
            raise BenchError(f"{method} {path}: {response.status} {answer.decode('utf-8', 'replace')}")
        return answer


def _gafferd() -> Path:
    return Path(sys.executable).with_name("gafferd")
