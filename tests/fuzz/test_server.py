"""A real gafferd and malformed requests; ``server.py`` asks for longer."""

from __future__ import annotations

import pytest

from .server import fuzz, resident, start

REQUESTS = 400


@pytest.mark.parametrize("seed", [1])
def test_nothing_that_a_stranger_sends_hurts(seed, tmp_path):
    with start(tmp_path) as gafferd:
        assert fuzz(gafferd, 2.0, seed, REQUESTS // 4).wrong == []
        before = resident(gafferd.process.pid)
        report = fuzz(gafferd, 8.0, seed + 1, REQUESTS)
        assert report.wrong == []
        # Most are refused, but not all: it does look at them.
        assert {200, 400, 404, 421} <= report.statuses.keys()
        assert resident(gafferd.process.pid) - before < 8192
        assert gafferd.get("/ping", text=True) == "OK"
        # What is right is done, so the other job may be gone.
        assert gafferd.get("/jobs/default/kept")["running"] == 1
        assert "Traceback" not in gafferd.log.read_text()
