"""An HTTP server that answers as a test says, and knows nothing of gafferd: for tests of the client's connections."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

VERSION = "9.9"


class Request(NamedTuple):
    method: str
    path: str
    headers: Any
    body: bytes


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def setup(self) -> None:
        self.disable_nagle_algorithm = self.server.tcp
        super().setup()
        self.server.connections += 1

    def log_message(self, *args: Any) -> None:
        """Write no log."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(Request(self.command, self.path, self.headers, body))
        if self.server.hang_up:
            self.server.hang_up -= 1
            self.close_connection = True
            return
        default = (200, "application/json", json.dumps({"ok": True, "version": VERSION}).encode())
        if self.path == "/ping":
            default = (200, "text/plain", b"OK")
        status, content_type, data = self.server.answers.get((self.command, self.path), default)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Answers in threads, on a free port or on a unix socket.

    ``answers`` maps (method, path) to (status, content type, body); ``hang_up`` counts the next
    requests whose connection is closed without an answer.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        import socket

        self.tcp = path is None
        self.address_family = socket.AF_INET if path is None else socket.AF_UNIX
        self.requests: list[Request] = []
        self.answers: dict[tuple[str, str], tuple[int, str, bytes]] = {}
        self.hang_up = 0
        self.connections = 0
        super().__init__(("127.0.0.1", 0) if path is None else path, Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.uri = f"http://127.0.0.1:{self.server_address[1]}" if path is None else f"unix:{path}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
