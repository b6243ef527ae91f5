"""Difference between a changed Procfile and the application on a gafferd. Values only."""

from __future__ import annotations

from typing import Any, Collection, Mapping, NamedTuple

from ..config.jobconfig import JobConfig
from ..config.names import JobName, parse_job_name
from .application import ALL, ProcessType, ProcfileApplication
from .depends import DEFAULTS

#: The number is compared on its own, and what gafferd's plugins add is theirs.
_NOT_COMPARED = ("name", "start", "numprocesses")


class Present(NamedTuple):
    """A job that is there.

    :param config: its settings, as JSON has them.
    :param wanted: how many processes it is scaled to.
    :param down: its state, if it is not to run: ``stopped``, ``failed``.
    """

    name: JobName
    config: Mapping[str, Any]
    wanted: int
    down: str = ""


class Change(NamedTuple):
    """Change of one job.

    :param kind: ``loaded``, ``updated``, ``unloaded`` or ``unchanged``.
    :param settings: those to send, as JSON has them.
    :param number: how many processes it will have.
    :param details: what differs, a line for each setting.
    :param down: the state it is left in, if it is not to run.
    """

    name: JobName
    kind: str
    settings: dict[str, Any]
    number: int = 0
    details: tuple[str, ...] = ()
    down: str = ""

    def lines(self, to_come: bool = False) -> list[str]:
        """Return what is said about it.

        :param to_come: whether it has not been done.
        """
        told = f"{self.name}: {'would be ' if to_come and self.kind != 'unchanged' else ''}{self.kind}"
        if self.down:
            told += f", {self.down}; 'gafferctl start {self.name}' starts it"
        elif self.kind in ("loaded", "unchanged"):
            told += f", {self.number} {'process' if self.number == 1 else 'processes'}"
        return [told, *(f"  {line}" for line in self.details)]


def compare(application: ProcfileApplication, present: Collection[Present], given: Collection[str]) -> list[Change]:
    """Return what makes *present* the application, first what goes, then the types in the Procfile's order.

    :param given: the types whose number was asked for; the others stay at the number they were scaled to.
    """
    there = {one.name: one for one in present}
    chosen = {JobName(application.name, one.name): one for one in application.chosen}
    # Those that others wait for come first: gafferd knows no job that is not loaded yet.
    wanted = {name: chosen[name] for name in (parse_job_name(job["name"]) for job in application.jobs())}
    gone = [Change(name, "unloaded", {}) for name in there if name not in wanted]
    return gone + [_change(application, name, one, there.get(name), given) for name, one in wanted.items()]


def _change(
    application: ProcfileApplication, name: JobName, one: ProcessType, there: Present | None, given: Collection[str]
) -> Change:
    settings = application.settings(one)
    if there is None:
        return Change(name, "loaded", settings, one.number)
    config = JobConfig.from_dict(settings, strict=False).to_dict()
    config = {**{key: value for key, value in DEFAULTS.items() if key in there.config}, **config}
    number = one.number if one.name in given or ALL in given else there.wanted
    details = [
        _difference(key, there.config.get(key), value)
        for key, value in config.items()
        if key not in _NOT_COMPARED and there.config.get(key) != value
    ]
    if number != there.wanted:
        details.append(f"numprocesses: {there.wanted} -> {number}")
    if not details:
        return Change(name, "unchanged", {}, number, down=there.down)
    # "start" would start or stop the job: it stays as it is.
    changed = {key: value for key, value in {**there.config, **config}.items() if key != "start"}
    wanted = {**changed, "name": name.full, "numprocesses": number}
    return Change(name, "updated", wanted, number, tuple(details), there.down)


def _difference(key: str, old: Any, new: Any) -> str:
    if key == "env":
        return f"env: {_env_difference(old or {}, new)}"  # values may be secret
    return f"{key}: {_shown(old)} -> {_shown(new)}"


def _env_difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    told = [f"{name} set" for name in new if name not in old]
    told += [f"{name} changed" for name in new if name in old and old[name] != new[name]]
    return ", ".join([*told, *(f"{name} removed" for name in old if name not in new)])


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
