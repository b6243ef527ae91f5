"""The published protocol (sockjs-protocol 0.3.3, which clients 0.3 and 1.x speak), point by point, on a real server.

Where we differ on purpose, the test says so: CORS is for allowed origins only, the page for iframes is asked for anew
each time, and what is no URL or method of ours is answered in JSON as everywhere in gaffer.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.kit.feed_client import Reader
from tests.kit.web import connect, everything, wait_until
from tests.kit.websocket_client import CLOSE, TEXT, Client

from .services import FRIEND, session, site

UNCACHED = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
SCRIPT = "application/javascript;charset=UTF-8"
PLAIN = "text/plain;charset=UTF-8"
OCCUPIED = b'c[2010,"Another connection still open"]\n'
GO_AWAY = b'c[3000,"Go away!"]\n'
FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def at():
    with site() as found:
        yield found


def kind(answer):
    return answer.headers.get("content-type", "").replace(" ", "")


def assert_uncached(answer):
    assert answer.headers["cache-control"] == UNCACHED
    assert "expires" not in answer.headers and "last-modified" not in answer.headers


def socket(at, path, **options):
    return Client(at.address, f"{path}/websocket", **options)


# -- the greeting -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/echo", "/echo/"])
def test_greeting(at, path):
    answer = at.get(path)
    assert (answer.status, kind(answer), answer.body) == (200, PLAIN, b"Welcome to SockJS!\n")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("suffix", ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/a/a/a"])
def test_there_is_nothing_else(at, suffix):
    assert at.get("/echo" + suffix).status == 404


# -- the page for iframes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("iframe.html", "iframe-a.html", "iframe-.html", "iframe-0.1.2.html", "iframe-0.1.2abc-dirty.2144.html"),
        *("iframe-a.html?t=1234", "iframe-0.1.2.html?t=123414", "iframe-0.1.2abc-dirty.2144.html?t=qweqweq123"),
    ],
)
def test_iframe(at, name):
    answer = at.get(f"/echo/{name}")
    assert (answer.status, kind(answer)) == (200, "text/html;charset=UTF-8")
    assert answer.headers["etag"] and "public" in answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers and "last-modified" not in answer.headers
    page = answer.text
    assert page.startswith("<!DOCTYPE html>\n<html>\n<head>\n") and page.endswith("</body>\n</html>\n")
    (url,) = re.findall(r'<script src="([^"]*)"></script>', page)
    assert url == "/echo/sockjs.min.js"
    assert "<script>\n    SockJS.bootstrap_iframe();\n  </script>" in page


@pytest.mark.parametrize(
    "name",
    [
        "iframe.htm",
        "iframe",
        "IFRAME.HTML",
        "IFRAME",
        "iframe.HTML",
        "iframe.xml",
        "iframe-/.html",
        "iframe-%20.html",
        "iframea.html",
    ],
)
def test_invalid_iframe_urls_get_404(at, name):
    assert at.get(f"/echo/{name}").status == 404


def test_iframe_is_kept_as_long_as_it_is_the_same(at):
    first, second = at.get("/echo/iframe.html"), at.get("/echo/iframe.html")
    assert first.headers["etag"] == second.headers["etag"]
    again = at.get("/echo/iframe.html", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"") and "content-type" not in again.headers
    assert at.get("/echo/iframe.html", If_None_Match='"other"').status == 200


def test_iframe_only_in_pages_of_allowed_origins(at):
    """Ours: the protocol would have it in any page, and a page that has it speaks as one of gafferd's own."""
    headers = at.get("/echo/iframe.html").headers
    assert headers["content-security-policy"] == f"frame-ancestors 'self' {FRIEND}"
    assert headers["x-frame-options"] == "SAMEORIGIN" and "no-cache" in headers["cache-control"]
    again = at.get("/echo/iframe.html", If_None_Match=headers["etag"])
    assert again.headers["content-security-policy"] == headers["content-security-policy"]


def test_the_library_comes_along_and_may_come_from_elsewhere(at):
    answer = at.get("/echo/sockjs.min.js")
    assert (answer.status, kind(answer)) == (200, SCRIPT) and b"sockjs-client v1.6.1" in answer.body[:100]
    assert at.get("/echo/sockjs.min.js", If_None_Match=answer.headers["etag"]).status == 304
    assert 'src="https://cdn.example/s.js"' in at.get("/impatient_echo/iframe.html").text


# -- info ---------------------------------------------------------------------------------------


def test_info(at):
    answer = at.get("/echo/info", Origin=FRIEND)
    assert (answer.status, kind(answer)) == (200, "application/json;charset=UTF-8")
    assert_uncached(answer)
    assert "set-cookie" not in answer.headers
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert answer.headers["access-control-allow-credentials"] == "true"
    said = json.loads(answer.body)
    assert (said["websocket"], said["cookie_needed"], said["origins"]) == (True, False, ["*:*"])
    assert type(said["entropy"]) is int and 0 <= said["entropy"] < 1 << 32


def test_info_is_never_the_same(at):
    assert len({json.loads(at.get("/echo/info").body)["entropy"] for _ in range(5)}) == 5


def test_info_of_a_service_without_websockets(at):
    assert json.loads(at.get("/disabled_websocket_echo/info").body)["websocket"] is False


@pytest.mark.parametrize(
    ("path", "method"),
    [("/echo/info", "GET"), *((f"/echo/abc/abc/{name}", "POST") for name in ("xhr", "xhr_send", "xhr_streaming"))],
)
def test_options(at, path, method):
    answer = at("OPTIONS", path, Origin=FRIEND, Access_Control_Request_Method=method)
    assert (answer.status, answer.body) == (204, b"")
    assert method in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert int(answer.headers["access-control-max-age"]) > 0
    assert method in at("OPTIONS", path).headers["allow"]


@pytest.mark.parametrize("origin", ["http://stranger.example", "null", "file://", "http://friend.example:81"])
def test_pages_of_strangers_get_nothing(at, origin):
    """Ours: the protocol shares with every origin."""
    for answer in (
        at.get("/echo/info", Origin=origin),
        at("OPTIONS", "/echo/info", Origin=origin, Access_Control_Request_Method="GET"),
        at.post(session() + "/xhr", Origin=origin),
        at.get(session() + "/eventsource", Origin=origin),
        at.post(session() + "/jsonp_send", "d=%5B%5D", Origin=origin, **FORM),
    ):
        assert answer.status == 403 and "access-control-allow-origin" not in answer.headers
    with Client(at.address, f"{session()}/websocket", f"Origin: {origin}\r\n" + HANDSHAKE) as ws:
        assert ws.answer.status == 403


HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
)


@pytest.mark.parametrize("name", ["jsonp?c=x", "htmlfile?c=x", "eventsource"])
def test_cross_site_load_without_origin_is_rejected(at, name):
    """Ours: scripts and frames come without an Origin; browsers say where they are wanted in another header."""
    for where in ("cross-site", "same-site"):
        assert at.get(f"{session()}/{name}", Sec_Fetch_Site=where).status == 403
    assert not at.sessions()._sessions.get(session())
    with at.stream(f"{session()}/{name}", "GET", "Sec-Fetch-Site: same-origin\r\n") as stream:
        assert stream.answer.status == 200


# -- sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["/a/a", "/_/_", "/1/", "/abcdefgh_i-j%20/abcdefg_i-j%20"])
def test_server_and_session_may_be_anything(at, part):
    answer = at.post(f"/echo{part}{session().rpartition('_')[2]}/xhr")
    assert (answer.status, answer.body) == (200, b"o\n")


@pytest.mark.parametrize("part", ["//", "/a./a", "/a/a.", "/./.", "/", "///", "/a", "/a/b/c"])
def test_but_not_nothing_and_without_dots(at, part):
    for method in ("GET", "POST"):
        for name in ("xhr", "eventsource", "websocket", "xhr_send"):
            assert at(method, f"/echo{part}/{name}", Sec_Fetch_Site="none").status in (404, 405)
    assert at.post(f"/echo{part}/xhr").status == at.post(f"/echo{part}/xhr_send", '["a"]').status == 404


def test_the_server_s_part_does_not_matter(at):
    path = session()
    assert at.post(f"{path}/xhr").body == b"o\n"
    assert at.post(f"{path}/xhr_send", '["a"]').status == 204
    assert at.post(f"{path.replace('/000/', '/999/')}/xhr").body == b'a["a"]\n'


def test_a_simple_session(at):
    path = session()
    assert at.post(f"{path}/xhr").body == b"o\n"
    answer = at.post(f"{path}/xhr_send", '["a"]')
    assert (answer.status, answer.body) == (204, b"")
    assert at.post(f"{path}/xhr").body == b'a["a"]\n'
    assert at.post("/echo/000/bad_session/xhr_send", '["a"]').status == 404
    with at.stream(f"{path}/xhr_streaming"):
        wait_until(lambda: receives(at, path))
        answer = at.post(f"{path}/xhr")
        assert (answer.status, answer.body) == (200, OCCUPIED)


def receives(at, path):
    return at.sessions()._sessions[path.rpartition("/")[2]].wake is not None


def test_the_service_closes(at):
    path = session("/close")
    assert [at.post(f"{path}/xhr").body for _ in range(3)] == [b"o\n", GO_AWAY, GO_AWAY]
    assert at.post(f"{path}/xhr_send", '["a"]').status == 404


# -- websockets ---------------------------------------------------------------------------------


def test_a_websocket_needs_a_handshake(at):
    answer = at.get("/echo/0/0/websocket")
    assert (answer.status, answer.text) == (400, 'Can "Upgrade" only to "WebSocket".\n')
    answer = at.get("/echo/0/0/websocket", Upgrade="WebSocket")
    assert (answer.status, answer.text) == (400, '"Connection" must be "Upgrade".\n')


def test_raw_websocket_has_messages_without_frames(at):
    with Client(at.address, "/echo/websocket") as ws:
        ws.say("x" * 100_000)
        ws.say('["a", "b"]')
        assert [ws.receive().data for _ in range(2)] == [b"x" * 100_000, b'["a", "b"]']
    with Client(at.address, "/close/websocket") as ws:
        assert ws.receive().opcode == CLOSE
    assert at.get("/disabled_websocket_echo/websocket").status == 404
    assert at.get("/echo/websocket").status == 426


def test_a_websocket_of_another_version(at):
    head = HANDSHAKE.replace("Version: 13", "Version: 8")
    with Client(at.address, "/echo/0/0/websocket", head) as ws:
        assert ws.answer.status == 400


@pytest.mark.parametrize("headers", [{}, {"Upgrade": "WebSocket"}])
def test_a_websocket_is_got(at, headers):
    """Ours: the answer says why, in JSON."""
    answer = at.post("/echo/0/0/websocket", **headers)
    assert answer.status == 405 and "GET" in answer.headers["allow"]


def test_websocket(at):
    ws = socket(at, session())
    assert (ws.receive().data, ws.say('["a"]'), ws.receive()) == (b"o", None, (TEXT, b'a["a"]'))
    ws.say('"alone"')
    assert ws.receive().data == b'a["alone"]'
    ws.send(b"\x82\x85abcd" + bytes(a ^ b for a, b in zip(b'["b"]', b"abcda")))
    assert ws.receive().data == b'a["b"]'
    ws.leave()


def test_websocket_handshake(at):
    ws = socket(at, session(), headers="Sec-WebSocket-Origin: http://asd\r\n" + HANDSHAKE)
    assert ws.answer.status == 101
    assert ws.answer.headers["sec-websocket-accept"] == "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
    assert ws.answer.headers["connection"].lower() == "upgrade"
    assert ws.answer.headers["upgrade"].lower() == "websocket"
    assert "content-length" not in ws.answer.headers
    ws.close()


def test_websocket_of_a_service_that_closes(at):
    ws = socket(at, session("/close"))
    assert [ws.receive().data for _ in range(2)] == [b"o", b'c[3000,"Go away!"]']
    assert ws.receive().opcode == CLOSE
    ws.close()


def test_websocket_empty_frames(at):
    ws = socket(at, session())
    for text in ("", "[]", '["a"]'):
        ws.say(text)
    assert [ws.receive().data for _ in range(2)] == [b"o", b'a["a"]']
    ws.leave()


def test_websockets_with_one_id_are_different_sessions(at):
    path = session()
    both = [socket(at, path), socket(at, path)]
    assert [ws.receive().data for ws in both] == [b"o", b"o"]
    for ws, text in zip(both, "ab"):
        ws.say(f'["{text}"]')
    assert [ws.receive().data for ws in both] == [b'a["a"]', b'a["b"]']
    assert both[0].leave().opcode == CLOSE
    again = socket(at, path)
    assert again.receive().data == b"o"
    again.leave()
    both[1].say('["c"]')
    assert both[1].receive().data == b'a["c"]'
    both[1].leave()


@pytest.mark.parametrize("text", ['["a', "{}", "hello", '[1]"'])
def test_websocket_with_broken_json_is_closed(at, text):
    ws = socket(at, session())
    assert ws.receive().data == b"o"
    ws.say(text)
    assert ws.receive().opcode == CLOSE
    assert ws.receive() is None
    ws.close()


def test_websockets_that_are_switched_off(at):
    with socket(at, session("/disabled_websocket_echo")) as ws:
        assert ws.answer.status == 404


# -- polling ------------------------------------------------------------------------------------


def test_xhr_polling(at):
    path = session()
    answer = at.post(f"{path}/xhr", Origin=FRIEND)
    assert (answer.status, kind(answer), answer.body) == (200, SCRIPT, b"o\n")
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert_uncached(answer)
    answer = at.post(f"{path}/xhr_send", '["x"]', Origin=FRIEND)
    assert (answer.status, kind(answer), answer.body) == (204, PLAIN, b"")
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert_uncached(answer)
    assert at.post(f"{path}/xhr").body == b'a["x"]\n'


def test_xhr_send_without_a_session(at):
    assert at.post(f"{session()}/xhr_send", '["x"]').status == 404


def test_xhr_send_of_what_is_no_message(at):
    path = session()
    at.post(f"{path}/xhr")
    answer = at.post(f"{path}/xhr_send", '["x')
    assert answer.status == 500 and "Broken JSON encoding." in answer.text
    answer = at.post(f"{path}/xhr_send", "")
    assert answer.status == 500 and "Payload expected." in answer.text
    assert at.post(f"{path}/xhr_send", '["a"]').status == 204
    assert at.post(f"{path}/xhr").body == b'a["a"]\n'


def test_xhr_send_with_any_content_type(at):
    path = session()
    at.post(f"{path}/xhr")
    types = ["text/plain", "T", "application/json", "application/xml", "", "application/json; charset=utf-8"]
    types += ["text/xml; charset=utf-8", "text/xml"]
    for one in types:
        assert at.post(f"{path}/xhr_send", '["a"]', Content_Type=one).status == 204
    assert json.loads(at.post(f"{path}/xhr").text[1:]) == ["a"] * len(types)


def test_xhr_send_of_nothing(at):
    path = session()
    at.post(f"{path}/xhr")
    assert at.post(f"{path}/xhr_send", "[]").status == at.post(f"{path}/xhr_send", '["a"]').status == 204
    assert at.post(f"{path}/xhr").body == b'a["a"]\n'


def test_several_messages_come_in_one_frame_and_in_order(at):
    path = session()
    at.post(f"{path}/xhr")
    for number in range(8):
        at.post(f"{path}/xhr_send", json.dumps([str(number), "a"]))
    frame = at.post(f"{path}/xhr").text
    assert json.loads(frame[1:]) == [text for number in range(8) for text in (str(number), "a")]


def test_jsonp(at):
    path = session()
    answer = at.get(f"{path}/jsonp?c=%63allback")
    assert (answer.status, kind(answer), answer.body) == (200, SCRIPT, b'/**/callback("o");\r\n')
    assert_uncached(answer)
    answer = at.post(f"{path}/jsonp_send", "d=%5B%22x%22%5D", **FORM)
    assert (answer.status, kind(answer), answer.body) == (200, PLAIN, b"ok")
    assert_uncached(answer)
    assert at.get(f"{path}/jsonp?c=%63allback").body == b'/**/callback("a[\\"x\\"]");\r\n'


@pytest.mark.parametrize("name", ["jsonp", "htmlfile"])
def test_callbacks(at, name):
    answer = at.get(f"/echo/a/a/{name}")
    assert answer.status == 500 and '"callback" parameter required' in answer.text
    for callback in ("%20", "*", "abc(", "abc%28"):
        answer = at.get(f"/echo/a/a/{name}?c={callback}")
        assert answer.status == 500 and 'invalid "callback" parameter' in answer.text
    assert "a" not in at.sessions()._sessions


def test_jsonp_send_of_what_is_no_message(at):
    path = session()
    assert at.get(f"{path}/jsonp?c=x").body == b'/**/x("o");\r\n'
    answer = at.post(f"{path}/jsonp_send", "d=%5B%22x", **FORM)
    assert answer.status == 500 and "Broken JSON encoding." in answer.text
    for data in ("", "d=", "p=p"):
        answer = at.post(f"{path}/jsonp_send", data, **FORM)
        assert answer.status == 500 and "Payload expected." in answer.text
    assert at.post(f"{path}/jsonp_send", "d=%5B%22b%22%5D", **FORM).body == b"ok"
    assert at.get(f"{path}/jsonp?c=x").body == b'/**/x("a[\\"b\\"]");\r\n'


def test_jsonp_send_content_types(at):
    path = session()
    at.get(f"{path}/jsonp?c=x")
    assert at.post(f"{path}/jsonp_send", "d=%5B%22abc%22%5D", **FORM).body == b"ok"
    assert at.post(f"{path}/jsonp_send", '["%61bc"]', Content_Type="text/plain").body == b"ok"
    assert at.get(f"{path}/jsonp?c=x").body == b'/**/x("a[\\"abc\\",\\"%61bc\\"]");\r\n'


def test_jsonp_of_a_service_that_closes(at):
    path = session("/close")
    closed = b'/**/x("c[3000,\\"Go away!\\"]");\r\n'
    assert [at.get(f"{path}/jsonp?c=x").body for _ in range(3)] == [b'/**/x("o");\r\n', closed, closed]


def test_jsonp_send_of_nothing(at):
    path = session()
    at.get(f"{path}/jsonp?c=x")
    assert at.post(f"{path}/jsonp_send", "d=%5B%5D", **FORM).body == b"ok"
    assert at.post(f"{path}/jsonp_send", "d=%5B%22x%22%5D", **FORM).body == b"ok"
    assert at.get(f"{path}/jsonp?c=x").body == b'/**/x("a[\\"x\\"]");\r\n'


# -- streaming ----------------------------------------------------------------------------------


def test_xhr_streaming(at):
    path = session()
    with at.stream(f"{path}/xhr_streaming", headers=f"Origin: {FRIEND}\r\n") as stream:
        assert (stream.answer.status, kind(stream.answer)) == (200, SCRIPT)
        assert stream.answer.headers["access-control-allow-origin"] == FRIEND
        assert_uncached(stream.answer)
        assert stream.chunk() == b"h" * 2048 + b"\n"
        assert stream.chunk() == b"o\n"
        assert at.post(f"{path}/xhr_send", '["x"]').status == 204
        assert stream.chunk() == b'a["x"]\n'


def test_eventsource(at):
    path = session()
    with at.stream(f"{path}/eventsource", "GET") as stream:
        assert (stream.answer.status, kind(stream.answer)) == (200, "text/event-stream")
        assert_uncached(stream.answer)
        assert stream.chunk() == b"\r\n"
        assert stream.chunk() == b"data: o\r\n\r\n"
        assert at.post(f"{path}/xhr_send", '["x"]').status == 204
        assert stream.chunk() == b'data: a["x"]\r\n\r\n'
        assert at.post(f"{path}/xhr_send", r'["  \u0000\n\r "]').status == 204
        assert stream.chunk() == b'data: a["  \\u0000\\n\\r "]\r\n\r\n'


def test_htmlfile(at):
    path = session()
    with at.stream(f"{path}/htmlfile?c=%63allback", "GET") as stream:
        assert (stream.answer.status, kind(stream.answer)) == (200, "text/html;charset=UTF-8")
        assert_uncached(stream.answer)
        page = stream.chunk().decode()
        assert len(page) > 1024 and "var c = parent.callback;\n    c.start();" in page
        assert "function p(d) {c.message(d);};\n    window.onload = function() {c.stop();};" in page
        assert stream.chunk() == b'<script>\np("o");\n</script>\r\n'
        assert at.post(f"{path}/xhr_send", '["x"]').status == 204
        assert stream.chunk() == b'<script>\np("a[\\"x\\"]");\n</script>\r\n'


def test_a_streamed_answer_ends_when_it_is_long_enough(at):
    path = session()
    with at.stream(f"{path}/xhr_streaming") as stream:
        stream.until(b"o\n")
        message = json.dumps(["x" * 128])
        for _ in range(31):
            assert at.post(f"{path}/xhr_send", message).status == 204
            assert stream.chunk() == f"a{message}\n".encode().replace(b" ", b"")
        assert stream.chunk() == b"" and stream.complete
    with at.stream(f"{path}/xhr_streaming") as stream:
        assert at.post(f"{path}/xhr_send", '["y"]').status == 204
        assert stream.until(b'a["y"]\n')


@pytest.mark.parametrize(
    ("name", "first", "wrapped"),
    [
        ("eventsource", b"data: o\r\n\r\n", 'data: a["%s"]\r\n\r\n'),
        ("htmlfile?c=callback", b'<script>\np("o");\n</script>\r\n', '<script>\np("a[\\"%s\\"]");\n</script>\r\n'),
    ],
)
def test_the_limit_of_other_streams(at, name, first, wrapped):
    path = session()
    with at.stream(f"{path}/{name}", "GET") as stream:
        stream.until(first)
        assert at.post(f"{path}/xhr_send", json.dumps(["x" * 4096])).status == 204
        assert stream.chunk() == (wrapped % ("x" * 4096)).encode()
        assert stream.chunk() == b"" and stream.complete


# -- cookies ------------------------------------------------------------------------------------


def test_a_service_that_wants_cookies_says_so(at):
    answer = at.get("/cookie_needed_echo/info")
    assert json.loads(answer.body)["cookie_needed"] is True and "set-cookie" not in answer.headers


@pytest.mark.parametrize(("sent", "set_"), [("", "dummy"), ("JSESSIONID=abcdef", "abcdef"), ("a=b; JSESSIONID=q", "q")])
@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("POST", "xhr"),
        ("POST", "xhr_streaming"),
        *(("GET", name) for name in ("eventsource", "htmlfile?c=x", "jsonp?c=x")),
    ],
)
def test_cookies(at, method, name, sent, set_):
    headers = f"Cookie: {sent}\r\n" if sent else ""
    with at.stream(f"{session('/cookie_needed_echo')}/{name}", method, headers) as stream:
        assert stream.answer.headers["set-cookie"] == f"JSESSIONID={set_}; path=/"


def test_cookies_of_what_is_sent(at):
    path = session("/cookie_needed_echo")
    at.post(f"{path}/xhr")
    for name, body, headers in (("xhr_send", "[]", {}), ("jsonp_send", "d=%5B%5D", FORM)):
        assert at.post(f"{path}/{name}", body, **headers).headers["set-cookie"] == "JSESSIONID=dummy; path=/"


def test_no_cookies_unless_wanted(at):
    assert "set-cookie" not in at.post(f"{session()}/xhr", Cookie="JSESSIONID=abcdef").headers


# -- what browsers lose -------------------------------------------------------------------------

_LOST = "".join(
    map(chr, [*range(0x200C, 0x2010), *range(0x2028, 0x2030), *range(0x2060, 0x2070), *range(0xFFF0, 0x10000)])
)


def test_unsafe_characters_are_sent_escaped(at):
    path = session()
    at.post(f"{path}/xhr")
    assert at.post(f"{path}/xhr_send", json.dumps([_LOST], ensure_ascii=False)).status == 204
    assert at.post(f"{path}/xhr").text == f"a{json.dumps([_LOST])}\n"


def test_escaped_characters_are_received(at):
    path = session()
    at.post(f"{path}/xhr")
    everything_ = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x10000)]))
    for payload in (json.dumps([everything_]), json.dumps([everything_], ensure_ascii=False)):
        assert at.post(f"{path}/xhr_send", payload).status == 204
    assert json.loads(at.post(f"{path}/xhr").text[1:]) == [everything_, everything_]


def test_half_characters_pass(at):
    path = session()
    at.post(f"{path}/xhr")
    assert at.post(f"{path}/xhr_send", r'["\ud800\udc00\ud800"]').status == 204
    assert at.post(f"{path}/xhr").text == 'a["\U00010000\\ud800"]\n'


# -- ends ---------------------------------------------------------------------------------------


def test_the_close_frame_is_for_all_who_come(at):
    path = session("/close")
    for frames in ([b"o\n", GO_AWAY], [GO_AWAY]):
        with at.stream(f"{path}/xhr_streaming") as stream:
            stream.chunk()
            assert [stream.chunk() for _ in frames] == frames
            assert stream.chunk() == b"" and stream.complete


def test_a_second_receiver_is_sent_away(at):
    path = session()
    with at.stream(f"{path}/xhr_streaming") as first:
        first.until(b"o\n")
        with at.stream(f"{path}/xhr_streaming") as second:
            assert second.rest() == b"h" * 2048 + b"\n" + OCCUPIED and second.complete
        assert at.post(f"{path}/xhr_send", '["still"]').status == 204
        assert first.chunk() == b'a["still"]\n'


@pytest.mark.parametrize("name", ["xhr_streaming", "xhr"])
def test_a_receiver_that_is_cut_off_ends_the_session(at, name):
    path = session()
    at.post(f"{path}/xhr")
    sock = connect(at.address)
    sock.sendall(f"POST {path}/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    wait_until(lambda: receives(at, path))
    assert at.post(f"{path}/xhr").body == OCCUPIED
    sock.close()
    # At once: the server may not have noticed it yet.
    assert at.post(f"{path}/xhr").body == b'c[1002,"Connection interrupted"]\n'
    assert at.post(f"{path}/xhr_send", '["a"]').status == 404


def test_heartbeats(at):
    path = session("/lively_echo")
    with at.stream(f"{path}/xhr_streaming") as stream:
        stream.until(b"o\nh\nh\n")
    path = session("/lively_echo")
    assert [at.post(f"{path}/xhr").body for _ in range(2)] == [b"o\n", b"h\n"]
    ws = socket(at, session("/lively_echo"))
    assert [ws.receive().data for _ in range(3)] == [b"o", b"h", b"h"]
    ws.leave()


def test_a_session_is_forgotten(at):
    path = session("/impatient_echo")
    assert at.post(f"{path}/xhr").body == b"o\n"
    wait_until(lambda: not len(at.sessions("/impatient_echo")))
    assert at.post(f"{path}/xhr_send", '["a"]').status == 404
    assert at.post(f"{path}/xhr").body == b"o\n"


def test_there_are_only_so_many_sessions(at):
    wait_until(lambda: not len(at.sessions("/impatient_echo")))
    streams = [at.stream(f"{session('/impatient_echo')}/xhr_streaming") for _ in range(3)]
    answer = at.post(f"{session('/impatient_echo')}/xhr")
    assert answer.status == 503 and "3 sessions" in answer.assert_problem(503, "unavailable")
    ws = socket(at, session("/impatient_echo"))
    assert ws.receive().data == b"o"
    ws.leave()
    for stream in streams:
        stream.close()
    wait_until(lambda: not len(at.sessions("/impatient_echo")))


# -- HTTP ---------------------------------------------------------------------------------------


def test_http_1_0(at):
    sock = connect(at.address)
    sock.sendall(b"GET /echo HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
    head = sock.recv(65536).partition(b"\r\n\r\n")[0].lower()
    assert b"content-length: 19" in head and b"transfer-encoding" not in head
    sock.close()


def test_http_1_0_streaming(at):
    sock = connect(at.address)
    sock.sendall(f"POST {session('/close')}/xhr_streaming HTTP/1.0\r\nContent-Length: 0\r\n\r\n".encode())
    head, _, body = everything(sock).partition(b"\r\n\r\n")
    assert b" 200 " in head and b"content-length" not in head.lower() and b"transfer-encoding" not in head.lower()
    assert body == b"h" * 2048 + b"\no\n" + GO_AWAY
    sock.close()


def test_connection_is_kept_for_many_requests(at):
    path = session()
    with Reader(at.address, f"{path}/xhr", "Content-Length: 0\r\n", "POST") as reader:
        assert reader.answer.status == 200 and reader.answer.headers["content-length"] == "2"
        assert "connection" not in reader.answer.headers
        while reader._buffer != b"o\n":
            assert reader._more()
        reader._buffer = b""
        body = b'["x"]'
        head = f"POST {path}/xhr_send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        reader.sock.sendall(head.encode() + body)
        assert reader._head().status == 204
        reader.sock.sendall(f"POST {path}/xhr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        assert reader._head().status == 200
        while reader._buffer != b'a["x"]\n':
            assert reader._more()


def test_chunked_bodies(at):
    path = session()
    at.post(f"{path}/xhr")
    sock = connect(at.address)
    head = (
        f"POST {path}/xhr_send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    sock.sendall(head.encode() + b'3\r\n["c\r\n2\r\n"]\r\n0\r\n\r\n')
    assert b" 204 " in everything(sock)
    assert at.post(f"{path}/xhr").body == b'a["c"]\n'
    sock.close()


def test_head_begins_no_session(at):
    for name in ("eventsource", "htmlfile?c=x", "jsonp?c=x"):
        path = session()
        answer = at("HEAD", f"{path}/{name}")
        assert (answer.status, answer.body) == (200, b"")
        assert path.rpartition("/")[2] not in at.sessions()._sessions
