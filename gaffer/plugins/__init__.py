"""Plugins: finding, registering and calling them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import lazy_names

if TYPE_CHECKING:
    from .introspection import Plugin as Plugin
    from .registry import Site as Site

__all__, __getattr__, __dir__ = lazy_names(__name__, {"plugins.introspection": "Plugin", "plugins.registry": "Site"})
