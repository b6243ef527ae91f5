"""gaffer: control, watch and launch applications and jobs over HTTP.

Names are imported when first used (PEP 562), so that ``import gaffer.names``
loads nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .version import __version__

_NAMES = {
    "Manager": "gaffer.manager",
    "JobConfig": "gaffer.jobconfig",
    "Plugin": "gaffer.plugins",
    "Site": "gaffer.plugins",
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
