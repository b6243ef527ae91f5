"""Probes that connect, to servers that answer, hang, redirect, flood and lie."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket, ssl
from gevent.server import StreamServer

from gaffer_plugins.probes.network import (
    MAX_BODY,
    MAX_HEAD,
    MAX_USES,
    HttpCheck,
    ProbeFailed,
    accepts,
    http_request,
    to_address,
    to_path,
)
from gaffer_plugins.probes.syntax import ProbeAddress

from ..kit.certificates import make_certificates

GOOD = [(200, 399)]


@pytest.fixture
def serve():
    """Return a function that serves one answer, and returns the address and the requests."""
    servers = []

    def start(answer, **options):
        requests = []

        def handle(sock, address):
            requests.append(sock.recv(65536))
            try:
                answer(sock) if callable(answer) else sock.sendall(answer)
            except OSError:
                requests.append(b"closed")
            finally:
                sock.close()

        server = StreamServer(("127.0.0.1", 0), handle, **options)
        server.start()
        servers.append(server)
        return ProbeAddress(*server.address, "/healthz"), requests

    yield start
    for server in servers:
        server.stop()


def ask(address, headers=(), tls=False, good=GOOD):
    with gevent.Timeout(20):
        request = http_request(address, headers, tls)
        return HttpCheck(to_address(address, 5.0), request, good, "localhost" if tls else None)()


def failure(address, **options):
    with pytest.raises(ProbeFailed) as error:
        ask(address, **options)
    return str(error.value)


def test_a_good_status_is_a_success(serve):
    address, requests = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert ask(address, ["X-Token: secret"]) == "status 200"
    lines = requests[0].decode().split("\r\n")
    assert lines[0] == "GET /healthz HTTP/1.1"
    assert {f"Host: 127.0.0.1:{address.port}", "X-Token: secret", "Connection: close"} <= set(lines)


def test_a_host_of_the_job_replaces_our_own(serve):
    address, requests = serve(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert ask(address, ["Host: example.org"]) == "status 204"
    assert requests[0].lower().count(b"host:") == 1 and b"Host: example.org" in requests[0]


def test_another_status_is_a_failure_and_says_why(serve):
    address, _ = serve(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 24\r\n\r\nno database\r\nat all\r\n....")
    assert failure(address) == "status 503: no database"
    assert failure(address, good=[(200, 200)]) == "status 503: no database"


def test_redirects_are_not_followed(serve):
    other, requests = serve(b"")
    address, _ = serve(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\n\r\n" % other.port)
    assert ask(address) == "status 302"
    assert failure(address, good=[(200, 299)]) == "status 302"
    assert requests == []


def test_early_hints_are_passed_over(serve):
    address, _ = serve(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert ask(address) == "status 200"


def test_an_answer_in_pieces(serve):
    def answer(sock):
        for byte in b"HTTP/1.1 500 Broken\r\nContent-Length: 4\r\n\r\nhalt":
            sock.sendall(bytes([byte]))
            gevent.sleep(0)

    address, _ = serve(answer)
    assert failure(address) == "status 500: halt"


@pytest.mark.parametrize("head", [b"", b"Content-Length: 1000000000\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_of_an_endless_body_the_beginning_is_read(serve, head):
    sent = []

    def answer(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        for _ in range(1000):
            sock.sendall(b"x" * MAX_BODY)
            sent.append(MAX_BODY)

    address, requests = serve(answer)
    assert ask(address) == "status 200"
    with gevent.Timeout(20):
        while requests[-1] != b"closed":
            gevent.sleep(0.001)
    assert len(sent) < 1000


def test_an_endless_head_is_a_failure(serve):
    address, _ = serve(b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD)
    assert failure(address) == f"the head of the answer has more than {MAX_HEAD} bytes"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "the connection was closed without an answer"),
        (b"HTTP/1.1 200 OK\r\n", "the connection was closed in the middle of the answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP: SSH-2.0-OpenSSH_9.2"),
        (b"HTTP/1.1 999 OK\r\n\r\n", "the answer is not HTTP: HTTP/1.1 999 OK"),
    ],
)
def test_what_is_no_answer_is_a_failure(serve, answer, said):
    address, _ = serve(answer)
    assert failure(address) == said


def test_nothing_listens():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = ProbeAddress(*sock.getsockname())
        with pytest.raises(ConnectionRefusedError):
            ask(address)
        with pytest.raises(ConnectionRefusedError):
            accepts(to_address(address, 5.0))


def test_a_certificate_of_its_own_will_do(serve, tmp_path):
    make_certificates(tmp_path, "app")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "app.pem", tmp_path / "app.key")
    address, _ = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ssl_context=context)
    assert ask(address, tls=True) == "status 200"


def test_names_are_looked_up(serve):
    address, _ = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert ask(address._replace(host="localhost")) == "status 200"
    assert accepts(to_address(address._replace(host="localhost"), 5.0)) == "accepts connections"


def test_unix_sockets_in_the_working_folder_of_the_process(tmp_path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "app.sock"))
        with pytest.raises(ConnectionRefusedError):
            accepts(to_path("app.sock", str(tmp_path)))
        sock.listen()
        assert accepts(to_path("app.sock", str(tmp_path))) == "accepts connections"
    with pytest.raises(FileNotFoundError):
        accepts(to_path(str(tmp_path / "none"), None))


def test_a_server_that_hangs_is_left_after_the_timeout(serve):
    address, _ = serve(lambda sock: gevent.sleep(100))
    with gevent.Timeout(0.05, False):
        ask(address)
        raise AssertionError("an answer")


# -- connections that are kept --------------------------------------------------------------------


@pytest.fixture
def keeping():
    """Return a function that serves answers on kept connections; it returns a check, and the requests of each."""
    made = []

    def start(*answers, keep=True):
        connections = []

        def handle(sock, address):
            connections.append(requests := [])
            while True:
                data = sock.recv(65536)
                answer = answers[min(sum(map(len, connections)), len(answers) - 1)]
                if not data or answer is None:
                    break
                requests.append(data)
                sock.sendall(answer)

        server = StreamServer(("127.0.0.1", 0), handle)
        server.start()
        address = ProbeAddress(*server.address)
        check = HttpCheck(to_address(address, 5.0), http_request(address, [], False, keep=keep), GOOD)
        made.extend([check.close, server.stop])
        return check, connections

    yield start
    for end in made:
        end()


def answer(*headers, body=b"ok"):
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


KEPT = b"Connection: keep-alive"


def test_a_connection_is_kept_where_the_server_says_so(keeping):
    check, connections = keeping(answer(KEPT))
    assert [check() for _ in range(2 * MAX_USES)] == ["status 200"] * 2 * MAX_USES
    assert [len(requests) for requests in connections] == [MAX_USES, MAX_USES]
    assert KEPT in connections[0][0]


@pytest.mark.parametrize(
    "said",
    [
        answer(),
        answer(b"Connection: close"),
        answer(KEPT) + b"more",
        answer(KEPT).replace(b"Content-Length: 2", b"Content-Length: 9999999")[:-2] + b"x" * MAX_BODY,
    ],
    ids=["silent", "close", "more", "long"],
)
def test_other_connections_are_not_kept(keeping, said):
    check, connections = keeping(said)
    assert (check(), check()) == ("status 200", "status 200")
    assert len(connections) == 2


def test_a_connection_that_the_server_closed_is_made_anew(keeping):
    check, connections = keeping(answer(KEPT), None)
    assert check() == "status 200"
    with pytest.raises(ProbeFailed, match="closed without an answer"):
        check()
    check, connections = keeping(answer(KEPT), answer(KEPT))
    check()
    check._kept.shutdown(socket.SHUT_RDWR)
    assert check() == "status 200" and len(connections) == 2


def test_after_a_timeout_a_connection_is_not_used_again(keeping):
    check, connections = keeping(answer(KEPT), b"")
    assert check() == "status 200"
    for _ in range(2):
        with gevent.Timeout(0.05, False):
            check()
            raise AssertionError("an answer")
    assert len(connections) == 2 and check._kept is None
