"""Servers that never end their answer, and what programs that use gaffer.httpclient, or gafferctl, have of it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest

from gaffer.httpclient import LookupServer, Server
from gaffer.httpclient.errors import CannotConnect, Quiet
from gaffer.httpclient.transport import MAX_BODY_BYTES
from tests.kit.gafferd import environment
from tests.security import attack, flooding
from tests.security.flooding import ANSWERS, BUFFERS, DRIPPING, ENDLESS, FEEDS, FRAMES, Flood

_TIMEOUT = 0.2


def _ask(server: Server) -> object:
    return server.transport.request("GET", "/jobs")


def _follow(server: Server) -> object:
    with server.events(timeout=_TIMEOUT) as feed:
        return feed.take(_TIMEOUT)


def _figures(server: Server) -> object:
    with server.follow_stats(timeout=_TIMEOUT) as feed:
        return feed.take(_TIMEOUT)


def _listen(server: Server) -> object:
    with server.channel(timeout=_TIMEOUT) as channel:
        return channel.receive(_TIMEOUT)


def _command(server: Server) -> object:
    with server.channel(timeout=_TIMEOUT) as channel:
        return channel.command("jobs")


#: Each loop that reads, once with what it reads in vain; those of an answer's head are shared.
_CASES: list[tuple[Callable[[Server], object], str, Flood, str]] = [
    *((_ask, name, ANSWERS[name], ENDLESS) for name in ANSWERS if name not in ("a chunk", "headers of a 100")),
    (_ask, "a header", ANSWERS["a header"], DRIPPING),
    (_ask, "small chunks", ANSWERS["small chunks"], DRIPPING),
    *((_follow, name, ANSWERS[name], ENDLESS) for name in ("100 Continue", "the body of an error", "small chunks")),
    *((_follow, name, FEEDS[name], ENDLESS) for name in FEEDS),
    (_follow, "beats", FEEDS["beats"], DRIPPING),
    (_figures, "a line", FEEDS["a line"], ENDLESS),
    (_listen, "headers", ANSWERS["headers"], ENDLESS),
    *((_listen, name, FRAMES[name], ENDLESS) for name in FRAMES),
    (_command, "messages", FRAMES["messages"], ENDLESS),
    (_command, "pings", FRAMES["pings"], DRIPPING),
]


@pytest.mark.parametrize(
    ("ask", "flood", "manner"),
    [
        pytest.param(ask, flood, manner, id=f"{ask.__name__[1:]}: {name}, {manner}")
        for ask, name, flood, manner in _CASES
    ],
)
def test_question_of_a_program_ends(ask: Callable[[Server], object], flood: Flood, manner: str) -> None:
    with flooding.Server(flood, manner) as server:
        began = time.monotonic()
        with Server(f"http://127.0.0.1:{server.port}", timeout=_TIMEOUT) as client:
            with pytest.raises((CannotConnect, Quiet)) as caught:
                ask(client)
        assert time.monotonic() - began < 10.0, caught.value
        assert server.sent < MAX_BODY_BYTES + BUFFERS
        assert str(server.port) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["100 Continue", "a body", "small chunks"])
@attack(
    "a server that gafferd talks to",
    "an answer to gafferctl without an end: a head, a body, tiny chunks",
    "exit code 3 and one sentence, after 64 MiB or `--timeout` and a second for each 16 KiB; memory is bounded",
)
def test_gafferctl_ends(tmp_path: Path, name: str) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29));"
    code = f"{limit} from gaffer.cli.ctl.gafferctl import main; main()"
    with flooding.Server(ANSWERS[name]) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, "--connect", f"http://127.0.0.1:{server.port}", "status"],
            capture_output=True,
            text=True,
            env=environment(tmp_path),
            timeout=60,
        )
    assert done.returncode == 3, done.stderr
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1 and "no end" in done.stderr, done.stderr


def test_watcher_of_a_lookupd_ends() -> None:
    with flooding.Server(FRAMES["a frame"]) as server:
        with LookupServer(f"http://127.0.0.1:{server.port}", timeout=10.0) as lookup, lookup.watch() as watch:
            with pytest.raises(CannotConnect, match="no end"):
                next(watch)
        assert server.sent < BUFFERS * 2
