"""``/openapi.json`` and ``/docs``: what the API looks like, for programs and for people."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Callable

from gaffer.api.web import OBJECT, STRING, Route

from .job_routes import NODE

if TYPE_CHECKING:
    from gaffer import Manager


class Description:
    """Describes the routes of a manager; made on request and kept, since neither routes nor settings change.

    :param routes: returns them, once all plugins were asked.
    """

    def __init__(self, manager: Manager, routes: Callable[[], list[Route]]) -> None:
        self._manager, self._find_routes = manager, routes

    def routes(self) -> list[Route]:
        """Return the two URLs."""
        return [
            Route(
                "GET",
                "/openapi.json",
                handler=self.json,
                permission="read",
                target="visible",
                tag=NODE,
                summary="this description of the API, OpenAPI 3.1",
                result=OBJECT,
            ),
            Route(
                "GET",
                "/docs",
                handler=self.page,
                permission="read",
                target="visible",
                tag=NODE,
                summary="this description as a page",
                result=STRING,
                media="text/html; charset=utf-8",
            ),
        ]

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        from gaffer.api.web import DescriptionContext, definitions, describe

        manager = self._manager
        source = DescriptionContext(manager.commands.get, definitions(manager.job_fields), manager.access.strict)
        return describe(self._find_routes(), source)

    @cached_property
    def _json(self) -> bytes:
        from gaffer.api.web import encode_json

        return encode_json(self.document)

    @cached_property
    def _page(self) -> tuple[str, str]:
        from gaffer.api.web import render

        return render(self.document)

    def json(self, request: Any) -> Any:
        """Answer with the document."""
        from gaffer.api.web import reply

        return reply(self._json, "application/json")

    def page(self, request: Any) -> Any:
        """Answer with the page."""
        from gaffer.api.web import page_reply

        return page_reply(*self._page)
