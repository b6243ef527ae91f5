"""gaffer.service.resolver: names that hang hold up neither gevent's thread pool nor more threads than allowed."""

from __future__ import annotations

import socket
import threading
from typing import Any, Iterator

import gevent
import pytest

from gaffer.service.resolver import Resolver
from tests.kit.web import wait_until

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]


class NameServer:
    """getaddrinfo: names that begin with ``hang`` wait until the end of the test."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = threading.Event()

    def __call__(self, host: str, port: int, **options: Any) -> list[Any]:
        self.asked.append(host)
        if host.startswith("hang"):
            self.open.wait(60)
        if host == "none":
            raise socket.gaierror(-2, "Name or service not known")
        return ANSWER


@pytest.fixture
def names() -> Iterator[NameServer]:
    made = NameServer()
    yield made
    made.open.set()


def test_a_name_is_resolved_or_its_error_is_raised(names: NameServer) -> None:
    resolver = Resolver(getaddrinfo=names)
    assert resolver.resolve("good", 80) == ANSWER
    with pytest.raises(socket.gaierror, match="not known"):
        resolver.resolve("none", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_needs_no_thread(names: NameServer, host: str) -> None:
    assert Resolver(getaddrinfo=names).resolve(host, 80)[0][4][0] == host
    assert names.asked == []


def test_names_that_hang_leave_the_thread_pool_to_others(names: NameServer) -> None:
    resolver = Resolver(getaddrinfo=names)
    waiting = [
        gevent.spawn(resolver.resolve, f"hang{number}", 80) for number in range(gevent.get_hub().threadpool.maxsize)
    ]
    wait_until(lambda: len(names.asked) == len(waiting))
    with gevent.Timeout(10):
        assert gevent.get_hub().threadpool.apply(int, ("7",)) == 7
        assert resolver.resolve("good", 80) == ANSWER
    names.open.set()
    assert [one.get(timeout=10) for one in waiting] == [ANSWER] * len(waiting)


def test_a_name_takes_one_thread_however_many_ask_for_it(names: NameServer) -> None:
    resolver = Resolver(limit=2, getaddrinfo=names)
    waiting = [gevent.spawn(resolver.resolve, "hang", 80) for _ in range(5)]
    wait_until(lambda: names.asked)
    assert resolver.resolve("good", 80) == ANSWER
    names.open.set()
    assert [one.get(timeout=10) for one in waiting] == [ANSWER] * 5
    assert names.asked == ["hang", "good"]


def test_more_names_than_threads_wait_and_may_give_up(names: NameServer) -> None:
    resolver = Resolver(limit=1, getaddrinfo=names)
    first = gevent.spawn(resolver.resolve, "hang", 80)
    wait_until(lambda: names.asked)
    with gevent.Timeout(0.02, False):
        resolver.resolve("good", 80)
    assert names.asked == ["hang"]
    second = gevent.spawn(resolver.resolve, "good", 80)
    names.open.set()
    assert (first.get(timeout=10), second.get(timeout=10)) == (ANSWER, ANSWER)


def test_a_thread_that_cannot_be_started_is_an_error_of_the_connection(
    names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver(limit=1, getaddrinfo=names)

    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("_thread.start_new_thread", refuse)
        with pytest.raises(OSError, match="the system gives no thread to resolve good"):
            resolver.resolve("good", 80)
    assert resolver.resolve("good", 80) == ANSWER
