"""The table of attacks on the security page."""

from __future__ import annotations

import gaffer_tables as tables
import pytest

from tests.security import ATTACKERS, attack


def test_table_of_attacks_follows_the_tests(tmp_path, monkeypatch):
    (tmp_path / "test_b.py").write_text('@attack("a job", "a fork bomb", "is ended")\ndef test_b(): ...\n')
    (tmp_path / "test_a.py").write_text(
        '@attack(\n    "a web page",\n    "a form, "\n    "posted",\n    "gets 415",\n)\n'
        "@pytest.mark.parametrize('n', [1])\ndef test_a(n): ...\ndef test_none(): ...\n"
    )
    monkeypatch.setattr(tables, "ATTACKS", tmp_path)
    assert tables.attacks() == [("a web page", "a form, posted", "gets 415"), ("a job", "a fork bomb", "is ended")]


def test_attackers_of_the_table_are_known():
    assert {row[0] for row in tables.attacks()} <= set(ATTACKERS)


def test_unknown_attackers_are_rejected():
    with pytest.raises(AssertionError):
        attack("unknown", "nothing", "nothing")
