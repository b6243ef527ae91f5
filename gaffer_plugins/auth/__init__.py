"""Keys and users (docs/security.rst): who has which key, what it allows, and the HTTP routes to change that.

:mod:`.store` is the database, which knows nothing of greenlets; :mod:`.keyring` is what is known of it at the moment,
so that a request costs no look into it; :mod:`.service` are the operations, and :mod:`.routes` their URLs.

Importing this package imports nothing more: most gafferds that use no keys never open the database.
"""

from __future__ import annotations

from typing import Any

__all__ = ["AuthPlugin"]


def __getattr__(name: str) -> Any:
    if name != "AuthPlugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .plugin import AuthPlugin

    globals()[name] = AuthPlugin
    return AuthPlugin
