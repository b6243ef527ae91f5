"""Webhooks: one connection to a real server, with all that servers do."""

from __future__ import annotations

from contextlib import suppress

import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer

from gaffer.api import Resolver
from gaffer_plugins.webhooks.client import MAX_ANSWER, Client, describe
from gaffer_plugins.webhooks.config import check_tuning
from gaffer_plugins.webhooks.retry import ReceiverAnswer, Undelivered
from gaffer_plugins.webhooks.trust import Trust
from gaffer_plugins.webhooks.urls import PORTS, parse_url
from tests.kit.web import wait_until

from ..kit.certificates import make_certificates
from ..kit.ports import free_port
from ..kit.webhook_receiver import CLOSE, HANG, server_tls

BODY = b'{"event": "create"}'


@pytest.fixture
def client():
    made = []

    def make(url, **options):
        tuning = check_tuning(options)
        made.append(Client(parse_url(url), tuning, Trust(tuning.cacert)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hooks")
    make_certificates(folder, "node", "stranger")
    return folder


def post(client, **headers):
    return client.post({"Content-Type": "application/json", **headers}, BODY)


class TestRequests:
    def test_a_post(self, inbox, client):
        box = inbox((202, {"Retry-After": "5", "Location": "/x"}))
        assert post(client(box.url + "?a=1"), Extra="yes") == ReceiverAnswer(202, "5", "/x")
        [got] = box.posts
        assert (got.path, got.body) == ("/hook?a=1", BODY)
        assert got.headers["host"] == box.url.split("/")[2]
        assert got.headers["extra"] == "yes"
        assert got.headers["content-length"] == str(len(BODY))

    def test_the_host_header_names_no_usual_port(self, monkeypatch, inbox, client):
        box = inbox()
        port = parse_url(box.url).port
        monkeypatch.setitem(PORTS, "http", port)
        post(client("http://127.0.0.1/"))
        assert box.posts[0].headers["host"] == "127.0.0.1"

    def test_no_redirection_is_followed(self, inbox, client):
        other = inbox()
        box = inbox((301, {"Location": other.url}), (307, {"Location": "/elsewhere"}))
        made = client(box.url)
        assert post(made) == ReceiverAnswer(301, "", other.url)
        assert post(made).status == 307
        assert other.posts == []
        assert len(box.posts) == 2

    def test_no_proxy_is_asked(self, monkeypatch, inbox, client):
        box = inbox()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        assert post(client(box.url)).status == 200


class TestConnections:
    def test_one_for_all(self, inbox, client):
        box = inbox()
        made = client(box.url)
        for _ in range(3):
            post(made)
        assert box.connections == 1

    def test_closed_by_the_answer(self, inbox, client):
        box = inbox((200, {"Connection": "close"}))
        made = client(box.url)
        post(made)
        assert made._connection is None
        assert post(made).status == 200
        assert box.connections == 2

    def test_closed_while_idle(self, inbox, client):
        box = inbox(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200)
        made = client(box.url)
        post(made)
        made._connection.sock.shutdown(socket.SHUT_RD)  # readable, as after the other side's end
        assert post(made).status == 200
        assert (len(box.posts), box.connections) == (2, 2)

    def test_an_unasked_answer_is_not_taken_for_ours(self, inbox, client):
        late = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
        box = inbox(late)
        made = client(box.url)
        assert post(made).status == 200
        assert post(made).status == 200

    def test_closed_at_the_very_moment(self, inbox, client):
        box = inbox(200, CLOSE, 200)
        made = client(box.url)
        post(made)
        assert post(made).status == 200
        assert [got.connection for got in box.posts] == [1, 1, 2]

    def test_a_new_connection_is_not_tried_twice(self, inbox, client):
        box = inbox(CLOSE, 200)
        with pytest.raises(Undelivered, match="^the connection was closed without an answer$"):
            post(client(box.url))
        assert len(box.posts) == 1

    def test_other_trust_takes_another_connection(self, inbox, client):
        box = inbox()
        made = client(box.url)
        post(made)
        made.trust = Trust(None)
        post(made)
        assert box.connections == 2

    def test_an_endless_answer_is_left(self, inbox, client):
        box = inbox(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * (2 * MAX_ANSWER))
        made = client(box.url)
        assert post(made).status == 200
        assert made._connection is None

    @pytest.mark.parametrize(
        "cut",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        ],
    )
    def test_what_is_behind_the_status_does_not_matter(self, inbox, client, cut):
        box = inbox(cut)
        made = client(box.url, timeout=0.2)
        assert post(made).status == 200
        assert post(made).status == 200


class TestFailures:
    def test_a_port_without_a_listener(self, client):
        with pytest.raises(Undelivered, match="^Connection refused$"):
            post(client(f"http://127.0.0.1:{free_port()}/"))

    def test_no_answer(self, inbox, client):
        box = inbox(HANG, 200)
        made = client(box.url, timeout=0.05)
        with pytest.raises(Undelivered, match=r"^no answer within 0\.05 s$"):
            post(made)
        assert made._connection is None
        made.tuning = check_tuning({})
        assert post(made).status == 200

    def test_an_answer_that_drips(self, client):
        def drip(sock, address):
            with sock, suppress(OSError):
                while True:
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    gevent.sleep(0.005)

        server = StreamServer(("127.0.0.1", 0), drip)
        server.start()
        try:
            with pytest.raises(Undelivered, match=r"^no answer within 0\.1 s$"):
                post(client(f"http://127.0.0.1:{server.server_port}/", timeout=0.1))
        finally:
            server.stop(timeout=0)

    @pytest.mark.parametrize("rest", [b"a: b\r\n", b"\r\nx", b"no header at all\r\n"])
    def test_what_drips_behind_the_status_holds_nothing_up(self, client, monkeypatch, rest):
        monkeypatch.setattr("gaffer_plugins.webhooks.client.REST", 0.02)

        def drip(sock, address):
            with sock, suppress(OSError):
                sock.sendall(b"HTTP/1.1 503 Busy\r\n")
                while True:
                    sock.sendall(rest)
                    gevent.sleep(0.005)

        server = StreamServer(("127.0.0.1", 0), drip)
        server.start()
        try:
            made = client(f"http://127.0.0.1:{server.server_port}/", timeout=300)
            assert post(made) == ReceiverAnswer(503) and made._connection is None
        finally:
            server.stop(timeout=0)

    def test_headers_beyond_number_change_no_status(self, inbox, client):
        assert post(client(inbox(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200).url)).status == 200

    @pytest.mark.parametrize(
        "answer", [b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 100 Continue\r\n" + b"a: b\r\n" * 70_000]
    )
    def test_no_http(self, inbox, client, answer):
        with pytest.raises(Undelivered, match="^the answer is not HTTP$"):
            post(client(inbox(answer).url))

    def test_a_name_that_is_none(self, client):
        def unknown(*args, **options):
            raise socket.gaierror(-2, "Name or service not known")

        one = client("http://missing.example/")
        one.trust.resolver = Resolver(getaddrinfo=unknown)
        with pytest.raises(
            Undelivered, match="^the name missing.example cannot be resolved: Name or service not known$"
        ):
            post(one)

    def test_every_address_of_a_name_gets_its_share_of_the_time(self, inbox, client):
        box = inbox()
        port = parse_url(box.url).port
        with socket.socket() as full:
            # A listener whose backlog is full swallows further connections, like an address without a route.
            full.bind(("127.0.0.2", 0))
            full.listen(0)
            places = [full.getsockname(), ("127.0.0.3", free_port()), ("127.0.0.1", port)]
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
            many, one = (
                client("http://many.example/", connect_timeout=2.4),
                client("http://one.example/", connect_timeout=0.1),
            )
            many.trust.resolver = Resolver(getaddrinfo=lambda *args, **options: found)
            one.trust.resolver = Resolver(getaddrinfo=lambda *args, **options: found[:1])
            with socket.create_connection(places[0]):
                assert post(many).status == 200
                with pytest.raises(Undelivered, match=r"^no connection within 0\.1 s$"):
                    post(one)
        assert len(box.posts) == 1

    def test_words_for_the_rest(self):
        target = parse_url("http://h/")
        assert describe(OSError(113, "No route to host"), target) == "No route to host"
        assert describe(OSError("odd"), target) == "odd"
        assert describe(OSError(), target) == "OSError"

    def test_the_hub_goes_on_meanwhile(self, inbox, client):
        box = inbox(HANG)
        made = client(box.url)
        posting = gevent.spawn(post, made)
        box.wait(1)
        other = inbox()
        assert post(client(other.url)).status == 200
        assert not posting.dead
        posting.kill()
        assert made._connection is None


class TestTls:
    def test_our_own_authority(self, inbox, client, certificates):
        box = inbox(tls=server_tls(certificates, "node"))
        made = client(box.url, cacert=str(certificates / "node.pem"))
        assert post(made).status == post(made).status == 200
        assert box.connections == 1

    @pytest.mark.parametrize("cacert", [None, "stranger.pem"])
    def test_unknown_authority(self, inbox, client, certificates, cacert):
        box = inbox(tls=server_tls(certificates, "node"))
        options = {} if cacert is None else {"cacert": str(certificates / cacert)}
        with pytest.raises(Undelivered, match="^TLS: self-signed certificate$"):
            post(client(box.url, **options))
        assert box.posts == []

    def test_another_name(self, inbox, client, certificates):
        box = inbox(tls=server_tls(certificates, "node"))
        url = box.url.replace("localhost", "127.0.0.1")
        with pytest.raises(Undelivered, match="^TLS: .*IP address mismatch"):
            post(client(url, cacert=str(certificates / "node.pem")))
        assert box.posts == []

    def test_no_tls_at_the_other_end(self, inbox, client, certificates):
        box = inbox()
        with pytest.raises(Undelivered, match="^TLS: "):
            post(client(box.url.replace("http:", "https:"), cacert=str(certificates / "node.pem")))

    def test_a_handshake_has_its_own_limit(self, client, certificates):
        def listen(sock, address):
            with sock:
                while sock.recv(65536):
                    pass

        silent = StreamServer(("127.0.0.1", 0), listen)
        silent.start()
        try:
            made = client(
                f"https://localhost:{silent.server_port}/",
                cacert=str(certificates / "node.pem"),
                connect_timeout=0.2,
            )
            with pytest.raises(Undelivered, match=r"^no connection within 0\.2 s$"):
                post(made)
            made.tuning = check_tuning({"timeout": 0.1})
            with pytest.raises(Undelivered, match=r"^no answer within 0\.1 s$"):
                post(made)
        finally:
            silent.stop(timeout=0)

    def test_authorities_that_are_gone(self, client, certificates, tmp_path):
        path = tmp_path / "ca.pem"
        path.write_bytes((certificates / "node.pem").read_bytes())
        made = client("https://localhost:1/", cacert=str(path))
        path.unlink()
        with pytest.raises(Undelivered, match="^cannot use the certificates in .*: No such file or directory$"):
            post(made)

    def test_the_systems_authorities_are_read_beside_the_hub(self, monkeypatch):
        ticks = []
        ticker = gevent.spawn(lambda: [ticks.append(gevent.sleep(0)) for _ in range(20)])
        trust = Trust(None)
        context = trust.context()
        assert ticks
        ticker.join()
        assert context.check_hostname
        assert trust.context() is context
        wait_until(lambda: ticker.dead)
