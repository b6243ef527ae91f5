"""Interface of registries, which plugins return from ``gaffer_registry``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from .records import NodeKey, Record
    from .registry import Registry

#: Told that a node which is connected here turned out to be another one's: its key, and a sentence.
Refuse = Callable[["NodeKey", str], Any]


class Backend:
    """A place that keeps records; this one keeps nothing beyond the lookupd itself.

    Methods are called by the lookupd's greenlets and must not wait, but for :meth:`claim`; what takes time is done in
    greenlets of the backend's own. A backend that several lookupds share puts what others wrote into the registry, each
    under a holder's name of its own.
    """

    #: How lists and answers name it.
    name = "memory"
    #: This lookupd's name among the holders.
    id = ""

    def start(self, registry: Registry, ttl: float, refuse: Refuse) -> None:
        """Begin.

        :param registry: what is to be kept current.
        :param ttl: seconds after which a node without a sign of life is gone.
        :param refuse: to be called if a claim was let through while it could not be decided, and is lost.
        """

    def stop(self) -> None:
        """End; what is kept stays until it expires."""

    def claim(self, record: Record) -> None:
        """A node that is connected here says who it is; it may take a few seconds to find out whether it is.

        The same life of a node may be connected to several lookupds.

        :raises Conflict: another life of that node is connected to another lookupd.
        """
        self.changed(record)

    def changed(self, record: Record) -> None:
        """A node that is connected here says something new."""

    def alive(self, key: NodeKey) -> None:
        """A node that is connected here gave a sign of life."""

    def left(self, key: NodeKey, for_good: bool = False) -> None:
        """A node is not connected here any more.

        :param for_good: it said that it stops, so it is connected nowhere.
        """

    def now(self) -> int:
        """Return a number above those of all states that are known here, for nodes that do not number theirs.

        0 where there are no other copies.
        """
        return 0

    def stale(self) -> dict[str, Any] | None:
        """Return since when and why answers may be out of date, ``{"seconds", "reason"}``; None if they are not."""
        return None

    def health(self) -> dict[str, Any]:
        """Return counters and whatever else tells how it is; a ``problem`` makes the lookupd unhealthy."""
        return {}
