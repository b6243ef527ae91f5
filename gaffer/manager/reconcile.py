"""Reconciliation of jobs with the configuration: checking it, and applying what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

import gevent
from gevent.lock import BoundedSemaphore

from ..config.job_ports import PortClaim, PortConflict, PortTaken, claim_ports, conflict_with, conflicts_among
from ..config.jobconfig import JobConfig, sort_by_priority
from ..config.names import JobName, check_name, parse_job_name
from ..errors import ConfigError, Conflict, GafferError, InvalidConfig, Problem
from ..events.time_slice import TimeSlice
from ..plugins.answers import checks
from ..process.environment import OWN_VARIABLES, job_environment
from .shutdown import stop_in_order

#: So many names of jobs are in a refusal.
MAX_NAMES = 5
#: Where jobs come from whose ports were compared all together before the first of them was touched.
FROM_CONFIGURATION = ("config", "reload")

if TYPE_CHECKING:
    from ..config.jobconfig import JobFields
    from ..supervisor.job import Job
    from .manager import Manager


def parse(
    fields: JobFields, config: JobConfig | Mapping[str, Any], sessionid: str | None, env: Mapping[str, str] | None
) -> JobConfig:
    """Return the configuration that the arguments of a load or an update mean.

    :param sessionid: a session that wins over that in the name.
    :param env: variables that win over those of the configuration.
    :raises InvalidConfig: lists what is wrong.
    """
    if not isinstance(config, JobConfig):
        config = JobConfig.from_dict(config, fields)
    changes: dict[str, Any] = {}
    if sessionid is not None:
        changes["name"] = JobName(check_name(sessionid, "session name"), config.job_name.job).full
    if env:
        changes["env"] = {**config.env, **env}
    return config.replace(**changes) if changes else config


def prepare(manager: Manager, config: JobConfig, origin: str, previous: JobConfig | None = None) -> JobConfig:
    """Check a configuration and let plugins look at it, and change it.

    :param previous: the configuration that it replaces.
    :raises InvalidConfig: lists what is wrong. :raises Conflict: a plugin refused.
    """
    config = config.resolve(manager.job_fields)
    if manager.hooks.implemented("gaffer_before_load"):
        draft = config.to_dict()
        manager.hooks.ask("gaffer_before_load", draft=draft, previous=previous, origin=origin)
        handles = {"custom_channels": config.custom_channels} if config.custom_channels else {}
        config = JobConfig.from_dict({**draft, **handles}, manager.job_fields)
    check_variables(config)
    return config


def check_variables(config: JobConfig) -> None:
    """Refuse a command, or another setting, that uses a variable its environment does not have.

    :raises InvalidConfig: names the variable.
    """
    used = config.variables()
    if not used and (config.template is None or not config.env_file):
        return
    try:
        env = job_environment(config)
    except GafferError as error:
        raise InvalidConfig(str(error)) from error
    own = OWN_VARIABLES | ({"PORT"} if config.port is not None else set())
    for name in sorted(used.keys() - env.keys() - own):
        raise InvalidConfig(f"{used[name]}: unknown variable ${name}; set it in env, or write $$ for a dollar")


def check_ports(manager: Manager, config: JobConfig, number: int) -> None:
    """Refuse a job that would get a port of another session's job.

    Jobs of one session are loaded and updated one after the other, so that they may exchange ports on the way.

    :param number: how many processes it is to have.
    :raises Conflict: names the other job.
    """
    claim = _claim_of(config, number)
    if claim is None:
        return
    session = config.job_name.session
    others = (_claim_of(job.config, job.wanted) for job in manager.all_jobs() if job.name.session != session)
    conflict = conflict_with(claim, others)
    if conflict is not None:
        raise PortTaken(conflict)


def _claim_of(config: JobConfig, number: int) -> PortClaim | None:
    """Return the ports of a job with *number* processes, and of those that a rolling reload adds for a while."""
    more = min(config.max_surge, number) if config.reload == "rolling" else 0
    return claim_ports(config.job_name, config.port, number + more, config.env)


@checks("gaffer_check_jobs")
def _job_problems(answer: Any) -> list[tuple[JobName, str, str]]:
    return [(parse_job_name(name), str(setting), str(sentence)) for name, setting, sentence in answer]


def _placed(manager: Manager, name: JobName, setting: str, sentence: str) -> Problem:
    """Return a problem with a job where the job is written, if a section of its own names it."""
    message = f"{setting}: {sentence}" if setting != "port" else sentence
    spellings = {"procfile": {name.session}, "process": {name.short, name.full}, "job": {name.short, name.full}}
    for section in () if manager.settings is None else manager.settings.sections(*spellings):
        if section.name.replace(":", ".") in spellings[section.kind]:
            about = f"{name.job}: " if section.kind == "procfile" and setting != "port" else ""
            placed: Problem = section.problem(about + message, setting)
            return placed
    return Problem("", 0, message if setting == "port" else f"job {name}: {message}")


class Reconciler:
    """The jobs that came from the configuration, to see what a reload changes."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._configs: dict[JobName, JobConfig] = {}
        # Job sources and hooks may wait in the middle of a reload: another one waits for its end.
        self._lock = BoundedSemaphore(1)
        self._reloading: gevent.Greenlet | None = None
        self._slice = TimeSlice()

    def load(self) -> None:
        """Load what the job sources bring, in the order of priority."""
        self._configs = self._ask()
        self._refuse_problems(self._configs)
        self._refuse_port_conflicts(self._configs)
        for config in sort_by_priority(self._configs.values()):
            self._manager.load(config, origin="config")

    def reload(self, settings: Any, force: bool) -> dict[str, list[str]]:
        """Ask the job sources again and touch only what changed; see :meth:`Manager.reload_config`."""
        if self._reloading is gevent.getcurrent():
            raise Conflict("the configuration is being reloaded by the same caller; call reload_config() afterwards")
        with self._lock:
            self._reloading = gevent.getcurrent()
            try:
                return self._reload(settings, force)
            finally:
                self._reloading = None

    def _reload(self, settings: Any, force: bool) -> dict[str, list[str]]:
        manager = self._manager
        old, manager.settings = manager.settings, settings if settings is not None else manager.settings
        try:
            wanted = self._ask()
            if not force:
                self._refuse_large_unload(wanted)
            self._check(wanted)
        except BaseException:
            manager.settings = old
            raise
        report: dict[str, list[str]] = {"loaded": [], "unloaded": [], "updated": [], "unchanged": []}
        gone = set(self._unwanted(wanted))
        stop_in_order(manager, [job for job in manager.job_table.in_order() if job.name in gone], manager.unload)
        report["unloaded"] = [name.full for name in self._configs if name in gone]
        for config in sort_by_priority(wanted.values()):
            report[self._take_over(config)].append(config.job_name.full)
            self._slice.give_way()
        self._configs = wanted
        manager.hooks.tell("gaffer_config_reloaded", manager=manager, old=old, new=manager.settings)
        return report

    def _ask(self) -> dict[JobName, JobConfig]:
        manager = self._manager
        found: dict[JobName, JobConfig] = {}
        for configs in manager.hooks.ask("gaffer_load_jobs", settings=manager.settings, fields=manager.job_fields):
            for config in configs:
                if config.job_name in found:
                    raise InvalidConfig(f"job {config.job_name} is configured twice")
                found[config.job_name] = config
        return found

    def _check(self, wanted: Mapping[JobName, JobConfig]) -> None:
        """Find everything that would fail before anything is touched."""
        manager = self._manager
        foreign = [name.short for name in wanted if manager.has_job(name) and name not in self._configs]
        if foreign:
            raise Conflict(f"job {', '.join(foreign)} of the configuration was loaded by hand; unload it first")
        for name, config in wanted.items():
            if self._configs.get(name) != config:
                previous = manager.get(name) if manager.has_job(name) else None
                prepare(manager, config, "reload", previous)
            self._slice.give_way()
        for name in self._unwanted(wanted):
            manager.hooks.ask("gaffer_before_unload", job=manager.job(name))

        self._refuse_port_conflicts(wanted)
        self._refuse_problems(wanted)

    def problems(self) -> list[Problem]:
        """Return what is wrong with the jobs of the configuration among each other, as plugins and their ports say.

        :raises GafferError: they cannot be read.
        """
        wanted = self._ask()
        found = self._job_problems(wanted)
        return found + [_placed(self._manager, one.name, "port", str(one)) for one in self._port_conflicts(wanted)]

    def _refuse_problems(self, wanted: Mapping[JobName, JobConfig]) -> None:
        """Refuse jobs that plugins find wrong.

        :raises ConfigError: lists every problem.
        """
        problems = self._job_problems(wanted)
        if problems:
            raise ConfigError(problems)

    def _job_problems(self, wanted: Mapping[JobName, JobConfig]) -> list[Problem]:
        hooks = self._manager.hooks
        if not hooks.implemented("gaffer_check_jobs"):
            return []
        others = [job.config for job in self._manual(wanted)]
        answers = hooks.ask("gaffer_check_jobs", configs=list(wanted.values()), others=others)
        found = {_placed(self._manager, *problem) for answer in answers for problem in answer}
        return sorted(found)

    def _manual(self, wanted: Mapping[JobName, JobConfig]) -> list[Job]:
        """Return the jobs that did not come from the configuration."""
        jobs = self._manager.job_table.in_order()
        return [job for job in jobs if job.name not in wanted and job.name not in self._configs]

    def _port_conflicts(self, wanted: Mapping[JobName, JobConfig]) -> list[PortConflict]:
        """Return the conflicts among *wanted* and the jobs that did not come from the configuration."""
        claims = [_claim_of(config, config.numprocesses) for config in wanted.values()]
        manual = [_claim_of(job.config, job.wanted) for job in self._manual(wanted)]
        return conflicts_among([*claims, *manual])

    def _refuse_port_conflicts(self, wanted: Mapping[JobName, JobConfig]) -> None:
        conflicts = self._port_conflicts(wanted)
        if conflicts:
            raise Conflict("\n".join(map(str, conflicts)))

    def _unwanted(self, wanted: Mapping[JobName, JobConfig]) -> list[JobName]:
        return [name for name in self._configs if name not in wanted and self._manager.has_job(name)]

    def _refuse_large_unload(self, wanted: Mapping[JobName, JobConfig]) -> None:
        """Refuse what looks like a configuration that is empty or was cut off while it was written.

        :raises Conflict: more than half of the jobs would be unloaded.
        """
        gone = [name.short for name in self._unwanted(wanted)]
        there = sum(self._manager.has_job(name) for name in self._configs)
        if 2 * len(gone) > there:
            names = ", ".join(gone[:MAX_NAMES]) + (", ..." if len(gone) > MAX_NAMES else "")
            raise Conflict(
                f"the new configuration would unload {len(gone)} of {there} jobs ({names}); nothing was changed; "
                "if that is wanted: gafferctl reload-config --force"
            )

    def _take_over(self, config: JobConfig) -> str:
        name = config.job_name
        if not self._manager.has_job(name):
            self._manager.load(config, origin="reload")
            return "loaded"
        if self._configs.get(name) == config:
            return "unchanged"
        self._manager.update(config, origin="reload")
        return "updated"
