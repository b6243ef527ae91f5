"""The database of keys, the keys in use, tickets and patience."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from types import SimpleNamespace

import gevent
import pytest
from gevent.lock import BoundedSemaphore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaffer.commands.identity import NODE, Identity, Permissions
from gaffer.errors import Conflict, GafferError, NotFound, TooManyRequests, Unavailable
from gaffer_plugins.auth import keyring as keyrings
from gaffer_plugins.auth import store as stores
from gaffer_plugins.auth import turns
from gaffer_plugins.auth.keyring import Keyring
from gaffer_plugins.auth.passwords import Throttle
from gaffer_plugins.auth.store import Store, StoredKey, User
from gaffer_plugins.auth.tickets import LIFE, MOST_OF_ONE, Tickets
from gaffer_plugins.auth.tokens import Token, is_same, new_token, parse_token
from gaffer_plugins.auth.turns import in_turn
from tests.kit.web import wait_until

from ..kit.accounts import Clock


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "new" / "auth.db")


@pytest.fixture
def store(path):
    made = Store(path)
    yield made
    made.close()


@pytest.fixture
def keyring(path):
    made = Keyring(path)
    yield made
    made.close()


def add(store, parent=None, user=None, expires=None, forgotten=None, **allowed):
    """Store a key and return it as its owner has it; *forgotten* gets the ids of those that ended for it."""
    token = new_token()
    permissions = Permissions.parse(allowed)
    ended = store.add_key(
        StoredKey(token.id, "label", permissions, parent, user, time.time(), expires, None, token.digest(store.pepper))
    )
    if forgotten is not None:
        forgotten += ended
    return token


def add_user(store, name="ann"):
    store.add_user(User(name, 1, Permissions(read=frozenset("*")), {"mail": "x"}, time.time(), "hash"))


# -- whose turn it is ---------------------------------------------------------------------------------


def test_a_thread_has_its_turn_until_it_has_ended(keyring):
    """Also if who asked was ended meanwhile: two threads in one transaction would lose what both did."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(store):
        begun.set()
        return go_on.wait(10)

    first = gevent.spawn(keyring.ask, slow)
    wait_until(begun.is_set)
    first.kill()
    second = gevent.spawn(keyring.ask, lambda store: go_on.is_set())
    gevent.sleep(0.05)
    assert not second.ready()
    go_on.set()
    assert second.get(timeout=10) is True


def test_what_cannot_begin_takes_no_turn(monkeypatch):
    turn = BoundedSemaphore(1)
    monkeypatch.setattr(turns, "gevent", SimpleNamespace(get_hub=lambda: 1 / 0))
    turn.acquire()
    with pytest.raises(ZeroDivisionError):
        in_turn(turn, int)
    assert not turn.locked()


# -- the file -------------------------------------------------------------------------------------


def test_no_other_account_can_read_the_file(path):
    Store(path).close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    os.chmod(path, 0o644)
    Store(path).close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_what_cannot_be_our_database_is_refused(tmp_path):
    (tmp_path / "text").write_text("hello " * 1000)
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE x (y)")
    other.close()
    later = sqlite3.connect(tmp_path / "later")
    later.execute(f"PRAGMA user_version = {stores.SCHEMA + 1}")
    later.close()
    (tmp_path / "link").symlink_to(tmp_path / "text")
    os.mkfifo(tmp_path / "pipe")
    for name, says in (
        ("text", "not a database"),
        ("other", "no database of keys of this gaffer: it has version 0"),
        ("later", f"it has version {stores.SCHEMA + 1}"),
        ("link", "cannot be opened"),
        ("pipe", "is no file"),
        ("text/x", "cannot be opened"),
    ):
        with pytest.raises(GafferError, match=says):
            Store(str(tmp_path / name))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_account_is_refused(path):
    Store(path).close()
    os.chown(path, 12345, -1)
    with pytest.raises(GafferError, match="belongs to uid 12345"):
        Store(path)


def test_all_of_it_is_there_again(path, store):
    add_user(store)
    token = add(store, user="ann", manage=["default"])
    store.used({token.id: 5.0})
    store.close()
    again = Store(path)
    key, user = again.key(token.id), again.user("ann")
    assert (key.permissions, key.user, key.last_used) == (Permissions(manage=frozenset(["default"])), "ann", 5.0)
    assert is_same(token.digest(again.pepper), key.digest)
    assert (user.type, user.extra, user.allowed) == (1, {"mail": "x"}, Permissions(read=frozenset("*")))
    again.close()


def test_what_is_stored_is_no_key(path, store):
    token = add(store)
    store.close()
    with open(path, "rb") as file:
        content = file.read()
    assert token.id.encode() in content and token.secret.encode() not in content


def test_a_disk_without_room_is_a_sentence(store):
    store._db.execute("PRAGMA max_page_count = 5")
    with pytest.raises(Unavailable, match="database or disk is full"):
        for _ in range(200):
            add(store)
    assert store.key("none") is None


def test_there_are_not_any_number_of_them(store, monkeypatch):
    monkeypatch.setattr(stores, "MOST_KEYS", 2)
    monkeypatch.setattr(stores, "MOST_USERS", 1)
    add(store), add(store)
    with pytest.raises(Conflict, match="there are 2 keys"):
        add(store)
    add_user(store)
    with pytest.raises(Conflict, match="there are 1 users"):
        add_user(store, "bob")


def test_one_key_or_user_leaves_room_for_others(store, monkeypatch):
    monkeypatch.setattr(stores, "MOST_BELOW", 3)
    monkeypatch.setattr(stores, "MOST_LOGINS", 2)
    top, other = add(store), add(store)
    middle = add(store, parent=top.id)
    add(store, parent=middle.id), add(store, parent=top.id)
    for parent in (top, middle):
        with pytest.raises(Conflict, match=f"3 keys come from key {top.id}"):
            add(store, parent=parent.id)
    add(store, parent=other.id)
    add_user(store)
    first, second = (add(store, user="ann", forgotten=[]) for _ in range(2))
    store.used({first.id: time.time() + 5, second.id: time.time() + 1})
    forgotten = []
    third = add(store, user="ann", forgotten=forgotten)
    # The one that was not used for longest ends.
    assert forgotten == [second.id] and store.key(second.id) is None
    child = add(store, parent=first.id)
    fourth = add(store, user="ann", forgotten=forgotten)
    # Another depends on the oldest one.
    assert forgotten[1:] == [third.id] and store.key(first.id) is not None and store.key(child.id) is not None
    add(store, parent=fourth.id), add(store, parent=fourth.id)
    with pytest.raises(Conflict, match="3 keys come from user 'ann'"):
        add(store, parent=first.id)
    with pytest.raises(Conflict, match="user 'ann' has 2 logins with which keys were made"):
        add(store, user="ann")


def test_expired_keys_make_room(store, monkeypatch):
    monkeypatch.setattr(stores, "MOST_KEYS", 3)
    old, maker = add(store), add(store)
    child = add(store, parent=maker.id)
    store._db.execute("UPDATE keys SET expires = 1 WHERE id != ?", (child.id,))
    new = add(store)
    # With the one that has a key below it, that would go, too.
    assert {key.id for key in store.keys()} == {maker.id, child.id, new.id} and store.key(old.id) is None


# -- cascades -------------------------------------------------------------------------------------


def test_a_key_takes_those_made_with_it_along(store):
    top = add(store)
    child, sibling = add(store, parent=top.id), add(store, parent=top.id)
    grandchild = add(store, parent=child.id)
    assert {key.id for key in store.keys(child.id)} == {child.id, grandchild.id}
    assert set(store.delete_key(child.id)) == {child.id, grandchild.id}
    assert {key.id for key in store.keys()} == {top.id, sibling.id}
    assert store.delete_key(child.id) == []
    with pytest.raises(NotFound):
        add(store, parent=child.id)


def test_a_user_takes_all_keys_along(store):
    add_user(store)
    login, other = add(store, user="ann"), add(store)
    child = add(store, parent=login.id)
    assert set(store.delete_user(store.user("ann"))) == {login.id, child.id}
    assert [key.id for key in store.keys()] == [other.id] and store.users() == []


def test_all_logins_but_one(store):
    add_user(store)
    kept, ended = add(store, user="ann"), add(store, user="ann")
    below_kept, below = add(store, parent=kept.id), add(store, parent=ended.id)
    assert set(store.delete_keys_of("ann", but=kept.id)) == {ended.id, below.id}
    assert {key.id for key in store.keys()} == {kept.id, below_kept.id}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(0, 11))
def test_deleting_removes_what_is_below_and_nothing_else(store, parents, which):
    for key in store.keys():
        store.delete_key(key.id)
    tokens, below = [], []
    for number, parent in enumerate(parents):
        at = parent % (number + 1)
        tokens.append(add(store, parent=tokens[at].id if at < number else None))
        below.append(at if at < number else None)
    which %= len(tokens)
    gone = {which}
    for number, parent in enumerate(below):
        if parent in gone:
            gone.add(number)
    assert set(store.delete_key(tokens[which].id)) == {tokens[number].id for number in gone}
    assert {key.id for key in store.keys()} == {token.id for number, token in enumerate(tokens) if number not in gone}


# -- keys in use ----------------------------------------------------------------------------------


@given(st.text())
def test_what_is_no_key_is_none_of_ours(text):
    assert parse_token(text) is None
    assert parse_token("gk_" + text) is None


def test_keys_are_random_and_compared_whole():
    tokens = [new_token() for _ in range(100)]
    assert len({token.id for token in tokens}) == len({token.secret for token in tokens}) == 100
    pepper = bytes(32)
    for token in tokens:
        assert parse_token(token.text) == token
        assert is_same(token.digest(pepper), token.digest(pepper))
        assert not is_same(token.digest(pepper), Token(token.id, tokens[0].secret[::-1]).digest(pepper))
    assert not is_same(bytes(32), None) and tokens[0].digest(pepper) != tokens[0].digest(b"\1" * 32)


def test_a_key_is_looked_up_once(keyring, monkeypatch):
    token = keyring.ask(lambda store: add(store, read=["*"]))
    known = keyring.find(token.text)
    assert known.name == token.id and known.permissions.allows("read", NODE)
    monkeypatch.setattr(keyring, "_looked", time.monotonic() + 1000)
    monkeypatch.setattr(Store, "key", None)
    assert keyring.find(token.text) is known
    assert keyring.find(Token(token.id, new_token().secret).text) is None


def test_nothing_is_made_to_find_that_there_is_nothing(keyring, path):
    assert keyring.find(new_token().text) is None and keyring.find("nonsense") is None
    assert not os.path.exists(path)


def test_wrong_keys_are_not_remembered(keyring):
    token = keyring.ask(add)
    for _ in range(3):
        assert keyring.find(new_token().text) is None
        assert keyring.find(Token(token.id, new_token().secret).text) is None
    assert not keyring._recent and not keyring._used


def test_deleted_is_forgotten_at_once(keyring):
    token, heard = keyring.ask(add), []
    known = keyring.find(token.text)
    known.endings.add(lambda: heard.append(1))
    keyring.forget(keyring.ask(lambda store: store.delete_key(token.id)))
    assert heard == [1] and known.ended and keyring.find(token.text) is None


def test_who_is_not_remembered_any_more_but_still_there_ends_too(keyring, monkeypatch):
    monkeypatch.setattr(keyrings, "REMEMBERED", 1)
    token, other = keyring.ask(add), keyring.ask(add)
    known = keyring.find(token.text)
    keyring.find(other.text)
    assert list(keyring._recent) == [other.id]
    assert keyring.find(token.text) is known
    keyring.find(other.text)
    keyring.forget([token.id])
    assert known.ended


def test_what_another_program_deletes_is_noticed(keyring, path, monkeypatch):
    monkeypatch.setattr(keyrings, "LOOK", 0.0)
    token, stays = keyring.ask(add), keyring.ask(add)
    known = keyring.find(token.text)
    assert keyring.find(stays.text)
    other = Store(path)
    other.delete_key(token.id)
    added = add(other)
    other.close()
    assert keyring.find(stays.text) and known.ended and keyring.find(token.text) is None
    assert keyring.find(added.text).name == added.id


def test_a_key_expires_by_itself(keyring):
    token = keyring.ask(lambda store: add(store, expires=time.time() + 0.5))
    known = keyring.find(token.text)
    with gevent.Timeout(5):
        while not known.ended:
            gevent.sleep(0.01)
    assert keyring.find(token.text) is None
    late = keyring.ask(lambda store: add(store, expires=time.time() - 1))
    assert keyring.find(late.text) is None


def test_last_use_is_stored_late_and_at_the_end(keyring, path, monkeypatch):
    monkeypatch.setattr(keyrings, "LAZY", 0.02)
    token = keyring.ask(add)
    keyring.find(token.text)
    assert keyring.ask(lambda store: store.key(token.id)).last_used is None
    assert keyring.last_used(keyring.ask(lambda store: store.key(token.id))) == pytest.approx(time.time(), abs=5)
    with gevent.Timeout(5):
        while keyring.ask(lambda store: store.key(token.id)).last_used is None:
            gevent.sleep(0.01)
    assert keyring._saver is None and not keyring._used  # nothing goes on between questions
    monkeypatch.setattr(keyrings, "LAZY", 1000)
    second = keyring.ask(add)
    keyring.find(second.text)
    keyring.close()
    again = Store(path)
    assert again.key(second.id).last_used is not None
    again.close()


# -- tickets and patience -------------------------------------------------------------------------


def test_a_ticket_is_good_once_and_not_for_long():
    clock, who = Clock(), Identity("caller")
    tickets = Tickets(clock)
    ticket, unused = tickets.issue(who), tickets.issue(who)
    assert tickets.use(ticket) is who
    assert tickets.use(ticket) is None and tickets.use("x") is None
    clock.now += LIFE
    assert tickets.use(unused) is None and not tickets._open


def test_a_ticket_ends_with_its_key():
    tickets, who = Tickets(), Identity("caller")
    ticket = tickets.issue(who)
    who.end()
    assert tickets.use(ticket) is None


def test_there_are_not_any_number_of_tickets():
    tickets, who = Tickets(Clock()), Identity("caller")
    made = [tickets.issue(who) for _ in range(MOST_OF_ONE)]
    with pytest.raises(Conflict, match="tickets wait to be used"):
        tickets.issue(who)
    tickets.issue(Identity("else"))
    tickets.use(made[0])
    tickets.issue(who)


def test_who_guesses_waits_longer_and_longer():
    clock = Clock()
    throttle = Throttle(2, 60.0, clock)
    waits = []
    for _ in range(10):
        throttle.check("ann")
        throttle.failed("ann")
        started = clock.now
        while True:
            try:
                throttle.check("ann")
                break
            except TooManyRequests as error:
                assert int(dict(error.headers)["Retry-After"]) >= 1
                clock.now += 1
        waits.append(clock.now - started)
    assert waits == [0, 0, 2, 4, 8, 16, 32, 60, 60, 60]
    throttle.check("bob")
    throttle.succeeded("ann")
    throttle.failed("ann")
    throttle.check("ann")


def test_failures_are_forgiven_and_forgotten():
    clock = Clock()
    throttle = Throttle(1, 60.0, clock)
    for _ in range(3):
        throttle.failed("ann")
    clock.now += Throttle.FORGET + 1
    throttle.failed("ann")
    throttle.check("ann")
    throttle.undo("ann")
    assert not throttle._failures
    throttle.MOST = 10
    for number in range(50):
        throttle.failed(str(number))
    assert len(throttle._failures) == 10 and "49" in throttle._failures
