"""``/streams``, ``/watch`` and stats as feeds, over real processes; the errors of docs/http-api.rst."""

from __future__ import annotations

import json
import time

import gevent
import pytest

import gaffer
from gaffer_plugins.stats import StatsPlugin
from gaffer_plugins.streams import StreamsPlugin
from tests.kit.feed_client import Reader
from tests.kit.web import parse, talk, wait_until

EVERY = bytes(range(256))


@pytest.fixture
def live(start_api):
    return start_api(StreamsPlugin(), StatsPlugin())


def load(live, cmd, name="web", **settings):
    settings = {"restart": "never", "redirect_output": ["out", "err"], "redirect_input": True, **settings}
    live.manager.load(gaffer.JobConfig(name, cmd, **settings))
    wait_until(lambda: live.manager.list(name) or live.manager.info(name)["state"] in ("stopped", "failed"))
    return (live.manager.pids(name) or [None])[0]


def post(live, path, body, extra=""):
    """Send a body as curl does it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n{extra}\r\n"
    )
    return parse(talk(live.address, head.encode() + body))


def ended(live, name="web"):
    wait_until(lambda: not live.manager.list(name))


# -- output -------------------------------------------------------------------------------------


def test_the_seeds_transcript_of_stdin_and_longpoll(live):
    pid = load(live, "cat")
    assert post(live, f"/streams/{pid}/stdin", b"ECHO\n").json == {"ok": True}
    assert post(live, f"/streams/{pid}/ttin", b"").json == {"ok": True}
    with Reader(live.address, f"/streams/{pid}/out?feed=longpoll") as reader:
        wait_until(lambda: len(reader._buffer) >= 5 or reader._more())
        assert reader._buffer == b"ECHO\n" and reader.answer.headers["content-length"] == "5"


@pytest.mark.parametrize("label", ["out", "err"])
def test_every_byte_comes_out_exactly(live, label):
    pid = load(live, "sh -c 'cat >&2'" if label == "err" else "cat")
    with Reader(live.address, f"/streams/{pid}/{label}?feed=continuous") as reader:
        wait_until(lambda: live.manager.get_process(pid).reader(label).ring.readers)
        post(live, f"/streams/{pid}/stdin", EVERY * 100)
        while len(reader.body) < len(EVERY) * 100:
            reader.chunk()
        assert reader.body == EVERY * 100
        post(live, f"/streams/{pid}/stdin?eof=true", b"bye")
        assert reader.rest() == EVERY * 100 + b"bye" and reader.complete


def test_two_outputs_with_one_label_are_one_stream(live):
    pid = load(live, "sh -c 'echo one; echo two >&2; cat'", redirect_output=["both", "both"])
    with Reader(live.address, f"/streams/{pid}/both?feed=continuous&since=0") as reader:
        assert reader.until(b"two\n") == b"one\ntwo\n"


def test_an_eventsource_splits_no_character(live):
    pid = load(live, "cat")
    with Reader(live.address, f"/streams/{pid}/out?feed=eventsource") as reader:
        for byte in "näïve €uro 𝄞\n".encode():
            post(live, f"/streams/{pid}/stdin", bytes([byte]))
        post(live, f"/streams/{pid}/stdin?eof=true", "é".encode()[:1])
        reader.rest()
        text = "".join(event.data + ("" if event.id.endswith("+") else "\n") for event in reader.events(1))
        assert text == "näïve €uro 𝄞\n\ufffd" and {event.event for event in reader.events(1)} == {"out"}


def test_reader_continues_at_its_position(live):
    pid = load(live, "cat")
    ring = live.manager.get_process(pid).reader("out").ring
    post(live, f"/streams/{pid}/stdin", b"one\n")
    wait_until(lambda: ring.end == 4)
    first = live("GET", f"/streams/{pid}/out?since=0")
    assert first.body == b"one\n"
    post(live, f"/streams/{pid}/stdin", b"two\n")
    wait_until(lambda: ring.end == 8)
    second = live("GET", f"/streams/{pid}/out?since={first.headers['last-event-id']}")
    assert second.body == b"two\n"
    with Reader(
        live.address, f"/streams/{pid}/out?feed=continuous", f"Last-Event-ID: {first.headers['last-event-id']}\r\n"
    ) as reader:
        assert reader.until(b"two\n") == b"two\n"
    # An id of another life of gafferd means another process: everything is new.
    with Reader(live.address, f"/streams/{pid}/out?feed=continuous", "Last-Event-ID: 0a0a0a-4\r\n") as reader:
        assert reader.until(b"two\n") == b"one\ntwo\n"


def test_the_last_lines(live):
    pid = load(live, "sh -c 'seq 100; cat'")
    wait_until(lambda: live.manager.get_process(pid).reader("out").ring.end == 292)
    with Reader(live.address, f"/streams/{pid}/out?feed=continuous&tail=3") as reader:
        assert reader.until(b"100\n") == b"98\n99\n100\n"
    with Reader(live.address, f"/streams/{pid}/out?feed=continuous&tail=0") as reader:
        post(live, f"/streams/{pid}/stdin", b"new")
        assert reader.until(b"new") == b"new"


def test_output_can_be_read_after_the_exit(live):
    pid = load(live, "sh -c 'echo one; exit 3'")
    ended(live)
    pid = pid or 1
    assert live("GET", f"/streams/{pid}/out").body == b"one\n"
    assert live("GET", f"/streams/{pid}/err").status == 204
    with Reader(live.address, f"/streams/{pid}/out?feed=eventsource") as reader:
        assert b"data: one\r\n\r\n" in reader.rest() and reader.complete
    post(live, f"/streams/{pid}/stdin", b"x").assert_problem(404, "not_found")


def test_the_output_of_long_ended_processes_is_gone(live):
    live.manager.past.most = 2
    for _ in range(4):
        load(live, "echo one")
        ended(live)
        live.manager.unload("web")
    live("GET", "/streams/1/out").assert_problem(404, "not_found")
    assert live("GET", "/streams/4/out").body == b"one\n"


def test_a_child_never_waits_for_a_reader_that_does_not_read(live):
    pid = load(live, "sh -c 'head -c 100000000 /dev/zero; echo end >&2; cat'")
    with Reader(live.address, f"/streams/{pid}/out?feed=continuous&since=0") as lazy:
        with Reader(live.address, f"/streams/{pid}/err?feed=continuous&since=0") as other:
            assert other.until(b"end\n") == b"end\n"
        assert live("GET", "/ping").text == "OK"
        assert live.manager.get_process(pid).reader("out").ring.held < 5_000_000
        lazy.rest()
        assert not lazy.complete and len(lazy.body) < 100_000_000


@pytest.mark.parametrize("feed", ["continuous", "eventsource"])
def test_reader_that_holds_the_process_up_loses_nothing(live, feed):
    pid = load(live, "sh -c 'read x; yes abcdefghij | head -c 11000000; echo end >&2; cat'")
    with Reader(live.address, f"/streams/{pid}/out?feed={feed}&hold=true") as slow:
        with Reader(live.address, f"/streams/{pid}/err?feed=continuous&since=0") as other:
            post(live, f"/streams/{pid}/stdin", b"go\n")
            stream = live.manager.get_process(pid).reader("out")
            wait_until(lambda: stream.ring.end and stream._holders)
            lines = 0
            while lines < 1_000_000:
                lines += slow.chunk().count(b"j")
            assert other.until(b"end\n") == b"end\n"
        whole = slow.body.replace(b"\r\n", b"\n").count(b"abcdefghij\n")
        assert lines == whole == 1_000_000 and b"event: gap" not in slow.body
    wait_until(lambda: not stream._holders)


def test_hold_is_for_feeds_that_go_on(live):
    pid = load(live, "cat")
    assert "hold" in live("GET", f"/streams/{pid}/out?hold=true").assert_problem(400, "bad_request")


# -- custom streams -----------------------------------------------------------------------------


def test_custom_streams_are_read_and_written(live):
    pid = load(
        live, "sh -c 'while read line <&3; do echo got $line >&3; done; echo closed'", custom_streams=["control"]
    )
    with Reader(live.address, f"/streams/{pid}/control?feed=continuous") as reader:
        assert post(live, f"/streams/{pid}/control", b"one\n").status == 200
        assert reader.until(b"got one\n") == b"got one\n"
        post(live, f"/streams/{pid}/control?eof=true", b"two\n")
        assert reader.rest() == b"got one\ngot two\n"
    ended(live)
    assert live("GET", f"/streams/{pid}/out?since=0").body == b"closed\n"


# -- stdin --------------------------------------------------------------------------------------


def test_a_process_that_reads_slowly_gets_everything(live):
    """More than pipe and buffer hold: later writers wait."""
    pid = load(live, "sh -c 'sleep 0.3; wc -c'")
    writers = [gevent.spawn(post, live, f"/streams/{pid}/stdin", bytes(900_000)) for _ in range(4)]
    gevent.joinall(writers, timeout=20, raise_error=True)
    assert [writer.value.status for writer in writers] == [200] * 4
    post(live, f"/streams/{pid}/stdin?eof=1", b"")
    ended(live)
    assert live("GET", f"/streams/{pid}/out").body == b"3600000\n"


def test_a_process_that_does_not_read_is_said_to_be_full(live, monkeypatch):
    monkeypatch.setattr("gaffer_plugins.streams.routes.WRITE_TIMEOUT", 0.05)
    pid = load(live, "sleep 1000")
    answers = [post(live, f"/streams/{pid}/stdin", bytes(900_000)) for _ in range(3)]
    assert answers[0].status == 200
    assert "full" in answers[2].assert_problem(503, "unavailable")


def test_a_nul_is_a_byte_like_others(live):
    pid = load(live, "cat")
    post(live, f"/streams/{pid}/stdin", b"\0a\0\0b")
    wait_until(lambda: live.manager.get_process(pid).reader("out").ring.end == 5)
    assert live("GET", f"/streams/{pid}/out?since=0").body == b"\0a\0\0b"


def test_a_body_larger_than_the_limit(live):
    pid = load(live, "cat")
    post(live, f"/streams/{pid}/stdin", bytes(2_000_000)).assert_problem(413, "too_large")


def test_write_to_closed_stdin_is_an_error(live):
    pid = load(live, "sh -c 'exec <&-; echo ready; exec sleep 1000'")
    wait_until(lambda: live.manager.get_process(pid).reader("out").ring.end)
    answers = [post(live, f"/streams/{pid}/stdin", b"x") for _ in range(2)]
    assert "stdin is closed" in answers[1].assert_problem(409, "conflict")  # trying again would not help


# -- wrong wishes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/streams/99/out", 404, "not_found"),
        ("GET", "/streams/1/nothing", 404, "not_found"),
        ("GET", "/streams/1/stdout", 400, "io_not_redirected"),
        ("GET", "/streams/1/stdin", 405, "method_not_allowed"),
        ("GET", "/streams/x/out", 404, "not_found"),
        ("GET", "/streams/1", 404, "not_found"),
        ("GET", "/streams/1/out?feed=never", 400, "bad_request"),
        ("GET", "/streams/1/out?since=never", 400, "bad_request"),
        ("GET", "/streams/1/out?tail=x", 400, "bad_request"),
        ("GET", "/streams/1/out?heartbeat=x", 400, "bad_request"),
        ("POST", "/streams/1/out", 403, "forbidden"),
        ("POST", "/streams/1/nothing", 404, "not_found"),
        ("POST", "/streams/99/stdin", 404, "not_found"),
        ("POST", "/streams/1/stdin?eof=x", 400, "bad_request"),
        ("POST", "/streams/2/stdin", 403, "forbidden"),
        ("GET", "/streams/2/stdout", 400, "io_not_redirected"),
        ("GET", "/streams/2/stderr", 400, "io_not_redirected"),
        ("GET", "/streams/2/out", 404, "not_found"),
        ("PUT", "/streams/1/out", 405, "method_not_allowed"),
        ("POST", "/watch", 405, "method_not_allowed"),
        ("GET", "/watch?feed=x", 400, "bad_request"),
        ("GET", "/watch/a/b/c/d/e", 404, "not_found"),
        ("GET", "/watch/creat", 404, "not_found"),
        ("GET", "/watch/proc/web/spwan", 404, "not_found"),
    ],
)
def test_what_cannot_be(live, method, path, status, code):
    load(live, "cat")
    load(live, "sleep 1000", "mute", redirect_output=[], redirect_input=False)
    answer = post(live, path, b"x") if method == "POST" else live(method, path)
    answer.assert_problem(status, code)


# -- events -------------------------------------------------------------------------------------


def watch(live, path):
    reader = Reader(live.address, path)
    wait_until(lambda: live.manager.events._followers)
    return reader


def lines(reader, count):
    while reader.body.count(b"\n") < count:
        assert reader.chunk()
    return [json.loads(line) for line in reader.body.splitlines()]


def test_all_events(live):
    with watch(live, "/watch?feed=continuous") as reader:
        assert reader.answer.headers["content-type"] == "application/x-ndjson"
        load(live, "true", redirect_output=[])
        seen = []
        while "proc.web.stop" not in seen:
            seen = [event["event"] for event in lines(reader, reader.body.count(b"\n") + 1)]
        assert [name for name in seen if "." not in name] == ["create", "start", "spawn", "exit", "reap", "stop"]
        assert {"job.default.web.spawn", "proc.web.exit", "proc.1.exit"} <= set(seen)


@pytest.mark.parametrize(
    ("path", "events"),
    [
        ("/watch/spawn", ["spawn"]),
        ("/watch/proc/web", ["proc.web.start", "proc.web.spawn", "proc.web.exit"]),
        ("/watch/proc/web/spawn", ["proc.web.spawn"]),
        ("/watch/proc(web)/spawn", ["proc.web.spawn"]),
        ("/watch/job/default/web/spawn", ["job.default.web.spawn"]),
        ("/watch/job/default", ["job.default.web.create", "job.default.web.start"]),
        ("/watch/load", ["create"]),
    ],
)
def test_a_pattern_of_one_to_four_parts(live, path, events):
    with watch(live, path + "?feed=continuous") as reader:
        load(live, "true", redirect_output=[])
        found = [event["event"] for event in lines(reader, len(events))]
        assert found[: len(events)] == events


def test_longpoll_is_the_next_event(live):
    poll = gevent.spawn(Reader, live.address, "/watch/spawn")
    wait_until(lambda: live.manager.events._followers)
    load(live, "cat")
    with poll.get(timeout=10) as reader:
        assert reader.answer.headers["content-type"] == "application/json"
        event = json.loads(reader._buffer)
        assert (event["event"], event["name"], event["session"], event["job"], event["pid"]) == (
            "spawn",
            "web",
            "default",
            "web",
            1,
        )


def test_events_that_were_missed_come_again(live):
    load(live, "cat")
    with Reader(live.address, "/watch/spawn?feed=eventsource&tail=1") as reader:
        last = reader.events(1)[0]
    assert last.event == "spawn"
    live.manager.stop_job("web")
    ended(live)
    with Reader(live.address, "/watch/exit?feed=eventsource", f"Last-Event-ID: {last.id}\r\n") as reader:
        assert json.loads(reader.events(1)[0].data)["term_signal"] == 15
    with Reader(live.address, "/watch/exit?feed=eventsource", "Last-Event-ID: 0a0a0a-1\r\n") as reader:
        assert reader.events(1)[0].event == "exit"


def test_watching_ends_with_the_manager_and_its_last_event(live):
    load(live, "cat")
    with watch(live, "/watch?feed=continuous") as reader:
        began = time.monotonic()
        live.manager.stop()
        assert time.monotonic() - began < 5
        reader.rest()
        assert reader.complete and b'"event": "stop"' in reader.body


# -- statistics ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/stats", "/stats/web", "/stats/web/1", "/jobs/default/web/stats", "/1/stats"])
def test_figures_come_again_and_again_and_look_as_ever(live, path):
    load(live, "cat")
    shape = live.get(path)
    began = time.monotonic()
    with Reader(live.address, f"{path}?feed=continuous&interval=0.1") as reader:
        found = lines(reader, 3)
        assert 0.15 < time.monotonic() - began < 5
        assert all(
            type(one) is type(shape) and (one.keys() == shape.keys() if path != "/stats" else one) for one in found
        )
    with Reader(live.address, f"{path}?feed=eventsource&interval=0.1") as reader:
        assert [event.event for event in reader.events(2)] == ["stats", "stats"]
    assert type(live.get(f"{path}?feed=longpoll")) is type(shape)


def test_figures_end_with_what_they_are_about(live):
    pid = load(live, "cat")
    with Reader(live.address, f"/stats/web/{pid}?feed=continuous&interval=0.1") as reader:
        lines(reader, 1)
        live.manager.stop_job("web")
        reader.rest()
        assert reader.complete


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/stats/nothing?feed=continuous", 404, "not_found"),
        ("/stats/web/99?feed=continuous", 404, "not_found"),
        ("/stats?feed=x", 400, "bad_request"),
        ("/stats?feed=continuous&interval=0", 400, "bad_request"),
        ("/stats?feed=continuous&interval=x", 400, "bad_request"),
    ],
)
def test_figures_that_cannot_be(live, path, status, code):
    load(live, "cat")
    live("GET", path).assert_problem(status, code)


def test_figures_without_the_plugin_that_measures(start_api):
    live = start_api(StreamsPlugin())
    live("GET", "/stats?feed=continuous").assert_problem(503, "unavailable")


def test_loop_of_longpolls_without_a_position_gets_each_byte_once(live):
    pid = load(live, "cat")
    for word in (b"one\n", b"two\n"):
        post(live, f"/streams/{pid}/stdin", word)
        with Reader(live.address, f"/streams/{pid}/out") as loop:
            assert loop.whole() == word
    gevent.spawn_later(0.05, post, live, f"/streams/{pid}/stdin", b"three\n")
    with Reader(live.address, f"/streams/{pid}/out?feed=longpoll") as waiting:
        assert waiting.whole() == b"three\n"
    assert live("GET", f"/streams/{pid}/out?since=0").body == b"one\ntwo\nthree\n"
    assert live("HEAD", f"/streams/{pid}/out").status == 200
