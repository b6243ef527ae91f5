"""Feeds over real connections: what is said, when they beat, and that nothing is left of them."""

import json
import logging
import socket
import time
from types import SimpleNamespace

import gevent
import pytest

from gaffer.errors import BadRequest
from gaffer.events.event_log import EventLog
from gaffer.process.ring_buffer import Ring, RingLimits
from gaffer.web.live import feed_encoders
from gaffer.web.live.feeds import DEFAULT_HEARTBEAT, FeedRequest, follow, read_count, read_feed_request
from gaffer.web.live.sources import EventsSource, OutputSource, PositionIds
from gaffer.web.requests.request import Request
from tests.kit.feed_client import Reader, Sse
from tests.kit.web import connect, everything, parse, request, served, talk, wait_until
from tests.kit.web_app import HELLO, app

IDS = PositionIds("ab")


class Feeds:
    """A ring and a log of events behind an application."""

    def __init__(self, limits=None):
        limits = limits or RingLimits()
        self.ring, self.log = Ring(limits.size, limits), EventLog(100)
        bytes_ = {"method": "GET", "path": "/bytes", "handler": self._bytes}
        events = {"method": "GET", "path": "/events", "handler": self._events}
        self.app = app(bytes_, events)

    def _bytes(self, request):
        wish = read_feed_request(request)
        position = None if wish.since is None else IDS.number(wish.since)
        return follow(request, OutputSource(self.ring, "out", IDS, position), wish, "application/octet-stream")

    def _events(self, request):
        wish = read_feed_request(request)
        since = None if wish.since is None else IDS.number(wish.since)
        return follow(request, EventsSource(self.log, ".", IDS, since, wish.tail or 0), wish, "application/x-ndjson")

    @property
    def followed(self):
        return self.ring.readers + len(self.log._followers)


@pytest.fixture
def feeds():
    return Feeds()


@pytest.fixture
def address(feeds):
    with served(feeds.app) as (address, server):
        feeds.server = server
        yield address
    assert feeds.followed == 0


# -- what they say ------------------------------------------------------------------------------


def test_continuous_is_the_bytes_from_now_on(feeds, address):
    feeds.ring.append(b"before")
    every = bytes(range(256))
    with Reader(address, "/bytes?feed=continuous") as reader:
        assert reader.answer.headers["content-type"] == "application/octet-stream"
        wait_until(lambda: feeds.ring.readers)
        feeds.ring.append(b"one ")
        assert reader.until(b"one ") == b"one "
        feeds.ring.append(every)
        assert reader.until(every) == b"one " + every
        feeds.ring.finish()
        assert reader.rest() == b"one " + every and reader.complete


def test_the_connection_can_go_on_when_the_stream_has_ended(feeds, address):
    sock = connect(address)
    sock.sendall(b"GET /bytes?feed=continuous&since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_until(lambda: feeds.ring.readers)
    feeds.ring.append(b"all")
    feeds.ring.finish()
    wait_until(lambda: not feeds.followed)
    sock.sendall(HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    data = everything(sock)
    sock.close()
    assert b"\r\n3\r\nall\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" in data and data.endswith(b'{"hello": "world"}')


def test_old_clients_get_everything_until_the_end(feeds, address):
    feeds.ring.append(b"everything")
    sock = connect(address)
    sock.sendall(b"GET /bytes?feed=continuous&since=0 HTTP/1.0\r\n\r\n")
    wait_until(lambda: feeds.ring.readers)
    feeds.ring.finish()
    assert everything(sock).endswith(b"\r\n\r\neverything")
    sock.close()


def test_longpoll_is_one_item_and_says_where_to_go_on(feeds, address):
    feeds.ring.append(b"one")
    first = request(address, "GET", "/bytes?since=0")
    assert (first.status, first.body, first.headers["last-event-id"]) == (200, b"one", "ab-3")
    with Reader(address, "/bytes?feed=continuous", "Last-Event-ID: ab-3\r\n") as reader:
        feeds.ring.append(b"two")
        assert reader.until(b"two") == b"two"


def test_longpoll_is_one_item_with_a_heartbeat_too(feeds, address):
    for pid in (1, 2):
        feeds.log.record(["spawn"], {"pid": pid})
    with Reader(address, "/events?since=0&heartbeat=60") as reader:
        assert reader.rest() == b'{"event": "spawn", "pid": 1}\n' and reader.complete


def test_longpoll_waits(feeds, address):
    polls = [gevent.spawn(Reader, address, path) for path in ("/bytes", "/bytes?feed=longpoll", "/events")]
    wait_until(lambda: feeds.followed == 3)
    feeds.ring.append(b"\0\xff")
    feeds.log.record(["spawn"], {"pid": 1})
    for poll in polls:
        reader = poll.get(timeout=10)
        length = int(reader.answer.headers["content-length"])
        wait_until(lambda reader=reader, length=length: len(reader._buffer) >= length or reader._more())
        assert reader._buffer == (b'{"event": "spawn", "pid": 1}\n' if poll is polls[2] else b"\0\xff")
        reader.close()


def test_longpolls_may_wait_longer_than_other_answers_take(feeds):
    with served(feeds.app, request=0.1) as (address, server):
        poll = gevent.spawn(Reader, address, "/bytes")
        wait_until(lambda: feeds.followed == 1)
        gevent.sleep(0.3)
        feeds.ring.append(b"late")
        reader = poll.get(timeout=10)
        assert reader.answer.status == 200 and server.late == 0
        reader.close()


def test_longpoll_at_the_end_has_nothing_to_say(feeds, address):
    feeds.ring.append(b"one")
    feeds.ring.finish()
    assert request(address, "GET", "/bytes?since=0").body == b"one"
    over = request(address, "GET", "/bytes?since=ab-3")
    assert (over.status, over.body) == (204, b"")


def test_eventsource(feeds, address):
    with Reader(address, "/bytes?feed=eventsource&since=0") as reader:
        assert reader.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        feeds.ring.append(b"one\ntwo\n")
        assert reader.until(b"\r\n\r\n") == b"id: ab-8\r\nevent: out\r\ndata: one\r\ndata: two\r\n\r\n"
        feeds.ring.append("prompt é> ".encode())
        assert reader.events(2)[1] == Sse("ab-19+", "out", "prompt é> ")
        feeds.ring.append("é".encode()[:1])
        feeds.ring.finish()
        reader.rest()
        assert reader.events(3)[2] == Sse("ab-20+", "out", "\ufffd") and reader.complete


def test_events_come_as_json_by_any_feed(feeds, address):
    lines, sse = Reader(address, "/events?feed=continuous"), Reader(address, "/events?feed=eventsource")
    wait_until(lambda: feeds.log._followers and len(feeds.log._followers["."]) == 2)
    feeds.log.record(["spawn", "proc.web.spawn"], {"name": "é"})
    expected = [{"event": "spawn", "name": "é"}, {"event": "proc.web.spawn", "name": "é"}]
    lines.until(b"}\n")
    wait_until(lambda: lines.body.count(b"\n") == 2 or lines.chunk())
    assert [json.loads(line) for line in lines.body.splitlines()] == expected
    assert [(event.id, event.event, json.loads(event.data)) for event in sse.events(2)] == [
        ("ab-1", "spawn", expected[0]),
        ("ab-2", "proc.web.spawn", expected[1]),
    ]
    lines.close()
    sse.close()


def test_feed_continues_at_last_event_id(feeds, address):
    for number in range(5):
        feeds.log.record([f"event{number}"], {})
    with Reader(address, "/events?feed=eventsource&since=1", "Last-Event-ID: ab-3\r\n") as reader:
        assert [event.event for event in reader.events(2)] == ["event3", "event4"]
    with Reader(address, "/events?feed=eventsource&tail=1") as reader:
        assert [event.event for event in reader.events(1)] == ["event4"]


def test_position_of_another_life_begins_at_the_start(feeds, address):
    feeds.ring.append(b"new life")
    with Reader(address, "/bytes?feed=continuous&since=xy-3") as reader:
        feeds.ring.append(b"!")
        assert reader.until(b"!") == b"!"  # the route decides; this one begins at the end


# -- signs of life ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "beat"), [("/bytes?feed=continuous", b"\n"), ("/events?feed=continuous", b"\n"), ("/bytes", b"\n")]
)
def test_an_empty_line_says_that_nothing_is_wrong(feeds, address, path, beat):
    path += ("&" if "?" in path else "?") + "heartbeat=0.1"
    with Reader(address, path) as reader:
        assert reader.chunk() == beat and reader.chunk() == beat
        feeds.ring.append(b"data")
        feeds.log.record(["spawn"], {})
        reader.until(b'{"event": "spawn"}\n' if "events" in path else b"data")


def test_the_heart_of_an_eventsource_beats_in_comments(feeds, address):
    with Reader(address, "/bytes?feed=eventsource&heartbeat=0.1") as reader:
        assert reader.chunk() == b":\r\n\r\n"
        feeds.ring.append(b"no end")
        assert reader.events(1)[0].data == "no end"
        assert reader.chunk() == b":\r\n\r\n"


def test_text_that_waits_for_its_end_does_not_make_the_heart_beat(feeds, address, monkeypatch):
    monkeypatch.setattr(feed_encoders, "PARTIAL_LINE_DELAY", 0.01)
    began = time.monotonic()
    with Reader(address, "/bytes?feed=eventsource&heartbeat=0.3") as reader:
        feeds.ring.append("é".encode()[:1])
        assert reader.chunk() == b":\r\n\r\n" and time.monotonic() - began > 0.2


# -- slow readers -------------------------------------------------------------------------------


def slow(path):
    """Return what a reader gets that comes back to its connection after megabytes."""
    feeds = Feeds(RingLimits(size=10_000, most=100_000, total=100_000))
    with served(feeds.app) as (address, _):
        reader = Reader(address, path)
        wait_until(lambda: feeds.ring.readers)
        for _ in range(200):
            feeds.ring.append(b"x" * 99_999 + b"\n")
            gevent.sleep(0)
        feeds.ring.finish()
        reader.rest()
        reader.close()
        wait_until(lambda: not feeds.followed)
    return feeds, reader


def test_a_slow_reader_of_a_raw_feed_is_cut_off_and_not_lied_to(caplog):
    feeds, reader = slow("/bytes?feed=continuous")
    assert not reader.complete and len(reader.body) < 20_000_000
    assert set(reader.body.replace(b"x" * 99_999 + b"\n", b"")) <= set(b"x\n")
    assert caplog.messages == []


def test_a_slow_reader_of_an_eventsource_is_told_how_much_it_missed():
    feeds, reader = slow("/bytes?feed=eventsource")
    found = reader.events(1)
    lost = sum(int(event.data) for event in found if event.event == "gap")
    got = sum(len(event.data) + 1 for event in found if event.event == "out" and not event.id.endswith("+"))
    got += sum(len(event.data) for event in found if event.id.endswith("+"))
    assert reader.complete and lost > 0 and lost + got == 20_000_000


def test_a_slow_reader_holds_up_neither_the_ring_nor_others():
    feeds = Feeds(RingLimits(size=10_000, most=100_000, total=100_000))
    with served(feeds.app) as (address, _):
        lazy = [Reader(address, "/bytes?feed=eventsource") for _ in range(5)]
        wait_until(lambda: feeds.ring.readers == 5)
        for _ in range(200):
            feeds.ring.append(b"x" * 99_999 + b"\n")
            gevent.sleep(0)
            assert feeds.ring.held <= 300_000
        assert request(address, "GET", "/hello").status == 200
        for reader in lazy:
            reader.close()
        wait_until(lambda: not feeds.followed)


# -- those who leave ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/bytes", "/bytes?feed=continuous", "/events?feed=eventsource", "/events"])
@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_a_client_that_leaves_is_noticed_at_once(feeds, address, path, how, caplog):
    sock = connect(address)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    wait_until(lambda: feeds.followed)
    began = time.monotonic()
    if how == "half":
        sock.shutdown(socket.SHUT_WR)
    elif how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    else:
        sock.close()
    wait_until(lambda: not feeds.followed)
    assert time.monotonic() - began < 5
    sock.close()
    wait_until(lambda: not feeds.server.connections)
    assert caplog.messages == []


def test_thousands_of_readers_leave_nothing_behind(feeds, address):
    for _ in range(40):
        readers = [gevent.spawn(talk, address, b"GET /bytes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n")] * 10
        gevent.joinall(readers, timeout=10)
    wait_until(lambda: not feeds.server.connections)
    assert feeds.followed == 0


def test_head_says_what_get_would_without_waiting(feeds, address):
    for path in ("/bytes", "/bytes?feed=continuous", "/events?feed=eventsource"):
        data = talk(address, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert parse(data).status == 200 and data.endswith(b"\r\n\r\n")
    assert feeds.followed == 0


def test_a_server_that_stops_lets_feeds_end_properly(feeds):
    with served(feeds.app) as (address, server):
        reader = Reader(address, "/events?feed=continuous")
        poll = gevent.spawn(Reader, address, "/bytes")
        wait_until(lambda: feeds.followed == 2)
        feeds.log.record(["last"], {})
        began = time.monotonic()
        server.stop(timeout=30)
        assert time.monotonic() - began < 15
        assert reader.rest() == b'{"event": "last"}\n' and reader.complete
        assert poll.get(timeout=5).answer.status == 204
        poll.value.close()
        reader.close()


def test_an_error_of_a_source_is_one_request_s_trouble(feeds, address, caplog):
    feeds.log.follow = lambda *args: SimpleNamespace(take=lambda: 1 / 0, close=lambda: None, wake=None, ended=False)
    with caplog.at_level(logging.ERROR):
        assert request(address, "GET", "/events").status == 500
    del feeds.log.follow
    assert request(address, "GET", "/hello").status == 200


# -- what is asked for --------------------------------------------------------------------------


def wish(query="", **headers):
    return read_feed_request(Request({"QUERY_STRING": query, **headers}))


def test_feed_parameters_are_read():
    assert wish() == FeedRequest("longpoll", None, None, None)
    assert wish("feed=eventsource&heartbeat=true&tail=5&since=7") == FeedRequest(
        "eventsource", DEFAULT_HEARTBEAT, "7", 5
    )
    assert wish("heartbeat=0.5").heartbeat == 0.5 and wish("heartbeat=false").heartbeat is None
    assert wish("since=1", HTTP_LAST_EVENT_ID="ab-2").since == "ab-2"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("feed=", "feed must be"),
        ("heartbeat=", "heartbeat must be"),
        ("tail=", "tail must be"),
        ("feed=poll", "feed must be longpoll, continuous or eventsource, not 'poll'"),
        ("heartbeat=0", "heartbeat must be true or a number of seconds"),
        ("heartbeat=-1", "heartbeat must be"),
        ("heartbeat=nan", "heartbeat must be"),
        ("heartbeat=inf", "heartbeat must be"),
        ("heartbeat=soon", "heartbeat must be"),
        ("heartbeat=1e9", "heartbeat must be"),
        ("tail=-1", "tail must be a number"),
        ("tail=1.5", "tail must be a number"),
        ("tail=²", "tail must be a number"),
    ],
)
def test_invalid_feed_parameters_get_400(query, sentence):
    with pytest.raises(BadRequest, match=sentence.replace("'", ".")):
        wish(query)


def test_a_large_number_is_a_number():
    assert read_count("9" * 18, "tail") == 1_000_000_000


@pytest.mark.parametrize("text", ["", "ab-", "ab-x", "ab", "1-2-x", "-", "9" * 19, "1.5", "ab-é"])
def test_invalid_position_gets_400(text):
    with pytest.raises(BadRequest, match="is no position"):
        IDS.number(text)


def test_positions():
    assert [IDS.number(text) for text in ("5", "ab-5", "ab-5+", " ab-5 ", "xy-5")] == [5, 5, 5, 5, None]
