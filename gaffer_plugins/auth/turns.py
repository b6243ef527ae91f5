"""Work in a thread that has its turn for as long as it really takes."""

from __future__ import annotations

from typing import Any, Callable

import gevent
from gevent.lock import BoundedSemaphore


def in_turn(turn: BoundedSemaphore, function: Callable[..., Any], *args: Any) -> Any:
    """Call *function* in a thread, and give *turn* back when that has returned.

    Whoever waits for it may be ended meanwhile, by ``http_request_timeout`` for instance; the thread goes on, and
    nobody else may think that it was finished.

    :param turn: acquired already.
    """
    try:
        working = gevent.get_hub().threadpool.spawn(function, *args)
    except BaseException:
        turn.release()
        raise
    working.rawlink(lambda result: turn.release())
    return working.get()
