"""Sources of figures that are measured at intervals while they are followed."""

from __future__ import annotations

import logging
import math
from typing import Any, Callable, Hashable

from ...errors import BadRequest, GafferError, NotFound, Unavailable
from ...process.sampler import MIN_STATS_INTERVAL, Measure, SampleFollower, Sampler
from ..requests.replies import encode_json
from .sources import LiveItem, Wakeable

log = logging.getLogger("gaffer.web")

#: Seconds between two measurements by default.
USUAL = 1.0
_SLOWEST = 86_400.0


def read_interval(value: Any) -> float:
    """Return the seconds between two measurements that are asked for; None is :data:`USUAL`.

    :raises BadRequest: it is no such number.
    """
    if value is None:
        return USUAL
    try:
        seconds = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        seconds = math.nan
    if not MIN_STATS_INTERVAL <= seconds <= _SLOWEST:
        allowed = f"from {MIN_STATS_INTERVAL} to {_SLOWEST:g}"
        raise BadRequest(f"interval must be a number of seconds {allowed}, not {value!r}")
    return seconds


class SampleSource(SampleFollower, Wakeable):
    """Source of the latest figures of one thing, as JSON. Who is slow gets the latest ones only.

    :param event: what its items are called.
    :param measure: returns JSON data; raises :class:`gaffer.errors.NotFound` when there will be none any more.
    """

    raw = False
    __slots__ = ("event", "ended", "wake", "_item", "_count")

    def __init__(
        self, sampler: Sampler, key: Hashable, event: str, measure: Callable[[], Any], interval: float = USUAL
    ) -> None:
        self.event = event
        self.ended = False
        self.wake: Callable[[], None] | None = None
        self._item: LiveItem | None = None
        self._count = 0
        super().__init__(sampler, key, _encoding(measure), interval)

    def put(self, figures: bytes | None) -> None:
        """Keep new figures; None is the end."""
        if figures is None:
            self.ended = True
        else:
            self._count += 1
            self._item = LiveItem(str(self._count), self.event, figures)
        self.notify()

    def take(self) -> list[LiveItem]:
        """Return the latest figures, if they are new."""
        item, self._item = self._item, None
        return [] if item is None else [item]


def _encoding(measure: Callable[[], Any]) -> Measure:
    """Return a function that measures and encodes, once for all who look; None when there will be none any more."""

    def encoded() -> bytes | None:
        try:
            return encode_json(measure())
        except NotFound:
            pass
        except Unavailable as error:
            log.debug("nothing can be measured: %s", error)
        except GafferError as error:
            log.error("measuring failed: %s", error)
        except Exception as error:
            log.error("measuring failed: %r", error, exc_info=error)
        return None

    return encoded
