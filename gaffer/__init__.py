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
    from .errors import Hold as Hold
    from .errors import Veto as Veto
    from .hookspecs.markers import hookimpl as hookimpl
    from .hookspecs.markers import hookspec as hookspec
    from .manager.manager import Manager as Manager
    from .manager.threaded import ThreadedManager as ThreadedManager
    from .plugins.registry import Plugin as Plugin
    from .plugins.registry import Site as Site


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__all__``, ``__getattr__`` and ``__dir__`` of a *package* whose names are imported when first used.

    :param modules: the names that each module below gaffer defines; with a colon after it, the module itself.
    """
    names = {name: module for module, defined in modules.items() for name in defined.split()}

    def lookup(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, whole, _ = f"gaffer.{names[name]}".partition(":")
        value = import_module(module) if whole else getattr(import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    return [*names], lookup, lambda: sorted({*vars(sys.modules[package]), *names})


__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "manager.manager": "Manager",
        "manager.threaded": "ThreadedManager",
        "config.jobconfig": "JobConfig",
        "plugins.introspection": "Plugin",
        "plugins.registry": "Site",
        "commands.identity": "Credentials Identity Permissions",
        "errors": "Hold Veto",
        "hookspecs.markers": "hookimpl hookspec",
    },
)
__all__ += ["__version__"]
