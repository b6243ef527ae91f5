"""Names for plugins that keep the nodes of a lookupd: registries and their records.

Names are imported when they are first used (PEP 562). ``docs/python.rst`` describes each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import lazy_names

if TYPE_CHECKING:  # what __getattr__ finds, for tools that read the types
    from gaffer.lookupd.backends import Backend as Backend
    from gaffer.lookupd.backends import Refuse as Refuse
    from gaffer.lookupd.options import LOOKUPD_PORT as LOOKUPD_PORT
    from gaffer.lookupd.records import NodeInfo as NodeInfo
    from gaffer.lookupd.records import NodeKey as NodeKey
    from gaffer.lookupd.records import Record as Record
    from gaffer.lookupd.records import load_record as load_record
    from gaffer.lookupd.records import taken as taken
    from gaffer.lookupd.registry import Registry as Registry

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "lookupd.backends": "Backend Refuse",
        "lookupd.options": "LOOKUPD_PORT",
        "lookupd.records": "NodeKey NodeInfo Record load_record taken",
        "lookupd.registry": "Registry",
    },
)
