"""The plugin: job settings, their checks, and from the first job that needs it on the part that holds starts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Sequence

from gaffer import JobConfig, Plugin, __version__, hookimpl
from gaffer.api import Choice, InvalidConfig, TextList, parse_dependency

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import JobFields, JobName
    from gaffer.api.web import Route

    from .watch import DependencyWatch

#: Dependencies that one job may name.
MOST = 100
#: Where jobs come from that are checked all together, or whose application is.
_CHECKED = ("config", "reload", "procfile")


class Dependencies(TextList):
    """Jobs with what is waited for: ``db``, ``shop.db:started``, ``shop.*``."""

    label = "list of JOB:CONDITION"
    schema = {
        "type": "array",
        "items": {
            "type": "string",
            "pattern": r"^([A-Za-z0-9_][A-Za-z0-9_+-]*[./])?([A-Za-z0-9_][A-Za-z0-9_+-]*|\*)"
            r"(:(ready|started|completed|stopped))?$",
            "examples": ["db:ready"],
        },
        "maxItems": MOST,
    }

    def check(self, value: Any) -> tuple[str, ...]:
        found = dict.fromkeys(str(parse_dependency(text)) for text in super().check(value))
        if len(found) > MOST:
            raise ValueError(f"at most {MOST} dependencies, not {len(found)}; SESSION.* means all jobs of a session")
        return tuple(found)


class DependsPlugin(Plugin):
    """Holds the starts of jobs until what they depend on is ready.

    Without a job that depends on another it takes part in no start.

    :param clock: monotonic seconds.
    """

    name = "depends"
    version = __version__
    description = "jobs that start when others are ready, and end before them: depends_on"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._manager: Manager | None = None
        self._watch: DependencyWatch | None = None
        self._wanted = False

    # -- settings ---------------------------------------------------------------
    @hookimpl
    def gaffer_job_settings(self, fields: JobFields) -> None:
        """Declare what a job may say."""
        fields.add(
            "depends_on",
            Dependencies(),
            (),
            "jobs that it waits for: JOB, JOB:started, JOB:completed, JOB:stopped, SESSION.JOB, SESSION.*",
            needs_restart=False,
        )
        fields.add(
            "on_lost",
            Choice("keep", "restart", "stop"),
            "keep",
            "when one of them is lost: go on, restart once it is back, or stop until then",
            needs_restart=False,
        )

    @hookimpl
    def gaffer_check_jobs(
        self, configs: Sequence[JobConfig], others: Sequence[JobConfig]
    ) -> list[tuple[JobName, str, str]]:
        """Find unknown jobs, circles, and conditions that can never hold."""
        if not any(config.get("depends_on") for config in configs):
            return []
        from .problems import find_problems

        problems = find_problems(configs, others)
        if self._watch is not None and not problems:
            self._watch.coming = {config.job_name for config in configs}
        return [(name, "depends_on", sentence) for name, sentence in problems]

    @hookimpl
    def gaffer_before_load(self, draft: dict[str, Any], previous: JobConfig | None, origin: str) -> None:
        """Refuse a job that can never start; take part in starts from the first one that depends on another on."""
        if draft.get("depends_on"):
            self._wanted = True
            self._begin()
        if origin in _CHECKED or self._watch is None or self._manager is None:
            return
        from .problems import find_problems, spoiled

        config = JobConfig.from_dict(draft, self._manager.job_fields)
        found = [self._manager.get(name) for name in self._manager.jobs()]
        others = [other for other in found if other.job_name != config.job_name]
        wrong = [f"depends_on: {sentence}" for _, sentence in find_problems([config], others)]
        if previous is not None:
            wrong += spoiled(config, others)
        if wrong:
            raise InvalidConfig(wrong)

    # -- life -------------------------------------------------------------------
    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Begin, if a job needs it already."""
        self._manager = manager
        self._begin()

    def _begin(self) -> None:
        if self._wanted and self._watch is None and self._manager is not None:
            from .watch import DependencyWatch

            self._watch = DependencyWatch(self._manager, self._clock)
            self._manager.plugins.add(self._watch, name="depends.watch", origin="depends")

    # -- what others see --------------------------------------------------------
    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return ``/graph`` and ``/blame``."""
        from .routes import make_routes

        return make_routes(manager, self._clock, lambda: self._watch)

    @hookimpl
    def gaffer_health(self) -> dict[str, Any] | None:
        """Say how many jobs depend on others, and how many starts wait."""
        return None if self._watch is None else self._watch.health()
