"""Ports of jobs: those that the copies of a job get as ``PORT``, and conflicts between jobs about them."""

from __future__ import annotations

from typing import Container, Iterable, NamedTuple

from ..errors import Conflict
from .names import JobName

REMEDY = "choose others with --port N, or port = N in the configuration; or use --no-port"


class PortClaim(NamedTuple):
    """The ports of a job's copies, from the first to the last."""

    first: int
    last: int
    name: JobName


class PortConflict(NamedTuple):
    """Two jobs that would get one port; ``holder`` has it already, or is the one with the lower ports."""

    port: int
    name: JobName
    holder: JobName

    def __str__(self) -> str:
        return self.sentence(self.holder.short)

    def sentence(self, holder: str) -> str:
        """Return what is wrong, with these words for the other job."""
        return f"port {self.port} of {self.name.short} is that of {holder}; {REMEDY}"


class PortTaken(Conflict):
    """A job would get a port of another one, which not every caller may know of."""

    def __init__(self, conflict: PortConflict, holder: str = "") -> None:
        self.conflict = conflict
        super().__init__(conflict.sentence(holder) if holder else str(conflict))

    def for_others(self) -> PortTaken:
        """Return the same without the name of the other job."""
        return PortTaken(self.conflict, "another job")


def claim_ports(name: JobName, port: int | None, number: int, env: Container[str] = ()) -> PortClaim | None:
    """Return the ports of a job whose setting is *port* and that has *number* processes; None if it gets none.

    :param env: its variables; ``PORT`` there wins over the setting.
    """
    if port is None or number < 1 or "PORT" in env:
        return None
    return PortClaim(port, port + number - 1, name)


def conflict_with(claim: PortClaim, others: Iterable[PortClaim | None]) -> PortConflict | None:
    """Return the first conflict of a claim with those of *others*."""
    for other in others:
        if other is not None and claim.first <= other.last and other.first <= claim.last:
            return PortConflict(max(claim.first, other.first), claim.name, other.name)
    return None


def conflicts_among(claims: Iterable[PortClaim | None]) -> list[PortConflict]:
    """Return a conflict for each job that would get a port of another one."""
    found: list[PortConflict] = []
    furthest: PortClaim | None = None
    for claim in sorted(claim for claim in claims if claim is not None):
        if furthest is not None and claim.first <= furthest.last:
            found.append(PortConflict(claim.first, claim.name, furthest.name))
        if furthest is None or claim.last > furthest.last:
            furthest = claim
    return found
