"""The seeds' HttpHandler: the API as an application of a program that is not patched, with URLs of its own."""

import bottle
import pytest

import gaffer
from gaffer.config.addresses import parse_address
from gaffer.errors import BadRequest, PluginError
from gaffer.http_handler import HttpEndpoint, HttpHandler
from gaffer.web.requests.access_rules import AccessRules
from tests.kit.web import in_thread, parse, request, talk, wait_until
from tests.web.test_tls import certificates, fetch  # noqa: F401

LOCAL = "http://127.0.0.1:0"


@pytest.fixture
def serve():
    """Return a function that starts a manager with an HttpHandler, and answers with a function to make requests."""
    managers = []

    def serve(handlers=(), at_start=False):
        handler = HttpHandler([HttpEndpoint(LOCAL)], handlers)
        manager = gaffer.Manager(apps=[] if at_start else [handler])
        managers.append(manager)
        manager.start(apps=[handler] if at_start else [])
        wait_until(lambda: handler.serving)
        host, _, port = handler.urls[0].rpartition("//")[2].rpartition(":")
        return lambda method, path, body=None: request((host, int(port)), method, path, body)

    yield serve
    for manager in managers:
        manager.stop()


@pytest.mark.parametrize("at_start", [False, True])
def test_the_api_as_an_application(serve, at_start):
    ask = serve(at_start=at_start)
    assert ask("GET", "/ping").text == "OK"
    assert ask("POST", "/jobs/default", b'{"name": "web", "cmd": "sleep 1000"}').json == {"ok": True}
    assert ask("GET", "/jobs").json == {"jobs": ["default.web"]}


# -- handlers


def wsgi(environ, start_response):
    """What a mounted application sees."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    seen = environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]
    return ["|".join(seen).encode("latin-1")]


@pytest.mark.parametrize(
    "method, path, seen",
    [
        ("GET", "/app", "GET|/app||"),
        ("GET", "/app/", "GET|/app|/|"),
        ("GET", "/app/a/b?q=1", "GET|/app|/a/b|q=1"),
        ("POST", "/app/x", "POST|/app|/x|"),
        ("GET", "/app/%C3%A9", "GET|/app|/é|"),
    ],
)
def test_a_wsgi_application_answers_all_below_its_path(serve, method, path, seen):
    answer = serve([("/app", wsgi)])(method, path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
    assert b"".join(answer.body.split(b"\r\n")[1::2]).decode() == seen  # in chunks: its length was not said


def test_a_wsgi_application_that_begins_late_and_is_closed(serve):
    closed = []

    class Answer:
        def __init__(self, environ, start_response):
            self._begin = start_response

        def __iter__(self):
            self._begin("201 Made", [("Set-Cookie", "a=1"), ("Content-Length", "6")])
            yield b"one"
            yield b"two"

        def close(self):
            closed.append(True)

    answer = serve([("/app", Answer)])("GET", "/app")
    assert (answer.status, answer.body, answer.headers["set-cookie"]) == (201, b"onetwo", "a=1")
    assert closed == [True]


def test_text_written_at_once_comes_first(serve):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "6")])(b"one")
        return [b"two"]

    assert serve([("/app", app)])("GET", "/app").body == b"onetwo"


def test_an_application_of_another_framework(serve):
    app = bottle.Bottle()
    app.get("/hello/<name>")(lambda name: f"hello {name}")
    ask = serve([("/other", app)])
    assert ask("GET", "/other/hello/bob").text == "hello bob"
    assert ask("GET", "/other/nothing").status == 404


def test_functions_get_the_request_and_the_parameters_of_the_path(serve):
    def hello(request):
        return {"method": request.method, "who": request.query.who}

    ask = serve([("/hello", hello), ("/hello/<name>", lambda request, name: name)])
    assert ask("GET", "/hello?who=bob").json == {"method": "GET", "who": "bob"}
    assert ask("PUT", "/hello", b"{}").json["method"] == "PUT"
    assert ask("GET", "/hello/bob").text == "bob"
    assert ask("GET", "/hello/").status == 404


def test_an_application_that_fails_costs_one_request(serve, caplog):
    def fail(environ, start_response):
        raise RuntimeError("no")

    def forget(environ, start_response):
        return []

    ask = serve([("/fail", fail), ("/forget", forget)])
    for path in ("/fail", "/forget"):
        ask("GET", path).assert_problem(500, "error")
    assert ask("GET", "/ping").text == "OK"


def test_urls_of_the_api_are_taken(serve):
    with pytest.raises(PluginError, match="http and http both answer GET /ping"):
        serve([("/ping", wsgi)])


# -- endpoints


def test_where_to_listen():
    assert HttpHandler()._given == (None, None)
    default = HttpEndpoint().as_endpoint()
    assert (default.bind, default.backlog, default.certfile) == (("127.0.0.1:5000",), 128, None)
    assert HttpEndpoint("unix:/run/x.sock", backlog=5).as_endpoint()[1:3] == (("unix:/run/x.sock",), 5)
    secure = HttpEndpoint("https://[::1]:5001/", ssl_options={"certfile": "c", "keyfile": "k", "ca_certs": "a"})
    assert secure.as_endpoint()[1:6] == (("[::1]:5001",), 128, "c", "k", "a")


@pytest.mark.parametrize("uri, options", [("https://127.0.0.1:0", None), ("http://127.0.0.1:0", {"certfile": "c"})])
def test_addresses_and_certificates_that_do_not_agree(uri, options):
    with pytest.raises(BadRequest, match=uri):
        HttpEndpoint(uri, ssl_options=options)


def test_several_endpoints_one_of_them_with_tls(certificates, tmp_path):  # noqa: F811
    files = {"certfile": str(certificates / "server.pem"), "keyfile": str(certificates / "server.key")}
    endpoints = [HttpEndpoint(f"unix:{tmp_path}/http.sock"), HttpEndpoint("https://localhost:0", ssl_options=files)]
    handler = HttpHandler(endpoints, [("/hello", lambda request: {"hello": "world"})])
    with gaffer.Manager(apps=[handler]):
        wait_until(lambda: handler.serving)
        address = parse_address(handler.urls[1].removeprefix("https://"))
        assert handler.urls[0] == f"unix:{tmp_path}/http.sock"
        assert request(f"{tmp_path}/http.sock", "GET", "/hello").json == {"hello": "world"}
        assert in_thread(fetch, address, certificates) == b'{"hello": "world"}' * 2


def test_handlers_of_a_program_need_keys_like_everything_else():
    class Badges:
        @gaffer.hookimpl
        def gaffer_identify(self, credentials):
            return known.get(credentials.key)

        @gaffer.hookimpl
        def gaffer_permit(self, identity, permission, resource):
            return identity.permissions.allows(permission, resource)

    known = {
        word: gaffer.Identity(word, permissions=gaffer.Permissions.parse(allowed))
        for word, allowed in (("look", {"read": ["*"]}), ("change", {"manage": ["*"]}), ("some", {"manage": ["web"]}))
    }
    handlers = [("/app", wsgi), ("/hello", lambda request: {"hello": request.identity.name})]
    handler = HttpHandler([HttpEndpoint(LOCAL)], handlers, AccessRules(keys=True))
    with gaffer.Manager(apps=[handler], plugins=[Badges()]):
        wait_until(lambda: handler.serving)
        host, _, port = handler.urls[0].rpartition("//")[2].rpartition(":")

        def ask(method, path, key=None):
            shown = "" if key is None else f"X-Api-Key: {key}\r\n"
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{shown}\r\n"
            return parse(talk((host, int(port)), head.encode()))

        assert ask("GET", "/hello", "look").json == {"hello": "look"}
        assert "GET|/app|/x|" in ask("GET", "/app/x", "look").text
        assert "POST|/app|/x|" in ask("POST", "/app/x", "change").text
        for method, path, key, status in (
            ("GET", "/hello", None, 401),
            ("GET", "/hello", "wrong", 401),
            ("GET", "/app/x", None, 401),
            ("GET", "/app/x", "some", 403),
            ("POST", "/app/x", "look", 403),
            ("DELETE", "/hello", "look", 403),
        ):
            assert ask(method, path, key).status == status


@pytest.mark.parametrize("uris", ["127.0.0.1:1,unix:/s", "127.0.0.1:1, http://unix:/s", ["127.0.0.1:1", "unix:/s"]])
def test_endpoint_of_several_addresses(uris):
    assert HttpEndpoint(uris).as_endpoint().bind == ("127.0.0.1:1", "unix:/s")
