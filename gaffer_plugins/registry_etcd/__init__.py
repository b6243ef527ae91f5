"""The registry ``etcd://``: any number of lookupds that know the same, each of which may die."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import Plugin, __version__, hookimpl

if TYPE_CHECKING:
    from gaffer.api.lookup import Backend

__all__ = ["EtcdRegistry"]


class EtcdRegistry(Plugin):
    """Answers for ``etcd://``."""

    name = "registry_etcd"
    version = __version__
    description = "gaffer_lookupd: nodes are kept in etcd"

    @hookimpl
    def gaffer_registry(self, url: str) -> Backend | None:
        """Return the registry in the etcd at *url*."""
        if not url.startswith("etcd:"):
            return None
        # Late: the client is needed by lookupds only, and only by some.
        from .backend import EtcdBackend
        from .key_layout import check_files, read_url

        place = read_url(url)
        check_files(place)
        return EtcdBackend(place)
