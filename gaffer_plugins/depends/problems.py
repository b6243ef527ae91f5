"""Problems of dependencies: unknown names, circles, conditions that can never hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, Mapping, Sequence

from gaffer.api import EVERY, find_circles, nearest, parse_dependency

if TYPE_CHECKING:
    from gaffer import JobConfig
    from gaffer.api import Dependency, JobName

Configs = Mapping["JobName", "JobConfig"]


def dependencies(config: JobConfig) -> list[Dependency]:
    """Return what a job depends on."""
    return [parse_dependency(text) for text in config.get("depends_on") or ()]


def find_problems(configs: Sequence[JobConfig], others: Sequence[JobConfig]) -> list[tuple[JobName, str]]:
    """Return a job's name and a sentence for each problem of *configs*.

    :param others: jobs that they may depend on, too.
    """
    known = {config.job_name: config for config in (*others, *configs)}
    names = [config.job_name for config in configs]
    found = [(config.job_name, sentence) for config in configs for sentence in _wrong(config, known)]
    return found + list(_circles(names, known))


def spoiled(config: JobConfig, others: Sequence[JobConfig]) -> list[str]:
    """Return what is wrong with others' dependencies on *config*, which is to replace that job's settings."""
    found = []
    for other in others:
        for one in dependencies(other):
            sentence = _never(config.job_name, one.condition, config)
            if sentence and one.name(other.job_name.session) == config.job_name:
                found.append(f"job {other.job_name} depends on {one}: {sentence}")
    return found


def targets(config: JobConfig, one: Dependency, names: Iterable[JobName]) -> list[JobName]:
    """Return the jobs that a dependency means.

    :param names: all jobs that there are.
    """
    name = one.name(config.job_name.session)
    if one.job != EVERY:
        return [name]
    return [other for other in names if other.session == name.session and other != config.job_name]


def _wrong(config: JobConfig, known: Configs) -> Iterator[str]:
    for one in dependencies(config):
        name = one.name(config.job_name.session)
        found = [known[target] for target in targets(config, one, known) if target in known]
        if name == config.job_name:
            yield f"{one}: a job cannot wait for itself"
        elif not found and one.job == EVERY:
            near = nearest(name.session, {other.session for other in known})
            yield f"{one}: there is no other job in session '{name.session}'{near}"
        elif not found:
            yield f"{one}: there is no job '{name}'{nearest(name.short, [other.short for other in known])}"
        for target in found:
            sentence = _never(target.job_name, one.condition, target)
            if sentence and target.job_name != config.job_name:
                yield f"{one}: {sentence}"


def _never(name: JobName, condition: str, config: JobConfig) -> str:
    """Return why a job can never be so, "" if it can."""
    if condition == "completed" and config.restart == "always":
        return f"{name} never completes, because of restart = always; give it restart = on-failure, or never"
    if condition != "stopped" and not config.numprocesses:
        return f"{name} has numprocesses = 0, so it will never be {condition}"
    return ""


def _circles(names: Sequence[JobName], known: Configs) -> Iterator[tuple[JobName, str]]:
    edges = {
        name: [target for one in dependencies(config) for target in targets(config, one, known) if target != name]
        for name, config in known.items()
        if config.get("depends_on")
    }
    wanted = set(names)
    for circle in find_circles(edges):
        mine = [place for place, name in enumerate(circle) if name in wanted]
        if mine:
            turned = [*circle[mine[0] :], *circle[: mine[0]]]
            steps = " waits for ".join(map(str, turned[:20]))
            more = f" and so on ({len(turned)} jobs)" if len(turned) > 20 else ""
            yield turned[0], f"they wait for each other: {steps}{more}, which waits for {turned[0]}; take one out"
