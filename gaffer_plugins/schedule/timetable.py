"""Times of runs: when the next one is due, as pure functions of the time."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from gaffer.api import nearest

if TYPE_CHECKING:
    from datetime import tzinfo

    from gaffer import JobConfig

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_EVERY = re.compile(r"([1-9][0-9]{0,6})\s*([smhd])\Z")
#: The longest interval, in seconds.
LONGEST = 366 * 86_400


def read_every(text: str) -> int:
    """Return the seconds of an interval such as ``15m``.

    :raises ValueError: says what was expected.
    """
    found = _EVERY.match(text.strip())
    if found is None:
        raise ValueError(f"expected a number of s, m, h or d, such as 15m, not {text!r}")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is longer than 366 days")
    return seconds


def check_cron(text: str) -> str:
    """Return a line of cron in one form: five words.

    :raises ValueError: says what is wrong.
    """
    words = text.split()
    if len(words) != 5:
        raise ValueError(f"expected five words, minute hour day month weekday, such as '0 3 * * *', not {text!r}")
    line = " ".join(words)
    try:
        next(CronSim(line, datetime(2000, 1, 1, tzinfo=timezone.utc)))
    except CronSimError as error:
        raise ValueError(f"{text!r} is no schedule: {error}") from None
    except StopIteration:
        raise ValueError(f"{text!r} never comes") from None
    return line


def zone_of(name: str | None) -> tzinfo | None:
    """Return a time zone; None for that of the machine.

    :raises ValueError: there is none of that name.
    """
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        known = nearest(name, available_timezones())
        raise ValueError(f"no time zone {name!r}{known or '; names are like Europe/Berlin, or UTC'}") from None


def next_run(config: JobConfig, after: float, began: float) -> float:
    """Return when the next run after a time is due, in seconds since 1970.

    :param after: seconds since 1970.
    :param began: when the schedule was switched on; intervals are counted from there.
    """
    if config.get("schedule"):
        start = datetime.fromtimestamp(after, zone_of(config.get("timezone")) or _local())
        due: Any = next(CronSim(config.get("schedule"), start))
        return float(due.timestamp())
    every = read_every(config.get("every"))
    return began + (max(0, int((after - began) // every)) + 1) * every


def _local() -> tzinfo:
    """Return the machine's zone, with its changes to and from summer time where that can be known."""
    with suppress(ValueError):
        named = zone_of(os.environ.get("TZ", "").removeprefix(":") or None)
        if named is not None:
            return named
    try:
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return datetime.now().astimezone().tzinfo or timezone.utc
