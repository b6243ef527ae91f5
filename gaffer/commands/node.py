"""Commands about gafferd as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..version import __version__
from .command import Arg, command
from .schemas import BOOLEAN, Schema, listed, refer, returns

if TYPE_CHECKING:
    from ..manager.manager import Manager

_VERSION: Schema = {"type": "string", "examples": [__version__]}


@command("welcome", permission=None, returns=returns(welcome={"const": "gaffer"}, version=_VERSION))
def welcome(manager: Manager) -> dict[str, str]:
    """Greet."""
    return {"welcome": "gaffer", "version": __version__}


@command("ping", permission=None, returns={"const": "OK"})
def ping(manager: Manager) -> str:
    """Answer OK once jobs are loaded."""
    return "OK"


@command("version", permission=None, returns=returns(name={"const": "gaffer"}, version=_VERSION))
def version(manager: Manager) -> dict[str, str]:
    """Name and version."""
    return {"name": "gaffer", "version": __version__}


@command("plugins", permission="read", returns=returns(plugins=listed(refer("Plugin"))))
def plugins(manager: Manager) -> dict[str, Any]:
    """The plugins and whether they are loaded."""
    muted = {name for name, counters in manager.hooks.counters().items() if counters["muted"]}
    return {"plugins": [info.to_dict() for info in manager.plugins.list(muted)]}


@command("health", permission="read", returns=refer("Health"))
def health(manager: Manager) -> dict[str, Any]:
    """The health of the node: whether all is well."""
    return manager.health()


@command("strays", permission="read", returns=returns(strays=listed(refer("Stray"))))
def strays(manager: Manager) -> dict[str, Any]:
    """Descendants of processes that have exited."""
    return {"strays": manager.strays.find()}


@command("kill_strays", permission="admin", returns=returns(strays=listed(refer("Stray"))))
def kill_strays(manager: Manager) -> dict[str, Any]:
    """Send KILL to descendants of processes that have exited."""
    return {"strays": manager.strays.kill()}


_FORCE = Arg("force", BOOLEAN, "also if more than half of the jobs are unloaded", required=False)


@command("reload_config", permission="admin", args=(_FORCE,), returns=refer("Reloaded"), errors=(409, 422, 503))
def reload_config(manager: Manager, force: bool = False) -> dict[str, Any]:
    """Read the configuration again and touch only the jobs that it changes."""
    # gafferd replaces this by its own reading of files.
    if manager.reader is not None:
        return {"ok": True, **manager.reader(force)}
    return {"ok": True, **manager.reload_config(force=force), "needs_restart": []}


@command("shutdown", permission="admin")
def shutdown(manager: Manager) -> None:
    """Stop everything and end gaffer."""
    manager.later(manager.stop)  # once the answer is under way
