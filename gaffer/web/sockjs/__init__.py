"""SockJS for services of gaffer: sessions of messages over websockets or whatever else a browser can do.

The published protocol, as clients 0.3 and 1.x speak it. :class:`gaffer.web.sockjs.service.SockJS` makes the routes of
one service below a prefix; what is said in its sessions is the business of the
:class:`~gaffer.web.sockjs.session.Peer` that the service makes for each of them.
"""

from __future__ import annotations

from typing import NamedTuple

#: Media types, in the words of the protocol.
PAGE, PLAIN, SCRIPT = (f"{kind}; charset=UTF-8" for kind in ("text/html", "text/plain", "application/javascript"))

#: Characters of messages that a session may have waiting for a client that does not come for them.
MAX_UNSENT_CHARACTERS = 1 << 20


class SockJSLimits(NamedTuple):
    """Limits and options of a service.

    :param heartbeat: seconds of silence after which the client is sent a sign of life.
    :param timeout: seconds that a session waits for its client to come back, and that its end is remembered.
    :param response: bytes after which a streamed answer ends and the client asks for the next, so that a browser does
        not keep it all.
    :param sessions: sessions that there may be besides those on websockets, which are bounded as connections are.
    :param cookies: set the cookie ``JSESSIONID``, by which load balancers know where a session lives.
    :param websocket: offer websockets.
    :param client: URL of the library that iframes load; it has to be the version that the pages use. By default the
        one that comes with gaffer.
    """

    heartbeat: float = 25.0
    timeout: float = 5.0
    response: int = 131_072
    sessions: int = 1000
    cookies: bool = False
    websocket: bool = True
    client: str = ""
