"""Guessing passwords, and what others have of it."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import gevent
import pytest

from gaffer.commands.identity import LOCAL
from gaffer.errors import TooManyRequests, Unauthorized
from gaffer.web.requests.forwarded import Proxies
from gaffer_plugins.auth.keyring import Keyring
from gaffer_plugins.auth.passwords import Passwords
from gaffer_plugins.auth.service import AuthService
from gaffer_plugins.auth.turns import Turns
from tests.kit.gafferd import eventually, gafferd_with_key
from tests.security import attack
from tests.security.test_audit_log import ask, lines


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
    "a user who logs in with a name that exists is next: its password is checked before theirs",
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
    "a user who has logged in from there before can do so; a name that is guessed itself waits, and so do new ones",
)
def test_who_logged_in_from_a_place_is_not_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = AuthService(Keyring(str(tmp_path / "keys" / "auth.db")))
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


def guess(node: object, address: str, password: str = "nonsense") -> int:
    basic = base64.b64encode(f"ann:{password}".encode()).decode()
    said = {"Authorization": f"Basic {basic}", "X-Forwarded-For": address}
    return ask(node, "POST", "/auth", **said)[0]  # type: ignore[arg-type]


@attack(
    "a network client without a key",
    "an X-Forwarded-For header of its own, to guess passwords from ever other addresses or to be another one in the "
    "audit log",
    "ignored, unless `http_trusted_proxies` names who sends it; then what that proxy has put last counts",
)
@pytest.mark.parametrize("trusted", ["", "http_trusted_proxies = 127.0.0.1\n"])
def test_forwarded_addresses_are_those_of_trusted_proxies(tmp_path: Path, trusted: str) -> None:
    path = tmp_path / "audit.log"
    with gafferd_with_key(tmp_path, f"audit_log = {path}\naudit_reads = true\n{trusted}") as (node, key):
        ask(node, "GET", "/jobs", key=key, **{"X-Forwarded-For": "198.51.100.9, 203.0.113.5"})
        found = eventually(lambda: [one["from"] for one in lines(path) if one["what"] == "jobs"])
        if trusted:
            assert found[0].startswith("203.0.113.5 via 127.0.0.1:")
        else:
            assert found[0].startswith("127.0.0.1:")
        answers = [guess(node, f"198.51.100.{number}, 203.0.113.5") for number in range(8)]
        assert answers[0] == 401 and answers[-1] == 429
        # Others of the proxy have guessed nothing; without one, all are the same.
        assert guess(node, "203.0.113.6", "secret word") == (200 if trusted else 429)


@pytest.mark.parametrize(
    ("trusted", "peer", "header", "client"),
    [
        (["10.0.0.1"], "10.0.0.1", "203.0.113.5", "203.0.113.5"),
        (["10.0.0.1"], "10.0.0.2", "203.0.113.5", "10.0.0.2"),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", "1.1.1.1, 203.0.113.5,10.9.9.9", "203.0.113.5"),
        (["unix"], "", "1.1.1.1, 2001:db8::1", "2001:db8::1"),
        (["unix"], "127.0.0.1", "1.1.1.1", "127.0.0.1"),
        (["10.0.0.1"], "", "1.1.1.1", ""),
        (["10.0.0.1"], "10.0.0.1", "1.1.1.1, unknown", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", ",".join(["1.1.1.1"] + ["10.0.0.1"] * 5000), "10.0.0.1"),
    ],
)
def test_where_a_forwarded_request_comes_from(trusted: list[str], peer: str, header: str, client: str) -> None:
    assert Proxies(trusted).client(peer, header) == client


def test_what_is_no_proxy() -> None:
    for text in ("proxy.example.org", "10.0.0.1/8", "10.0.0.1:80"):
        with pytest.raises(ValueError, match="expected addresses"):
            Proxies([text])
