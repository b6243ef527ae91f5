"""nginx and haproxy as ``contrib`` configures them, before a real gafferd; all clients share one connection to it."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, NamedTuple

from tests.kit.certificates import make_certificates
from tests.kit.gafferd import PATIENCE, Gafferd, eventually
from tests.kit.needed_programs import needs
from tests.kit.ports import free_port

CONTRIB = Path(__file__).parents[2] / "contrib"
HAPROXY = CONTRIB / "haproxy" / "gafferd.cfg"
NGINX = CONTRIB / "nginx" / "gafferd.conf"
_PLACES = "/usr/sbin:/usr/bin:/sbin:/bin"
JOBS = "[process:web]\ncmd = sleep 1000\n"


class Proxy(NamedTuple):
    """A proxy at *port*, and the gafferd behind it."""

    port: int
    gafferd: Gafferd

    def upstream(self) -> set[str]:
        """Return the connections that it has to gafferd: the inodes of gafferd's ends."""
        lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
        path = f"{self.gafferd.folder}/http.sock"
        return {line[6] for line in lines if line[-1] == path and line[5] == "03"}


@contextmanager
def nginx(folder: Path, jobs: str = JOBS, options: str = "") -> Iterator[Proxy]:
    """Run nginx."""
    program = shutil.which("nginx", path=_PLACES) or needs("nginx")
    make_certificates(folder, "GAFFER")
    port = free_port()
    text = NGINX.read_text().replace("/run/gaffer/http.sock", f"{folder}/http.sock")
    text = text.replace("/etc/ssl/certs", str(folder)).replace("/etc/ssl/private", str(folder))
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("    listen [::]:443 ssl;\n", "")
    text = text.replace("keepalive 8;", "keepalive 1;")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root; " if os.geteuid() == 0 else ""
    main = f"{user}daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}"
    (folder / "nginx.conf").write_text(f"{main} http {{ access_log off; {places} {text} }}")
    command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", "stderr"]
    with _before_gafferd(folder, command, [*command, "-t"], port, jobs, options) as proxy:
        yield proxy


@contextmanager
def haproxy(folder: Path, jobs: str = JOBS, options: str = "") -> Iterator[Proxy]:
    """Run haproxy."""
    program = shutil.which("haproxy", path=_PLACES) or needs("haproxy")
    make_certificates(folder, "GAFFER")
    both = (folder / "GAFFER.pem").read_text() + (folder / "GAFFER.key").read_text()
    (folder / "BOTH.pem").write_text(both)
    port = free_port()
    text = HAPROXY.read_text().replace("/run/gaffer/http.sock", f"{folder}/http.sock pool-max-conn 1")
    text = text.replace("/etc/haproxy/GAFFER.pem", f"{folder}/BOTH.pem").replace("bind :443", f"bind 127.0.0.1:{port}")
    # Threads keep connections of their own.
    (folder / "haproxy.cfg").write_text(f"global\n    nbthread 1\n{text}")
    command = [program, "-db", "-f", str(folder / "haproxy.cfg")]
    with _before_gafferd(folder, command, [*command, "-c"], port, jobs, options) as proxy:
        yield proxy


PROXIES = {"nginx": nginx, "haproxy": haproxy}


@contextmanager
def _before_gafferd(
    folder: Path, command: list[str], check: list[str], port: int, jobs: str, options: str
) -> Iterator[Proxy]:
    """Check the configuration of a proxy, and run it before a real gafferd."""
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "warn" not in done.stderr.lower(), done.stderr
    options = f"{options}\nhttp_endpoints = proxy\nallow_local_users = true\n"
    options += f"[endpoint:proxy]\nbind = unix:{folder}/http.sock\n"
    with Gafferd(folder, jobs, options).start().ready() as gafferd:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: _listens(port))
            yield Proxy(port, gafferd)
        finally:
            process.terminate()
            process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


#: Without the system's certificates, which take longer to read than a connection takes.
_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CONTEXT.check_hostname, _CONTEXT.verify_mode = False, ssl.CERT_NONE


class Client:
    """A client with a TLS connection of its own to a proxy, which is made again when it has ended."""

    def __init__(self, port: int) -> None:
        self.port, self.patience = port, PATIENCE
        self.sock: ssl.SSLSocket | None = None

    def ask(self, data: bytes, method: str = "") -> tuple[int, bytes, bool]:
        """Send *data*; return the status and the body of the first answer, and whether the connection goes on.

        :raises ConnectionError, http.client.HTTPException: there is none.
        """
        if self.sock is None:
            raw = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
            self.sock = _CONTEXT.wrap_socket(raw)
        self.sock.settimeout(self.patience)
        goes_on = False
        try:
            self.sock.sendall(data)
            answer = http.client.HTTPResponse(self.sock, method=method or data.split(b" ")[0].decode())
            answer.begin()
            found = answer.status, answer.read()
            goes_on = not answer.will_close and answer.status != 101
        finally:
            if not goes_on:
                self.close()
        return (*found, goes_on)

    def close(self) -> None:
        """End the connection."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
