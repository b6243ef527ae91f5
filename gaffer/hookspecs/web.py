"""Hooks of the HTTP side: authentication, permissions, routes, sites and WSGI middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable

from .markers import hookspec

if TYPE_CHECKING:
    from ..commands.identity import Credentials, Identity, Resource
    from ..manager.manager import Manager
    from ..plugins.registry import Site
    from ..web.requests.routes import Route


@hookspec(firstresult=True)
def gaffer_identify(credentials: Credentials) -> Identity | None:
    """[ASK1] Say who makes a request.

    When: at every request and every new socket, wherever it listens; without a key or a ticket, too.
    May: read; wait for others, but no longer than a client would.
    Returns: who it is, one object for one key as long as that is valid; None for an unknown caller. If no plugin
    knows a key that is shown, or none is shown where keys are required, the request is refused.
    On exception: the caller is refused; an ``Unauthorized`` says why.

    Example::

        @gaffer.hookimpl
        def gaffer_identify(credentials):
            if credentials.key == state.token:
                return state.known_identity
    """


@hookspec
def gaffer_permit(identity: Identity, permission: str, resource: Resource) -> bool | None:
    """[COLLECT] Say whether an identity has a permission.

    When: at every command, route and subscription of an identity that a plugin returned, for each job in a list.
    May: look up what it knows; it is asked often, so it must not wait.
    Returns: True to allow, False to deny, None for no opinion. One False denies; else one True is needed. The
    permission is ``read``, ``write``, ``manage`` or ``admin``; the resource is a job, a session or the node.
    On exception: denied; logged.

    Example::

        @gaffer.hookimpl
        def gaffer_permit(identity, permission, resource):
            if identity is state.known_identity:
                return permission == "read"
    """


@hookspec
def gaffer_routes(manager: Manager) -> Iterable[Route] | None:
    """[ASK] Add routes to the HTTP API.

    When: before requests are answered, and at ``gafferd --check``, which starts no plugin.
    May: read the manager; must not open sockets or start anything.
    Returns: routes, each with a method, a path, a command or a handler, and a
    permission; a duplicate or a missing permission is an error naming the plugins.
    On exception: the HTTP API does not start.

    Example::

        @gaffer.hookimpl
        def gaffer_routes(manager):
            return [Route("GET", "/hello", handler=hello, permission="read")]
    """


@hookspec
def gaffer_sites(manager: Manager) -> Iterable[Site] | None:
    """[COLLECT] Add folders of static files, served at ``/_plugin/NAME/``.

    When: at every request to a site, so that sites may appear later.
    May: look at the file system.
    Returns: sites, each with a name, a root folder and, where it differs, a Content-Security-Policy; or None.
    On exception: those sites are missing; logged.

    Example::

        @gaffer.hookimpl
        def gaffer_sites(manager):
            return [Site("manual", "/usr/share/doc/gaffer/html")]
    """


@hookspec
def gaffer_wrap_wsgi(app: Callable[..., Any], manager: Manager) -> Callable[..., Any]:  # type: ignore[empty-body]
    """[ASK] Put a WSGI middleware around the whole HTTP application.

    When: before requests are answered, the plugin registered first is innermost.
    May: return a callable that calls ``app``.
    Returns: the application to use.
    On exception: the HTTP API does not start.

    Example::

        @gaffer.hookimpl
        def gaffer_wrap_wsgi(app):
            return access_log(app)
    """
