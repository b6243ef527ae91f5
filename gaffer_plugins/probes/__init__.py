"""Probes: may a process be used (``ready``), and must it be restarted (``alive``)?

Where no job has a probe, nothing is imported, registered or asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaffer import Plugin, __version__, hookimpl
from gaffer.api import Hooks, Int, Seconds

from .kinds import STATUSES, Headers, ProbeText, Statuses

if TYPE_CHECKING:
    import pluggy

    from gaffer import Manager
    from gaffer.api import JobFields, Options, Problem, Settings

    from .service import ProbeService

__all__ = ["ProbesPlugin"]

#: Kinds that cannot say whether a process lives.
_NOT_ALIVE = {"log": "a line of output says once that a process is ready, not that it still works; use another probe"}
#: Seconds that a start may take, unless a job says otherwise.
START = 60.0


class ProbesPlugin(Plugin):
    """Asks processes whether they are ready and alive."""

    name = "probes"
    version = __version__
    description = "asks processes whether they are ready and alive: ready, alive"

    def __init__(self) -> None:
        self._hooks: Hooks | None = None
        self._manager: Manager | None = None
        self._service: ProbeService | None = None
        self._wanted = self._reads_output = self._reading = False

    @hookimpl
    def gaffer_addhooks(self, pluginmanager: pluggy.PluginManager) -> None:
        """Remember where plugins with further kinds are found."""
        self._hooks = Hooks(pluginmanager)

    @hookimpl
    def gaffer_job_settings(self, fields: JobFields) -> None:
        """Declare the two questions; only the probes themselves are bound to a process."""
        ready, alive = ProbeText(self._further, {}), ProbeText(self._further, _NOT_ALIVE)
        fields.add("ready", ready, None, "probe that tells whether a process can be used")
        fields.add("alive", alive, None, "probe that tells whether a process works; if not, it is restarted")
        more: list[tuple[str, Any, Any, str]] = [
            ("ready_timeout", Seconds(0.01), START, "seconds that a start may take"),
            ("ready_interval", Seconds(0.05), 1.0, "seconds between two checks"),
            ("ready_check_timeout", Seconds(0.01), 5.0, "seconds that one check may take"),
            ("ready_successes", Int(1, 1000), 1, "successes in a row that make a process ready"),
            ("ready_failures", Int(1, 1000), 3, "failures in a row that make it unready again"),
            ("alive_timeout", Seconds(), START, "seconds after its start in which failures do not count"),
            ("alive_interval", Seconds(0.05), 10.0, "seconds between two checks"),
            ("alive_check_timeout", Seconds(0.01), 5.0, "seconds that one check may take"),
            ("alive_failures", Int(1, 1000), 3, "failures in a row after which it is restarted"),
        ]
        for name, kind, default, help in more:
            fields.add(name, kind, default, help, needs_restart=False)
        for word in ("ready", "alive"):
            fields.add(f"{word}_status", Statuses(), STATUSES, "HTTP statuses that are a success")
            fields.add(f"{word}_header", Headers(), (), "headers of the HTTP request")

    def _further(self) -> list[str]:
        from .service import further_kinds

        return [] if self._hooks is None else list(further_kinds(self._hooks))

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare the sections of the long form."""
        options.add_section("probe", named=True)

    @hookimpl(tryfirst=True)  # before jobs are read: they get the settings
    def gaffer_check_config(self, settings: Settings) -> list[Problem]:
        """Find what is wrong in ``[probe:JOB:ready]`` and ``[probe:JOB:alive]``."""
        return self._merge(settings)

    @hookimpl(tryfirst=True)
    def gaffer_load_jobs(self, settings: Settings | None) -> None:
        """Give jobs the settings of their ``[probe:…]``."""
        self._merge(settings)

    def _merge(self, settings: Settings | None) -> list[Problem]:
        sections = [] if settings is None else settings.sections("probe")
        if settings is None or not sections:
            return []
        from .sections import merge

        return merge(sections, settings.sections("process", "job"))

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Remember whose processes they are."""
        self._manager = manager
        self._ask()

    @hookimpl
    def gaffer_before_load(self, draft: dict[str, Any]) -> None:
        """Take part in starts from the first job with a probe on."""
        if draft.get("ready") or draft.get("alive"):
            self._wanted = True
            self._reads_output |= str(draft["ready"]).startswith("log")
            self._ask()

    def _ask(self) -> None:
        if self._wanted and self._service is None and self._manager is not None and self._hooks is not None:
            from .service import ProbeService

            self._service = ProbeService(self._manager, self._hooks)
            self._manager.plugins.add(self._service, name="probes.service", origin="probes")
        if self._reads_output and not self._reading and self._service is not None and self._manager is not None:
            from .service import OutputSinks

            self._reading = True
            self._manager.plugins.add(OutputSinks(self._service), name="probes.output", origin="probes")

    @hookimpl
    def gaffer_health(self) -> dict[str, Any] | None:
        """Return the counters of all probes."""
        return None if self._service is None else self._service.report()

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """Ask no more."""
        if self._service is not None:
            self._service.close()
