"""Output that goes on: a colour for each name, several feeds merged, and an end when the reader of a pipe leaves."""

from __future__ import annotations

import os
import stat
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Sequence, TypeVar

import click

from ...service.exit_codes import BROKEN_PIPE
from .output import colored

if TYPE_CHECKING:
    from ...httpclient.feeds import Feed

T = TypeVar("T")

_PLAIN = ("cyan", "yellow", "green", "magenta", "blue", "red")
#: In the order in which names get them.
COLORS = (*_PLAIN, *(f"bright_{color}" for color in _PLAIN))
#: Names are aligned up to this width.
MAX_NAME_WIDTH = 32
#: Items that may wait while others are printed; then the feeds wait, too, and gafferd counts what they miss.
MAX_QUEUED_ITEMS = 1000

colorize_option = click.option(
    "--colorize/--no-colorize", default=None, help="Colours; by default on terminals, unless NO_COLOR is set."
)


class Painter:
    """Gives each name a colour of its own, and a column as wide as the longest name so far.

    :param colorize: whether there are colours; by default on terminals that want them.
    """

    def __init__(self, colorize: bool | None = None) -> None:
        self.on = colored() if colorize is None else colorize
        self._colors: dict[str, str] = {}
        self._width = 0

    def aligned(self, name: str) -> str:
        """Return *name*, as wide as the column."""
        self._width = min(MAX_NAME_WIDTH, max(self._width, len(name)))
        return name.ljust(self._width)

    def paint(self, name: str, text: str) -> str:
        """Return *text* in the colour of *name*."""
        if not self.on:
            return text
        color = self._colors.setdefault(name, COLORS[len(self._colors) % len(COLORS)])
        return click.style(text, fg=color)


def end_with_reader(restore: Callable[[], object] | None = None) -> None:
    """End the program as soon as the reader of its output leaves, as ``| head`` does, though nothing more comes.

    Called in another thread, for one of many nodes, it does nothing: the main thread has called it already.

    :param restore: called before the end.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    try:
        descriptor = sys.stdout.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        threading.Thread(target=_end_when_unread, args=(descriptor, restore), daemon=True).start()


def _end_when_unread(descriptor: int, restore: Callable[[], object] | None) -> None:
    import select

    poll = select.poll()
    poll.register(descriptor, 0)  # a pipe without a reader is an error, which is always reported
    poll.poll()
    if restore is not None:
        restore()
    # At once: an exception could reach the main thread in any line, also in those that handle exceptions.
    os._exit(BROKEN_PIPE)


def merge(feeds: Sequence[Feed[T]]) -> Iterator[list[tuple[int, T]]]:
    """Yield what several feeds have, each time all that there is; end when all have ended.

    Items come with the number of their feed. Errors of a feed are raised.
    """
    if len(feeds) == 1:
        for item in feeds[0]:
            yield [(0, item)]
        return
    import queue

    waiting: queue.Queue[tuple[int, T | None, BaseException | None]] = queue.Queue(MAX_QUEUED_ITEMS)
    for number, feed in enumerate(feeds):
        threading.Thread(target=_pour, args=(number, feed, waiting), daemon=True).start()
    running = len(feeds)
    while running:
        found = [waiting.get(), *(waiting.get() for _ in range(waiting.qsize()))]
        yield [(number, item) for number, item, _ in found if item is not None]
        running -= sum(item is None for _, item, _ in found)
        for _, _, error in found:
            if error is not None:
                raise error


def _pour(number: int, feed: Feed[T], waiting: Any) -> None:
    try:
        for item in feed:
            waiting.put((number, item, None))
        waiting.put((number, None, None))
    except BaseException as error:
        waiting.put((number, None, error))


def close_all(feeds: Iterable[Feed[T]]) -> None:
    """Close feeds."""
    for feed in feeds:
        feed.close()
