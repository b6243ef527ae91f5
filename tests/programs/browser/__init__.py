"""A headless Chromium, where there is one."""

from __future__ import annotations

import functools
import http.server
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import pytest

from ...kit.needed_programs import needs

HERE = Path(__file__).parent
_FLAGS = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@contextmanager
def browser() -> Iterator[Any]:
    """Start a Chromium with an empty profile."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = needs("chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, chromium_sandbox=False, args=_FLAGS)
        try:
            yield started
        finally:
            started.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def site(folder: Path) -> Iterator[int]:
    """Serve *folder* from another origin than gafferd's; gives the port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
