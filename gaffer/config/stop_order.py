"""Order of stops, for gafferd and for its clients: jobs of the highest priority number end first."""

from __future__ import annotations

from typing import Callable, Iterable, TypeVar

T = TypeVar("T")


def group_by_priority(jobs: Iterable[T], priority: Callable[[T], int | None]) -> list[list[T]]:
    """Return jobs in the groups that stop together, those that started last first.

    :param jobs: in the order of their start.
    :param priority: returns a job's; None starts last.
    """
    groups: dict[tuple[bool, int], list[T]] = {}
    for job in jobs:
        number = priority(job)
        groups.setdefault((number is None, number or 0), []).append(job)
    return [groups[key][::-1] for key in sorted(groups, reverse=True)]
