"""gaffer: control, watch and launch applications and jobs over HTTP.

Names are imported when first used (PEP 562), so that ``import gaffer.errors``
loads nothing else.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, Mapping

from .version import __version__

if TYPE_CHECKING:  # what __getattr__ finds, for tools that read the types
    from .commands.identity import Credentials as Credentials
    from .commands.identity import Identity as Identity
    from .commands.identity import Permissions as Permissions
    from .config.jobconfig import JobConfig as JobConfig
    from .errors import Veto as Veto
    from .hookspecs.markers import hookimpl as hookimpl
    from .hookspecs.markers import hookspec as hookspec
    from .manager.manager import Manager as Manager
    from .plugins.registry import Plugin as Plugin
    from .plugins.registry import Site as Site


def lazy_names(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a *package* whose *names* are imported when they are first used.

    :param names: each name and the module below the package that defines it; with a colon after it, the module itself.
    """

    def lookup(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, whole, _ = f"gaffer.{names[name]}".partition(":")
        value = import_module(module) if whole else getattr(import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    return lookup, lambda: sorted({*vars(sys.modules[package]), *names})


_NAMES = {
    "Manager": "manager.manager",
    "JobConfig": "config.jobconfig",
    "Plugin": "plugins.introspection",
    "Site": "plugins.registry",
    "Credentials": "commands.identity",
    "Identity": "commands.identity",
    "Permissions": "commands.identity",
    "Veto": "errors",
    "hookimpl": "hookspecs.markers",
    "hookspec": "hookspecs.markers",
}

__all__ = ["__version__", *_NAMES]
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
