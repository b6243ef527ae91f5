"""The pause in which gevent's loop serves others."""

from __future__ import annotations

import gevent

#: Seconds: with a timer the loop looks at its descriptors; ``sleep(0)`` may go on without that.
LOOP_PAUSE = 1e-6


def pause() -> None:
    """Let the loop serve others."""
    gevent.sleep(LOOP_PAUSE)
