"""Order of stops, for gafferd and for its clients: jobs of the highest priority number end first.

What a job needs ends after it, whatever the priorities say.
"""

from __future__ import annotations

from collections import deque
from typing import Callable, Hashable, Iterable, TypeVar

T = TypeVar("T")
N = TypeVar("N", bound=Hashable)

_Rank = tuple[bool, int]
#: A job without a priority starts last.
_LAST: _Rank = (True, 0)


def stop_groups(
    jobs: Iterable[T], priority: Callable[[T], int | None], name: Callable[[T], N], pairs: Iterable[tuple[N, N]] = ()
) -> list[list[T]]:
    """Return jobs in the groups that stop together, those that started last first.

    :param jobs: in the order of their start.
    :param priority: returns a job's; None starts last.
    :param pairs: ``(first, then)`` names of jobs: the second stops when the first has ended. A job that others need
        counts as if it had the lowest priority number of them. Pairs that go in a circle are left out.
    """
    jobs = list(jobs)
    own = {name(job): _rank(priority(job)) for job in jobs}
    places = _places(own, set(pairs))
    groups: dict[tuple[_Rank, int], list[T]] = {}
    for job in jobs:
        groups.setdefault(places[name(job)], []).append(job)
    return [groups[key][::-1] for key in sorted(groups, reverse=True)]


def _rank(number: int | None) -> _Rank:
    return (number is None, number or 0)


def _places(own: dict[N, _Rank], pairs: set[tuple[N, N]]) -> dict[N, tuple[_Rank, int]]:
    """Return the place of each name, the greatest of which stops first."""
    then: dict[N, list[N]] = {}
    waits: dict[N, int] = {}
    for first, second in pairs:
        then.setdefault(first, []).append(second)
        waits[second] = waits.get(second, 0) + 1
    places = {one: (own.get(one, _LAST), 0) for one in (*then, *waits, *own)}
    free = deque(one for one in places if one not in waits)
    while free:
        one = free.popleft()
        rank, step = places[one]
        for after in then.get(one, ()):
            places[after] = min(places[after], (rank, step - 1))
            waits[after] -= 1
            if not waits[after]:
                free.append(after)
    return places
