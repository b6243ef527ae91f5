"""``gaffer_lookupd -v``: what changes, one line each."""

from __future__ import annotations

import time
from typing import Any, Mapping

import gevent
from gevent.event import Event

from ..events.event_log import EventLog


class EventPrinter:
    """Prints the events of a log on standard output until it is closed."""

    def __init__(self, log: EventLog) -> None:
        self._bell = Event()
        self._follower = log.follow(".", wake=self._bell.set)
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            self._bell.wait()
            self._bell.clear()
            lost, events = self._follower.take()
            lines = [f"{lost} events were lost"] if lost else []
            lines += [line(event.message) for event in events]
            now = time.strftime("%H:%M:%S")
            try:
                print(*(f"{now} {one}" for one in lines), sep="\n", flush=True)
            except OSError:
                return  # the reader is gone

    def close(self) -> None:
        """Print no longer."""
        self._follower.close()
        self._greenlet.kill(block=False)


def line(message: Mapping[str, Any]) -> str:
    """Return an event in words: ``add_process web-1 (http://…) default.web 3``."""
    info = message["node_info"]
    words = [message["event"], info["name"], f"({info['origin']})", message.get("job_name"), message.get("pid")]
    return " ".join(str(word) for word in words if word is not None)
