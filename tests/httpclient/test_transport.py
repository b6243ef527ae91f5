"""Addresses, connections and errors of the client library."""

import socket
import subprocess
import sys
import threading

import pytest

from gaffer.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    GafferError,
    InvalidConfig,
    IONotRedirected,
    NotFound,
    Unauthorized,
    Unavailable,
)
from gaffer.httpclient import CannotConnect, Disconnected, NoAnswer, NotGafferd, Server
from gaffer.httpclient.transport import Address, Transport, parse_uri

from ..kit.ports import free_port
from ..kit.scripted_server import ScriptedServer


@pytest.mark.parametrize(
    "uri, address",
    [
        ("http://127.0.0.1:5000", Address("http", "127.0.0.1", 5000)),
        ("localhost:5001", Address("http", "localhost", 5001)),
        ("http://[::1]:5000/", Address("http", "::1", 5000)),
        ("https://node", Address("https", "node", 443)),
        ("https://proxy/gaffer/", Address("https", "proxy", 443, "/gaffer")),
        ("unix:/run/gaffer.sock", Address("unix", "/run/gaffer.sock", 0)),
        ("unix:///run/gaffer.sock", Address("unix", "/run/gaffer.sock", 0)),
        ("unix:gaffer.sock", Address("unix", "gaffer.sock", 0)),
    ],
)
def test_addresses(uri, address):
    assert parse_uri(uri) == address


@pytest.mark.parametrize(
    "uri", ["", "http://", "ftp://x", "unix:", "unix:/", "http://a:b", "http://[::1", "http://me:pw@x", "http://x/?a=b"]
)
def test_invalid_addresses_are_rejected(uri):
    with pytest.raises(BadRequest):
        parse_uri(uri)


def test_connection_refused_has_a_remedy():
    port = free_port()
    with pytest.raises(CannotConnect) as caught:
        Server(f"http://127.0.0.1:{port}").version()
    assert str(caught.value) == (
        f"cannot reach gafferd at http://127.0.0.1:{port}: connection refused; "
        "is it running? start it with 'gafferd -c gaffer.ini'"
    )


def test_no_such_socket(tmp_path):
    with pytest.raises(CannotConnect, match="no such file or directory; is it running"):
        Server(f"unix:{tmp_path}/none.sock").version()


def test_socket_path_that_is_too_long():
    with pytest.raises(CannotConnect, match="AF_UNIX path too long"):
        Server("unix:/" + "x" * 200).version()


def test_host_that_does_not_exist():
    with pytest.raises(CannotConnect, match="check the host's name"):
        Server("http://no-such-host.invalid:5000").version()


def test_unix_socket(tmp_path):
    with ScriptedServer(str(tmp_path / "g.sock")) as scripted, Server(scripted.uri) as server:
        assert server.version() == "9.9"
        assert server.ping()


def test_requests_share_a_connection(scripted, client):
    client.load({"name": "web", "cmd": "sleep 1"})
    for _ in range(5):
        client.info("web")
    assert scripted.connections == 1


def test_closed_connection_is_replaced(scripted, client):
    client.version()
    for connection in client.transport._idle:
        connection.sock.shutdown(socket.SHUT_RDWR)
    assert client.version() == "9.9"


def test_reading_is_tried_again_when_a_kept_connection_dies(scripted, client):
    client.version()
    scripted.hang_up = 1
    assert client.version() == "9.9"


def test_changing_is_never_tried_again(scripted, client):
    client.version()
    scripted.hang_up = 1
    with pytest.raises(Disconnected, match="closed the connection during POST /shutdown"):
        client.shutdown()
    assert [request.path for request in scripted.requests].count("/shutdown") == 1


def test_new_connection_that_dies_is_an_error(scripted, client):
    scripted.hang_up = 1
    with pytest.raises(Disconnected):
        client.version()


def test_threads_share_a_server(scripted, client):
    scripted.answers["GET", "/jobs/default/web"] = (200, "application/json", b'{"name": "default.web"}')
    wrong = []

    def ask():
        for _ in range(20):
            if client.info("web")["name"] != "default.web":
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert scripted.connections <= 4
    assert len(scripted.requests) == 80


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def answer_once(listener: socket.socket, data: bytes) -> threading.Thread:
    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_connection_that_does_not_come_about_has_a_time_of_its_own():
    with socket.socket() as full, socket.socket() as first:
        # A listener whose backlog is full swallows further connections, like a machine that is off.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        with Server(address(full), connect_timeout=0.05) as server:
            with pytest.raises(CannotConnect, match=r"no connection within 0\.05 s"):
                server.version()


def test_no_answer_in_time(listener):
    with Server(address(listener), timeout=0.05) as server:
        with pytest.raises(NoAnswer, match=r"did not answer GET /version within 0\.05 s"):
            server.version()


@pytest.mark.parametrize(
    "data, error",
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", NotGafferd),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>", NotGafferd),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", NotGafferd),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", NotGafferd),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", NotGafferd),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", Disconnected),
        (b"", Disconnected),
    ],
)
def test_answers_of_other_programs_are_not_gafferd(listener, data, error):
    thread = answer_once(listener, data)
    with Server(address(listener)) as server, pytest.raises(error):
        server.version()
    thread.join()


@pytest.mark.parametrize(
    "status, code, error",
    [
        (400, "bad_request", BadRequest),
        (400, "io_not_redirected", IONotRedirected),
        (401, "unauthorized", Unauthorized),
        (403, "forbidden", Forbidden),
        (404, "not_found", NotFound),
        (409, "conflict", Conflict),
        (422, "invalid_config", InvalidConfig),
        (503, "unavailable", Unavailable),
        (404, "a_code_of_a_plugin", NotFound),
        (500, "error", GafferError),
        (418, "teapot", GafferError),
    ],
)
def test_errors_come_back_as_their_classes(scripted, client, status, code, error):
    body = b'{"error": "%s", "reason": "This is why.", "errno": %d}' % (code.encode(), status)
    scripted.answers["GET", "/version"] = (status, "application/json", body)
    with pytest.raises(GafferError) as caught:
        client.version()
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.status, caught.value.reason) == (code, status, "This is why.")
    assert str(caught.value) == "This is why."
    assert error.code != "a_code_of_a_plugin"


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b'{"error": null}'])
def test_error_without_a_sentence_gets_one(scripted, client, body):
    scripted.answers["GET", "/version"] = (502, "text/html", body)
    with pytest.raises(GafferError, match=r"answered GET /version with status 502") as caught:
        client.version()
    assert caught.value.status == 502


def test_body_refused_before_it_was_read(listener):
    """gafferd answers 413 and closes; the answer must win over the broken pipe."""

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 44\r\nConnection: close\r\n\r\n"
                b'{"error": "too_large", "reason": "too long"}'
            )
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 20):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    with Server(address(listener)) as server, pytest.raises(GafferError, match="too long") as caught:
        server.load({"name": "big", "cmd": "x" * 8_000_000})
    assert caught.value.status == 413
    thread.join()


def test_key_is_sent_as_header(scripted):
    with Server(scripted.uri, api_key="abc") as server:
        server.version()
    assert scripted.requests[0].headers["X-Api-Key"] == "abc"


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "schlüssel"])
def test_key_cannot_smuggle_headers(key):
    with pytest.raises(BadRequest, match="API key"):
        Server("http://localhost:5000", api_key=key)


def test_prefix_goes_before_every_path(scripted):
    scripted.answers["GET", "/node1/version"] = (200, "application/json", b'{"version": "1"}')
    with Server(f"{scripted.uri}/node1/") as server:
        assert server.version() == "1"


def test_certificate_file_that_is_missing():
    with pytest.raises(BadRequest, match="cannot use /no/such.pem for TLS"):
        Server("https://127.0.0.1:1", cacert="/no/such.pem").version()


def test_plain_http_does_not_pretend_to_be_tls(listener):
    thread = answer_once(listener, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with Server(address(listener).replace("http", "https")) as server:
        with pytest.raises(
            CannotConnect, match="cannot reach gafferd at https:.*does it speak TLS there. if not, write http://"
        ):
            server.version()
    thread.join()


def test_too_long_answers_are_refused(scripted, client, monkeypatch):
    monkeypatch.setattr("gaffer.httpclient.transport.MAX_BODY_BYTES", 10)
    with pytest.raises(NotGafferd, match="longer than 10 bytes"):
        client.version()


def test_idle_connections_are_bounded(scripted):
    transport = Transport(scripted.uri)
    connections = [transport._new() for _ in range(12)]
    for connection in connections:
        transport._connect(connection)
        connection.request("GET", "/ping")
        transport.begin(connection)
        response = connection.getresponse()
        response.read()
        transport._keep(connection, response, whole=True)
    assert len(transport._idle) == 8
    transport.close()
    assert all(connection.sock is None for connection in connections)


def test_client_needs_no_server_libraries():
    code = (
        "import sys, gaffer.httpclient; "
        "print(*{'gevent', 'bottle', 'requests', 'pluggy', 'psutil'}.intersection(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b""
