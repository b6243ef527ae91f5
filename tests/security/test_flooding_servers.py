"""Servers that gafferd, gaffer_lookupd and the command lines talk to, and that never end their answer."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from pathlib import Path
from typing import Callable, Mapping

import pytest

from gaffer.api import Resolver
from gaffer_plugins.lookup.config import LookupConfig as LookupConfig
from gaffer_plugins.lookup.config import parse_place
from gaffer_plugins.lookup.connection import LinkError, LookupConnection
from gaffer_plugins.webhooks.client import Client
from gaffer_plugins.webhooks.config import check_tuning
from gaffer_plugins.webhooks.retry import Undelivered
from gaffer_plugins.webhooks.trust import Trust
from gaffer_plugins.webhooks.urls import parse_url
from tests.kit.gafferd import Gafferd
from tests.kit.under_attack import Figures, gafferd, listening, lookupd, under_attack
from tests.security import attack, flooding
from tests.security.flooding import ANSWERS, BUFFERS, ENDLESS, FRAMES, LINKS, MANNERS, WATCHES, Flood

#: What a handshake reads of an answer that makes no websocket: nothing of chunks.
_HANDSHAKES = ("a status line", "100 Continue", "headers", "a header", "a body", "the body of an error")
#: Seconds of a question that is asked here.
_TIMEOUT = 0.2


def attacked(make: Callable[[list[int]], Gafferd], floods: Mapping[str, Flood], manner: str) -> Figures:
    """Return the figures of a program that talks to all these servers at once.

    :param make: returns it, given their ports.
    """
    sockets = [listening() for _ in floods]
    try:
        program = make([sock.getsockname()[1] for sock in sockets])
        pairs = list(zip(sockets, floods.values()))
        return under_attack(program, partial(flooding.serve, pairs, manner), seconds=1.0, early=True)
    finally:
        for sock in sockets:
            sock.close()


def check(figures: Figures) -> None:
    figures.check()
    assert figures.memory < 150 << 20, f"{figures.memory >> 20} MiB"
    assert len(figures.log.splitlines()) < 200, figures.log[-4000:]
    assert "Traceback" not in figures.log, figures.log[-4000:]


@pytest.mark.parametrize("manner", MANNERS)
@attack(
    "a server that gafferd talks to",
    "a webhook receiver's answer without an end: status line, 100 Continue, headers, body, chunks, trailers; fast or "
    "byte by byte",
    "the attempt ends at 256 KiB or at its timeout, the delivery is tried again later; a few lines in the log",
)
def test_webhook_receivers(tmp_path: Path, manner: str) -> None:
    def make(ports: list[int]) -> Gafferd:
        urls = ", ".join(f"http://127.0.0.1:{port}/" for port in ports)
        return gafferd(tmp_path, sections=f"[webhooks]\n. = {urls}\n[plugin:webhooks]\nbackoff = 0.1\n")

    check(attacked(make, ANSWERS, manner))


@pytest.mark.parametrize("manner", MANNERS)
@attack(
    "a server that gafferd talks to",
    "a lookupd's answer without an end: the head of the handshake, pings, fragments, messages, one frame of 8 GiB; "
    "fast or byte by byte",
    "the link is cut at 64 KiB without an answer, or after 10 seconds, and tried again later",
)
def test_lookupds(tmp_path: Path, manner: str) -> None:
    def make(ports: list[int]) -> Gafferd:
        addresses = ", ".join(f"http://127.0.0.1:{port}" for port in ports)
        return gafferd(tmp_path, f"lookupd_address = {addresses}")

    check(attacked(make, ANSWERS | LINKS, manner))


@pytest.mark.parametrize("name", ["trailers", "headers", "watch: changes"])
@attack(
    "a server that gafferd talks to",
    "an etcd's answer to gaffer_lookupd without an end, or lines and changes of a watch; as fast as it is taken",
    "the member counts as failed at 64 MiB (a line of a watch: 16 MiB) or when it takes too long, the next is asked",
)
def test_etcd(tmp_path: Path, name: str) -> None:
    pytest.importorskip("etcd3gw")
    flood = WATCHES[name[7:]] if name.startswith("watch: ") else ANSWERS[name]
    figures = attacked(
        lambda ports: lookupd(tmp_path, f"--registry etcd://127.0.0.1:{ports[0]}"), {name: flood}, ENDLESS
    )
    figures.check()
    assert figures.memory < 400 << 20, f"{figures.memory >> 20} MiB"
    assert len(figures.log.splitlines()) < 200, figures.log[-4000:]


# -- each kind by itself ------------------------------------------------------------------------


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("name", ANSWERS)
def test_post_of_a_webhook_ends(name: str, manner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gaffer_plugins.webhooks.client.REST", _TIMEOUT)
    with flooding.Server(ANSWERS[name], manner) as server:
        tuning = check_tuning({"timeout": _TIMEOUT})
        client = Client(parse_url(f"http://127.0.0.1:{server.port}/"), tuning, Trust(None))
        began = time.monotonic()
        with contextlib.suppress(Undelivered):  # one whose status is known is delivered
            client.post({}, b"{}")
        client.close()
        assert time.monotonic() - began < 5.0
        assert server.sent < BUFFERS


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("name", [*_HANDSHAKES, *FRAMES])
def test_question_to_a_lookupd_ends(name: str, manner: str) -> None:
    flood = (ANSWERS | FRAMES)[name]
    with flooding.Server(flood, manner) as server:
        began = time.monotonic()
        with pytest.raises(LinkError):
            config = LookupConfig([], None, {}, None, None, None, None, None, [])
            connection = LookupConnection(parse_place(f"http://127.0.0.1:{server.port}"), config, _TIMEOUT, Resolver())
            try:
                connection.ask({"type": "PING"})
            finally:
                connection.close()
        assert time.monotonic() - began < 5.0
        assert server.sent < BUFFERS
