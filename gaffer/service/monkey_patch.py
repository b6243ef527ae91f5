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
    with _told_to_nobody():
        monkey.patch_all(subprocess=False, os=False, signal=False)


@contextmanager
def _told_to_nobody() -> Iterator[None]:
    """Let gevent find no entry points meanwhile.

    ``patch_all`` looks 17 times for entry points that want to know of it, and each look goes through every
    installed distribution: with seventy of them 0.1 s, a third of the time to the first child. The only
    one who asks to be told is gevent itself, to warn of patching signals without os; we patch neither.
    """
    look = metadata.entry_points
    no_entry_points: Any = lambda **which: ()  # noqa: E731
    metadata.entry_points = no_entry_points
    try:
        yield
    finally:
        metadata.entry_points = look
