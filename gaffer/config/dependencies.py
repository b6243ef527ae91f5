"""Dependencies of a job, as text: ``db``, ``db:ready``, ``shop.db:started``, ``shop.*``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Callable, Hashable, Iterable, Mapping, NamedTuple, Sequence, TypeVar

from ..errors import BadRequest, nearest
from .names import JobName, check_name

N = TypeVar("N", bound=Hashable)

#: What can be waited for; the first is meant where nothing is said.
CONDITIONS = ("ready", "started", "completed", "stopped")
#: In place of a job: all jobs of the session.
EVERY = "*"


class Dependency(NamedTuple):
    """A job that another one waits for.

    :param session: its session; ``""`` for that of the job that waits.
    :param job: its name, or ``*`` for all other jobs of the session.
    :param condition: one of :data:`CONDITIONS`.
    """

    session: str
    job: str
    condition: str

    def __str__(self) -> str:
        return f"{self.session}{'.' if self.session else ''}{self.job}:{self.condition}"

    def name(self, session: str) -> JobName:
        """Return the job's name; its own part is ``*`` for all of a session.

        :param session: that of the job that waits.
        """
        return JobName(self.session or session, self.job)


@lru_cache(1024)  # asked for at every start
def parse_dependency(text: str) -> Dependency:
    """Read ``[SESSION.]JOB[:CONDITION]``.

    :raises ValueError: says what was expected.
    """
    target, colon, condition = text.strip().partition(":")
    if colon and condition not in CONDITIONS:
        known = nearest(condition, CONDITIONS)
        raise ValueError(f"unknown condition '{condition}' in '{text}'; use one of {', '.join(CONDITIONS)}{known}")
    parts = re.split(r"[./]", target, maxsplit=1)
    session, job = ("", parts[0]) if len(parts) < 2 else parts
    try:
        if session or len(parts) > 1:
            check_name(session, "session name")
        elif job == EVERY:
            raise ValueError("'*' needs a session: SESSION.*")
        if job != EVERY:
            check_name(job, "job name")
    except BadRequest as error:
        raise ValueError(f"'{text}': {error}") from None
    return Dependency(session, job, condition or CONDITIONS[0])


def find_circles(edges: Mapping[N, Sequence[N]]) -> list[list[N]]:
    """Return circles, so that each name in one is in one of them: ``[a, b]`` if a leads to b and b to a.

    :param edges: the names that each leads to.
    """
    found, done = [], set[N]()
    for start in edges:
        path: dict[N, None] = {}
        ways = [iter((start,))]
        while ways:
            one = next(ways[-1], None)
            if one is None:
                ways.pop()
                if path:
                    done.add(path.popitem()[0])
            elif one in path:
                names = list(path)
                found.append(names[names.index(one) :])
            elif one not in done:
                path[one] = None
                ways.append(iter(edges.get(one, ())))
    return found


def needed_first(names: Iterable[N], needs: Callable[[N], Iterable[N]]) -> list[N]:
    """Return *names* in their order, but each behind those it needs."""
    names = list(names)
    known, done = set(names), dict[N, None]()
    for start in names:
        path: dict[N, None] = {}
        ways = [iter((start,))]
        while ways:
            one = next(ways[-1], None)
            if one is None:
                ways.pop()
                if path:
                    done[path.popitem()[0]] = None
            elif one not in path and one not in done and one in known:
                path[one] = None
                ways.append(iter(needs(one)))
    return list(done)
