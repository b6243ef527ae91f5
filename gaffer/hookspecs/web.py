"""Hooks of the HTTP side: routes, sites and a last word on every request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable

from .markers import hookspec

if TYPE_CHECKING:
    from ..manager import Manager
    from ..plugins import Site
    from ..web.routes import Route


@hookspec
def gaffer_routes(manager: Manager) -> Iterable[Route] | None:
    """[ASK] Add routes to the HTTP API.

    When: before requests are answered.
    May: read the manager.
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
    Returns: sites, each with a name and a root folder; or None.
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
