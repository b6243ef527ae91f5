"""Content-Length of answers: what handlers and middlewares say has to be what they send.

A client, or a proxy that sends everybody's requests over the same connection, would take the rest of a longer answer
for the next one, and the next one for the rest of a shorter one.
"""

from __future__ import annotations

import logging
from typing import Any, Iterable

from ...security.log_rate_limit import Bounded

#: Longer numbers are no lengths.
_MOST_DIGITS = 18


class Lengths:
    """Tells which routes gave another number of bytes than they said: each in a line a minute."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._routes: dict[str, Bounded] = {}
        #: How many answers were too short or too long.
        self.wrong = 0

    def tell(self, environ: dict[str, Any], many: bool) -> None:
        """Log that the answer to a request was too long, if *many*, or too short."""
        self.wrong += 1
        route = str(environ.get("gaffer.route") or f"{environ['REQUEST_METHOD'][:20]} outside of routes")
        lines = self._routes.get(route)
        if lines is None:  # methods are few, and so are routes
            if len(self._routes) >= 1000:
                return
            lines = self._routes[route] = Bounded(self._log, 1)
        sentence = "%s gave %s bytes than its Content-Length says, so the connection was closed; mend its handler"
        lines.write(logging.ERROR, sentence, route, "more" if many else "fewer")


def announced(headers: Iterable[tuple[str, str]]) -> tuple[int | None, bool]:
    """Return the length that the headers of an answer give its body, or None, and whether it is a page of HTML.

    :raises ValueError: it is no number, is said twice, or they say that the body comes in chunks, which is not for them
        to decide.
    """
    found: str | None = None
    page = False
    for name, value in headers:
        size = len(name)  # nothing else is as long, nearly
        if size == 14 and name.lower() == "content-length":
            if found is not None or not (value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS):
                raise ValueError(f"Content-Length of an answer must be one number, not {value[:50]!r}")
            found = value
        elif size == 12 and name.lower() == "content-type":
            page = page or value.lstrip()[:9].lower() == "text/html"
        elif size == 17 and name.lower() == "transfer-encoding":
            raise ValueError("an answer must not have a Transfer-Encoding: the server decides about chunks")
    return None if found is None else int(found), page
