"""TLS with real certificates; clients are threads with the standard library's ssl."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import sys

import pytest

from gaffer.web.application import App
from gaffer.web.requests.routes import Route
from gaffer.web.server.tls import TlsError, tls_context
from tests.kit.certificates import make_certificates
from tests.kit.web import connect, everything, in_thread, parse, served, talk, wait_until


def app():
    return App([Route("GET", "/hello", handler=lambda request: {"hello": "world"}, permission=None)])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate for localhost that is its own authority, and another one that it did not sign."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder, "server", "stranger")
    return folder


def fetch(address, certificates, client=None, **versions):
    context = ssl.create_default_context(cafile=certificates / "server.pem")
    if client:
        context.load_cert_chain(certificates / f"{client}.pem", certificates / f"{client}.key")
    for name, value in versions.items():
        setattr(context, name, value)
    connection = http.client.HTTPSConnection("localhost", address[1], context=context, timeout=10)
    try:
        connection.request("GET", "/hello")
        first = connection.getresponse().read()
        connection.request("GET", "/hello")
        return first + connection.getresponse().read()
    finally:
        connection.close()


def tls(certificates, cacert=None):
    return tls_context(str(certificates / "server.pem"), str(certificates / "server.key"), cacert and str(cacert))


def test_tls(certificates):
    with served(app(), tls=tls(certificates)) as (address, _):
        assert in_thread(fetch, address, certificates) == b'{"hello": "world"}' * 2


def test_long_answer_over_tls_arrives_whole(certificates):
    text = "0123456789" * 500_000
    long = App([Route("GET", "/hello", handler=lambda request: {"text": text}, permission=None)])
    with served(long, tls=tls(certificates)) as (address, _):
        assert in_thread(fetch, address, certificates) == f'{{"text": "{text}"}}'.encode() * 2


def test_old_tls_is_refused(certificates, caplog):
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with served(app(), tls=tls(certificates)) as (address, _):
        with pytest.warns(DeprecationWarning), pytest.raises(OSError):
            in_thread(fetch, address, certificates, **old)
    assert not caplog.records


def test_client_certificates(certificates):
    with served(app(), tls=tls(certificates, certificates / "server.pem")) as (address, _):
        assert in_thread(fetch, address, certificates, "server") == b'{"hello": "world"}' * 2
        for client in (None, "stranger"):
            with pytest.raises(OSError):
                in_thread(fetch, address, certificates, client)


def test_tls_handshakes_have_a_deadline_and_plain_http_is_no_handshake(certificates, capfd):
    with served(app(), tls=tls(certificates), handshake=0.05) as (address, server):
        silent = connect(address)
        assert everything(silent) == b""
        silent.close()
        answer = parse(talk(address, b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        assert answer.status == 400 and "speaks TLS; write https://" in answer.json["reason"]
        wait_until(lambda: server.connections == 0)
        assert in_thread(fetch, address, certificates)
    assert capfd.readouterr().err == ""


def test_tls_files_that_cannot_be_used(certificates):
    with pytest.raises(TlsError, match="nowhere.pem"):
        tls_context("nowhere.pem")
    with pytest.raises(TlsError, match="stranger.key"):
        tls_context(str(certificates / "server.pem"), str(certificates / "stranger.key"))
    with pytest.raises(TlsError, match="server.key"):
        tls(certificates, certificates / "server.key")


def test_old_ciphers_are_refused(certificates):
    with served(app(), tls=tls(certificates)) as (address, _):
        context = ssl.create_default_context(cafile=certificates / "server.pem")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AES128:!AESGCM:@SECLEVEL=0")
        with pytest.raises(OSError):
            in_thread(shown_certificate, address, context)


def test_keys_with_a_passphrase_are_no_question_to_the_terminal(certificates):
    command = ["openssl", "ec", "-in", "server.key", "-aes128", "-passout", "pass:x", "-out", "secret.key"]
    in_thread(subprocess.run, command, cwd=certificates, check=True, capture_output=True)
    with pytest.raises(TlsError, match="secret.key: its key has a passphrase"):
        tls_context(str(certificates / "server.pem"), str(certificates / "secret.key"))


def shown_certificate(address, context):
    with socket.create_connection(address, 10) as sock, context.wrap_socket(sock, server_hostname="localhost") as tls:
        return tls.getpeercert(True)


def test_certificates_can_be_renewed_while_connections_are_open(certificates):
    context = ssl.create_default_context(cafile=certificates / "server.pem")
    context.load_verify_locations(certificates / "stranger.pem")
    with served(app(), tls=tls(certificates)) as (address, server):
        before = in_thread(shown_certificate, address, context)
        open_one = http.client.HTTPSConnection("localhost", address[1], context=context, timeout=10)

        def ask():
            open_one.request("GET", "/hello")
            return open_one.getresponse().read()

        in_thread(ask)
        used = open_one.sock
        other = tls_context(str(certificates / "stranger.pem"), str(certificates / "stranger.key"))
        server.renew(server._sockets[0], other)
        assert in_thread(shown_certificate, address, context) != before
        assert in_thread(ask) == b'{"hello": "world"}' and open_one.sock is used
        open_one.close()


def test_ssl_is_imported_only_for_tls():
    code = "import sys, gaffer.web.server.server, gaffer.web.application, gaffer.web.requests.access_guard\n"
    code += "sys.exit('gevent.ssl' in sys.modules)"
    assert in_thread(subprocess.run, [sys.executable, "-c", code]).returncode == 0


def test_swapped_and_wrong_files_are_named(certificates):
    pem, key = str(certificates / "server.pem"), str(certificates / "server.key")
    with pytest.raises(TlsError, match="; certfile and keyfile are swapped"):
        tls_context(key, pem)
    with pytest.raises(TlsError, match=f"; {pem} holds no private key"):
        tls_context(pem, pem)
    with pytest.raises(TlsError, match=f"; {key} holds no certificate"):
        tls_context(key, key)
