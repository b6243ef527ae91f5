"""Handlers and middlewares whose Content-Length is not the number of bytes that they send."""

from __future__ import annotations

import bottle
import pytest

from gaffer.web.requests.replies import Reply
from tests.kit.web import connect, everything, served, talk
from tests.kit.web_app import HELLO, answers, app

WRONG = b"GET /wrong/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def wrong(*pieces, length="5", status="200 OK"):
    """Return a route that announces *length* bytes and gives *pieces*."""
    headers = [("Content-Type", "text/plain"), ("Content-Length", length)]
    return {"method": "GET", "path": "/wrong/<n>", "handler": lambda request, n: Reply(status, headers, iter(pieces))}


@pytest.mark.parametrize("pieces", [(b"abc",), (b"a", b"b"), ()])
def test_too_few_bytes_end_the_connection(pieces, caplog):
    with served(app(wrong(*pieces))) as (address, _):
        head, _, rest = talk(address, WRONG + HELLO).partition(b"\r\n\r\n")
        assert rest == b"".join(pieces)
        talk(address, WRONG.replace(b"/1", b"/2"))
    (said,) = [line for line in caplog.messages if "Content-Length" in line]
    assert said.startswith("GET /wrong/<n> ")


@pytest.mark.parametrize("pieces", [(b"abcdef" + HELLO,), (b"abc", b"def", HELLO), (b"abcde", b"f"), (b"a",) * 100_000])
def test_too_many_bytes_are_cut_and_end_the_connection(pieces, caplog):
    with served(app(wrong(*pieces))) as (address, _):
        head, _, rest = talk(address, WRONG + HELLO).partition(b"\r\n\r\n")
        assert rest == b"".join(pieces)[:5]
        assert (b"Connection: close" in head) == (len(pieces[0]) > 5)
        talk(address, WRONG)
    assert len([line for line in caplog.messages if "Content-Length" in line]) == 1


def test_an_endless_answer_ends_where_its_length_says():
    ended = []

    def endless():
        try:
            while True:
                yield b"abc"
        finally:
            ended.append(True)

    route = {**wrong(), "handler": lambda request, n: bottle.HTTPResponse(endless(), **{"Content-Length": "7"})}
    with served(app(route)) as (address, _):
        sock = connect(address)
        sock.sendall(WRONG)
        assert everything(sock).endswith(b"\r\n\r\nabcabca")
        sock.close()
    assert ended == [True]


@pytest.mark.parametrize("pieces", [(b"abcde",), (b"ab", b"cde"), (b"", b"abcde", b"")])
def test_right_lengths_keep_the_connection(pieces, caplog):
    with served(app(wrong(*pieces))) as (address, _):
        assert [answer.body for answer in answers(talk(address, WRONG + HELLO))] == [b"abcde", b'{"hello": "world"}']
        head = WRONG.replace(b"GET", b"HEAD")
        assert talk(address, head + HELLO).endswith(b'{"hello": "world"}')
    assert caplog.messages == []


@pytest.mark.parametrize("length", ["+5", "x", "", "5, 5", "-1", "\u0665".encode().decode("latin-1"), "9" * 5000])
def test_invalid_content_length_of_a_handler_gets_500(length, caplog):
    with served(app(wrong(b"abcde", length=length))) as (address, _):
        (answer,) = answers(talk(address, WRONG + HELLO))
        answer.assert_problem(500, "error")
    assert any("Content-Length" in line for line in caplog.messages)


@pytest.mark.parametrize(
    "header", [("Content-Length", "3"), ("content-length", "5"), ("Transfer-Encoding", "chunked")], ids=str
)
def test_framing_that_is_given_twice_is_an_error_of_the_server(header, caplog):
    route = wrong(b"abcde")
    headers = [("Content-Type", "text/plain"), ("Content-Length", "5"), header]
    route["handler"] = lambda request, n: Reply("200 OK", headers, iter([b"abcde"]))
    with served(app(route)) as (address, _):
        (answer,) = answers(talk(address, WRONG + HELLO))
        answer.assert_problem(500, "error")


def test_a_middleware_is_told_too(caplog):
    def middleware(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"abc"]

    with served(middleware) as (address, _):
        assert talk(address, WRONG + HELLO).endswith(b"\r\n\r\nab")
    (said,) = [line for line in caplog.messages if "Content-Length" in line]
    assert said.startswith("GET outside of routes ")


@pytest.mark.parametrize("result", [[], [b""], [b"abc"], iter([])], ids=["list", "empty", "bytes", "iterator"])
def test_an_application_that_begins_no_answer_is_an_error_of_the_server(result, caplog):
    with served(lambda environ, start_response: result) as (address, _):
        (answer,) = answers(talk(address, WRONG + HELLO))
        answer.assert_problem(500, "error")
