"""Summary of refusals without an identity: the first of a kind in full, then a line a minute with a count.

Else a client without a key could fill the disk, which costs it nothing.
"""

from __future__ import annotations

import json
import time
from typing import Any, Callable

#: Seconds between two lines of one kind.
EVERY = 60.0
#: Kinds that are told apart at a time; what else is refused meanwhile counts as one more kind for each result.
MOST = 64
#: Addresses that a line names.
MOST_ADDRESSES = 8
#: Characters that a line has of what clients say.
MOST_TEXT = 500
#: Results of routes and commands, of which there are so many; others may be of any invented URL.
_OF_ROUTES = ("unauthorized", "too_many_requests")
_OTHERS = "other requests"
Line = dict[str, Any]


class _Kind:
    """Refusals of one kind since its last line.

    :param line: of the first one.
    :param until: when the next line is due.
    """

    def __init__(self, line: Line, until: float) -> None:
        self.line, self.until = line, until
        self.count = 0
        self.addresses: dict[str, None] = {}

    def add(self, address: str) -> None:
        self.count += 1
        if len(self.addresses) <= MOST_ADDRESSES:
            self.addresses[address] = None

    def summary(self, now: str) -> Line:
        """Return the line for all that were added, and begin again."""
        names = list(self.addresses)
        shown = [*names[:MOST_ADDRESSES], "…"] if len(names) > MOST_ADDRESSES else names
        line = {**self.line, "time": now, "from": ", ".join(shown), "args": {}, "count": self.count}
        self.count, self.addresses = 0, {}
        return line


class Refusals:
    """Refused anonymous requests, told apart by what was asked for, the result with its reason, and the local account.

    :param write: takes a line.
    :param clock: monotonic seconds.
    """

    def __init__(self, write: Callable[[Line], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._kinds: dict[tuple[str, str, str, str], _Kind] = {}
        #: How many have no line of their own.
        self.summarised = 0

    def add(self, line: Line) -> None:
        """Write *line*, or count it if there was one of its kind a short while ago."""
        address, account = _split(line["from"])
        result = str(line["result"])
        what = line["what"] if result in _OF_ROUTES else line["what"].partition(" ")[0]
        # No key is not the same as a wrong one; other reasons hold what clients say.
        reason = str(line.get("reason", "")) if result == "unauthorized" else ""
        key = (what[:MOST_TEXT], result, account, reason[:MOST_TEXT])
        if key not in self._kinds and len(self._kinds) >= MOST:
            key = (_OTHERS, result, "", "")
        kind = self._kinds.get(key)
        if kind is not None:
            self.summarised += 1
            kind.add(address)
            return
        self._write(_short(line))
        self._kinds[key] = _Kind({**_short(line), "what": key[0]}, self._clock() + EVERY)

    def flush(self, now: str, everything: bool = False) -> bool:
        """Write the lines that are due; returns whether any kind is left.

        :param now: the time as lines say it.
        """
        clock = self._clock()
        for key, kind in list(self._kinds.items()):
            if kind.until > clock and not everything:
                continue
            if kind.count:
                self._write(kind.summary(now))
                kind.until = clock + EVERY
            else:
                del self._kinds[key]
        return bool(self._kinds)


def _split(origin: str) -> tuple[str, str]:
    """Return the address of an origin, without its port, and the local account, if it is one."""
    client, proxy, _ = origin.partition(" via ")
    if proxy:
        return client, ""
    if origin.startswith("unix"):
        return origin, origin
    address, _, account = origin.partition(" ")
    return address.rpartition(":")[0], account


def _short(line: Line) -> Line:
    """Return *line* with the client's words cut to a readable length."""
    args = line["args"]
    if len(json.dumps(args)) > MOST_TEXT:
        args = {"cut": json.dumps(args)[:MOST_TEXT]}
    reason = {"reason": line["reason"][:MOST_TEXT]} if "reason" in line else {}
    return {**line, "what": line["what"][:MOST_TEXT], "args": args, **reason}
