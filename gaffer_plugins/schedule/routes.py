"""``GET /jobs/S/J/runs`` and ``POST /jobs/S/J/run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from gaffer.api import Conflict
from gaffer.api.web import COUNT, SECONDS, STRING, TIME, Route, Schema, listed, or_null, returns

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Job

    from .runs import Scheduler

_PID: Schema = {"type": "integer", "minimum": 1, "examples": [7]}
_RUN: Schema = returns(
    pid=or_null(_PID),
    due=TIME,
    started=TIME,
    seconds=or_null(SECONDS),
    status={**or_null(STRING), "examples": ["code 0"]},
    error=or_null(STRING),
    lines=listed(STRING),
)
_JOB = "/jobs/<session>/<job>"


def make_routes(manager: Manager, find: Callable[[], Scheduler | None]) -> list[Route]:
    """Return the routes.

    :param find: returns the part that starts runs, None as long as no job is scheduled.
    """

    def scheduler(job: Job) -> Scheduler:
        found = find()
        if found is None:
            raise Conflict(f"job {job.name} has no schedule")
        return found

    def runs(request: Any, session: str, job: str) -> dict[str, Any]:
        one = manager.job(f"{session}.{job}")
        return scheduler(one).runs(one)

    def run(request: Any, session: str, job: str) -> dict[str, int]:
        one = manager.job(f"{session}.{job}")
        return {"pid": scheduler(one).run(one)}

    return [
        Route(
            "GET",
            f"{_JOB}/runs",
            handler=runs,
            permission="read",
            summary="the latest runs of a scheduled job, and when the next is due",
            tag="Schedules",
            result=returns(next=or_null(TIME), missed=COUNT, runs=listed(_RUN)),
            also=(404, 409),
        ),
        Route(
            "POST",
            f"{_JOB}/run",
            handler=run,
            permission="manage",
            status=202,
            summary="begin a run of a scheduled job now, whatever its schedule says",
            tag="Schedules",
            result=returns(pid=_PID),
            also=(404, 409, 503),
        ),
    ]
