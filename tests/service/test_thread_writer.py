"""Writing from native threads while the system gives none."""

from __future__ import annotations

import time
from typing import Any, Callable

import gevent
import pytest

from gaffer.service import thread_writer
from gaffer.service.thread_writer import ThreadWriter


class Memory(ThreadWriter):
    """Writes into a list."""

    def __init__(self) -> None:
        super().__init__(1000)
        self.written: list[bytes] = []

    def put(self, data: bytes) -> None:
        self._enqueue(data)

    def _write_batch(self, parts: list[bytes]) -> None:
        self.written += parts

    def _wait(self, written: Any) -> bool:
        return bool(written.wait(20))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While it is empty, no thread can be started."""
    allowed: list[bool] = []
    start = thread_writer.start_thread
    monkeypatch.setattr(thread_writer, "start_thread", lambda run: bool(allowed) and start(run))
    return allowed


def test_data_waits_for_a_thread_and_is_written_in_order(threads: list[bool]) -> None:
    writer = Memory()
    writer.put(b"a")
    writer.put(b"b")
    threads.append(True)
    writer.put(b"c")
    writer.close()
    assert writer.written == [b"a", b"b", b"c"]


def test_thread_is_tried_again_at_the_end(threads: list[bool]) -> None:
    writer = Memory()
    writer.put(b"a")
    threads.append(True)
    writer.close()
    assert writer.written == [b"a"]


def test_refused_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(run: Callable[[], None], args: tuple[()]) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(thread_writer, "native", lambda module, name: refuse)
    assert not thread_writer.start_thread(lambda: None)


def test_log_file_is_written_once_threads_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    from gaffer_plugins.logfiles import pool as module

    start, allowed, done = module.start_thread, [False], []
    monkeypatch.setattr(module, "start_thread", lambda run: allowed[0] and start(run))
    monkeypatch.setattr(module, "RETRY", 0.01)

    class Work:
        def work(self) -> None:
            done.append(1)

    pool = module.Pool()
    pool.give(Work())
    pool.chore(lambda: done.append(2))
    gevent.sleep(0.05)
    assert not done
    allowed[0] = True
    deadline = time.monotonic() + 20
    while not done:
        assert time.monotonic() < deadline
        gevent.sleep(0.01)
    pool.chore(lambda: done.append(3))
    while len(done) < 3:
        assert time.monotonic() < deadline
        gevent.sleep(0.01)
    assert done == [1, 2, 3]
    pool.close()
