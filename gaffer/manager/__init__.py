"""The manager: jobs, processes and their events, as programs and plugins use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import lazy_names

if TYPE_CHECKING:
    from .compat import FlappingInfo as FlappingInfo
    from .manager import Manager as Manager

__all__, __getattr__, __dir__ = lazy_names(__name__, {"manager.compat": "FlappingInfo", "manager.manager": "Manager"})
