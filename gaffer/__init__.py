"""gaffer: control, watch and launch applications and jobs over HTTP.

Names are imported when first used (PEP 562), so that ``import gaffer.names``
loads nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:  # what __getattr__ finds, for tools that read the types
    from .errors import Veto as Veto
    from .hookspecs.markers import hookimpl as hookimpl
    from .hookspecs.markers import hookspec as hookspec
    from .identity import Credentials as Credentials
    from .identity import Identity as Identity
    from .identity import Permissions as Permissions
    from .jobconfig import JobConfig as JobConfig
    from .manager import Manager as Manager
    from .plugins import Plugin as Plugin
    from .plugins import Site as Site

_NAMES = {
    "Manager": "gaffer.manager",
    "JobConfig": "gaffer.jobconfig",
    "Plugin": "gaffer.plugins",
    "Site": "gaffer.plugins",
    "Credentials": "gaffer.identity",
    "Identity": "gaffer.identity",
    "Permissions": "gaffer.identity",
    "Veto": "gaffer.errors",
    "hookimpl": "gaffer.hookspecs.markers",
    "hookspec": "gaffer.hookspecs.markers",
}

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'gaffer' has no attribute {name!r}")
    value = getattr(import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
