"""Hooks of discovery: what a node says about itself, and where a lookupd keeps what nodes say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .markers import hookspec

if TYPE_CHECKING:
    from ..lookupd.backends import Backend
    from ..manager.manager import Manager


@hookspec
def gaffer_node_info(manager: Manager) -> dict[str, str] | None:
    """[COLLECT] Label this node, so that it can be found by more than its name.

    When: the node registers with a lookupd, each time that it does.
    May: look at the machine.
    Returns: labels, each a text; or None. Those of the plugin registered last win, and
    ``[plugin:lookup] labels`` before them.
    On exception: those labels are missing; logged.

    Example::

        @gaffer.hookimpl
        def gaffer_node_info(manager):
            return {"kernel": os.uname().release}
    """


@hookspec(firstresult=True)
def gaffer_registry(url: str) -> Backend | None:
    """[ASK1] Keep what the nodes of a gaffer_lookupd say, so that others know it, too.

    When: gaffer_lookupd starts; ``url`` is what ``--registry`` says, ``memory:`` by default.
    May: read ``url``; must not connect yet.
    Returns: a :class:`gaffer.lookupd.backends.Backend`, or None if ``url`` is for another plugin.
    On exception: gaffer_lookupd does not start.

    Example::

        @gaffer.hookimpl
        def gaffer_registry(url):
            if url.startswith("consul:"):
                return Consul(url)
    """
