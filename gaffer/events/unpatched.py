"""The system's own threads and locks, also in programs that gevent has monkey-patched."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def native(module: str, name: str) -> Any:
    """Return what *name* of *module* was before it was patched; gevent.monkey is not imported to find out."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(import_module(module), name)


def is_patched(module: str) -> bool:
    """Tell whether gevent has patched *module* in this program."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched(module))
