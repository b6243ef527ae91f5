"""The client over TLS, with real certificates."""

import ssl

import pytest

from gaffer.errors import BadRequest
from gaffer.httpclient import CannotConnect, Server

from ..kit.certificates import make_certificates
from ..kit.scripted_server import ScriptedServer


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two certificates for localhost, each its own authority."""
    folder = tmp_path_factory.mktemp("https")
    make_certificates(folder, "node", "stranger")
    return folder


@pytest.fixture
def context(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "node.pem", certificates / "node.key")
    return context


@pytest.fixture
def scripted(context):
    with ScriptedServer(tls=context) as scripted:
        yield scripted


def uri(scripted, host="localhost"):
    return scripted.uri.replace("http://127.0.0.1", f"https://{host}")


def test_requests_share_a_connection(scripted, certificates):
    with Server(uri(scripted), cacert=str(certificates / "node.pem")) as server:
        assert server.version() == server.version() == "9.9"
        server.load({"name": "web", "cmd": "sleep 1"})
    assert scripted.connections == 1


@pytest.mark.parametrize("cacert", [None, "stranger.pem"])
def test_unknown_authority(scripted, certificates, cacert):
    with Server(uri(scripted), cacert=cacert and str(certificates / cacert)) as server:
        with pytest.raises(CannotConnect, match="self-signed certificate; give the certificate of its authority"):
            server.version()
    assert not scripted.requests


def test_certificate_of_another_host(scripted, certificates):
    with Server(uri(scripted, "127.0.0.1"), cacert=str(certificates / "node.pem")) as server:
        with pytest.raises(CannotConnect, match="certificate is not valid for '127.0.0.1'"):
            server.version()


def test_client_certificate(context, certificates):
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates / "stranger.pem")
    with ScriptedServer(tls=context) as scripted:
        files = {"certfile": str(certificates / "stranger.pem"), "keyfile": str(certificates / "stranger.key")}
        with Server(uri(scripted), cacert=str(certificates / "node.pem"), **files) as server:
            assert server.version() == "9.9"
        with Server(uri(scripted), cacert=str(certificates / "node.pem")) as server:
            with pytest.raises(CannotConnect):
                server.version()


def test_key_without_its_certificate(certificates):
    with pytest.raises(BadRequest, match="node.key is of no use without its certificate"):
        Server("https://localhost", keyfile=str(certificates / "node.key"))


def test_files_that_are_missing(scripted, certificates):
    with Server(uri(scripted), certfile=str(certificates / "node.pem"), keyfile="/no/such.key") as server:
        with pytest.raises(BadRequest, match="cannot use .*node.pem or /no/such.key for TLS"):
            server.version()
