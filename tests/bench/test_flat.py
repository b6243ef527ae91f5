"""Requests of every kind leave nothing behind in gafferd; the bench asks ten thousand times, this test fewer."""

from __future__ import annotations

import re

from bench import http_flat
from gaffer_plugins.http import gaffer04_routes, job_routes

#: Bytes that a request may leave: a leak is a dictionary at the least, and what the allocator keeps is not one.
MOST = 500


def test_nothing_is_left_behind(capsys):
    http_flat.main(["--requests", "2000"])
    said = capsys.readouterr().out
    before, after, grown = map(int, re.search(r"descriptors (\d+) -> (\d+), .* (-?\d+) bytes a request", said).groups())
    assert after == before, said
    assert grown < MOST, said


def test_every_operation_is_asked():
    """But for the one that would end it."""

    def plain(path):
        path = re.sub(r"bench\.flat|\bweb\b(?!hooks)|\bflat\b|\bghost\b", "J", path.partition("?")[0])
        return re.sub(r"/(default|bench)\b", "/S", re.sub(r"_signal/\w+", "_signal/X", re.sub(r"/2$", "/N", path)))

    def told(path):
        path = path.replace("<session>", "S").replace("<signal>", "X").replace("<count:int>", "N")
        return re.sub("<(job|name)>", "J", path).replace("<pid:int>", "PID")

    asked = {(ask.method, plain(ask.path)) for ask in http_flat.ROUND}
    routes = {(route.method, told(route.path)) for route in (*job_routes.ROUTES, *gaffer04_routes.ROUTES)}
    assert routes - asked == {("POST", "/shutdown")}
