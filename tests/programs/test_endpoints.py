"""gafferd's endpoints from outside: certificates that are renewed, sockets that are shared, other accounts."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import stat
from contextlib import closing
from pathlib import Path

from ..kit.certificates import make_certificates
from ..kit.gafferd import PATIENCE, Gafferd, eventually, run
from ..kit.ports import free_port
from ..kit.stranger import STRANGER, as_root, as_stranger


def client() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def certificate(port: int) -> bytes | None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock, client().wrap_socket(sock) as tls:
        return tls.getpeercert(True)


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def ask(connection: http.client.HTTPConnection, path: str = "/ping", method: str = "GET") -> tuple[int, str]:
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_certificates_are_renewed_by_hup(tmp_path: Path) -> None:
    make_certificates(tmp_path, "tls")
    options = "http_endpoints = safe\n[endpoint:safe]\nbind = 127.0.0.1:{}\ncertfile = tls.pem\nkeyfile = tls.key\n"
    with Gafferd(tmp_path) as gafferd:
        port = free_port()
        gafferd.options = options.format(port)
        gafferd.configure("")
        gafferd.start().ready()
        first = certificate(port)
        open_one = http.client.HTTPSConnection("127.0.0.1", port, context=client(), timeout=PATIENCE)
        assert ask(open_one) == (200, "OK")
        make_certificates(tmp_path, "tls")
        gafferd.signal(signal.SIGHUP)
        second = eventually(lambda: found if (found := certificate(port)) != first else None)
        assert ask(open_one) == (200, "OK")
        # What cannot be used is told, and nothing changes.
        (tmp_path / "tls.pem").write_text("rubbish")
        gafferd.signal(signal.SIGHUP)
        assert "cannot use the certificate tls.pem and tls.key" in gafferd.logged("g.ini:6:")
        assert certificate(port) == second
        assert ask(open_one) == (200, "OK")
        open_one.close()
    done = run(tmp_path, "--check", str(gafferd.ini))
    assert done.returncode == 2 and "g.ini:6: cannot use the certificate" in done.stderr


def stranger_asks(where: int | Path, path: str, method: str = "GET") -> str:
    """Make one request as another user."""
    connection = Connection(where) if isinstance(where, Path) else http.client.HTTPConnection("127.0.0.1", where)
    with as_stranger(), closing(connection):
        try:
            return "{} {}".format(*ask(connection, path, method))
        except OSError as error:
            return repr(error)


@as_root
def test_another_account_of_the_machine_is_refused(tmp_path: Path) -> None:
    with Gafferd(tmp_path, "[process:web]\ncmd = sleep 1000\n").start().ready() as gafferd:
        before = gafferd.get("/jobs/default/web")["processes"]
        for method, path in [
            ("GET", "/jobs"),
            ("POST", "/shutdown"),
            ("POST", "/jobs/default/web/restart"),
            ("GET", "/"),
        ]:
            answer = stranger_asks(gafferd.port, path, method)
            assert answer.startswith("403 ") and f"not uid {STRANGER}" in answer and "--require-key" in answer
        assert gafferd.get("/jobs/default/web")["processes"] == before
        # They may come in when that is said, without a restart.
        gafferd.options = "allow_local_users = true\n"
        gafferd.configure("[process:web]\ncmd = sleep 1000\n")
        gafferd.signal(signal.SIGHUP)
        assert eventually(lambda: (found := stranger_asks(gafferd.port, "/jobs")).startswith("200 ") and found)


@as_root
def test_a_socket_may_be_shared_with_a_group(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o111)
    path = tmp_path / "g.sock"
    options = (
        f"http_endpoints = ours\n[endpoint:ours]\nbind = unix:{path}\nmode = 660\ngroup = {STRANGER}\n"
        "allow_local_users = true\n"
    )
    with Gafferd(tmp_path, options=options).start().ready() as gafferd:
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, STRANGER)
        assert stranger_asks(path, "/jobs") == '200 {"jobs": []}'
        # The other endpoint has not heard of that.
        assert stranger_asks(gafferd.port, "/jobs").startswith("403 ")
        path.chmod(0o600)
        assert "PermissionError" in stranger_asks(path, "/jobs")
        connection = Connection(path)
        assert json.loads(ask(connection, "/jobs")[1]) == {"jobs": []}
        connection.close()


def test_a_live_socket_is_never_stolen(tmp_path: Path) -> None:
    path = tmp_path / "g.sock"
    options = f"http_endpoints = ours\n[endpoint:ours]\nbind = unix:{path}\n"
    with Gafferd(tmp_path, options=options).start().ready():
        done = run(tmp_path, "--bind", f"unix:{path}")
        assert done.returncode == 1
        assert f"cannot listen on unix:{path}: another program listens there" in done.stderr
        connection = Connection(path)
        assert ask(connection) == (200, "OK")
        connection.close()
    assert not path.exists()
