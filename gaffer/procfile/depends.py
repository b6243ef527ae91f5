"""``.gaffer.ini`` beside a Procfile: which types of processes wait for which."""

from __future__ import annotations

import os
from typing import Collection, Iterator, Mapping, NamedTuple

from ..config.dependencies import EVERY, Dependency, find_circles, parse_dependency
from ..config.ini_section import Value
from ..config.text_file import read_text
from ..errors import ConfigError, Problem, nearest

NAME = ".gaffer.ini"
#: Bytes of the file; more is a mistake.
MAX_SIZE = 1_048_576
DEPENDS, ON_LOST = "depends", "on_lost"
POLICIES = ("keep", "restart", "stop")
#: What jobs without dependencies have, for a comparison with those that had some.
DEFAULTS = {"depends_on": [], "on_lost": "keep"}


class Needs(NamedTuple):
    """Dependencies of a type.

    :param policy: what follows when it is lost, ``on_lost``.
    """

    dependencies: tuple[Dependency, ...] = ()
    policy: str = POLICIES[0]


def read_needs(root: str, session: str, types: Collection[str], problems: list[Problem]) -> dict[str, Needs]:
    """Return what types wait for; what is wrong is added to *problems*.

    :param root: the application's folder.
    :param session: the application's name.
    :param types: the types of its Procfile; without any, names are not checked.
    """
    path = os.path.normpath(os.path.join(root, NAME))
    if not os.path.lexists(path):
        return {}
    from ..config.ini_reader import parse_text  # late: few applications have the file

    try:
        ini = parse_text(read_text(path, MAX_SIZE), path)
    except ConfigError as error:
        problems += error.problems
        return {}
    problems += ini.problems
    needs: dict[str, Needs] = {}
    lines: dict[str, Value] = {}
    for section in ini.sections:
        if section.header not in (DEPENDS, ON_LOST):
            known = nearest(section.header, (DEPENDS, ON_LOST))
            problems.append(
                section.problem(f"unknown section [{section.header}]{known}; there are [depends], [on_lost]")
            )
            continue
        for key, value in section.items.items():
            if types and key not in types:
                problems.append(section.problem(f"the Procfile has no process type '{key}'{nearest(key, types)}", key))
            elif section.header == ON_LOST:
                needs[key] = needs.get(key, Needs())._replace(policy=_policy(value, problems))
            else:
                found = tuple(_read(key, value, session, types, problems))
                needs[key], lines[key] = needs.get(key, Needs())._replace(dependencies=found), value
    _check_circles(needs, lines, session, types, problems)
    return needs


def _policy(value: Value, problems: list[Problem]) -> str:
    if value.text in POLICIES:
        return value.text
    known = nearest(value.text, POLICIES)
    problems.append(
        Problem(value.file, value.line, f"expected one of {', '.join(POLICIES)}, not '{value.text}'{known}")
    )
    return POLICIES[0]


def _read(
    key: str, value: Value, session: str, types: Collection[str], problems: list[Problem]
) -> Iterator[Dependency]:
    for text in filter(None, map(str.strip, value.text.split(","))):
        try:
            one = parse_dependency(text)
            own = own_type(one, session)
            if own == key:
                raise ValueError(f"'{text}': a type cannot wait for itself")
            if types and own is not None and own not in types:
                raise ValueError(f"the Procfile has no process type '{own}'{nearest(own, types)}")
        except ValueError as error:
            problems.append(Problem(value.file, value.line, f"{key}: {error}"))
        else:
            yield one


def own_type(one: Dependency, session: str) -> str | None:
    """Return the type of the same application that a dependency means; None if it means something else."""
    return one.job if one.session in ("", session) and one.job != EVERY else None


def _check_circles(
    needs: Mapping[str, Needs],
    lines: Mapping[str, Value],
    session: str,
    types: Collection[str],
    problems: list[Problem],
) -> None:
    edges = {
        key: [own for one in need.dependencies if (own := own_type(one, session)) in types and own is not None]
        for key, need in needs.items()
    }
    for circle in find_circles(edges):
        at = lines[circle[0]]
        steps = " waits for ".join(circle)
        sentence = f"they wait for each other: {steps}, which waits for {circle[0]}; take one out"
        problems.append(Problem(at.file, at.line, sentence))


def completes(needs: Mapping[str, Needs], session: str) -> set[str]:
    """Return the types that others wait for until they have completed."""
    ones = [one for need in needs.values() for one in need.dependencies if one.condition == "completed"]
    return {own for one in ones if (own := own_type(one, session)) is not None}
