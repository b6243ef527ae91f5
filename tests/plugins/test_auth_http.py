"""Keys, users and logins over HTTP, and what is open for a key that is deleted."""

from __future__ import annotations

import json
import time

import gevent
import gevent.pool
import pytest

import gaffer
from gaffer.commands.identity import LOCAL, Identity, Permissions
from gaffer.errors import TooManyRequests, Unauthorized
from gaffer_plugins.auth import passwords, service
from tests.kit.api_schema import described
from tests.kit.web import connect, wait_until
from tests.kit.websocket_client import CLOSE, TEXT

from ..kit.accounts import Locked, encoded, id_of

PASSWORD = "correct horse"
#: Fast to work out: what is tested is not how slow it is.
WEAK = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}


@pytest.fixture
def node(tmp_path, monkeypatch):
    from argon2 import PasswordHasher

    monkeypatch.setattr(passwords.Passwords, "_hasher", PasswordHasher(**WEAK))
    made = Locked(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def ann(node):
    """A user who may do everything."""
    node.service.create_user(LOCAL, "ann", PASSWORD, 0)
    return "ann"


# -- logins ---------------------------------------------------------------------------------------


def test_a_login_gives_a_key_that_expires(node, ann):
    answer = node.login(ann, PASSWORD, {"label": "laptop"})
    assert answer.status == 200 and answer.json["ok"] is True
    key = answer.json["api_key"]
    assert answer.json["expires"] == pytest.approx(time.time() + service.LIFETIME, abs=60)
    assert node.get("/jobs", key) == {"jobs": []}
    assert node("GET", "/jobs", head=f"Authorization: Bearer {key}\r\n").status == 200
    assert node.get("/keys/self", key)["label"] == "laptop"
    assert node.login(ann, PASSWORD, {"expires_in": 60}).json["expires"] < time.time() + 70
    assert node.login(ann, PASSWORD, {"expires_in": 1e9}).json["expires"] < time.time() + service.LIFETIME + 60


@pytest.mark.parametrize(
    "head",
    ["", "Authorization: Basic\r\n", "Authorization: Basic !!\r\n", "Authorization: Bearer x\r\n"]
    + [
        f"Authorization: Basic {text}\r\n"
        for text in ("YW5u", "/w==", encoded("ann", "wrong"), encoded("bob", PASSWORD))
    ],
)
def test_whatever_is_no_login_is_refused_with_a_challenge(node, ann, head):
    answer = node("POST", "/auth", head=head and f"Authorization: {head}\r\n")
    answer.assert_problem(401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_a_name_and_a_password_open_nothing_else(node, ann):
    head = f"Authorization: Basic {encoded(ann, PASSWORD)}\r\n"
    node("GET", "/jobs", head=head).assert_problem(401, "unauthorized")


def test_guessing_is_slowed_down_and_the_right_password_has_to_wait_too(node, ann):
    for _ in range(5):
        node.login(ann, "wrong").assert_problem(401, "unauthorized")
    answer = node.login(ann, PASSWORD)
    answer.assert_problem(429, "too_many_requests")
    assert int(answer.headers["retry-after"]) >= 1
    # Another user, from here, does not.
    node.service.create_user(LOCAL, "bob", PASSWORD, 1)
    assert node.login("bob", PASSWORD).status == 200


def test_who_guesses_keeps_out_itself_and_no_other_client(node, ann, monkeypatch):
    asked = node.service.login
    for number in range(30):
        with pytest.raises((Unauthorized, TooManyRequests)):
            asked(f"user{number}", "wrong word", "192.0.2.1")
    with pytest.raises(TooManyRequests):
        asked(ann, PASSWORD, "192.0.2.1")
    assert asked(ann, PASSWORD, "192.0.2.2")["ok"]
    # A proxy on this machine is many people.
    for address in ("127.0.0.1", "::1", ""):
        for number in range(30):
            with pytest.raises(Unauthorized):
                asked(f"user{number}", "wrong word", address)
        assert asked(ann, PASSWORD, address)["ok"]


def test_many_guesses_at_once_are_no_way_around_it(node, ann):
    answers = gevent.pool.Pool(20).map(lambda _: node.login(ann, "wrong").status, range(20))
    assert answers.count(401) <= 6 and set(answers) == {401, 429}


def test_passwords_do_not_hold_up_the_hub(tmp_path):
    """With the real cost of a hash: what else runs meanwhile never waits longer than a moment."""
    node = Locked(tmp_path)
    try:
        node.service.create_user(LOCAL, "ann", PASSWORD, 0)
        lags = []

        def tick():
            while True:
                started = time.perf_counter()
                gevent.sleep(0.001)
                lags.append(time.perf_counter() - started)

        ticker = gevent.spawn(tick)
        started = time.perf_counter()
        assert node.login("ann", PASSWORD).status == 200
        lasted = time.perf_counter() - started
        ticker.kill()
        assert len(lags) > 10 and sorted(lags)[len(lags) * 9 // 10] < lasted / 3
    finally:
        node.stop()


# -- keys -----------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_a_hash_never(node, ann):
    key = node.login(ann, PASSWORD).json["api_key"]
    made = node("POST", "/keys", {"label": "ci", "permissions": {"manage": ["shop"]}}, key)
    assert made.status == 201
    token = made.json["api_key"]
    assert (made.json["id"], made.json["expires"]) == (id_of(token), None)
    stored = node.service._keyring.ask(lambda store: store.key(id_of(token)))
    hashed = node.service._keyring.ask(lambda store: store.user(ann)).password
    for path in ("/keys", f"/keys/{id_of(token)}", "/keys/self", "/users", "/users/ann", "/users/ann/key", "/health"):
        text = node("GET", path, key=key).text
        assert all(shown.split("_", 2)[2] not in text for shown in (token, key))  # a secret may have "_" in it
        assert hashed not in text and "argon2" not in text and stored.digest.hex() not in text
    shown = node.get(f"/keys/{id_of(token)}", key)
    assert shown["parent"] == id_of(key) and shown["permissions"]["manage"] == ["shop"]


@pytest.mark.parametrize(
    ("own", "wanted", "status"),
    [
        ({}, {}, 403),
        ({"manage": ["*"]}, {"read": ["web"]}, 403),
        ({"create_key": True}, {}, 201),
        ({"create_key": True}, {"create_key": True}, 201),
        ({"create_key": True}, {"create_user": True}, 403),
        ({"create_key": True, "create_user": True, "manage": ["*"]}, {"admin": True}, 403),
        ({"create_key": True, "manage": ["a"]}, {"manage": ["a"], "write": ["a.x"], "read": ["a"]}, 201),
        ({"create_key": True, "manage": ["a.x"]}, {"read": ["a"]}, 403),
        ({"create_key": True, "read": ["*"]}, {"write": ["a.x"]}, 403),
        ({"create_key": True, "read": ["*"]}, {"read": ["a.x"]}, 201),
        ({"admin": True}, {"admin": True}, 201),
    ],
)
def test_no_account_makes_a_key_that_is_stronger(node, own, wanted, status):
    key = node.key(**own)
    answer = node("POST", "/keys", {"permissions": wanted}, key)
    assert answer.status == status
    assert len(node.get("/keys", key)["keys"]) == 1 + (status == 201)


def test_a_key_outlives_the_login_but_not_the_key_that_it_is_made_with(node, ann):
    login = node.login(ann, PASSWORD, {"expires_in": 60}).json["api_key"]
    assert node("POST", "/keys", {"permissions": {}}, login).json["expires"] is None
    maker = node.key(expires_in=60, create_key=True)
    for wanted in (None, 1e6):
        made = node("POST", "/keys", {"permissions": {}, "expires_in": wanted}, maker)
        assert made.json["expires"] == pytest.approx(time.time() + 60, abs=30)
    assert node("POST", "/keys", {"permissions": {}, "expires_in": 1}, maker).json["expires"] < time.time() + 2


def test_one_sees_and_deletes_ones_own_keys_and_those_below(node):
    maker = node.key(create_key=True)
    child = node("POST", "/keys", {"permissions": {"create_key": True}}, maker).json["api_key"]
    other = node.key(admin=False)
    grandchild = node("POST", "/keys", {"permissions": {}}, child).json["api_key"]
    ids = [id_of(key) for key in (maker, child, grandchild)]
    assert [key["id"] for key in node.get("/keys", maker)["keys"]] == ids
    assert [key["id"] for key in node.get("/keys", child)["keys"]] == ids[1:]
    for method in ("GET", "DELETE"):
        node(method, f"/keys/{id_of(other)}", key=maker).assert_problem(404, "not_found")
        node(method, f"/keys/{id_of(maker)}", key=child).assert_problem(404, "not_found")
        node(method, "/keys/nonsense", key=child).assert_problem(404, "not_found")
    assert node("DELETE", f"/keys/{id_of(child)}", key=maker).json == {"ok": True, "deleted": ids[1:]}
    for gone in (child, grandchild):
        node("GET", "/jobs", key=gone).assert_problem(401, "unauthorized")
    assert node("DELETE", "/keys/self", key=maker).json["deleted"] == ids[:1]
    node("GET", "/jobs", key=maker).assert_problem(401, "unauthorized")
    assert node("GET", "/jobs", key=other).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"permissions": 5}',
        b'{"permissions": null}',
        b'{"permissions": false}',
        b'{"permissions": []}',
        b'{"permissions": {"read": ["a.b.c"]}}',
        b'{"permissions": {}, "label": 5}',
        b'{"permissions": {}, "label": "\\u0000"}',
        b'{"permissions": {}, "expires_in": -1}',
        b'{"permissions": {}, "expires_in": "soon"}',
        b'{"permissions": {}, "expires_in": true}',
        b'{"permissions": {}, "parent": "x"}',
    ],
)
def test_wrong_bodies(node, body):
    key = node.key(admin=True)
    answer = node("POST", "/keys", key=key, raw=body or b" ")
    answer.assert_problem(400, "bad_request")


def test_it_is_recorded_which_key_was_made_and_deleted(tmp_path):
    told = {}

    class Audit:
        @gaffer.hookimpl
        def gaffer_command_run(self, command, args):
            told[command] = args

    node = Locked(tmp_path, Audit())
    node.service.create_user(LOCAL, "ann", PASSWORD, 0)
    login = node.login("ann", PASSWORD).json
    made = node("POST", "/keys", {"permissions": {}}, login["api_key"]).json
    assert node("DELETE", "/keys/self", key=login["api_key"]).status == 200
    wait_until(lambda: "DELETE /keys/<id>" in told)
    node.stop()
    assert told["POST /auth"] == {"username": "ann", "made": login["id"]}
    assert told["POST /keys"]["made"] == made["id"]
    assert sorted(told["DELETE /keys/<id>"]["deleted"]) == sorted([login["id"], made["id"]])
    assert login["api_key"] not in str(told) and made["api_key"] not in str(told)


@pytest.mark.parametrize("body", [b"[]", b'{"label": 5}', b'{"expires_in": 0}', b'{"permissions": {}}', b"{"])
def test_wrong_bodies_of_a_login(node, ann, body):
    head = f"Authorization: Basic {encoded(ann, PASSWORD)}\r\n"
    node("POST", "/auth", head=head, raw=body).assert_problem(400, "bad_request")


# -- users ----------------------------------------------------------------------------------------


def test_a_refusal_of_the_database_is_an_answer_and_nothing_else(node, ann, capfd):
    boss = node.key(admin=True)
    assert node("POST", "/users", {"username": "ann", "password": "long enough"}, boss).status == 409
    assert node("GET", "/keys/000000000000", key=boss).status == 404
    assert capfd.readouterr().err == ""


def test_what_is_remembered_of_a_user_is_bounded(node, ann):
    boss = node.key(admin=True)
    bob = {"username": "bob", "password": PASSWORD, "extra": {"mail": "x" * 5000}}
    node("POST", "/users", bob, boss).assert_problem(413, "too_large")
    assert node("POST", "/users", {**bob, "extra": {"mail": "x" * 4000}}, boss).status == 201


def test_the_life_of_a_user(node, ann):
    key = node.login(ann, PASSWORD).json["api_key"]
    bob = {"username": "bob", "password": PASSWORD, "permissions": {"read": ["web"], "create_key": True}}
    assert node("POST", "/users", bob, key).status == 201
    node("POST", "/users", bob, key).assert_problem(409, "conflict")
    bobs = node.login("bob", PASSWORD).json["api_key"]
    assert node.get("/users/bob", bobs)["permissions"]["read"] == ["web"]
    assert [user["username"] for user in node.get("/users", key)["users"]] == ["ann", "bob"]
    for method, path in (("GET", "/users"), ("GET", "/users/ann"), ("DELETE", "/users/bob"), ("POST", "/users")):
        node(method, path, bob if method == "POST" else None, key=bobs).assert_problem(403, "forbidden")
    ci = node("POST", "/keys", {"permissions": {"read": ["web"]}}, bobs).json["api_key"]
    assert node("DELETE", "/users/bob", key=key).status == 200
    for gone in (bobs, ci):
        node("GET", "/jobs", key=gone).assert_problem(401, "unauthorized")
    node.login("bob", PASSWORD).assert_problem(401, "unauthorized")
    node("GET", "/users/bob", key=key).assert_problem(404, "not_found")


def test_a_password_is_changed_by_who_knows_it_or_an_admin(node, ann):
    key = node.login(ann, PASSWORD).json["api_key"]
    node.service.create_user(LOCAL, "bob", PASSWORD, 1, {"read": ["*"]})
    one, other = (node.login("bob", PASSWORD).json["api_key"] for _ in range(2))
    path = "/users/bob/password"
    node("PUT", path, {"password": "new one is long"}, one).assert_problem(403, "forbidden")
    node("PUT", path, {"password": "new one is long", "old_password": "wrong"}, one).assert_problem(403, "forbidden")
    node("PUT", path, {"password": "short", "old_password": PASSWORD}, one).assert_problem(400, "bad_request")
    assert node("PUT", path, {"password": "new one is long", "old_password": PASSWORD}, one).status == 200
    assert node("GET", "/jobs", key=one).status == 200
    node("GET", "/jobs", key=other).assert_problem(401, "unauthorized")
    assert node("PUT", path, {"password": "once again new"}, key).status == 200
    node("GET", "/jobs", key=one).assert_problem(401, "unauthorized")
    assert node.login("bob", "once again new").status == 200
    node("PUT", "/users/ann/password", {"password": "x" * 20}, node.key(create_user=True)).assert_problem(
        403, "forbidden"
    )


def test_what_a_user_may_do_is_changed_and_the_logins_end(node, ann):
    key = node.login(ann, PASSWORD).json["api_key"]
    node.service.create_user(LOCAL, "bob", PASSWORD, 1, {"manage": ["*"]})
    bobs = node.login("bob", PASSWORD).json["api_key"]
    assert node("PUT", "/users/bob/key", {"permissions": {"read": ["web"]}}, key).status == 200
    node("GET", "/jobs", key=bobs).assert_problem(401, "unauthorized")
    bobs = node.login("bob", PASSWORD).json["api_key"]
    assert node.get("/users/bob/key", bobs)["permissions"]["manage"] == []
    node("PUT", "/users/ann/key", {"permissions": {}}, key).assert_problem(409, "conflict")


@pytest.mark.parametrize(
    "change",
    [
        lambda service: service.set_permissions(LOCAL, "bob", {"read": ["web"]}),
        lambda service: service.set_password(LOCAL, "bob", "another one"),
        lambda service: service.delete_user(LOCAL, "bob"),
    ],
)
def test_a_login_that_is_overtaken_by_a_change_gets_no_key(node, monkeypatch, change):
    """Checking a password takes a while; what the user might do before must not be had for as long as a key lasts."""
    node.service.create_user(LOCAL, "bob", PASSWORD, 1, {"manage": ["*"]})
    verify = node.service._passwords.verify

    def slow(stored, password):
        found = verify(stored, password)
        change(node.service)
        return found

    monkeypatch.setattr(node.service._passwords, "verify", slow)
    node.login("bob", PASSWORD).assert_problem(409, "conflict")
    assert node.service.keys(LOCAL) == {"keys": []}


def test_who_may_make_users_makes_none_that_are_stronger(node):
    key = node.key(create_user=True, read=["*"])
    user = {"username": "x", "password": PASSWORD}
    for more in ({"user_type": 0}, {"permissions": {"manage": ["a"]}}, {"permissions": {"create_key": True}}):
        node("POST", "/users", {**user, **more}, key).assert_problem(403, "forbidden")
    assert node("POST", "/users", {**user, "permissions": {"read": ["a"]}}, key).status == 201
    node("PUT", "/users/x/key", {"permissions": {"write": ["a"]}}, key).assert_problem(403, "forbidden")
    node.service.create_user(LOCAL, "boss", PASSWORD, 0)
    for method, path, body in (
        ("DELETE", "/users/boss", None),
        ("PUT", "/users/boss/password", {"password": PASSWORD}),
        ("PUT", "/users/boss/key", {"permissions": {}}),
    ):
        node(method, path, body, key).assert_problem(403, "forbidden")


#: What a user has who may make others of the same kind.
POWERFUL = {"create_key": True, "create_user": True, "manage": ["shop"]}


def changes(user):
    """Return what takes a user's account away from them."""
    return (
        ("PUT", f"/users/{user}/password", {"password": "another one"}),
        ("PUT", f"/users/{user}/key", {"permissions": {}}),
        ("DELETE", f"/users/{user}", None),
    )


def test_a_login_that_was_found_is_worth_no_account(node):
    """Neither with the key itself nor with anything that can be made with it, however far down."""
    node.service.create_user(LOCAL, "ann", PASSWORD, 1, POWERFUL)
    ann = node.login("ann", PASSWORD).json["api_key"]
    sub = node("POST", "/keys", {"permissions": POWERFUL}, ann).json["api_key"]
    below = node("POST", "/keys", {"permissions": POWERFUL}, sub).json["api_key"]
    found = [ann, sub, below]
    for maker, name in ((ann, "bob"), (below, "eve")):
        assert (
            node("POST", "/users", {"username": name, "password": PASSWORD, "permissions": POWERFUL}, maker).status
            == 201
        )
        found.append(node.login(name, PASSWORD).json["api_key"])
    for key in found:
        for method, path, body in changes("ann"):
            node(method, path, body, key).assert_problem(403, "forbidden")
    assert node.login("ann", PASSWORD).status == 200
    # She may still change it herself, and who may do more may, too.
    own = {"password": "another one", "old_password": PASSWORD}
    node("PUT", "/users/ann/password", own, sub).assert_problem(403, "forbidden")
    assert node("PUT", "/users/ann/password", own, ann).status == 200
    more = node.key(**{**POWERFUL, "manage": ["*"]})
    assert node("PUT", "/users/ann/password", {"password": PASSWORD}, more).status == 200


@pytest.mark.parametrize("change", range(3))
def test_who_may_do_less_can_be_changed(node, change):
    node.service.create_user(LOCAL, "ann", PASSWORD, 1, {"read": ["web"]})
    method, path, body = changes("ann")[change]
    assert node(method, path, body, node.key(create_user=True, read=["web"])).status == 200


# -- tickets --------------------------------------------------------------------------------------


def test_a_ticket_lets_one_request_in(node):
    node.load("web")
    key = node.key(read=["default"])

    def ticket():
        return node("POST", "/auth/ticket", key=key).json["ticket"]

    one = ticket()
    assert node.get(f"/jobs?ticket={one}") == {"jobs": ["default.web"]}
    node("GET", f"/jobs?ticket={one}").assert_problem(401, "unauthorized")
    node("POST", f"/jobs/default/web/restart?ticket={ticket()}").assert_problem(401, "unauthorized")
    node("POST", f"/auth/ticket?ticket={ticket()}").assert_problem(401, "unauthorized")
    node("GET", f"/plugins?ticket={ticket()}").assert_problem(403, "forbidden")
    with node.socket(f"/channel/websocket?ticket={ticket()}") as channel:
        channel.say('{"event": "CMD", "data": {"identity": 1, "name": "jobs"}}')
        assert json.loads(channel.receive().data)["data"]["result"] == {"jobs": ["default.web"]}


# -- what is open ---------------------------------------------------------------------------------


def to_the_end(socket):
    """Return all frames up to that which closes the websocket."""
    frames = []
    while not frames or frames[-1].opcode != CLOSE:
        frames.append(socket.receive())
    return frames


def test_key_that_may_not_write_cannot_hold_a_process_up(node):
    pid = node.load("web", "cat")
    reads, writes = node.key(read=["default"]), node.key(write=["default"], read=["default"])
    for key, status in ((reads, b"403"), (writes, b"200")):
        with connect(node.address) as feed:
            path = f"/streams/{pid}/out?feed=continuous&hold=true"
            feed.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\n\r\n".encode())
            assert feed.recv(12) == b"HTTP/1.1 " + status


def test_everything_that_is_open_for_a_key_ends_with_it(node):
    pid = node.load("web", "sh -c 'while :; do echo x; sleep 0.01; done'")
    key, admin = node.key(manage=["default"]), node.key(admin=True)
    feeds = [connect(node.address) for _ in range(2)]
    for feed, path in zip(feeds, (f"/streams/{pid}/out?feed=continuous", "/watch?feed=eventsource")):
        feed.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Api-Key: {key}\r\n\r\n".encode()
        )
        assert feed.recv(15) == b"HTTP/1.1 200 OK"
    sockets = [node.socket(f"/{pid}/channel", key), node.socket(f"/wstreams/{pid}", key)]
    channel = node.socket("/channel/websocket", key)
    channel.say('{"event": "SUB", "data": {"topic": "EVENTS"}}')
    assert b"subscription_success" in channel.receive().data
    assert node("DELETE", f"/keys/{id_of(key)}", key=admin).status == 200
    for feed in feeds:
        while feed.recv(65536):
            pass
    for socket in sockets:
        assert to_the_end(socket)[-1].code == 1008
    last = to_the_end(channel)
    assert b"no longer valid" in last[0].data and last[-1].opcode == CLOSE
    for one in (*feeds, *sockets, channel):
        one.close()


# -- the key as the first message -------------------------------------------------------------------


def test_a_socket_may_say_first_who_it_is(node):
    pid, secret = node.load("web"), node.load("back.db")
    reader, writer = node.key(read=["default"]), node.key(write=["default"])
    with node.socket(f"/{pid}/channel") as channel:
        channel.say(f"AUTH:{writer}")
        channel.say(b"V1 message 1\0hello\n")
        assert {channel.receive().data.split(b"\0")[1] for _ in range(2)} == {b"OK", b"hello\n"}
    with node.socket(f"/{pid}/channel") as channel:
        channel.say(f"AUTH:{reader}")
        for number in b"12":
            # Every message is checked, not only the first one after the key.
            channel.say(b"V1 message %c\0hello\n" % number)
            answer = channel.receive().data
            assert answer.startswith(b"V1 error %c" % number) and b"EPERM" in answer
    for path in (f"/{secret}/channel", "/999/channel"):
        with node.socket(path) as channel:
            channel.say(f"AUTH:{reader}")
            end = channel.receive()
            assert (end.opcode, end.code) == (CLOSE, 1008)
            assert "has no permission 'read' for process" in end.reason


@pytest.mark.parametrize("first", ["AUTH:wrong", "AUTH:", "V1 message 1\0x", b"\xff\xfe", "AUTH:" + "x" * 5000])
@pytest.mark.parametrize("path", ["/1/channel", "/1/channel/out"])
def test_a_socket_that_does_not_is_closed_and_learns_nothing(node, path, first):
    with node.socket(path) as channel:
        assert channel.answer.status == 101
        channel.say(first)
        end = channel.receive()
        assert (end.opcode, end.code) == (CLOSE, 1008)


def test_a_wrong_key_in_the_head_is_refused_before_the_handshake(node):
    pid = node.load("web")
    some = node.key(read=["*"])
    tried = [(path, "wrong", 401) for path in (f"/{pid}/channel", f"/wstreams/{pid}", "/channel/websocket")]
    for path, key, status in (*tried, (f"/wstreams/{pid}", None, 401), (f"/wstreams/{pid}", some, 403)):
        with node.socket(path, key) as channel:
            assert channel.answer.status == status


def test_the_channel_waits_for_the_key(node):
    node.load("web"), node.load("back.db")
    key = node.key(read=["default"])
    with node.socket("/channel/websocket") as channel:
        channel.say(f"AUTH:{key}")
        for name, args, errno in (("info", ["web"], None), ("scale", ["web", "+1"], 403), ("info", ["back.db"], 403)):
            channel.say(json.dumps({"event": "CMD", "data": {"identity": 1, "name": name, "args": args}}))
            data = json.loads(channel.receive().data)["data"]
            assert data.get("error", {}).get("errno") == errno
        assert node.manager.job("web").wanted == 1
        for topic, well in (("JOB:web", True), ("JOB:back.db", False), ("STREAM:1", True), ("STREAM:2", False)):
            channel.say(json.dumps({"event": "SUB", "data": {"topic": topic}}))
            answer = json.loads(channel.receive().data)
            assert (answer["event"] == "gaffer:subscription_success") is well, answer
        # A second key is no message.
        channel.say(f"AUTH:{node.key(admin=True)}")
        assert json.loads(channel.receive().data)["data"]["errno"] == 400
    for first in ("AUTH:wrong", '{"event": "CMD", "data": {"name": "shutdown"}}', '{"event": "NOP"}', "{"):
        with node.socket("/channel/websocket") as channel:
            channel.say(first)
            channel.say('{"event": "CMD", "data": {"name": "jobs"}}')
            frames = to_the_end(channel)
            assert [frame.opcode for frame in frames] == [TEXT, CLOSE]
            assert json.loads(frames[0].data)["data"]["errno"] == 401
    assert node.manager.active


def test_events_of_others_are_not_seen(node):
    node.load("web"), node.load("back.db")
    key = node.key(read=["default"])
    with node.socket("/channel/websocket", key) as channel:
        channel.say('{"event": "SUB", "data": {"topic": "EVENTS:stop_pid"}}')
        channel.receive()
        node.manager.stop_job("back.db")
        node.manager.stop_job("web")
        assert json.loads(channel.receive().data)["data"]["name"] == "web"
    wait_until(lambda: not node.manager.running)
    feed = connect(node.address)
    feed.sendall(
        f"GET /watch?feed=eventsource&since=0 HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\n\r\n".encode()
    )
    data = b""
    while b"event: stop\r\n" not in data:
        data += feed.recv(65536)
    feed.close()
    assert b"web" in data and b"back" not in data


# -- without keys -----------------------------------------------------------------------------------


def test_without_need_for_keys_they_can_still_be_used(tmp_path):
    node = Locked(tmp_path, keys=False)
    try:
        node.load("web"), node.load("back.db")
        assert len(node.get("/jobs")["jobs"]) == 2
        made = node("POST", "/keys", {"permissions": {"read": ["default"]}})
        assert node.get("/jobs", made.json["api_key"]) == {"jobs": ["default.web"]}
        node("GET", "/jobs", key="wrong").assert_problem(401, "unauthorized")
        with node.socket("/channel/websocket") as channel:
            channel.say(f"AUTH:{made.json['api_key']}")
            channel.say('{"event": "CMD", "data": {"identity": 1, "name": "jobs"}}')
            assert json.loads(channel.receive().data)["data"]["result"] == {"jobs": ["default.web"]}
    finally:
        node.stop()


def test_the_description_says_what_is_needed(node):
    key = node.key(admin=True)
    document = node("GET", "/openapi.json", key=key)
    found = described(document.body)
    for method, path, data in (
        ("GET", "/keys", None),
        ("GET", "/users", None),
        ("POST", "/keys", {"permissions": {}}),
        ("POST", "/auth/ticket", None),
        ("GET", "/keys/self", None),
        ("GET", "/users/none", None),
    ):
        found.check(method, path, node(method, path, data, key))
    assert document.json["paths"]["/keys"]["get"]["security"] == [{"key": []}, {"bearer": []}]
    assert document.json["paths"]["/auth"]["post"]["security"] == [{}]


def test_other_plugins_may_know_people_whose_permissions_are_ours(tmp_path):
    import gaffer

    class Badges:
        @gaffer.hookimpl
        def gaffer_identify(self, credentials):
            if credentials.key == "badge":
                return BADGE

    BADGE = Identity("17", "badge", permissions=Permissions(read=frozenset(["default"])))
    node = Locked(tmp_path, Badges())
    try:
        node.load("web")
        assert node.get("/jobs", "badge") == {"jobs": ["default.web"]}
        node("POST", "/jobs/default/web/restart", key="badge").assert_problem(403, "forbidden")
        assert node.get("/keys", "badge") == {"keys": []}
        assert node.get("/jobs", node.key(admin=True))["jobs"]
    finally:
        node.stop()
