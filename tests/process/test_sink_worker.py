"""Sinks of plugins: none of them can hold up or lose anything but itself."""

import gevent
import pytest
from gevent.event import Event

from gaffer.events.outbox import Outbox
from gaffer.process import sink_worker
from gaffer.process.sink_worker import SinkWorker, workers


class Sink:
    """A sink that writes down its calls; *error* or *wait* happens in those that are named."""

    def __init__(self, fails=(), error=None, waits=(), until=None):
        self.calls, self.fails, self.error, self.waits, self.until = [], fails, error, waits, until

    def write(self, data):
        self._call("write", data)

    def close(self):
        self._call("close")

    def _call(self, name, *arguments):
        self.calls.append((name, *arguments))
        if name in self.waits:
            self.until.wait()
        if name in self.fails:
            raise self.error or ValueError("full")


class AttachedSink(Sink):
    def attach(self, reader):
        self._call("attach", reader)


def idle():
    for _ in range(5):
        gevent.idle()


def test_write_is_called_in_place():
    sink = Sink()
    SinkWorker(sink, "a sink").write(b"data")
    assert sink.calls == [("write", b"data")]


def test_close_is_called_once_in_its_own_greenlet():
    sink = Sink()
    worker = SinkWorker(sink, "a sink")
    worker.close()
    worker.close()
    assert sink.calls == []
    idle()
    assert sink.calls == [("close",)]


def test_attach_comes_first_and_close_last():
    sink = AttachedSink()
    worker = SinkWorker(sink, "a sink")
    worker.attach("reader")
    worker.write(b"1")
    worker.queue(b"2")
    worker.close()
    worker.write(b"too late")
    worker.queue(b"too late")
    assert sink.calls == []
    idle()
    assert sink.calls == [("attach", "reader"), ("write", b"1"), ("write", b"2"), ("close",)]


@pytest.mark.parametrize("method", ["attach", "write", "close"])
def test_waiting_sink_holds_up_only_itself(method):
    go_on = Event()
    sink = AttachedSink(waits=[method], until=go_on)
    worker = SinkWorker(sink, "a sink")
    worker.attach("reader")
    worker.queue(b"data")
    worker.close()
    idle()
    assert sink.calls[-1][0] == method
    go_on.set()
    idle()
    assert [call[0] for call in sink.calls] == ["attach", "write", "close"]


@pytest.mark.parametrize("error", [ValueError("full"), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("method", ["attach", "write", "close"])
def test_failing_sink_is_closed_once_and_logged(method, error, caplog):
    sink = AttachedSink(fails=[method, "close"], error=error)
    worker = SinkWorker(sink, "the sink of a plugin")
    worker.attach("reader")
    worker.queue(b"1")
    worker.queue(b"2")
    worker.close()
    idle()
    names = [call[0] for call in sink.calls]
    assert names == {"attach": ["attach"], "write": ["attach", "write"], "close": ["attach", "write", "write"]}[
        method
    ] + ["close"]
    assert caplog.messages[0].startswith(f"the sink of a plugin failed in {method}")


def test_write_that_waits_in_the_hub_fails_alone():
    sink = Sink(waits=["write"], until=Event())
    worker = SinkWorker(sink, "a sink")
    gevent.get_hub().loop.run_callback(worker.write, b"data")
    idle()
    assert sink.calls == [("write", b"data"), ("close",)]


def test_sink_that_takes_nothing_is_closed_with_bounded_queue(monkeypatch, caplog):
    monkeypatch.setattr(sink_worker, "MAX_QUEUED_WRITES", 3)
    sink = AttachedSink(waits=["attach"], until=Event())
    worker = SinkWorker(sink, "a sink")
    worker.attach("reader")
    idle()
    for _ in range(10):
        worker.write(b"data")
    idle()
    assert sink.calls == [("attach", "reader"), ("close",)]
    assert caplog.messages == ["a sink takes nothing and is closed: 3 writes wait for it"]


def test_full_sink_slows_reading_and_a_failing_property_does_not(caplog):
    class Odd(Sink):
        @property
        def full(self):
            raise ValueError("odd")

    full = Sink()
    full.full = True
    assert SinkWorker(full, "a sink").full and not SinkWorker(Sink(), "a sink").full
    assert not SinkWorker(Odd(), "a sink").full
    assert caplog.messages == ["a sink failed to report whether it is full: ValueError('odd')"]


def test_queue_is_listed_until_the_sink_is_closed():
    outboxes: set[Outbox] = set()
    worker = SinkWorker(AttachedSink(fails=["close"]), "a sink", outboxes)
    assert not outboxes
    worker.attach("reader")
    assert len(outboxes) == 1
    worker.close()
    idle()
    assert not outboxes


def test_workers_wrap_sinks_once():
    worker = SinkWorker(Sink(), "a sink")
    assert workers(None, "out") is None and workers([], "out") is None
    assert workers([worker], "out") == [worker]
    assert [one.owner for one in workers([Sink()], "out")] == ["a sink of out"]
