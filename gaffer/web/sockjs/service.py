"""Handlers of the URLs of one SockJS service."""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie
from typing import Callable, Iterable
from urllib.parse import parse_qs

import gevent

from ...errors import BadRequest, Forbidden, GafferError, NotFound
from ...websocket.frames import POLICY_VIOLATION
from ..requests.replies import Reply
from ..requests.request import Request
from ..websocket.duplex import run_duplex
from ..websocket.handshake import UpgradeRequired, accept_websocket, check_upgrade
from ..websocket.websocket import WebSocket
from . import PLAIN, SockJSLimits, frames, http_transports, pages
from .http_transports import FrameReader, FrameSource, FrameStreamBody, SingleFrameBody, SockJSTransport
from .routes import VERSION
from .session import Peer, SessionInUse, SockJSSession, SockJSSessions

#: Makes what hears and answers one client; the request is the session's first.
Make = Callable[[Request], Peer]
_COOKIE = "JSESSIONID"
#: The cookie that holds a session's secret.
_SECRET = "gaffer_session"
_FORM = "application/x-www-form-urlencoded"


class SockJS:
    """The handlers of one service; :func:`gaffer.web.sockjs.routes.sockjs_routes` says where.

    :param make: makes the peer of each new session.
    :param origins: returns the web origins whose pages may use the service, beside its own: they may frame its iframe.
        Other requests were let through, or not, by :class:`gaffer.web.requests.access_guard.AccessGuard`.
    """

    def __init__(
        self, make: Make, limits: SockJSLimits | None = None, origins: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self.limits = limits or SockJSLimits()
        self._make = make
        self._origins = origins
        self.sessions = SockJSSessions(self.limits, gevent.spawn_later)

    def close(self) -> None:
        """End all sessions."""
        self.sessions.close()

    # -- without a session ----------------------------------------------------------------------

    def greeting(self, request: Request) -> Reply:
        """``/``."""
        return pages.greeting()

    def info(self, request: Request) -> Reply:
        """``/info``."""
        return self._reply(request, pages.info(self.limits), "application/json; charset=UTF-8", cookie=False)

    def iframe(self, request: Request, version: str = "") -> Reply:
        """``/iframe.html`` and ``/iframe-VERSION.html``."""
        if version and not re.match(VERSION, version):
            raise NotFound(f"there is nothing at {request.path[:200]}")
        base = request.path.rpartition("/")[0]
        return pages.iframe(request, self.limits.client or f"{base}/sockjs.min.js", self._origins())

    def library(self, request: Request) -> Reply:
        """``/sockjs.min.js``: the client for pages, and for the iframe."""
        return pages.library(request)

    # -- receiving ------------------------------------------------------------------------------

    def xhr(self, request: Request, server: str, id: str) -> Reply:
        """``/SERVER/ID/xhr``."""
        return self._receive(request, id, http_transports.XHR)

    def xhr_streaming(self, request: Request, server: str, id: str) -> Reply:
        """``/SERVER/ID/xhr_streaming``."""
        return self._receive(request, id, http_transports.XHR_STREAMING)

    def eventsource(self, request: Request, server: str, id: str) -> Reply:
        """``/SERVER/ID/eventsource``."""
        return self._receive(request, id, http_transports.EVENTSOURCE)

    def htmlfile(self, request: Request, server: str, id: str) -> Reply:
        """``/SERVER/ID/htmlfile?c=CALLBACK``."""
        return self._called(request, id, http_transports.htmlfile)

    def jsonp(self, request: Request, server: str, id: str) -> Reply:
        """``/SERVER/ID/jsonp?c=CALLBACK``."""
        return self._called(request, id, http_transports.jsonp)

    def _called(self, request: Request, id: str, transport: Callable[[str | None], SockJSTransport]) -> Reply:
        try:
            return self._receive(request, id, transport(request.query.get("c")))
        except http_transports.BadCallback as error:
            return self._sentence(request, error)

    def _receive(self, request: Request, id: str, transport: SockJSTransport) -> Reply:
        _check_id(request, id)
        check_site(request)
        if request.method == "HEAD":
            return Reply("200 OK", self._headers(request, transport.media), ())
        session = self.sessions.open(id, lambda: self._make(request), request.identity, secrets_of(request))
        headers = [*self._headers(request, transport.media), *_bind(request, session)]
        try:
            source = FrameSource(session)
        except SessionInUse:
            frame = transport.wrap(session.closed or frames.closing(*frames.IN_USE))
            if not transport.streams:
                return Reply("200 OK", [*headers, ("Content-Length", str(len(frame)))], (frame,))
            return Reply("200 OK", headers, iter((transport.prelude, frame)))
        receiving = FrameReader(source, request.environ.get("gaffer.connection"))
        if transport.streams:
            body_of = FrameStreamBody(receiving, transport, self.limits.heartbeat, self.limits.response)
            return Reply("200 OK", headers, body_of)
        return self._one(headers, receiving, transport)

    def _one(self, headers: list[tuple[str, str]], receiving: FrameReader, transport: SockJSTransport) -> Reply:
        """Wait for a frame and return it as a whole answer."""
        try:
            frame = receiving.frame(self.limits.heartbeat)
        except BaseException:
            receiving.close()
            raise
        data = b"" if frame is None else transport.wrap(frame)
        headers = [*headers, ("Content-Length", str(len(data)))]
        if frame is None:
            receiving.close()
            return Reply("200 OK", headers, (data,))
        return Reply("200 OK", headers, SingleFrameBody(receiving, data))

    # -- sending --------------------------------------------------------------------------------

    def xhr_send(self, request: Request, server: str, id: str) -> Reply:
        """``/SERVER/ID/xhr_send``."""
        return self._receive_messages(request, id, lambda: request.read(), b"")

    def jsonp_send(self, request: Request, server: str, id: str) -> Reply:
        """``/SERVER/ID/jsonp_send``: a form, or what ``xhr_send`` takes."""
        return self._receive_messages(request, id, lambda: _form(request), b"ok")

    def _receive_messages(self, request: Request, id: str, read: Callable[[], bytes], thanks: bytes) -> Reply:
        _check_id(request, id)
        session = self.sessions.find(id, request.identity, secrets_of(request))
        if not session.unauthenticated:
            request.accept_whole_body()  # its key may have come as a message
        try:
            texts = frames.read(read())
        except frames.BrokenPayload as error:
            return self._sentence(request, error)
        session.receive(texts)
        if thanks:
            return self._reply(request, thanks, PLAIN)
        return Reply("204 No Content", self._headers(request, PLAIN), ())

    # -- the websocket --------------------------------------------------------------------------

    def websocket(self, request: Request, server: str, id: str) -> Reply:
        """``/SERVER/ID/websocket``: a session of its own, whatever its id."""
        _check_id(request, id)
        if not self.limits.websocket:
            raise NotFound("websockets are switched off here")
        if request.environ.get("HTTP_UPGRADE", "").lower() != "websocket":
            return self._sentence(request, BadRequest('Can "Upgrade" only to "WebSocket".'))
        if "upgrade" not in request.environ.get("HTTP_CONNECTION", "").lower():
            return self._sentence(request, BadRequest('"Connection" must be "Upgrade".'))
        try:
            check_upgrade(request.environ)
        except UpgradeRequired as error:
            return self._sentence(request, BadRequest(str(error)))
        return accept_websocket(request, lambda websocket: self._talk(request, websocket))

    def raw_websocket(self, request: Request) -> Reply:
        """``/websocket``: messages as they are, without frames of SockJS."""
        if not self.limits.websocket:
            raise NotFound("websockets are switched off here")
        return accept_websocket(request, lambda websocket: self._talk_raw(request, websocket))

    def _talk_raw(self, request: Request, websocket: WebSocket) -> None:
        peer = self._make(request)

        def receive(message: str | bytes) -> None:
            peer.receive(message if isinstance(message, str) else message.decode("utf-8", "replace"))

        run_duplex(
            websocket,
            peer,
            websocket.send_all,
            receive,
            getattr(peer, "farewell", frames.GO_AWAY)[1],
            unauthenticated=lambda: bool(getattr(peer, "unauthenticated", False)),
        )

    def _talk(self, request: Request, websocket: WebSocket) -> None:
        session = SockJSSession(self._make(request))

        def receive(message: str | bytes) -> None:
            if not message:
                return
            try:
                session.receive(frames.read(message, alone=True))
            except frames.BrokenPayload as error:
                websocket.close(POLICY_VIOLATION, str(error))

        source = FrameSource(session)
        beat = (self.limits.heartbeat, frames.HEARTBEAT)
        run_duplex(
            websocket, source, websocket.send_all, receive, beat=beat, unauthenticated=lambda: session.unauthenticated
        )

    # -- answers --------------------------------------------------------------------------------

    def _reply(self, request: Request, body: bytes, media: str, status: str = "200 OK", cookie: bool = True) -> Reply:
        headers = [*self._headers(request, media, cookie), ("Content-Length", str(len(body)))]
        return Reply(status, headers, (body,))

    def _sentence(self, request: Request, error: GafferError) -> Reply:
        status = "400 Bad Request" if error.status == 400 else "500 Internal Server Error"
        return self._reply(request, f"{error}\n".encode(), PLAIN, status)

    def _headers(self, request: Request, media: str, cookie: bool = True) -> list[tuple[str, str]]:
        # A proxy that collects an answer before it passes it on would never pass on one that goes on.
        found = [("Content-Type", media), pages.UNCACHED, pages.NOSNIFF, ("X-Accel-Buffering", "no")]
        if "HTTP_ORIGIN" in request.environ:
            # Clients send their requests "with credentials". Whether they may at all is said by another header.
            found.append(("Access-Control-Allow-Credentials", "true"))
        if cookie and self.limits.cookies:
            found.append(("Set-Cookie", f"{_COOKIE}={_cookie(request)}; path=/"))
        return found


def check_site(request: Request) -> None:
    """Refuse what a foreign page made its browser load as a script, a picture or a frame.

    Such requests have no Origin, by which :class:`gaffer.web.requests.access_guard.AccessGuard` would know them.

    :raises Forbidden: the browser says that it is one.
    """
    environ = request.environ
    if "HTTP_ORIGIN" not in environ and environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        raise Forbidden("pages of other sites must not load this; use a transport that sends an Origin")


def secrets_of(request: Request) -> list[str]:
    """Return what may be a session's secret; there are several where another server of this host has set one, too."""
    pairs = (pair.strip().partition("=") for pair in request.environ.get("HTTP_COOKIE", "").split(";"))
    return [value for name, _, value in pairs if name == _SECRET]


def _bind(request: Request, session: SockJSSession) -> list[tuple[str, str]]:
    """Return the header that gives a new session's client the secret."""
    if session.secret is None or not session.fresh:
        return []
    secure = request.urlparts.scheme == "https" or request.environ.get("HTTP_ORIGIN", "").startswith("https:")
    return [("Set-Cookie", binding(session.secret, secure))]


def binding(secret: str, secure: bool) -> str:
    """Return the cookie that holds *secret*.

    It has no path: that is the session's then, as the browser sees it, also behind a proxy that puts something before.

    :param secure: the browser talks TLS: then it may send the cookie from an allowed page of another site, too.
    """
    return f"{_SECRET}={secret}; HttpOnly; {'Secure; SameSite=None; Partitioned' if secure else 'SameSite=Strict'}"


def _check_id(request: Request, id: str) -> None:
    parts = request.path.split("/")
    if "." in id or "." in parts[-3]:
        raise NotFound(f"there is nothing at {request.path[:200]}")


def _form(request: Request) -> bytes:
    body = request.read()
    if request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != _FORM:
        return body
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise frames.BrokenPayload("Broken JSON encoding.") from None
    return fields.get("d", [""])[0].encode("utf-8", "replace")


def _cookie(request: Request) -> str:
    """Return the value that the client has already; a load balancer may have given it."""
    try:
        morsel = SimpleCookie(request.environ.get("HTTP_COOKIE", "")).get(_COOKIE)
    except CookieError:
        morsel = None
    return morsel.coded_value if morsel is not None and morsel.coded_value.isprintable() else "dummy"
