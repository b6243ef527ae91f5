"""Webhooks over HTTP: what became of deliveries, and sending one again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from gaffer.api import NotFound
from gaffer.api.web import (
    BOOLEAN,
    COUNT,
    OBJECT,
    OK,
    SECONDS,
    STRING,
    TIME,
    Arg,
    Route,
    Schema,
    listed,
    or_null,
    returns,
)

if TYPE_CHECKING:
    from .dispatcher import Dispatcher

_ID: Schema = {"type": "string", "examples": ["860c9a49aad9c7609c0a08b4"]}
_URL: Schema = {"type": "string", "examples": ["https://***@example.org/hook?token=***"], "description": "redacted"}
_EVENT: Schema = {"type": "string", "examples": ["exit"]}
_ERROR: Schema = returns(time=TIME, event=_EVENT, attempt=COUNT, reason=STRING)
_WEBHOOK: Schema = returns(
    id=COUNT,
    url=_URL,
    events={"type": "array", "items": STRING, "examples": [["exit", "proc.web"]]},
    signed=BOOLEAN,
    state={"enum": ["idle", "sending", "waiting"]},
    retry_in=or_null(SECONDS),
    pending=COUNT,
    sent=COUNT,
    retries=COUNT,
    failed=COUNT,
    lost=COUNT,
    last_sent=or_null(TIME),
    last_error=or_null(_ERROR),
)
_DEAD_LETTER: Schema = returns(
    id=_ID, webhook=COUNT, url=_URL, event=_EVENT, message=OBJECT, attempts=COUNT, reason=STRING, time=TIME
)


def make_routes(find: Callable[[], Dispatcher | None]) -> list[Route]:
    """Return the routes.

    :param find: returns the dispatcher, None as long as there is no hook.
    """

    def show(request: Any) -> dict[str, Any]:
        dispatcher = find()
        return {"webhooks": [], "dead_letters": []} if dispatcher is None else dispatcher.status()

    def redeliver(request: Any, id: str) -> dict[str, bool]:
        dispatcher = find()
        if dispatcher is None:
            raise NotFound(f"there is no dead letter '{id}': no webhook is configured")
        dispatcher.redeliver(id)
        return {"ok": True}

    return [
        Route(
            "GET",
            "/webhooks",
            handler=show,
            permission="read",
            summary="where events are posted to, and deliveries that were given up",
            tag="Webhooks",
            result=returns(webhooks=listed(_WEBHOOK), dead_letters=listed(_DEAD_LETTER)),
        ),
        Route(
            "POST",
            "/webhooks/dead_letters/<id>",
            handler=redeliver,
            permission="manage",
            status=202,
            summary="send a delivery again that was given up",
            tag="Webhooks",
            parameters=(Arg("id", _ID, "its id"),),
            result=OK,
            also=(404, 503),
        ),
    ]
