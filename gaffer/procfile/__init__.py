"""Procfile applications: reading, comparing and exporting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import lazy_names

if TYPE_CHECKING:
    from .parser import Procfile as Procfile
    from .parser import get_env as get_env
    from .parser import needs_shell as needs_shell

__all__, __getattr__, __dir__ = lazy_names(__name__, {"procfile.parser": "Procfile get_env needs_shell"})
