"""Attacks, each done for real; ``docs/security.rst`` shows what ``@attack`` says of each."""

from __future__ import annotations

from typing import Callable, TypeVar

#: Where attacks come from, in the order of the table; each is the first argument of ``@attack``.
ATTACKERS = (
    "another account of the machine",
    "a web page",
    "a network client without a key",
    "a holder of a key",
    "a server that gafferd talks to",
    "a job",
)

Test = TypeVar("Test", bound=Callable[..., object])


def attack(attacker: str, does: str, outcome: str) -> Callable[[Test], Test]:
    """Mark a test as an attack. The documentation reads the three texts from the source, so they must be literals.

    :param attacker: one of :data:`ATTACKERS`.
    :param does: what the attacker does, as a noun phrase.
    :param outcome: what gafferd does about it, with the status or exit code of the answer.
    """
    assert attacker in ATTACKERS, attacker
    return lambda test: test
