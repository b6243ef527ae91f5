from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.web.server.request_head import HeadError, parse_head

HOST = b"Host: h\r\n"


def head(line=b"GET / HTTP/1.1", headers=HOST):
    return parse_head(line + b"\r\n" + headers + b"\r\n")


def test_a_plain_one():
    parsed = head(
        b"POST /a%20b/%C3%BC?x=%31&y HTTP/1.1",
        b"host: h:1\r\nX-Api-Key:  k \r\nCONTENT-TYPE: text/plain\r\nContent-Length: 3\r\nAccept: a\r\nAccept: b\r\n",
    )
    assert (parsed.method, parsed.version) == ("POST", "HTTP/1.1")
    assert parsed.environ == {
        "REQUEST_METHOD": "POST",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "/a b/\xc3\xbc",
        "QUERY_STRING": "x=%31&y",
        "HTTP_HOST": "h:1",
        "HTTP_X_API_KEY": "k",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "HTTP_ACCEPT": "a,b",
    }


def test_typed_by_hand():
    assert parse_head(b"GET / HTTP/1.0\n\n").version == "HTTP/1.0"
    assert parse_head(b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").environ["HTTP_HOST"] == "h"


def test_cookies_are_joined_in_their_way():
    assert head(headers=HOST + b"Cookie: a=1\r\nCookie: b=2\r\n").environ["HTTP_COOKIE"] == "a=1; b=2"


def test_underscores_cannot_imitate_hyphens():
    environ = head(headers=HOST + b"X_Api_Key: forged\r\nX-Api-Key: real\r\n").environ
    assert environ["HTTP_X_API_KEY"] == "real"


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: Close\r\n", False),
        (b"1.1", b"Connection: x, close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
        (b"1.0", b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (b"1.0", b"Connection: x-keep-alive\r\n", False),
        (b"1.1", b"Connection: closed\r\n", True),
    ],
)
def test_keep_alive(version, connection, keeps):
    assert head(b"GET / HTTP/" + version, HOST + connection).keep_alive is keeps


def test_upgrade():
    assert head(headers=HOST + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n").upgrade
    assert not head(headers=HOST + b"Upgrade: websocket\r\n").upgrade
    assert not head(headers=HOST + b"Connection: x-upgrade\r\nUpgrade: websocket\r\n").upgrade
    both = HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    assert head(headers=both + b"Content-Length: 0\r\n").upgrade
    assert not head(headers=both + b"Content-Length: 1\r\n").upgrade
    assert not head(headers=both + b"Transfer-Encoding: chunked\r\n").upgrade


def test_absolute_urls_carry_the_host_that_counts():
    environ = head(b"GET http://other:5000/x?y HTTP/1.1").environ
    assert (environ["HTTP_HOST"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("other:5000", "/x", "y")
    assert head(b"GET HTTP://other?y HTTP/1.1").environ["PATH_INFO"] == "/"


def test_options_of_the_server():
    assert head(b"OPTIONS * HTTP/1.1").environ["PATH_INFO"] == "*"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/a%2fb", "/a%2fb"),
        ("/a%2Fb%20c", "/a%2Fb c"),
        ("/%2e%2e%2f", "/..%2f"),
        ("/a%252fb", "/a%2fb"),
        ("/a/b%2", "/a/b%2"),
    ],
)
def test_escaped_slash_separates_nothing(url, path):
    assert parse_head(f"GET {url} HTTP/1.1\r\nHost: h\r\n\r\n".encode()).environ["PATH_INFO"] == path


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET / HTTP/0.9",
        b"GET / HTTP/2.0",
        b"GET / HTTP/1",
        b"GET / HTTP/1.x",
        b"GET  / HTTP/1.1",
        b"GET / x HTTP/1.1",
        b" GET / HTTP/1.1",
        b"get / HTTP/1.1",
        b"G\0T / HTTP/1.1",
        b"GET /\0 HTTP/1.1",
        b"GET x HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET ftp://h/x HTTP/1.1",
        b"GET http://user@h/ HTTP/1.1",
        b"CONNECT h:80 HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_wrong_request_lines(line):
    with pytest.raises(HeadError):
        head(line)


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        HOST + b"no colon\r\n",
        HOST + b": nothing\r\n",
        HOST + b"Name : x\r\n",
        HOST + b"A: x\r\n folded\r\n",
        HOST + b"A: x\0y\r\n",
        HOST + b"A: x\ry\r\n",
        HOST + b"A: x\ny\r\n",
        HOST + b"\xc3\xbc: x\r\n",
        HOST + b"Content-Length: -1\r\n",
        HOST + b"Content-Length: +1\r\n",
        HOST + b"Content-Length: 0x1\r\n",
        HOST + b"Content-Length: 1_0\r\n",
        HOST + b"Content-Length: \xb2\r\n",
        HOST + b"Content-Length:\r\n",
        HOST + b"Content-Length: " + b"9" * 19 + b"\r\n",
        HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n",
        HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        HOST + b"Transfer-Encoding: gzip, chunked\r\n",
        HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        HOST + b"A: b\r\n" * 100,
    ],
)
def test_wrong_headers(headers):
    with pytest.raises(HeadError):
        head(headers=headers)


def test_http_1_0_has_no_chunks():
    with pytest.raises(HeadError):
        head(b"POST / HTTP/1.0", HOST + b"Transfer-Encoding: chunked\r\n")


@given(st.binary(max_size=300))
def test_any_bytes_are_understood_or_refused(raw):
    try:
        parse_head(raw)
    except HeadError as error:
        assert str(error)


@given(st.lists(st.sampled_from([b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\n", b"Host", b":", b"a", b"%", b"\0"])))
def test_any_mixture_of_tokens_is_understood_or_refused(tokens):
    try:
        parsed = parse_head(b"".join(tokens))
    except HeadError:
        return
    assert parsed.environ["PATH_INFO"] and all(isinstance(value, str) for value in parsed.environ.values())
