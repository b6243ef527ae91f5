"""The registry ``memory:``: a lookupd that knows what its own nodes say, needs no set-up and keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import Plugin, __version__, hookimpl

if TYPE_CHECKING:
    from gaffer.api.lookup import Backend

__all__ = ["MemoryRegistry"]


class MemoryRegistry(Plugin):
    """Answers for ``memory:``."""

    name = "registry_memory"
    version = __version__
    description = "gaffer_lookupd: nodes are kept in memory"

    @hookimpl
    def gaffer_registry(self, url: str) -> Backend | None:
        """Return the registry that keeps nothing."""
        if url.rstrip("/:") != "memory":
            return None
        from gaffer.api.lookup import Backend

        return Backend()
