"""Another account of this machine, for tests that root runs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Iterator

import pytest

#: An account that is neither ours nor root's.
STRANGER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")


@contextmanager
def as_stranger() -> Iterator[None]:
    """Act as the other account: files are opened and sockets made by it. Nothing is forked."""
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(STRANGER)
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def become_stranger() -> None:
    """Be the other account for the rest of this program."""
    os.setgroups([])
    os.setresgid(STRANGER, STRANGER, STRANGER)
    os.setresuid(STRANGER, STRANGER, STRANGER)
