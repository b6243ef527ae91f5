"""The lease of a node: how often it has to give a sign of life, and after which silence it is forgotten."""

from __future__ import annotations

#: Seconds between two signs of life of a node, unless ``ping_interval`` is set.
PING = 15.0
#: Shorter ones would be work for nothing, and etcd has no leases of less than a second.
LEAST_PING = 0.5
#: Signs of life that may be missed.
_MISSED = 3


def longest_silence(ping: float) -> float:
    """Return the seconds after which a node that is silent is given up.

    :param ping: seconds between two signs of life.
    """
    return _MISSED * ping
