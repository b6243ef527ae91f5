"""Guessing passwords, and what others have of it."""

from __future__ import annotations

import threading
from pathlib import Path

import gevent
import pytest

from gaffer.errors import TooManyRequests, Unauthorized
from gaffer.identity import LOCAL
from gaffer_plugins.auth.keyring import Keyring
from gaffer_plugins.auth.passwords import Passwords
from gaffer_plugins.auth.service import Service
from gaffer_plugins.auth.turns import Turns
from tests.security import attack


class Slow(Passwords):
    """Passwords that are checked when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[tuple[str | None, threading.Event]] = []

    def _verify(self, stored: str | None, password: str) -> bool:
        gate = threading.Event()
        self.gates.append((stored, gate))
        assert gate.wait(30)
        return stored == password


def wait(check: object) -> None:
    with gevent.Timeout(30):
        while not check():  # type: ignore[operator]
            gevent.sleep(0.001)


@attack(
    "a network client without a key",
    "passwords guessed for names that do not exist, 60 at a time, from loopback or behind a proxy",
    "whoever logs in with a name that exists is next: its password is checked before theirs",
)
def test_users_overtake_guessers_of_names() -> None:
    passwords = Slow()
    guessers = [gevent.spawn(passwords.verify, None, "x") for _ in range(60)]
    wait(lambda: len(passwords.gates) == 2)
    ann, wrong = gevent.spawn(passwords.verify, "right", "right"), gevent.spawn(passwords.verify, "right", "wrong")
    gevent.sleep(0)
    for number in range(2):
        passwords.gates[number][1].set()
    wait(lambda: len(passwords.gates) == 4)
    assert [stored for stored, _ in passwords.gates] == [None, None, "right", "right"]
    for _, gate in passwords.gates:
        gate.set()
    assert ann.get(timeout=30) is True
    # A wrong password is told no sooner than that of a name which does not exist.
    while not wrong.ready():
        for _, gate in passwords.gates:
            gate.set()
        gevent.sleep(0.001)
    assert wrong.get() is False and all(one.ready() for one in guessers[:50])
    gevent.killall(guessers)


def test_turns_are_given_back_whatever_happens() -> None:
    turns = Turns(1)
    assert turns.acquire(30) and turns.busy
    assert not turns.acquire(0.001) and not turns.acquire(0.001, first=True)
    killed = gevent.spawn(turns.acquire, 30)
    gevent.sleep(0)
    killed.kill()
    late = gevent.spawn(turns.acquire, 30)
    gevent.sleep(0)
    turns.release()
    late.kill()  # its turn has come; whether it knows that already is the event loop's business
    assert turns.busy == (late.value is True)


@attack(
    "a network client without a key",
    "passwords guessed from an address that others log in from, such as a proxy's",
    "whoever has logged in from there before can do so; a name that is guessed itself waits, and so do new ones",
)
def test_who_logged_in_from_a_place_is_not_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Keyring(str(tmp_path / "keys" / "auth.db")))
    monkeypatch.setattr(service._passwords, "hash", lambda password: password)
    monkeypatch.setattr(service._passwords, "verify", lambda stored, password: stored == password)
    for name in ("ann", "bob"):
        service.create_user(LOCAL, name, "correct horse")
    assert service.login("ann", "correct horse", "10.0.0.1")["ok"]
    guessed = 0
    with pytest.raises(TooManyRequests):
        for guessed in range(100):
            with pytest.raises(Unauthorized):
                service.login(f"x{guessed}", "nonsense", "10.0.0.1")
    assert guessed < 30
    assert service.login("ann", "correct horse", "10.0.0.1")["ok"]
    with pytest.raises(TooManyRequests):
        service.login("bob", "correct horse", "10.0.0.1")
    assert service.login("bob", "correct horse", "10.0.0.2")["ok"]
    with pytest.raises(TooManyRequests):
        for _ in range(10):
            with pytest.raises(Unauthorized):
                service.login("ann", "nonsense", "10.0.0.1")
