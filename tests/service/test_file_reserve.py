"""The last open files are kept for who needs them most."""

from __future__ import annotations

import resource
from typing import Iterator

import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.errors import SpawnError
from gaffer.process.pipes import Pipes
from gaffer.service import rlimits
from gaffer.service.rlimits import is_scarce


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rlimits.resource, "getrlimit", lambda which: (256, 256))
    yield


def test_numbers_near_the_limit_are_scarce(limit: None) -> None:
    assert [is_scarce(number) for number in (231, 232)] == [False, True]
    assert [is_scarce(number, 2) for number in (207, 208)] == [False, True]


@pytest.mark.parametrize("soft, scarce", [(64, 56), (resource.RLIM_INFINITY, 1 << 60)])
def test_small_and_unlimited(monkeypatch: pytest.MonkeyPatch, soft: int, scarce: int) -> None:
    monkeypatch.setattr(rlimits.resource, "getrlimit", lambda which: (soft, soft))
    assert is_scarce(scarce) == (soft == 64) and not is_scarce(scarce - 1)


def test_process_is_not_started_with_the_last_files(monkeypatch: pytest.MonkeyPatch) -> None:
    config = JobConfig("web", "serve", redirect_output=["out"])
    Pipes(config, {}).close_ours()
    monkeypatch.setattr("gaffer.process.pipes.is_scarce", lambda descriptor: True)
    with pytest.raises(
        SpawnError, match=r"cannot make pipes: too many open files: gafferd may have \d+; raise the limit"
    ):
        Pipes(config, {})
