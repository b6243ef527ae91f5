"""``python -m bench.keys``: what it costs a request to find out whose key it shows and what that may do.

In one process, with a real database; the limit is 1 ms after the first time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import gaffer
from gaffer.commands.identity import LOCAL, Credentials, Resource
from gaffer_plugins.auth import AuthPlugin

TIMES = 2001
LIMIT = 1e-3


def seconds(action: Callable[[], Any], times: int = TIMES) -> tuple[float, float]:
    """Return the median and the 99th percentile of what *action* takes, in seconds."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return statistics.median(found), sorted(found)[times * 99 // 100]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, gaffer.Manager() as manager:
        auth = AuthPlugin(str(Path(folder) / "auth.db"))
        manager.plugins.add(auth)
        measure(manager, auth)


def measure(manager: gaffer.Manager, auth: AuthPlugin) -> None:
    """Print the figures."""
    key = auth.service.create_key(LOCAL, "", {"read": ["default"]}, None)["api_key"]
    access, resource = manager.access, Resource("default", "web")
    identity = access.identify(Credentials(key))
    actions: dict[str, Callable[[], Any]] = {
        "whose key it is": lambda: access.identify(Credentials(key)),
        "what it may do": lambda: access.check(identity, "read", resource),
        "both": lambda: access.check(access.identify(Credentials(key)), "read", resource),
    }
    for name, action in actions.items():
        median, late = seconds(action)
        kept = "kept" if median < LIMIT else "BROKEN"
        print(f"{kept}    {name}: {median * 1e6:.1f} us, 99 % within {late * 1e6:.1f} us; at most {LIMIT * 1e6:.0f} us")


if __name__ == "__main__":
    main()
