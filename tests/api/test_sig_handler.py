"""Signals as applications: what arrives reaches a method, and a manager stops, restarts or is killed."""

import os
import signal
import threading

import gevent
import pytest
from gevent.event import Event

import gaffer
from gaffer.errors import Conflict
from gaffer.sig_handler import BaseSigHandler, SigHandler
from tests.kit.web import wait_until


class Handler(BaseSigHandler):
    def __init__(self):
        self.seen = []
        self.happened = Event()

    def _note(self, *what):
        self.seen.append(what)
        self.happened.set()

    def handle_quit(self, handle, signum):
        assert gevent.getcurrent() is not gevent.get_hub()
        self._note("quit", handle is self, signum)

    def handle_reload(self, handle, signum):
        self._note("reload", handle is self, signum)

    def take(self):
        with gevent.Timeout(10):
            self.happened.wait()
        self.happened.clear()
        return self.seen.pop()


HANDLED = (*BaseSigHandler.QUIT_SIGNALS, signal.SIGHUP)


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Handlers and descriptors are afterwards what they were."""
    gevent.idle()  # a loop that never ran has not opened all its descriptors
    before = [signal.getsignal(number) for number in HANDLED], os.listdir("/proc/self/fd")
    yield
    assert ([signal.getsignal(number) for number in HANDLED], os.listdir("/proc/self/fd")) == before


@pytest.fixture
def handler():
    made = Handler()
    made.start(gevent.get_hub().loop)
    yield made
    made.stop()


def test_the_signals_that_quit():
    assert BaseSigHandler.QUIT_SIGNALS == (3, 15, 2)


@pytest.mark.parametrize("signum", BaseSigHandler.QUIT_SIGNALS)
def test_signals_to_quit_reach_a_greenlet(handler, signum):
    os.kill(os.getpid(), signum)
    assert handler.take() == ("quit", True, signum)


def test_hup_is_for_reloading(handler):
    os.kill(os.getpid(), signal.SIGHUP)
    assert handler.take() == ("reload", True, signal.SIGHUP)


def test_starting_and_stopping_twice_changes_nothing(handler):
    handler.start()
    handler.restart()
    os.kill(os.getpid(), signal.SIGHUP)
    assert handler.take()[0] == "reload" and not handler.seen
    handler.stop()
    handler.stop()


def test_other_threads_are_refused():
    refused = []

    def run():
        try:
            Handler().start()
        except Conflict as error:
            refused.append(str(error))
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert refused == ["signals can be handled in the main thread only"]


class TestManager:
    @pytest.fixture
    def manager(self):
        manager = gaffer.Manager(apps=[SigHandler()])
        manager.start()
        yield manager
        manager.stop()

    def test_term_stops_it_and_its_own_handlers_come_back(self, manager):
        manager.load({"name": "web", "cmd": "sleep 1000"})
        os.kill(os.getpid(), signal.SIGTERM)
        with gevent.Timeout(20):
            manager.run()
        assert manager.state == "stopped"

    def test_a_second_signal_kills(self, manager):
        stubborn = "trap '' TERM; echo ready; while :; do sleep 1000; done"
        manager.load({"name": "web", "cmd": stubborn, "shell": True, "redirect_output": ["out"]})
        wait_until(lambda: manager.list() and b"ready" in manager.list()[0].reader("out").ring.read()[1])
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: manager.state == "stopping")
        os.kill(os.getpid(), signal.SIGINT)
        with gevent.Timeout(20):
            manager.run()
        assert manager.state == "stopped"

    def test_hup_restarts_its_jobs(self, manager):
        manager.load({"name": "web", "cmd": "sleep 1000"})
        wait_until(lambda: manager.pids() == [1])
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: manager.pids() == [2])
