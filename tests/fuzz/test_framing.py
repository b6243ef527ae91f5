"""Random requests before a sentinel; ``framing.py`` asks for longer."""

from __future__ import annotations

import pytest

from tests.contrib.proxies import PROXIES
from tests.kit.gafferd import Gafferd

from .framing import JOBS, OPTIONS, fuzz, fuzz_through


def test_requests_end_where_their_heads_say(tmp_path):
    with Gafferd(tmp_path, JOBS, OPTIONS).start().ready() as gafferd:
        count, answered, wrong = fuzz(gafferd, 12.0, 1, 2500)
    assert wrong == []
    # Many connections go on, as they should.
    assert answered > count // 8


@pytest.mark.parametrize("name", PROXIES)
def test_the_next_client_of_a_proxy_gets_its_own_answer(name, tmp_path):
    with PROXIES[name](tmp_path, JOBS, OPTIONS) as proxy:
        count, shared, wrong = fuzz_through(proxy, 15.0, 1)
    assert wrong == []
    assert shared > count // 8
