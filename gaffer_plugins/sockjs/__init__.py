"""``/channel`` over SockJS (docs/channel.rst), for every browser and proxy.

The websocket without SockJS' frames, ``/channel/websocket``, is the plugin ``websocket``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaffer import Plugin, __version__, hookimpl
from gaffer.api import Bool, Int, OptionalText, Seconds, option
from gaffer.api.web import MAX_UNSENT_CHARACTERS, SockJSLimits

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Options, Settings
    from gaffer.api.web import LazyService, Request, Route

__all__ = ["SockjsPlugin"]

PREFIX = "/channel"
_USUAL = SockJSLimits()


class SockjsPlugin(Plugin):
    """SockJS."""

    name = "sockjs"
    version = __version__
    description = "subscriptions and commands for browsers: SockJS at /channel"

    def __init__(self) -> None:
        self._service: LazyService | None = None

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare how sessions behave."""
        options.add(
            "sockjs_heartbeat",
            Seconds(0.1),
            _USUAL.heartbeat,
            "seconds of silence before a client is sent a sign of life",
        )
        options.add(
            "sockjs_timeout", Seconds(0.1), _USUAL.timeout, "seconds that a session waits for its client to come back"
        )
        options.add(
            "sockjs_response_limit",
            Int(1024, 1 << 30),
            _USUAL.response,
            "bytes after which a streamed answer ends and the client asks for the next",
        )
        options.add(
            "sockjs_sessions",
            Int(1, 100_000),
            _USUAL.sessions,
            "SockJS sessions that there may be, besides those on websockets",
        )
        options.add(
            "sockjs_waiting",
            Int(4096, 1 << 30),
            MAX_UNSENT_CHARACTERS,
            "characters of answers that wait for a client; until it reads them, its messages are not read",
        )
        options.add("sockjs_cookies", Bool(), _USUAL.cookies, "set the cookie JSESSIONID, for load balancers")
        options.add("sockjs_websocket", Bool(), _USUAL.websocket, "offer websockets to SockJS clients")
        options.add(
            "sockjs_client",
            OptionalText(),
            None,
            "URL of the SockJS client that iframes load; it must be of the version that the pages use",
        )

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return the routes; what they need is imported by the first of them that is used."""
        from gaffer.api.web import lazy_service, sockjs_routes

        settings = manager.settings
        waiting = option(settings, "sockjs_waiting", MAX_UNSENT_CHARACTERS)

        def make(request: Request) -> Any:
            from gaffer.api.web import ACCESS, IDENTITY, ORIGIN, REQUIRED, ChannelSession, origin_of

            kept = (ACCESS, IDENTITY, REQUIRED)
            # The session waits for the key itself, if none came; the request does not live as long as it.
            shown = {key: value for key, value in request.environ.items() if key in kept or isinstance(value, str)}
            shown[ORIGIN] = origin_of(request.environ)
            return ChannelSession(manager, request.identity, shown, waiting)

        self._service = lazy_service(make, limits(settings), lambda: _origins(manager.settings))
        return sockjs_routes(PREFIX, self._service, raw=False)

    @hookimpl
    def gaffer_health(self) -> dict[str, Any]:
        """Return how many sessions there are, besides those on websockets, and how many were too many."""
        sessions = self._service.made.sessions if self._service is not None and self._service.made is not None else None
        return {"sessions": len(sessions or ()), "refused": 0 if sessions is None else sessions.refused}

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """End the sessions that no request will come for any more."""
        if self._service is not None:
            self._service.close()


def limits(settings: Settings | None) -> SockJSLimits:
    """Return what the settings say."""
    return SockJSLimits(
        heartbeat=option(settings, "sockjs_heartbeat", _USUAL.heartbeat),
        timeout=option(settings, "sockjs_timeout", _USUAL.timeout),
        response=option(settings, "sockjs_response_limit", _USUAL.response),
        sessions=option(settings, "sockjs_sessions", _USUAL.sessions),
        cookies=option(settings, "sockjs_cookies", _USUAL.cookies),
        websocket=option(settings, "sockjs_websocket", _USUAL.websocket),
        client=option(settings, "sockjs_client") or "",
    )


def _origins(settings: Settings | None) -> list[str]:
    """Return the origins whose pages may use the API; they were checked when the settings were."""
    from gaffer.api.web import check_origin

    return [check_origin(origin) for origin in option(settings, "allowed_origins", ())]
