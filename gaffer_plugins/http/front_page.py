"""``/``: who answers, as JSON for programs and as a page with links for browsers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Callable
from urllib.parse import quote

from gaffer.api.web import Route

from .job_routes import NODE

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api.web import Reply, Request

#: The routes that are linked, as far as there are such, and what is said of them.
_LINKS = {
    "/docs": "the HTTP API",
    "/openapi.json": "its description for programs",
    "/info": "jobs and their processes",
    "/health": "the state of gafferd and its plugins",
}
_SITES = "/_plugin/<name>/"
#: More of the header Accept is not read.
_MAX_ACCEPT = 1000


class FrontPage:
    """Answers ``/``.

    :param routes: returns those of all plugins.
    """

    def __init__(self, manager: Manager, routes: Callable[[], list[Route]]) -> None:
        self._manager, self._find_routes = manager, routes

    def routes(self) -> list[Route]:
        """Return the one route."""
        schema = self._manager.commands.get("welcome").result
        return [
            Route(
                "GET",
                "/",
                handler=self.answer,
                permission=None,
                tag=NODE,
                summary="who answers; a page with links for a browser",
                result=schema,
                media=("application/json", "text/html; charset=utf-8"),
            )
        ]

    def answer(self, request: Request) -> dict[str, str] | Reply:
        """Answer with a page if the client prefers one, which only browsers do, else with JSON."""
        from gaffer.api.web import encode_json, page_reply, reply

        greeting = self._manager.commands.perform("welcome", {}, request.identity)
        vary = [("Vary", "Accept")]
        if prefers_page(request.environ.get("HTTP_ACCEPT", "")):
            return page_reply(f"gaffer {greeting['version']}", self._body(greeting["version"]), vary)
        return reply(encode_json(greeting), "application/json", extra=vary)

    def _body(self, version: str) -> str:
        paths = {route.path for route in self._find_routes() if route.method == "GET"}
        links = [(path.lstrip("/"), path, words) for path, words in _LINKS.items() if path in paths]
        strict = self._manager.access.strict
        # The name of a private site is for those who may open it, and this page does not ask who looks at it.
        sites = sorted({site.name for site in self._manager.sites() if not (strict and site.private)})
        parts = [f"<h1>gaffer {escape(version)}</h1>", "<p>This is gafferd, which keeps processes running.</p>"]
        parts.append(_list(links))
        if strict:
            parts.append("<p>These pages need a key, or <code>?ticket=</code> with a ticket.</p>")
        if sites and _SITES in paths:
            parts.append("<h2>Sites</h2>")
            parts.append(_list([(f"_plugin/{quote(name)}/", name, "") for name in sites]))
        return "".join(parts)


def _list(links: list[tuple[str, str, str]]) -> str:
    items = (
        f'<li><a href="{escape(url)}">{escape(text)}</a>{f": {escape(words)}" if words else ""}</li>'
        for url, text, words in links
    )
    return f"<ul>{''.join(items)}</ul>"


def prefers_page(accept: str) -> bool:
    """Tell whether the header *accept* names HTML, and before JSON: programs that take anything say ``*/*``."""
    weights = {}
    for part in accept[:_MAX_ACCEPT].lower().split(","):
        media, *parameters = (text.strip() for text in part.split(";"))
        weights[media] = _weight(parameters)
    return weights.get("text/html", 0.0) > weights.get("application/json", 0.0)


def _weight(parameters: list[str]) -> float:
    for one in parameters:
        name, _, value = one.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
