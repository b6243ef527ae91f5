"""A small application and requests to it, for tests of the server."""

from __future__ import annotations

from gaffer.web.application import App
from gaffer.web.requests.routes import Route
from tests.kit.web import parse

HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


def app(*routes, **options):
    hello = {"method": "GET", "path": "/hello", "handler": lambda request: {"hello": "world"}}
    echo = {"method": "POST", "path": "/echo", "handler": lambda request: request.read(), "raw": True}
    deaf = {"method": "POST", "path": "/deaf", "handler": lambda request: {"ok": True}, "raw": True}
    return App([Route(permission=None, **route) for route in (hello, echo, deaf, *routes)], **options)


def post(path, body, extra=b""):
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n"
    return head % (path, len(body), extra) + body


def answers(data):
    """Cut several answers that came over one connection apart."""
    found = []
    while data:
        answer = parse(data)
        found.append(answer)
        data = data[data.index(b"\r\n\r\n") + 4 + len(answer.body) :]
    return found
