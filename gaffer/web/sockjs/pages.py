"""Answers without a session: the greeting, ``/info``, the page for iframes and the client library."""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Iterable

from ...errors import NotFound
from ..requests.replies import Reply, encode_json
from ..requests.request import Request
from . import PAGE, PLAIN, SCRIPT, SockJSLimits

#: What no cache may keep, in the words of the protocol.
UNCACHED = ("Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0")
NOSNIFF = ("X-Content-Type-Options", "nosniff")
_GREETING = b"Welcome to SockJS!\n"
_LIBRARY = Path(__file__).parent / "client" / "sockjs.min.js"
_random = random.SystemRandom()

_IFRAME = """\
<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{url}"></script>
  <script>
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>
"""


def greeting() -> Reply:
    """Return the answer at the service's own URL."""
    headers = [("Content-Type", PLAIN), ("Content-Length", str(len(_GREETING))), NOSNIFF]
    return Reply("200 OK", headers, (_GREETING,))


def info(limits: SockJSLimits) -> bytes:
    """Return what a client asks for first: which transports there are, and some randomness for its ids."""
    return encode_json(
        {
            "websocket": limits.websocket,
            "cookie_needed": limits.cookies,
            "origins": ["*:*"],
            "entropy": _random.randrange(1 << 32),
        }
    )


def iframe(request: Request, url: str, origins: Iterable[str]) -> Reply:
    """Return the page by which pages of other origins speak to this one, as one of its own.

    A page that may embed it may do what the service's own pages may. So the browser is told which may, and
    asks again each time, where the protocol would let it keep the page for a year.

    :param url: of the client's library.
    :param origins: whose pages may; the service's own always may.
    """
    ancestors = " ".join(["'self'", *sorted(origins)])
    extra = [
        ("Content-Security-Policy", f"frame-ancestors {ancestors}"),
        # For browsers that do not know the other one, which wins where both are known.
        ("X-Frame-Options", "SAMEORIGIN"),
    ]
    return cached(request, _IFRAME.format(url=escape(url)).encode(), PAGE, extra)


def library(request: Request) -> Reply:
    """Return the client's library."""
    return cached(request, _library(), SCRIPT)


@lru_cache(1)
def _library() -> bytes:
    try:
        return _LIBRARY.read_bytes()
    except OSError as error:
        raise NotFound(f"the SockJS client is not installed: {error.strerror}: {_LIBRARY}") from None


def cached(request: Request, body: bytes, media: str, extra: Iterable[tuple[str, str]] = ()) -> Reply:
    """Return *body*, or that the browser has it already."""
    tag = f'"{hashlib.sha1(body).hexdigest()[:20]}"'
    common = [("ETag", tag), ("Cache-Control", "public, no-cache"), *extra]
    if tag in request.headers.get("If-None-Match", ""):
        return Reply("304 Not Modified", common, ())
    return Reply("200 OK", [("Content-Type", media), ("Content-Length", str(len(body))), NOSNIFF, *common], (body,))
