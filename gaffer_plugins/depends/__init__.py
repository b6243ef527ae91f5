"""Dependencies: jobs start when what they need is ready, and end before it.

A job says ``depends_on = db, migrate:completed``. Its start is held until every condition holds, with the reason in
its status; the order of stops is the other way round. ``GET /graph`` shows what depends on what, ``GET /blame`` what
the starts waited for.

Importing this package imports nothing more: the command lines live in :mod:`.cli`, and most daemons have no job that
depends on another.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DependsPlugin"]


def __getattr__(name: str) -> Any:
    if name != "DependsPlugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .plugin import DependsPlugin

    globals()[name] = DependsPlugin
    return DependsPlugin
