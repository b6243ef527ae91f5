"""A real cluster of etcd on loopback."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
from base64 import b64encode
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from .certificates import make_certificates
from .gafferd import PATIENCE, environment, eventually
from .needed_programs import needs
from .ports import free_port


class Etcd:
    """Some members, each with a folder and two ports of its own; they end with the block.

    :param tls: clients speak TLS and have certificates; those of the cluster and of a client are made in the folder.
    :param flags: more of etcd's own.
    """

    def __init__(self, folder: Path, members: int = 3, tls: bool = False, flags: tuple[str, ...] = ()) -> None:
        self.program, self.folder, self.tls, self.flags = needs("etcd"), folder, tls, flags
        for name in ("etcd", "client", "stranger") if tls else ():
            (folder / name).mkdir()
            make_certificates(folder / name, name)
        if tls:  # its gateway for JSON is a client of its own, and has the server's certificate
            pems = [Path(self.file(f"{name}.pem")).read_text() for name in ("client", "etcd")]
            (folder / "trusted.pem").write_text("".join(pems))
        self.ports = [(free_port(), free_port()) for _ in range(members)]
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * members

    @property
    def url(self) -> str:
        """The registry of a lookupd."""
        host = "localhost" if self.tls else "127.0.0.1"
        return "etcd://" + ",".join(f"{host}:{client}" for client, _ in self.ports)

    def file(self, name: str) -> str:
        """Return the path of ``etcd.pem``, ``client.pem``, ``client.key`` and so on."""
        who = name.partition(".")[0]
        return str(self.folder / who / name)

    def start(self, number: int) -> None:
        """Start a member, with what it knew before."""
        client, peer = self.ports[number]
        scheme = "https" if self.tls else "http"
        words = {
            "name": f"m{number}",
            "data-dir": str(self.folder / f"m{number}"),
            "listen-client-urls": f"{scheme}://127.0.0.1:{client}",
            "advertise-client-urls": f"{scheme}://127.0.0.1:{client}",
            "listen-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-cluster": ",".join(f"m{n}=http://127.0.0.1:{port}" for n, (_, port) in enumerate(self.ports)),
        }
        if self.tls:
            words |= {"cert-file": self.file("etcd.pem"), "key-file": self.file("etcd.key")}
            words |= {"client-cert-auth": "true", "trusted-ca-file": str(self.folder / "trusted.pem")}
        with (self.folder / f"m{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen(
                [self.program, *(f"--{word}={value}" for word, value in words.items()), *self.flags],
                env=environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def healthy(self, number: int) -> bool:
        """Tell whether a member belongs to a majority."""
        connection = self._connection(number)
        try:
            connection.request("GET", "/health")
            return b'"true"' in connection.getresponse().read()
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _connection(self, number: int, patience: float = 1.0) -> HTTPConnection:
        port = self.ports[number][0]
        if not self.tls:
            return HTTPConnection("127.0.0.1", port, timeout=patience)
        context = ssl.create_default_context(cafile=self.file("etcd.pem"))
        context.load_cert_chain(self.file("client.pem"), self.file("client.key"))
        return HTTPSConnection("localhost", port, timeout=patience, context=context)

    def ask(self, path: str, token: str = "", **body: Any) -> dict[str, Any]:
        """Ask the first member something; bytes are given as etcd wants them."""
        said = {name: b64encode(value).decode() if isinstance(value, bytes) else value for name, value in body.items()}
        connection = self._connection(0, PATIENCE)
        try:
            connection.request("POST", f"/v3/{path}", json.dumps(said), {"Authorization": token} if token else {})
            answer = connection.getresponse()
            found = json.loads(answer.read())
        finally:
            connection.close()
        assert answer.status == 200, found
        return dict(found)

    def kill(self, number: int, sign: int = signal.SIGKILL) -> None:
        """Kill a member, or stop it in the middle of things."""
        process = self.processes[number]
        assert process is not None
        process.send_signal(sign)
        if sign == signal.SIGKILL:
            process.wait(PATIENCE)

    def __enter__(self) -> Etcd:
        try:
            for number in range(len(self.ports)):
                self.start(number)
            for number in range(len(self.ports)):
                eventually(lambda number=number: self.healthy(number))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.processes:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
