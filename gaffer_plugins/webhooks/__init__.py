"""Webhooks: events are posted to URLs. A receiver that is slow or dead costs itself only.

The way of an event: ``gaffer_event`` → :mod:`.dispatcher` (which URLs want it) → one bounded queue
and greenlet for each URL, :mod:`.receiver` → one kept connection, :mod:`.client`.

Importing this package imports nothing more: ``gafferctl webhooks`` lives in :mod:`.cli` and must not load the
server's half.
"""

from __future__ import annotations

from typing import Any

__all__ = ["WebhooksPlugin"]


def __getattr__(name: str) -> Any:
    if name != "WebhooksPlugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .plugin import WebhooksPlugin

    globals()[name] = WebhooksPlugin
    return WebhooksPlugin
