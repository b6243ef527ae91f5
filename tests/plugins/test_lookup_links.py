"""gaffer_plugins.lookup.links in front of lookupds that are none, refuse, fall silent or talk nonsense."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import gevent
import pytest

from gaffer.api import Resolver
from gaffer.web.requests.access_guard import AccessGuard
from gaffer.web.requests.access_rules import AccessRules
from gaffer.web.websocket.handshake import accept_websocket
from gaffer_plugins.lookup import links
from gaffer_plugins.lookup.config import LookupConfig, parse_place
from gaffer_plugins.lookup.links import Link
from gaffer_plugins.lookup.state import Desk
from tests.kit.web import served, wait_until
from tests.kit.web_app import app


class Lookupd:
    """A lookupd that answers as each test wants; by default as it should."""

    def __init__(self):
        self.heard = []
        self.connections = 0
        self.answer = lambda said: {"ok": True, "msgid": said["msgid"], "ping_interval": 15}

    def serve(self, websocket):
        self.connections += 1
        while (message := websocket.receive()) is not None:
            said = json.loads(message)
            self.heard.append(said)
            answer = self.answer(said)
            if answer is not None:
                websocket.send(answer if isinstance(answer, str) else json.dumps(answer))


@pytest.fixture
def lookupd():
    return Lookupd()


@pytest.fixture
def link(lookupd, monkeypatch):
    """A link that connects again at once, of a node with one job."""
    monkeypatch.setattr(links, "FIRST", 0.0)
    route = {"method": "GET", "path": "/ws", "handler": lambda request: accept_websocket(request, lookupd.serve)}
    with served(AccessGuard(app(route), AccessRules(local_users=True)), "127.0.0.1:0") as (address, server):
        desk = Desk()
        desk.add_process("default.web", 1)
        config = LookupConfig([], None, {}, None, None, None, None, None, [])
        place = parse_place(f"127.0.0.1:{address[1]}")
        identity = {"name": "n", "origin": "o", "version": "1", "labels": {}, "life": "l"}
        link = Link(place, SimpleNamespace(desk=desk, config=config, identity=lambda: identity, resolver=Resolver()))
        yield link
        link.stop()
        wait_until(lambda: not server.connections)


def kinds(lookupd):
    return [said["type"] for said in lookupd.heard]


def test_it_registers_and_tells_changes_with_the_state_they_are_complete_up_to(lookupd, link):
    link.start()
    wait_until(lambda: link.state()["registered"])
    desk = link._links.desk
    desk.remove_process("default.web", 1)
    wait_until(lambda: kinds(lookupd) == ["IDENTIFY", "REGISTER_JOB", "UNREGISTER_PROCESS"])
    assert lookupd.heard[0]["life"] == "l" and lookupd.heard[-1]["state"] == desk.state
    assert link.state() == {"registered": True, "losses": 0, "refused": 0}


def on_first_job(answer):
    """Return a way to answer: the first registration of a job with *answer*, everything else as it should be."""
    left = [answer]

    def respond(said):
        right = {"ok": True, "msgid": said["msgid"], "ping_interval": 15}
        return left.pop() if said["type"] == "REGISTER_JOB" and left else right

    return respond


@pytest.mark.parametrize(
    "answer, words",
    [
        ({"ok": True, "msgid": 99}, "it answered message 99, which was not asked"),
        ({"ok": True}, "it answered message None, which was not asked"),
        ({"ok": True, "msgid": "x" * 500}, f"it answered message {'x' * 40}, which was not asked"),
        ("nonsense", "its answer is not JSON; is it a lookupd?"),
        ("[1]", "its answer is no object; is it a lookupd?"),
    ],
)
def test_an_answer_that_cannot_be_ends_the_connection_and_all_is_told_anew(lookupd, link, caplog, answer, words):
    caplog.set_level(logging.INFO, "gaffer.lookup")
    lookupd.answer = on_first_job(answer)
    link.start()
    wait_until(lambda: link.state()["registered"] and lookupd.connections == 2)
    assert f"{words}; trying again" in caplog.text
    assert kinds(lookupd) == ["IDENTIFY", "REGISTER_JOB"] * 2


@pytest.mark.parametrize("silent", ["IDENTIFY", "REGISTER_JOB"])
def test_a_lookupd_that_does_not_answer_is_given_up(lookupd, link, monkeypatch, silent):
    monkeypatch.setattr(links, "ANSWER_TIMEOUT", 0.5)
    lookupd.answer = lambda said: (
        None if said["type"] == silent else {"ok": True, "msgid": said["msgid"], "ping_interval": 15}
    )
    link.start()
    wait_until(lambda: link.state().get("reason") == "no answer within 0.5 s")
    wait_until(lambda: lookupd.connections >= 2)
    assert not link.state()["registered"]


def test_who_is_refused_says_why_and_tries_again(lookupd, link):
    lookupd.answer = lambda said: {"errno": 409, "reason": "it is connected already", "msgid": said["msgid"]}
    link.start()
    wait_until(lambda: lookupd.connections >= 3)
    assert link.state()["reason"] == "it is connected already" and set(kinds(lookupd)) == {"IDENTIFY"}


def test_a_refused_job_costs_that_job_and_no_more(lookupd, link):
    lookupd.answer = on_first_job({"errno": 413, "reason": "too much", "msgid": 2})
    link.start()
    wait_until(lambda: link.state()["refused"] == 1)
    desk = link._links.desk
    desk.add_process("default.other", 7)
    wait_until(lambda: kinds(lookupd) == ["IDENTIFY", "REGISTER_JOB", "REGISTER_JOB"])
    desk.add_process("default.web", 2)
    wait_until(lambda: len(lookupd.heard) == 4)
    assert lookupd.heard[-1]["type"] == "REGISTER_JOB" and lookupd.heard[-1]["pids"] == [1, 2]
    assert link.state()["registered"] and lookupd.connections == 1


def test_pings_say_the_state(lookupd, link):
    lookupd.answer = lambda said: {"ok": True, "msgid": said["msgid"], "ping_interval": 0.1}
    link.start()
    wait_until(lambda: kinds(lookupd).count("PING") >= 2)
    assert lookupd.heard[-1]["state"] == link._links.desk.state


@pytest.mark.parametrize("interval", [None, "1", -1, 0, 1e9])
def test_a_nonsensical_interval_is_not_used(lookupd, link, interval):
    lookupd.answer = lambda said: {"ok": True, "msgid": said["msgid"], "ping_interval": interval}
    link.start()
    wait_until(lambda: link.state()["registered"])
    gevent.sleep(0.05)
    assert "PING" not in kinds(lookupd)


def test_pauses_double_up_to_the_longest_and_are_random():
    desk = Desk()
    for share, factor in ((0.0, 0.5), (1.0, 1.0)):
        link = Link(parse_place("h"), SimpleNamespace(desk=desk), jitter=lambda share=share: share)
        pauses = [link._pause() for _ in range(20)]
        assert pauses[:4] == [0.5 * factor, 1.0 * factor, 2.0 * factor, 4.0 * factor]
        assert pauses[-1] == links.LONGEST * factor
