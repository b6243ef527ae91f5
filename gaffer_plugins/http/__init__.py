"""HTTP: listens, guards and answers. Routes come from plugins; this one's own are the jobs API.

Sockets are bound before the first process is started, so that a port in use stops the start and not the work. They
are answered once jobs are loaded; until then, connections wait in the backlog.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Iterable

import gevent

from gaffer import Plugin, __version__, hookimpl
from gaffer.api import GafferError, PluginError, Problem, named_call

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Endpoint, Options, Settings
    from gaffer.api.web import AccessGuard, AccessRules, Bound, HttpServer, Route

__all__ = ["HttpPlugin"]

log = logging.getLogger("gaffer.http")

#: How long running requests may take after everything else has stopped, in seconds.
_LAST_REQUESTS = 2.0
#: What is told of a request that came from the wrong place.
_SAID = {"host": "HTTP_HOST", "origin": "HTTP_ORIGIN"}


class HttpPlugin(Plugin):
    """The HTTP API (docs/http-api.rst, docs/security.rst).

    :param endpoints: addresses, or :class:`gaffer.config.settings.Endpoint`, to listen at. By default what the
        settings say, and 127.0.0.1:5000 without any.
    :param rules: who may come; by default what the settings say, and without any only our own user and root.
    """

    name = "http"
    version = __version__
    description = "the HTTP API: jobs, processes, plugins, health"

    def __init__(self, endpoints: Iterable[Endpoint | str] | None = None, rules: AccessRules | None = None) -> None:
        self._given = (None if endpoints is None else list(endpoints), rules)
        self._endpoints: list[Endpoint] = []
        self._keys = False
        self._bound: list[Bound] = []
        self._front = Front()
        self._app: Callable[..., Iterable[bytes]] = self._front
        self._routes: list[Route] = []
        self._guard: AccessGuard | None = None
        self._server: HttpServer | None = None
        self._starting: gevent.Greenlet | None = None

    # -- settings -------------------------------------------------------------------------------

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare the limits."""
        from . import limits

        limits.declare(options)

    @hookimpl
    def gaffer_check_config(self, settings: Settings, manager: Manager) -> list[Problem]:
        """Find hosts, origins, certificates and, for --check, routes that cannot be used."""
        from gaffer.api.web import wrong_certificates, wrong_rules

        problems = [*wrong_rules(settings), *wrong_certificates(settings)]
        # A start collects the routes anyway, and a reload changes no plugin.
        return [*problems, *_wrong_routes(manager)] if settings.get("check") else problems

    # -- life -----------------------------------------------------------------------------------

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Put the routes together and bind every address: whatever is wrong with them stops the start."""
        from gaffer.api.web import bind_all, bind_for_root, check_reach, make_endpoints, make_rules

        settings = manager.settings
        given, asked = self._given
        rules = make_rules(settings, asked)
        self._endpoints = make_endpoints(settings, given)
        locked = rules.keys or any(one.require_key for one in self._endpoints)
        if locked and not manager.hooks.implemented("gaffer_identify"):
            raise PluginError("keys are required, but no plugin that checks them is loaded")
        # Where a key is not needed, requests say so themselves: their caller may do everything.
        manager.access.strict, self._keys = locked, rules.keys
        if given is not None or settings is None:
            check_reach(self._endpoints, rules)
        self._routes = collect_routes(manager)
        self._app = manager.hooks.fold("gaffer_wrap_wsgi", "app", self._front, manager=manager)
        self._bound = bind_all(self._endpoints, settled=self._given == (None, None) and settings is not None)
        if given is None:
            self._bound += bind_for_root(settings)

    @hookimpl
    def gaffer_ready(self, manager: Manager) -> None:
        """Begin to answer."""
        self._starting = gevent.spawn(self._serve, manager)

    def _serve(self, manager: Manager) -> None:
        # Late, because the first process need not wait for bottle and pywsgi.
        from gaffer.api.web import AccessGuard, App, HttpServer, origin_of

        from . import limits

        settings = manager.settings
        limit = limits.read(settings, limits.MAX_BODY)
        self._front.app = App(self._routes, manager.commands.perform, limit, manager.access, manager.statistics)

        def refused(environ: dict[str, Any], error: GafferError) -> None:
            command = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
            said = {name: environ[key] for name, key in _SAID.items() if key in environ}
            manager.access.note(command, None, said, None, origin_of(environ), error)

        self._guard = AccessGuard(self._app, self._rules(settings), refused=refused)
        server = HttpServer(self._guard, limits.make_limits(settings))
        hsts, proxies = limits.read(settings, limits.HSTS), limits.read_proxies(settings)
        for sock, tls, policy, _ in self._bound:
            server.add(sock, tls, policy._replace(hsts=hsts, proxies=proxies))
        server.start()
        self._server = server
        log.info("listening on %s", ", ".join(self.urls))

    def _rules(self, settings: Settings | None) -> AccessRules:
        from gaffer.api.web import host_names, make_rules

        # Whether keys are needed stays as it was at the start: two places that disagree would be an open door.
        rules = make_rules(settings, self._given[1])._replace(keys=self._keys)
        return rules._replace(hosts=(*rules.hosts, *host_names(self._endpoints)))

    @hookimpl
    def gaffer_config_reloaded(self, manager: Manager) -> None:
        """Take over who may come, and certificates that were renewed."""
        from gaffer.api.web import renewed

        if self._guard is not None:
            self._guard.rules = self._rules(manager.settings)
        if self._server is not None:
            for sock, tls in renewed(self._bound):
                self._server.renew(sock, tls)

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """Let running requests end, then close; until here the API answered."""
        if self._starting is not None:
            self._starting.join()
        server, self._server, self._guard = self._server, None, None
        bound, self._bound = self._bound, []
        if server is not None:
            server.stop(_LAST_REQUESTS)
        for one in bound:
            one.sock.close()

    # -- what others see ------------------------------------------------------------------------

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return the jobs API, the classic routes and what describes them and all others."""
        from . import gaffer04_routes, job_routes
        from .description import Description
        from .front_page import FrontPage

        all_routes = lambda: self._routes  # noqa: E731
        own = [*FrontPage(manager, all_routes).routes(), *job_routes.ROUTES, *gaffer04_routes.ROUTES]
        return [*own, *Description(manager, all_routes).routes()]

    @hookimpl
    def gaffer_health(self) -> dict[str, Any]:
        """Return the addresses and how many connections are open."""
        server = self._server
        return {
            "urls": self.urls,
            "connections": server.connections if server else 0,
            "refused_connections": server.refused if server else 0,
            "evicted_connections": server.evicted if server else 0,
            "given_up_websockets": server.websockets.evicted if server else 0,
            "websockets": server.websockets.taken if server else 0,
            "refused_websockets": server.websockets.refused if server else 0,
            "late_requests": server.late if server else 0,
            "stuck_requests": server.stuck if server else 0,
            "miscounted_answers": server.miscounted if server else 0,
        }

    @property
    def serving(self) -> bool:
        """True while requests are answered."""
        return self._server is not None

    @property
    def urls(self) -> list[str]:
        """URLs of its endpoints: ``http://127.0.0.1:5000``, ``https://…``, ``unix:/path``, with real port numbers."""
        from gaffer.api import UNIX, format_address

        texts = [(format_address(sock.getsockname()), tls) for sock, tls, *_ in self._bound]
        return [text if text.startswith(UNIX) else f"http{'s' if tls else ''}://{text}" for text, tls in texts]


class Front:
    """Placeholder that middlewares are wrapped around before the application exists."""

    app: Callable[..., Iterable[bytes]]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on (WSGI)."""
        return self.app(environ, start_response)


def _wrong_routes(manager: Manager) -> list[Problem]:
    try:
        collect_routes(manager)
    except GafferError as error:
        return [Problem("", 0, line) for line in str(error).splitlines()]
    return []


def collect_routes(manager: Manager) -> list[Route]:
    """Return the routes of all plugins, those registered first in front.

    :raises PluginError: naming the plugins whose routes are wrong or clash.
    """
    from gaffer.api.web import check_routes

    commands = {command.name: command for command in manager.commands}
    offers = [
        (call.plugin, named_call(call, {"manager": manager}) or ())
        for call in manager.hooks.implementations("gaffer_routes")
    ]
    checked = check_routes(offers, commands.__contains__)
    return [
        route
        if route.command is None
        else replace(route, permission=commands[route.command].permission, target=commands[route.command].target)
        for route in checked
    ]
