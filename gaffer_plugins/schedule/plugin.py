"""The plugin: job settings and their checks, routes, and from the first scheduled job on the part that starts runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable

from gaffer import JobConfig, Plugin, __version__, hookimpl
from gaffer.api import Bool, Choice, InvalidConfig, OptionalText, Seconds

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import JobFields
    from gaffer.api.web import Route

    from .runs import Scheduler


class CronLine(OptionalText):
    """Five words of crontab(5), or nothing."""

    label = "minute hour day month weekday"
    schema = {**OptionalText.schema, "examples": ["0 3 * * *"]}

    def check(self, value: Any) -> str | None:  # type: ignore[override]
        text = super().check(value)
        if text is None:
            return None
        from .timetable import check_cron

        return check_cron(text)


class Interval(OptionalText):
    """An interval such as ``15m``, or nothing."""

    label = "number of s, m, h or d"
    schema = {**OptionalText.schema, "pattern": r"^([1-9][0-9]{0,6}\s*[smhd])?$", "examples": ["15m"]}

    def check(self, value: Any) -> str | None:  # type: ignore[override]
        text = super().check(value)
        if text is None:
            return None
        from .timetable import read_every

        read_every(text)
        return text.strip()


class TimeZone(OptionalText):
    """The name of a time zone, or nothing for that of the machine."""

    label = "time zone"
    schema = {**OptionalText.schema, "examples": ["Europe/Berlin"]}

    def check(self, value: Any) -> str | None:  # type: ignore[override]
        text = super().check(value)
        if text is not None:
            from .timetable import zone_of

            zone_of(text)
        return text


class SchedulePlugin(Plugin):
    """Runs jobs at times of their own.

    Without a scheduled job it takes part in no start, and has no timer.

    :param clock: seconds since 1970.
    """

    name = "schedule"
    version = __version__
    description = "jobs that run at times like those of cron: schedule, every"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._manager: Manager | None = None
        self._scheduler: Scheduler | None = None
        self._wanted = False

    @hookimpl
    def gaffer_job_settings(self, fields: JobFields) -> None:
        """Declare what a job may say; the times may change while a run goes on."""
        more: list[tuple[str, Any, Any, str]] = [
            ("schedule", CronLine(), None, "run at these times: minute hour day month weekday, as crontab(5) has them"),
            ("every", Interval(), None, "run at this interval instead, counted from the start: 15m"),
            ("timezone", TimeZone(), None, "time zone of schedule; by default the machine's"),
            ("jitter", Seconds(), 0.0, "up to so many seconds are added to each time, by chance"),
            ("overlap", Choice("skip", "queue", "replace"), "skip", "when the run before has not ended"),
            ("catch_up", Bool(), False, "make up for a run whose time passed while the machine slept"),
        ]
        for name, kind, default, help in more:
            fields.add(name, kind, default, help, needs_restart=False)

    @hookimpl
    def gaffer_before_load(self, draft: dict[str, Any], previous: JobConfig | None) -> None:
        """Refuse what cannot be meant; take part in starts from the first scheduled job on."""
        if not draft.get("schedule") and not draft.get("every"):
            return
        wrong = []
        if draft.get("schedule") and draft.get("every"):
            wrong.append("every: the job has a schedule already; leave one of them out")
        if draft.get("numprocesses", 1) != 1:
            wrong.append("numprocesses: a run of a scheduled job is one process; leave it out")
        if draft.get("timezone") and draft.get("every"):
            wrong.append("timezone: every counts seconds, which are the same everywhere; it is for schedule")
        if wrong:
            raise InvalidConfig(wrong)
        self._wanted = True
        self._begin()

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Begin, if a job needs it already."""
        self._manager = manager
        self._begin()

    def _begin(self) -> None:
        if self._wanted and self._scheduler is None and self._manager is not None:
            from .runs import Scheduler

            self._scheduler = Scheduler(self._manager, self._clock)
            self._manager.plugins.add(self._scheduler, name="schedule.runs", origin="schedule")

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Serve the runs of a job, and start one now."""
        from .routes import make_routes

        return make_routes(manager, self._find)

    def _find(self) -> Scheduler | None:
        return self._scheduler
