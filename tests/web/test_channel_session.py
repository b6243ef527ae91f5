"""The protocol of ``/channel`` without any transport: topics, commands, gaps, limits."""

from __future__ import annotations

import json

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.events.event_log import WAITING
from gaffer.testing import HookRecorder, settle
from gaffer.web.live import channel_session
from gaffer.web.live.channel_session import COMMANDS, MAX_TOPICS, ChannelSession
from tests.kit.web import wait_until


@pytest.fixture
def manager(gaffer_manager):
    recorder = HookRecorder("gaffer_sample")
    recorder.answers["gaffer_sample"] = lambda manager, processes: {
        one.pid: {"pid": one.pid, "cpu": 0.5, "mem": 0.1} for one in processes
    }
    made = gaffer_manager(recorder)
    made.start()
    made.load(
        {
            "name": "web",
            "cmd": "serve",
            "redirect_output": ["out", "err"],
            "redirect_input": True,
            "custom_streams": ["control"],
        }
    )
    settle(made)
    return made


@pytest.fixture
def session(manager):
    made = ChannelSession(manager)
    yield made
    made.close()
    assert not manager.events._followers
    assert not any(process.reader(label).ring.readers for process in manager.list("web") for label in ("out", "err"))


def say(session, event, **data):
    session.receive(json.dumps({"event": event, "data": data}))


def taken(session):
    return [json.loads(message) for message in session.take()]


def subscribe(session, topic, **options):
    say(session, "SUB", topic=topic, **options)
    answer = taken(session)
    assert answer[0] == {"event": "gaffer:subscription_success", "topic": topic, "data": {"topic": topic}}
    return answer[1:]


def refused(session, topic, **options):
    say(session, "SUB", topic=topic, **options)
    (answer,) = taken(session)
    assert (answer["event"], answer["topic"]) == ("gaffer:subscription_error", topic)
    assert answer["data"] == {"topic": topic, "reason": answer["reason"]}
    return answer["reason"]


def command(session, command_name, *args, identity="id1", **kwargs):
    say(session, "CMD", identity=identity, name=command_name, args=list(args), kwargs=kwargs)
    (answer,) = taken(session)
    assert answer["data"].pop("id") == identity
    return answer["event"].removeprefix("gaffer:"), answer["data"]


def events(session):
    """Return the data of events that came, the topics left out."""
    found = taken(session)
    assert all(message["event"] == "gaffer:event" for message in found), found
    return [message["data"] for message in found]


# -- subscriptions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "names"),
    [
        ("EVENTS", ["stop_pid", "job.default.web.stop_pid", "proc.web.stop_pid", "proc.1.stop_pid"]),
        ("EVENTS:", ["stop_pid", "job.default.web.stop_pid", "proc.web.stop_pid", "proc.1.stop_pid"]),
        ("EVENTS:.", ["stop_pid", "job.default.web.stop_pid", "proc.web.stop_pid", "proc.1.stop_pid"]),
        ("EVENTS:stop_pid", ["stop_pid"]),
        ("EVENTS:stop_process", ["stop_pid"]),
        ("EVENTS:proc(web)", ["proc.web.stop_pid"]),
        ("EVENTS:job.default", ["job.default.web.stop_pid"]),
        ("JOB:web", ["job.default.web.stop_pid"]),
        ("JOB:default.web", ["job.default.web.stop_pid"]),
        ("JOB:default/web", ["job.default.web.stop_pid"]),
        ("PROCESS:1", ["proc.1.stop_pid"]),
    ],
)
def test_events(manager, session, topic, names):
    assert subscribe(session, topic) == []
    manager.stop_process(1)
    settle(manager)
    found = [event for event in events(session) if event["event"].endswith("stop_pid")]
    assert [event["event"] for event in found] == names
    assert all(event["topic"] == topic and event["name"] == "web" and event["pid"] == 1 for event in found)


def test_a_topic_may_be_any_text(manager, session):
    subscribe(session, 'EVENTS:é"\\\n')
    say(session, "UNSUB", topic='EVENTS:é"\\\n')
    assert taken(session) == []


def test_subscribing_twice_is_subscribing_once(manager, session):
    subscribe(session, "EVENTS:stop_pid")
    assert taken(session) == []
    say(session, "SUB", topic="EVENTS:stop_pid")
    # Who asks waits for an answer.
    assert [message["event"] for message in taken(session)] == ["gaffer:subscription_success"]
    manager.stop_process(1)
    settle(manager)
    assert [message["event"] for message in taken(session)] == ["gaffer:event"]


def test_a_subscription_can_be_taken_back(manager, session):
    subscribe(session, "EVENTS")
    say(session, "UNSUB", topic="EVENTS")
    manager.stop_process(1)
    settle(manager)
    assert taken(session) == []
    say(session, "UNSUB", topic="EVENTS")
    assert taken(session)[0]["event"] == "gaffer:subscription_error"


def test_events_that_were_missed_come_again(manager, session):
    manager.events.remember(100)
    manager.stop_process(1)
    settle(manager)
    assert [message["data"]["event"] for message in subscribe(session, "EVENTS:stop_pid", tail=5)] == ["stop_pid"]
    say(session, "UNSUB", topic="EVENTS:stop_pid")
    assert len(subscribe(session, "EVENTS:stop_pid", since=0)) == 1
    say(session, "UNSUB", topic="EVENTS:stop_pid")
    assert subscribe(session, "EVENTS:stop_pid", since=manager.events.last) == []


def test_a_slow_client_is_told_how_many_events_it_missed(manager, session):
    subscribe(session, "EVENTS:a")
    for number in range(WAITING + 3):
        manager.events.record(["a"], {"number": number})
    first, *others = taken(session)
    assert first == {"event": "gaffer:gap", "data": {"topic": "EVENTS:a", "lost": 3}}
    assert [message["data"]["number"] for message in others] == list(range(3, WAITING + 3))


def test_output_is_text_and_no_character_is_split(manager, session):
    subscribe(session, "STREAM:1.out")
    reader = manager.get_process(1).reader("out")
    for part in ("né".encode()[:2], "né".encode()[2:], b"\xff\0\n"):
        reader.feed(part)
        gevent.sleep(0)
        for event in events(session):
            assert (event["event"], event["topic"], event["pid"], event["label"]) == (
                "stream",
                "STREAM:1.out",
                1,
                "out",
            )
    reader.feed(b"later")
    (last,) = events(session)
    assert last["data"] == "later" and last["id"] == f"{manager.node_id[:6]}-11"


def test_all_streams_of_a_process_are_one_topic(manager, session):
    subscribe(session, "STREAM:1")
    for label in ("out", "err", "control"):
        manager.get_process(1).reader(label).feed(label.encode())
    assert [(event["label"], event["data"]) for event in events(session)] == [
        (label, label) for label in ("out", "err", "control")
    ]


def test_a_stream_can_be_followed_from_where_one_was(manager, session):
    manager.get_process(1).reader("out").feed(b"one\ntwo\n")
    assert [message["data"]["data"] for message in subscribe(session, "STREAM:1.out", since=4)] == ["two\n"]
    say(session, "UNSUB", topic="STREAM:1.out")
    assert [message["data"]["data"] for message in subscribe(session, "STREAM:1.out", tail=1)] == ["two\n"]


def test_a_stream_ends_with_its_process_and_half_a_character_is_none(manager, session):
    subscribe(session, "STREAM:1.out")
    process = manager.get_process(1)
    process.reader("out").feed("é".encode()[:1])
    process.exit(0)
    settle(manager)
    text, end = events(session)
    assert text["data"] == "\ufffd" and end == {"event": "end", "topic": "STREAM:1.out", "pid": 1, "label": "out"}
    assert session._subscriptions == {}


def test_output_of_a_process_that_has_ended(manager, session):
    process = manager.get_process(1)
    process.reader("out").feed(b"last words")
    process.exit(0)
    settle(manager)
    found = [message["data"] for message in subscribe(session, "STREAM:1.out")]
    assert [event["event"] for event in found] == ["stream", "end"] and found[0]["data"] == "last words"


def test_a_slow_client_is_told_how_many_bytes_it_missed(manager, session):
    subscribe(session, "STREAM:1.out")
    ring = manager.get_process(1).reader("out").ring
    for _ in range(4):
        manager.get_process(1).reader("out").feed(b"x" * 60_000)
    gap, text = taken(session)[:2]
    assert gap == {"event": "gaffer:gap", "data": {"topic": "STREAM:1.out", "lost": ring.start}}
    assert set(text["data"]["data"]) == {"x"}


@pytest.mark.parametrize(
    ("topic", "about", "figures"),
    [
        ("STATS:1", {"pid": 1}, {"pid": 1, "cpu": 0.5, "mem": 0.1}),
        ("STATS:web", {"name": "default.web"}, None),
        ("STATS:default.web", {"name": "default.web"}, None),
    ],
)
def test_statistics(manager, session, topic, about, figures):
    subscribe(session, topic, interval=0.1)
    (topics,) = session._subscriptions.values()
    for _ in range(2):
        wait_until(lambda: topics._parts[0].source._item)
        (event,) = events(session)
        assert (event.pop("event"), event.pop("topic")) == ("stats", topic)
        shown = event.pop("stats")
        assert event == about and shown == (figures or manager.stats("web"))


def test_statistics_end_with_the_process(manager, session):
    subscribe(session, "STATS:1", interval=0.1)
    manager.get_process(1).exit(0)
    settle(manager)
    found = []
    wait_until(lambda: found.extend(events(session)) or not session._subscriptions)
    assert found[-1] == {"event": "end", "topic": "STATS:1"}


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "NOTHING",
        "events",
        "JOB",
        "JOB:",
        "JOB:nothing",
        "JOB:a.b.c",
        "JOB:no way",
        "PROCESS:",
        "PROCESS:99",
        "PROCESS:x",
        "PROCESS:²",
        "STATS",
        "STATS:99",
        "STATS:nothing",
        "STREAM:1.nothing",
        "STREAM:1.stdout",
        "STREAM:99",
        "STREAM:99.out",
        "STREAM:.out",
        "STREAM:-1",
        "STREAM:" + "9" * 30,
        "EVENTS:" + "x" * 1000,
    ],
)
def test_invalid_topics_get_subscription_error(session, topic):
    assert refused(session, topic)
    assert session._subscriptions == {}


@pytest.mark.parametrize("topic", [None, 1, [], {"a": 1}, True])
def test_a_topic_is_text(session, topic):
    assert refused(session, topic)
    say(session, "UNSUB", topic=topic)
    assert taken(session)[0]["event"] == "gaffer:subscription_error"


@pytest.mark.parametrize(
    ("topic", "options"),
    [
        ("EVENTS", {"since": "x"}),
        ("EVENTS", {"tail": -1}),
        ("EVENTS", {"tail": []}),
        ("STREAM:1.out", {"since": "x"}),
        ("STREAM:1.out", {"tail": "x"}),
        ("STATS:1", {"interval": 0}),
        ("STATS:1", {"interval": "x"}),
    ],
)
def test_options_that_cannot_be(session, topic, options):
    assert refused(session, topic, **options)


def test_topics_of_one_client_are_bounded(session):
    for number in range(MAX_TOPICS):
        subscribe(session, f"EVENTS:{number}")
    assert str(MAX_TOPICS) in refused(session, "EVENTS:more")


def test_subscriptions_take_turns(manager, session, monkeypatch):
    monkeypatch.setattr(channel_session, "MAX_BATCH_CHARACTERS", 1000)
    subscribe(session, "STREAM:1.out")
    subscribe(session, "STREAM:1.err")
    seen = []
    for _ in range(4):
        for label in ("out", "err"):
            manager.get_process(1).reader(label).feed(b"x" * 2000)
        seen += [event["label"] for event in events(session)]
    assert seen.count("out") >= 2 and seen.count("err") >= 2


# -- commands -----------------------------------------------------------------------------------


def test_commands_are_the_manager_s(manager, session):
    assert command(session, "jobs") == ("command_success", {"result": {"jobs": ["default.web"]}})
    assert command(session, "scale", "web", "+1") == ("command_success", {"result": {"numprocesses": 2}})
    assert command(session, "scale", name="web", scale="=1")[1] == {"result": {"numprocesses": 1}}
    assert command(session, "info", "web")[1]["result"] == json.loads(json.dumps(manager.info("web"))) | {
        "uptime": pytest.approx(manager.info("web")["uptime"], abs=60)
    }
    assert command(session, "load", {"name": "new", "cmd": "serve"}, "other")[0] == "command_success"
    assert "other.new" in manager.jobs()


def test_every_command_that_may_be_given_exists(manager):
    assert len(COMMANDS) == 20
    for name in COMMANDS.values():
        assert manager.commands.get(name).permission in ("read", "write", "manage")


def test_send_writes_to_stdin(manager, session):
    assert command(session, "send", 1, "hello\n") == ("command_success", {"result": {"ok": True}})
    assert manager.get_process(1).stdin.written == b"hello\n"


@pytest.mark.parametrize("identity", ["x", 7, None, [1], {"a": "é"}])
def test_the_identity_comes_back_as_it_was(session, identity):
    assert command(session, "jobs", identity=identity)[0] == "command_success"


@pytest.mark.parametrize(
    ("data", "errno"),
    [
        ({}, 404),
        ({"name": "nothing"}, 404),
        ({"name": "shutdown"}, 404),
        ({"name": "stop_all"}, 404),
        ({"name": "reload_config"}, 404),
        ({"name": None}, 404),
        ({"name": ["jobs"]}, 404),
        ({"name": "jobs", "args": "x"}, 400),
        ({"name": "jobs", "args": {"a": 1}}, 400),
        ({"name": "jobs", "kwargs": []}, 400),
        ({"name": "jobs", "args": [1]}, 400),
        ({"name": "jobs", "kwargs": {"x": 1}}, 400),
        ({"name": "info"}, 400),
        ({"name": "info", "args": ["web"], "kwargs": {"name": "web"}}, 400),
        ({"name": "info", "args": ["nothing"]}, 404),
        ({"name": "info", "args": [7]}, 400),
        ({"name": "load", "args": [{"name": "web", "cmd": "serve"}]}, 409),
        ({"name": "load", "args": [{"name": "x", "cmd": "serve", "nmprocesses": 1}]}, 422),
        ({"name": "load", "args": [{"name": "x", "cmd": "serve", "custom_channels": [1]}]}, 422),
        ({"name": "send", "args": [1, [1]]}, 400),
        ({"name": "send", "args": [1, "x", "out"]}, 403),
        ({"name": "send", "args": [99, "x"]}, 404),
        ({"name": "kill", "args": [1, "NOTHING"]}, 400),
    ],
)
def test_a_command_that_cannot_be(session, data, errno):
    say(session, "CMD", identity="a", **data)
    (answer,) = taken(session)
    assert answer["event"] == "gaffer:command_error" and answer["data"]["id"] == "a"
    assert answer["data"]["error"]["errno"] == errno and answer["data"]["error"]["reason"]


def test_a_command_that_fails_is_logged_and_costs_nothing_else(manager, session, caplog, monkeypatch):
    monkeypatch.setattr(manager.commands, "run", lambda *args: 1 / 0)
    kind, data = command(session, "jobs")
    assert (kind, data["error"]["errno"]) == ("command_error", 500) and "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    assert command(session, "jobs")[0] == "command_success"


# -- messages -----------------------------------------------------------------------------------


def test_a_sign_of_life_has_no_answer(session):
    session.receive('{"event": "NOP"}')
    session.receive('{"event": "NOP", "data": {}}')
    session.receive(b'{"event": "NOP", "data": null}')
    assert taken(session) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "1",
        "null",
        "{}",
        '{"event": 1}',
        '{"event": "sub"}',
        '{"event": "SUB", "data": []}',
        '{"event": "SUB", "data": "x"}',
        '{"event": NaN}',
        "[" * 100_000,
        b"\xff",
        b'{"event": "\xff"}',
        '{"event": "NOP", "data": {"x": "' + "x" * (1 << 20) + '"}}',
    ],
)
def test_invalid_messages_get_an_error(session, text):
    session.receive(text)
    (answer,) = taken(session)
    assert answer["event"] == "gaffer:error" and answer["data"]["errno"] == 400 and answer["data"]["reason"]


def test_a_message_that_is_too_deep(session):
    for text in ('{"event": "CMD", "data": {"args": ' + "[" * 40 + "]" * 40 + "}}", "[" * 100_000):
        session.receive(text)
        (answer,) = taken(session)
        assert answer["data"]["errno"] == 400


def test_a_missing_topic(session):
    session.receive('{"event": "SUB"}')
    assert taken(session)[0]["event"] == "gaffer:subscription_error"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_answered_or_ignored(value):
    session = ChannelSession(None)  # no command is run, nothing is subscribed to
    session.receive(json.dumps(value))
    assert all(message["event"] == "gaffer:error" for message in taken(session))


# -- transports ---------------------------------------------------------------------------------


def test_the_transport_is_woken(manager, session):
    woken = []
    session.wake = lambda: woken.append(1)
    session.receive("x")
    assert woken == [1] and len(taken(session)) == 1
    subscribe(session, "EVENTS:stop_pid")
    del woken[:]
    manager.stop_process(1)
    settle(manager)
    assert woken
    session.close()
    del woken[:]
    manager.events.record(["stop_pid"], {})
    assert not woken


def test_messages_wait_while_answers_are_unread(session, monkeypatch):
    monkeypatch.setattr(channel_session, "MAX_UNSENT_CHARACTERS", 1000)

    def ask():
        for _ in range(100):
            say(session, "CMD", name="jobs")

    asking = gevent.spawn(ask)
    gevent.sleep(0)
    assert not asking.ready() and len(session._answers) < 50
    answers = 0
    while answers < 100:
        answers += len(session.take())
        gevent.sleep(0)
    asking.get(timeout=5)


def test_receive_returns_when_session_is_closed(session, monkeypatch):
    monkeypatch.setattr(channel_session, "MAX_UNSENT_CHARACTERS", 10)
    session.receive("x")
    waiting = gevent.spawn(session.receive, "x")
    gevent.sleep(0)
    session.close()
    waiting.get(timeout=5)
