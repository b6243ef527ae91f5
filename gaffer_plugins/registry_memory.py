"""The registry ``memory:``: a lookupd that knows what its own nodes say, needs no set-up and keeps nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable

from gaffer import Plugin, __version__, hookimpl
from gaffer.api.lookup import Backend

if TYPE_CHECKING:
    from gaffer.api.lookup import Registry

__all__ = ["MemoryRegistry"]

#: Seconds after the start within which nodes come back that were connected before: the longest pause of a node, and
#: an attempt to connect that began while the machine did not answer.
WARM_UP = 15.0


class MemoryBackend(Backend):
    """A registry that keeps nothing: after a start it knows its nodes only when they have come back.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()

    def start(self, registry: Registry, ttl: float, refuse: Callable[..., Any]) -> None:
        """Begin to wait for the nodes."""
        self._began = self._clock()

    def stale(self) -> dict[str, Any] | None:
        """Return since when nodes may be missing, None after :data:`WARM_UP` seconds."""
        seconds = self._clock() - self._began
        if seconds >= WARM_UP:
            return None
        reason = "warming up since its start, so some nodes may not have connected again"
        return {"seconds": round(seconds, 1), "reason": reason}


class MemoryRegistry(Plugin):
    """Answers for ``memory:``."""

    name = "registry_memory"
    version = __version__
    description = "gaffer_lookupd: nodes are kept in memory"

    @hookimpl
    def gaffer_registry(self, url: str) -> Backend | None:
        """Return the registry that keeps nothing."""
        return MemoryBackend() if url.rstrip("/:") == "memory" else None
