"""Slices of time: they belong to the loop, and are shared by all who give way."""

from __future__ import annotations

import time
from types import SimpleNamespace

import gevent
from gevent import socket as green

from gaffer.events.time_slice import BULK, BUSY, FRESH, READ_SLICE, SLICE, LoopRounds, TimeSlice
from gaffer.web.server.socket_reader import SocketReader
from tests.kit.web import in_thread


def _work(done: list[int], number: int) -> None:
    turn = TimeSlice()
    while True:
        turn.give_way()
        done[number] += 1
        end = time.monotonic() + 0.0002
        while time.monotonic() < end:
            pass


def test_busy_greenlets_leave_time_to_timers_and_share_the_rest() -> None:
    done = [0] * 50
    workers = [gevent.spawn(_work, done, number) for number in range(50)]
    rounds = 0
    try:
        with gevent.Timeout(20):
            while min(done) < 10:
                gevent.sleep(1e-6)
                rounds += 1
    finally:
        gevent.killall(workers)
    # Each round has room for a slice and what went on when it was over; without accounts it would be fifty of them.
    assert rounds > sum(done) * 0.0002 / SLICE / 10
    assert max(done) < 20 * min(done)


def test_request_waits_for_other_requests_and_not_for_output() -> None:
    rounds, order = LoopRounds(gevent.get_hub().loop), []

    def wait(name: str, row: int) -> None:
        rounds.wait(row)
        order.append(name)

    waiting = [gevent.spawn(wait, f"output {number}", BULK) for number in range(20)]
    waiting += [gevent.spawn(wait, "request", FRESH), gevent.spawn(wait, "long request", BUSY)]
    gevent.joinall(waiting, 20)
    assert order[:3] == ["request", "long request", "output 0"] and len(order) == 22


def test_pipes_that_flood_share_a_slice_of_each_round() -> None:
    rounds = LoopRounds(SimpleNamespace(iteration=1, timer=lambda after: None))
    now = time.monotonic()
    assert rounds.read_until() >= now + READ_SLICE
    for _ in range(9):
        rounds.read_until()
    rounds.loop.iteration = 2  # ten were read in the round before: each has a tenth now
    assert rounds.read_until() <= time.monotonic() + READ_SLICE / 10


def test_killed_waiter_does_not_block_others() -> None:
    done = [0] * 4
    workers = [gevent.spawn(_work, done, number) for number in range(4)]
    gevent.sleep(0.01)
    workers[1].kill()
    before = list(done)
    with gevent.Timeout(20):
        while any(done[number] < before[number] + 3 for number in (0, 2, 3)):
            gevent.sleep(0.001)
    gevent.killall(workers)
    assert done[1] == before[1]


def test_interrupted_read_loses_no_bytes() -> None:
    ours, theirs = green.socketpair()
    with ours, theirs:
        theirs.sendall(b"abc")
        try:
            SocketReader(ours, _Interrupted()).readinto(bytearray(10))
        except gevent.Timeout:
            pass
        assert ours.recv(10) == b"abc"


class _Interrupted(TimeSlice):
    def give_way(self) -> None:
        raise gevent.Timeout


def test_each_thread_has_a_loop_and_rounds_of_its_own() -> None:
    assert in_thread(lambda: TimeSlice()._rounds) is not TimeSlice()._rounds


def test_they_keep_no_loop_from_ending() -> None:
    def join() -> bool:
        TimeSlice().give_way()
        return bool(gevent.get_hub().join(timeout=5))

    assert in_thread(join)  # a loop of its own: other tests may have left something in ours
