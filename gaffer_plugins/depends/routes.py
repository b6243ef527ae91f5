"""``GET /graph`` and ``GET /blame``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable

from gaffer.api import CONDITIONS
from gaffer.api.web import BOOLEAN, COUNT, FULL_NAME, SECONDS, STRING, TIME, Route, Schema, listed, or_null, returns

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import JobName
    from gaffer.api.web import Reply

    from .watch import DependencyWatch

_STATE: Schema = {**STRING, "examples": ["running"]}
_NEED: Schema = returns(name=FULL_NAME, condition={"enum": list(CONDITIONS)}, holds=BOOLEAN)
_NODE: Schema = returns(
    name=FULL_NAME,
    state=_STATE,
    ready=COUNT,
    max_processes=COUNT,
    reason=or_null(STRING),
    depends_on=listed(_NEED),
)
_FOR: Schema = {**STRING, "examples": ["db:ready"]}
_WAIT: Schema = returns(**{"for": _FOR, "seconds": SECONDS, "over": BOOLEAN})
_START: Schema = returns(
    name=FULL_NAME,
    state=_STATE,
    began=TIME,
    waited=SECONDS,
    starting=or_null(SECONDS),
    total=or_null(SECONDS),
    waits=listed(_WAIT),
)
_LINK: Schema = returns(**{"name": FULL_NAME, "for": or_null(_FOR), "total": or_null(SECONDS)})


def _in_slices(jobs: Iterable[dict[str, Any]], more: dict[str, Any]) -> Reply:
    """Return jobs as JSON, each made when it is its turn: thousands of them must not keep others waiting."""
    from gaffer.api.web import TimeSlice, encode_json, reply

    parts, turn = [], TimeSlice()
    for one in jobs:
        parts.append(encode_json(one))
        turn.give_way()
    rest = b"".join(b', "%s": %s' % (key.encode(), encode_json(value)) for key, value in more.items())
    return reply(b'{"jobs": [' + b", ".join(parts) + b"]" + rest + b"}", "application/json")


def make_routes(
    manager: Manager, clock: Callable[[], float], find: Callable[[], DependencyWatch | None]
) -> list[Route]:
    """Return the routes.

    :param find: returns the part that knows what depends on what, None as long as nothing does.
    """

    def sees(request: Any) -> Callable[[JobName], bool]:
        view = manager.access.view(request.identity)
        return view.reads if view is not None else lambda name: True

    def graph(request: Any) -> Reply:
        from .report import graph

        return _in_slices(graph(find(), manager.all_jobs(), sees(request), clock()), {})

    def blame(request: Any) -> Reply:
        from .report import Blame

        found = Blame(manager, find(), sees(request), clock())
        return _in_slices(found.jobs(), {"chain": found.chain()})

    common: dict[str, Any] = {"permission": "read", "target": "visible", "tag": "Dependencies"}
    return [
        Route(
            "GET",
            "/graph",
            handler=graph,
            summary="jobs with their states and what they depend on",
            result=returns(jobs=listed(_NODE)),
            **common,
        ),
        Route(
            "GET",
            "/blame",
            handler=blame,
            summary="what the latest start of each job waited for, and the chain of those that the last one waited for",
            result=returns(jobs=listed(_START), chain=listed(_LINK)),
            **common,
        ),
    ]
