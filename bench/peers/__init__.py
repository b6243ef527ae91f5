"""One driver per supervisor; all of them do the same few things in their supervisor's own way."""

from __future__ import annotations

from .bare import Bare
from .base import Load, Peer
from .gaffer import Gaffer
from .runit import Runit, RunitDirect
from .supervisor import Supervisor

#: In the order of the table's columns. The first one is what ratios are made with.
PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Bare, Supervisor, Runit, RunitDirect, Gaffer)}

__all__ = ["PEERS", "Load", "Peer"]
