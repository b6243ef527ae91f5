"""``/channel/websocket`` with real processes: subscriptions and commands over one websocket."""

from __future__ import annotations

import json

import pytest

from gaffer_plugins.stats import StatsPlugin
from gaffer_plugins.streams import StreamsPlugin
from gaffer_plugins.websocket import WebsocketPlugin
from tests.kit.web import wait_until
from tests.kit.websocket_client import BINARY, PING, PONG, TEXT, Client, Frame, frame


@pytest.fixture
def live(start_api):
    return start_api(StreamsPlugin(), StatsPlugin(), WebsocketPlugin())


class Channel(Client):
    """A client of the JSON protocol."""

    def __init__(self, live):
        super().__init__(live.address, "/channel/websocket")
        self.seen = []

    def tell(self, event, **data):
        self.say(json.dumps({"event": event, "data": data}))

    def until(self, wanted):
        """Return the first message for which *wanted* holds, one that came earlier or the next one."""
        for message in self.seen:
            if wanted(message):
                self.seen.remove(message)
                return message
        while True:
            got = self.receive()
            assert got is not None and got.opcode == TEXT, got
            message = json.loads(got.data)
            if wanted(message):
                return message
            self.seen.append(message)

    def command(self, name, *args, **kwargs):
        self.tell("CMD", identity=name, name=name, args=list(args), kwargs=kwargs)
        return self.until(lambda message: message["data"].get("id") == name)

    def subscribe(self, topic, **options):
        self.tell("SUB", topic=topic, **options)
        self.until(
            lambda message: (
                message == {"event": "gaffer:subscription_success", "topic": topic, "data": {"topic": topic}}
            )
        )

    def end(self):
        """Return the frame that closes; events may come before."""
        while (got := self.receive()).opcode == TEXT:
            pass
        return got

    def event(self, name):
        return self.until(lambda message: message["data"].get("event") == name)["data"]


def test_a_whole_conversation(live):
    ws = Channel(live)
    ws.subscribe("EVENTS:spawn")
    config = {"name": "web", "cmd": "cat", "redirect_output": ["out"], "redirect_input": True, "restart": "never"}
    assert ws.command("load", config)["event"] == "gaffer:command_success"
    pid = ws.event("spawn")["pid"]
    ws.subscribe(f"STREAM:{pid}.out")
    ws.subscribe(f"STATS:{pid}", interval=0.1)
    ws.subscribe("JOB:web")
    assert ws.command("send", pid, "né\n")["data"]["result"] == {"ok": True}
    assert ws.event("stream")["data"] == "né\n"
    assert ws.event("stats")["stats"]["pid"] == pid
    ws.command("stop_job", "web")
    assert ws.event("job.default.web.exit")["term_signal"] == 15
    ws.until(
        lambda message: message["data"] == {"event": "end", "topic": f"STREAM:{pid}.out", "pid": pid, "label": "out"}
    )
    ws.until(lambda message: message["data"] == {"event": "end", "topic": f"STATS:{pid}"})
    assert ws.command("nothing")["event"] == "gaffer:command_error"
    ws.leave()
    wait_until(lambda: not live.manager.events._followers)


def test_messages_may_be_binary_and_what_is_none_is_answered(live):
    ws = Channel(live)
    ws.send(frame(b'{"event": "CMD", "data": {"identity": 1, "name": "jobs"}}'))
    assert ws.until(lambda message: True)["data"] == {"id": 1, "result": {"jobs": []}}
    ws.say("garbage")
    assert ws.until(lambda message: True)["event"] == "gaffer:error"
    ws.send(frame(b"hello", PING))
    assert ws.receive() == Frame(PONG, b"hello")
    ws.leave()


def test_disconnect_of_one_client_does_not_affect_others(live):
    clients = [Channel(live) for _ in range(6)]
    for ws in clients:
        ws.subscribe("EVENTS:create")
    clients[0].close()
    clients[1].send(frame(b"x", mask=None))
    clients[2].send(frame(b"\xff", TEXT))
    clients[3].send(frame(bytes(2_000_000), BINARY, mask=b"\0\0\0\0"))
    clients[4].sock.shutdown(1)
    clients[5].command("load", {"name": "web", "cmd": "sleep 1000"})
    assert clients[5].event("create")["name"] == "web"
    assert [clients[number].end().code for number in (1, 2, 3)] == [1002, 1007, 1009]
    clients[5].leave()
    wait_until(lambda: not live.manager.events._followers)
    for ws in clients:
        ws.close()


def test_client_that_does_not_read_does_not_block_others(live):
    lazy, other = Channel(live), Channel(live)
    lazy.subscribe("EVENTS")
    ask = frame(b'{"event": "CMD", "data": {"name": "info", "args": ["nothing"]}}', mask=b"\0\0\0\0")
    lazy.sock.settimeout(0.5)
    try:
        for _ in range(2000):
            lazy.send(ask * 100)
    except TimeoutError:
        pass  # it is not heard any more
    other.subscribe("EVENTS:create")
    other.command("load", {"name": "web", "cmd": "sleep 1000"})
    (sessions,) = live.manager.events._followers["."]
    assert other.command("jobs")["data"]["result"] == {"jobs": ["default.web"]}
    assert len(sessions._events) <= 1000
    lazy.close()
    other.leave()
    wait_until(lambda: not live.manager.events._followers)
