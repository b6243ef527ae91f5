"""Where a lookupd keeps what its nodes say: what a plugin returns from ``gaffer_registry``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import Key, Record
    from .registry import Registry


class Backend:
    """A place that keeps records; this one keeps nothing beyond the lookupd itself.

    Methods are called by the lookupd's greenlets and must not wait; what takes time is done in greenlets of the
    backend's own. A backend that several lookupds share puts what others wrote into the registry, each under a
    holder's name of its own.
    """

    #: How lists and answers name it.
    name = "memory"

    def start(self, registry: Registry, ttl: float) -> None:
        """Begin.

        :param registry: what is to be kept current.
        :param ttl: seconds after which a node that nobody called alive is gone.
        """

    def stop(self) -> None:
        """End; what is kept stays until it expires."""

    def changed(self, record: Record) -> None:
        """A node that is connected here is new, or says something new."""

    def alive(self, key: Key) -> None:
        """A node that is connected here gave a sign of life."""

    def left(self, key: Key) -> None:
        """A node is not connected here any more."""

    def stale(self) -> dict[str, Any] | None:
        """Return since when and why answers may be out of date, ``{"seconds", "reason"}``; None if they are not."""
        return None

    def health(self) -> dict[str, Any]:
        """Return counters and whatever else tells how it is."""
        return {}
