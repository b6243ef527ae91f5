"""Everything that reads of a client gives way after a slice of time, and stops after a number of bytes."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Iterator

import pytest

from tests.kit.floods import FLOODS, SINK, endless, endless_for_lookupd, many, together
from tests.kit.gafferd import Gafferd
from tests.kit.under_attack import attack_running, connect, gafferd, lookupd, under_attack
from tests.security import attack

_QUICK = "http_head_timeout = 1\nhttp_body_timeout = 1\nhttp_idle_timeout = 1\n"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    with gafferd(tmp_path_factory.mktemp("gafferd"), sections=SINK) as program:
        yield program.start().ready()


@pytest.fixture(scope="module")
def attacked_lookupd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    with lookupd(tmp_path_factory.mktemp("lookupd")) as program:
        yield program.start().ready()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    with gafferd(tmp_path_factory.mktemp("impatient"), _QUICK, SINK) as program:
        yield program.start().ready()


@pytest.mark.parametrize("name", endless())
@attack(
    "a network client without a key",
    "data without end for anything that reads: heads, pipelined requests, bodies, chunks, websockets, SockJS, stdin",
    "others are served, killed processes are replaced and signals obeyed as before; the rest is 400, 413 or the end of "
    "the connection",
)
def test_an_endless_client_keeps_no_other_waiting(attacked: Gafferd, name: str) -> None:
    figures = attack_running(attacked, endless()[name])
    figures.check_service()
    assert figures.memory < 300 << 20


@pytest.mark.parametrize("name", endless_for_lookupd())
@attack(
    "a network client without a key",
    "data without end for gaffer_lookupd: heads, pipelined requests, bodies, words of nodes and of watchers",
    "others are answered, and signals obeyed, as before",
)
def test_an_endless_client_of_a_lookupd_keeps_no_other_waiting(attacked_lookupd: Gafferd, name: str) -> None:
    figures = attack_running(attacked_lookupd, endless_for_lookupd()[name])
    figures.check_service()
    assert figures.memory < 300 << 20


@pytest.mark.parametrize("of", ["gafferd", "gaffer_lookupd"])
def test_all_endless_clients_at_once_do_not_keep_it_from_ending(tmp_path: Path, of: str) -> None:
    program, attacks = (
        (gafferd(tmp_path, sections=SINK), endless()) if of == "gafferd" else (lookupd(tmp_path), endless_for_lookupd())
    )
    figures = under_attack(program, together(list(attacks.values())), seconds=1.0)
    assert figures.term < 20.0 and figures.status == 0, figures


@attack(
    "a network client without a key",
    "100 connections at once, each sending requests, or empty lines, without end",
    "they share the time that one would get: supervision and other clients come in between",
)
@pytest.mark.parametrize("name", ["empty lines before a request", "pipelined requests"])
def test_a_hundred_endless_clients_have_no_more_time_than_one(tmp_path: Path, name: str) -> None:
    figures = under_attack(gafferd(tmp_path), many(endless()[name], 100), seconds=1.0)
    figures.check()


#: What is a whole request is finished before its time is over.
_DRIPPED = sorted(
    name
    for name, one in FLOODS.items()
    if "websocket" not in name and "lookupd's" not in name and not one.data.startswith((b"GET", b"POST"))
)


@pytest.mark.parametrize("name", _DRIPPED)
@attack(
    "a network client without a key",
    "a head, or a body, sent byte by byte",
    "the connection is ended after `http_head_timeout`, or `http_body_timeout`; meanwhile it costs nothing",
)
def test_a_dripping_client_is_ended_in_time(impatient: Gafferd, name: str) -> None:
    one = FLOODS[name]
    with connect(impatient.port) as sock:
        sock.sendall(one.first)
        sock.settimeout(0.02)
        assert any(_is_ended(sock, one.data, number) for number in range(1000)), "it is still served"
    assert impatient.get("/ping", text=True) == "OK"


def _is_ended(sock: socket.socket, data: bytes, number: int) -> bool:
    """Send one byte and tell whether the server has closed the connection."""
    try:
        sock.sendall(data[number % len(data) :][:1])
        return sock.recv(65_536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
