"""The HTTP API beside a bare bottle application: the bench works, and what it promises holds."""

from __future__ import annotations

import re

import pytest

from bench import http_throughput


def test_the_api_is_not_much_slower_than_bare_bottle(capsys):
    """Asked for is 0.7; on an idle machine it is 1.7, so this fails only when something has become slow.

    A machine that has other things to do while it is gaffer's turn is no reason: it is asked again.
    """
    for _ in range(5):
        http_throughput.main(["--seconds", "0.4", "--runs", "1", "--children", "50"])
        said = capsys.readouterr().out
        found = dict(re.findall(r"GET (\S+): .* ratio ([0-9.]+)", said))
        assert set(found) == set(http_throughput.QUESTIONS)
        if float(found["/jobs/default/web/state"]) >= 0.7:
            break
    else:
        pytest.fail(f"less than 0.7 in each of five runs:\n{said}")
    alone = dict(re.findall(r"GET (\S+), one client: p50 [0-9.]+ ms, p99 ([0-9.]+) ms", said))
    assert set(alone) == set(http_throughput.QUESTIONS)
