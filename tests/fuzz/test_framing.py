"""Random requests before a sentinel; ``framing.py`` asks for longer."""

from __future__ import annotations

from .framing import fuzz
from .server import start


def test_requests_end_where_their_heads_say(tmp_path):
    with start(tmp_path) as gafferd:
        count, answered, wrong = fuzz(gafferd, 12.0, 1, 2500)
    assert wrong == []
    # Many connections go on, as they should.
    assert answered > count // 4
