"""Monkey-patching for the plugins' sake: their authors write ``requests.get`` and ``time.sleep``.

Only gafferd and gaffer_lookupd do it. ``subprocess``, ``os`` and ``signal`` stay native: children
are spawned and waited for natively, and signal handlers are Python's own.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import metadata
from typing import Any, Iterator

from gevent import monkey


def patch() -> None:
    """Patch the standard library."""
    with _distributions_read_once():
        monkey.patch_all(subprocess=False, os=False, signal=False)


@contextmanager
def _distributions_read_once() -> Iterator[None]:
    """Answer all questions for entry points from one reading.

    ``patch_all`` asks 17 times, and each answer costs a look at every installed
    distribution: with seventy of them 0.1 s, a third of the time to the first child.
    """
    look = metadata.entry_points
    everything: Any = look()
    metadata.entry_points = lambda **which: everything.select(**which)
    try:
        yield
    finally:
        metadata.entry_points = look
