"""Shared parts of all connections to receivers: certificates that are trusted, and how names are resolved."""

from __future__ import annotations

from typing import Any

import gevent

from gaffer.api import Resolver, expand_home

from .retry import Undelivered


class Trust:
    """The TLS settings that all connections share, made when one first needs them, and the resolver of names.

    :param cacert: certificates of the authorities, a PEM file; None for the system's.
    """

    def __init__(self, cacert: str | None) -> None:
        self.cacert = cacert
        self.resolver = Resolver()
        self._context: Any = None

    def context(self) -> Any:
        """Return them.

        :raises Undelivered: the authorities' certificates cannot be used.
        """
        if self._context is None:
            # Reading all authorities of a system takes 50 ms of a processor: not in the hub.
            made = gevent.get_hub().threadpool.apply(_tls_context, (self.cacert,))
            if isinstance(made, OSError):
                raise Undelivered(f"cannot use the certificates in {self.cacert}: {made.strerror or made}")
            self._context = made
        return self._context


def _tls_context(cacert: str | None) -> Any:
    """Return TLS settings, or the error: one that is raised in the pool would be printed."""
    from gevent import ssl  # late: OpenSSL takes a while to load

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if cacert is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(expand_home(cacert))
    except OSError as error:
        return error
    return context
