"""Connections of requests that read no more, and no longer, than an answer of etcd may need.

What requests and http.client read has no end by itself: heads, chunks and trailers go on for as long as the other side
sends them.
"""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from gaffer.api import Meter, Metered
from gaffer.api.web import TimeSlice

#: Bytes of an answer; the whole registry is one.
MAX_ANSWER = 64 << 20
#: Bytes of the head of a watch, and of what comes until a line of it is complete: twice what a line may have.
MAX_UNFINISHED_LINE = 32 << 20
#: Seconds that an answer may take, and bytes for which it gets one more.
SECONDS, RATE = 3.0, 1 << 20


class _Bounded:
    """A connection whose answers are bounded; one that has a meter given leaves it to the reader."""

    sock: Any
    given: Meter | None = None
    _meter: Meter | None = None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self._meter = self.given or Meter(TimeSlice().give_way)
        self.sock = Metered(self.sock, self._meter)

    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)  # type: ignore[misc]
        if self._meter is not None and self.given is None:
            self._meter.begin(MAX_ANSWER, SECONDS, RATE)


class _Plain(_Bounded, HTTPConnection):
    pass


class _Secure(_Bounded, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class BoundedAdapter(HTTPAdapter):
    """To be mounted on a session of requests.

    :param meter: of the one answer that is read through it; by default each has its own.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self._given = meter
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        manager: PoolManager = self.poolmanager
        given = self._given
        pools: dict[str, Any] = {}
        for scheme, pool, kind in (("http", _PlainPool, _Plain), ("https", _SecurePool, _Secure)):
            connection = type(kind.__name__, (kind,), {"given": given})
            pools[scheme] = type(pool.__name__, (pool,), {"ConnectionCls": connection})
        manager.pool_classes_by_scheme = pools


def metered_copy(session: Any, meter: Meter) -> Any:
    """Return a session as *session* is, for one answer that is read with *meter*. The caller closes it."""
    copy = type(session)()
    copy.headers, copy.cert, copy.verify, copy.trust_env = session.headers, session.cert, session.verify, False
    for scheme in ("http://", "https://"):
        copy.mount(scheme, BoundedAdapter(meter))
    return copy
