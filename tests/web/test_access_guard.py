from __future__ import annotations

import os
import socket

import pytest

from gaffer.web.requests.access_guard import AccessGuard
from gaffer.web.requests.access_rules import AccessRules, EndpointPolicy
from gaffer.web.requests.authentication import origin_of
from gaffer.web.requests.host_header import clean_host, is_loopback
from gaffer.web.requests.web_origin import check_origin, is_own_origin
from tests.kit.web import call, connection

ME = os.geteuid()
OTHER = ME + 4242


def inner(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"in"]


class Asked:
    """Answers with one uid and counts how often it was asked."""

    def __init__(self, uid):
        self.uid, self.times = uid, 0

    def __call__(self, sock, peer, local):
        self.times += 1
        return self.uid


def get(host="localhost", uid=ME, via=None, method="GET", origin=None, headers=None, **options):
    guard = AccessGuard(inner, AccessRules(**options), Asked(uid))
    environ = {"gaffer.connection": via or connection(), **(headers or {})}
    if host is not None:
        environ["HTTP_HOST"] = host
    if origin is not None:
        environ["HTTP_ORIGIN"] = origin
    return call(guard, method, "/", **environ)


# -- who ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", [0, ME])
def test_our_own_user_and_root_come_in(uid):
    assert get(uid=uid).body == b"in"


@pytest.mark.parametrize("path", ["tcp", "unix"])
def test_other_users_do_not(path):
    via = connection(socket.AF_UNIX, "", "/run/x") if path == "unix" else connection()
    reason = get(uid=OTHER, via=via).assert_problem(403, "forbidden")
    assert str(OTHER) in reason and "--require-key" in reason and "allow_local_users" in reason


def test_an_endpoint_may_have_rules_of_its_own():
    via = connection()
    via.policy = EndpointPolicy(local_users=True)
    assert get(uid=OTHER, via=via).body == b"in"
    via.policy = EndpointPolicy(local_users=False)
    get(uid=OTHER, via=via, local_users=True).assert_problem(403, "forbidden")
    via.policy = EndpointPolicy(require_key=True)
    assert get(uid=OTHER, via=via, host="any.example").body == b"in"  # the key is asked for further in
    via.policy = EndpointPolicy(require_key=False)
    get(uid=OTHER, via=via, keys=True).assert_problem(403, "forbidden")
    via.uid = None
    get(via=via, host="any.example", keys=True).assert_problem(421, "misdirected")
    far = connection(peer=("10.0.0.2", 40000), local=("10.0.0.1", 5000))
    get(host="10.0.0.1", uid=None, via=far).assert_problem(403, "forbidden")
    far.policy = EndpointPolicy(anonymous=True)
    assert get(host="10.0.0.1", uid=None, via=far).body == b"in"


@pytest.mark.parametrize(
    ("site", "mode", "dest", "welcome"),
    [
        ("same-origin", "no-cors", "image", True),
        ("none", "navigate", "document", True),
        ("cross-site", "navigate", "document", True),
        ("cross-site", "navigate", "iframe", False),
        ("cross-site", "no-cors", "image", False),
        ("same-site", "no-cors", "script", False),
    ],
)
def test_fetch_metadata_of_foreign_pages_is_rejected(site, mode, dest, welcome):
    said = {"HTTP_SEC_FETCH_SITE": site, "HTTP_SEC_FETCH_MODE": mode, "HTTP_SEC_FETCH_DEST": dest}
    if welcome:
        assert get(headers=said).body == b"in"
    else:
        assert "pages of other sites" in get(headers=said).assert_problem(403, "forbidden")
    # An allowed page may show our images; which page it is, the browser does not say.
    assert get(headers=said, origins=("https://ours.example",)).body == b"in"


def test_a_form_of_another_site_is_no_link():
    said = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"}
    assert "pages of other sites" in get(method="POST", headers=said).assert_problem(403, "forbidden")


def test_peer_of_unknown_account_is_rejected():
    assert "--require-key" in get(uid=None).assert_problem(403, "forbidden")


def test_request_without_connection_is_rejected():
    guard = AccessGuard(inner, ask=Asked(ME))
    call(guard, "GET", "/", HTTP_HOST="localhost").assert_problem(403, "forbidden")


def test_local_users_can_be_let_in():
    assert get(uid=OTHER, local_users=True).body == b"in"


def test_other_machines_come_in_only_when_all_may():
    addresses = {"peer": ("192.0.2.9", 40000), "local": ("192.0.2.1", 5000)}
    assert get(uid=None, via=connection(**addresses), anonymous=True, host="192.0.2.1").body == b"in"
    get(uid=None, via=connection(**addresses), host="192.0.2.1").assert_problem(403, "forbidden")


@pytest.mark.parametrize(
    "near",
    [
        connection(),
        connection(peer=("192.0.2.9", 40000)),
        connection(socket.AF_INET6, ("::1", 40000, 0, 0), ("::1", 5000, 0, 0)),
        connection(socket.AF_INET6, ("::ffff:127.0.0.1", 40000, 0, 0), ("::ffff:127.0.0.1", 5000, 0, 0)),
        connection(socket.AF_UNIX, "", "/run/x"),
    ],
)
def test_other_users_of_this_machine_do_not_become_anonymous(near):
    get(uid=OTHER, via=near, anonymous=True).assert_problem(403, "forbidden")


def test_the_kernel_is_asked_once_a_connection():
    ask = Asked(ME)
    guard = AccessGuard(inner, ask=ask)
    via = connection()
    for _ in range(3):
        assert call(guard, "GET", "/", HTTP_HOST="localhost", **{"gaffer.connection": via}).body == b"in"
    assert ask.times == 1
    call(guard, "GET", "/", HTTP_HOST="evil.example", **{"gaffer.connection": via}).assert_problem(421, "misdirected")


@pytest.mark.parametrize("rules", [{}, {"local_users": True}])
def test_account_of_peer_is_kept_for_the_audit(rules):
    via = connection()
    get(uid=OTHER, via=via, **rules)
    assert via.uid == OTHER and origin_of({"gaffer.connection": via}) == f"127.0.0.1:40000 uid={OTHER}"
    via = connection()
    get(uid=OTHER, via=via, keys=True)
    assert origin_of({"gaffer.connection": via}) == "127.0.0.1:40000"


def test_a_refused_connection_stays_refused():
    guard = AccessGuard(inner, ask=Asked(OTHER))
    via = connection()
    for _ in range(2):
        call(guard, "GET", "/", HTTP_HOST="localhost", **{"gaffer.connection": via}).assert_problem(403, "forbidden")


def test_new_rules_count_for_open_connections():
    guard = AccessGuard(inner, AccessRules(local_users=True, hosts=("a.example",)), Asked(OTHER))
    request = {"HTTP_HOST": "a.example", "gaffer.connection": connection()}
    assert call(guard, "GET", "/", **request).body == b"in"
    guard.rules = AccessRules(local_users=True)
    call(guard, "GET", "/", **request).assert_problem(421, "misdirected")
    guard.rules = AccessRules(hosts=("a.example",))
    call(guard, "GET", "/", **request).assert_problem(403, "forbidden")
    with pytest.raises(ValueError):
        guard.rules = AccessRules(origins=("*",))
    call(guard, "GET", "/", **request).assert_problem(403, "forbidden")


# -- by which name ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:5000",
        "localhost.:80",
        "127.0.0.1:5000",
        "127.8.9.1",
        "[::1]:5000",
        socket.gethostname(),
        socket.gethostname().upper() + ":1",
        "gaffer.example:8443",
        None,
    ],
)
def test_our_names(host):
    assert get(host=host, hosts=["Gaffer.Example:5000"]).body == b"in"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:5000", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "0.0.0.0"],
)
def test_other_names_are_misdirected(host):
    assert "allowed_hosts" in get(host=host).assert_problem(421, "misdirected")


@pytest.mark.parametrize("host", ["", "a b", "a/b", "user@localhost", "a:b:c", "localhost:x", "[::1", "[localhost]"])
def test_invalid_host_header_gets_400(host):
    get(host=host).assert_problem(400, "bad_request")


def test_the_address_that_a_request_came_to_is_our_name():
    far = connection(peer=("192.0.2.9", 40000), local=("192.0.2.1", 5000))
    assert get(host="192.0.2.1:5000", via=far, anonymous=True).body == b"in"
    get(host="192.0.2.2:5000", via=far, anonymous=True).assert_problem(421, "misdirected")
    six = connection(socket.AF_INET6, ("2001:db8::9", 1, 0, 0), ("2001:db8::1", 5000, 0, 0))
    assert get(host="[2001:DB8:0::1]:5000", via=six, anonymous=True).body == b"in"


def test_unix_sockets_have_no_names():
    assert get(host="whatever", via=connection(socket.AF_UNIX, "", "/run/x")).body == b"in"


# -- from which page ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:5000", "http://localhost:5000"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost:443"),
        ("LocalHost:9000", "http://localhost:9000"),
        ("[::1]:5000", "http://[::1]:5000"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_our_own_pages(host, origin, method):
    answer = get(host=host, origin=origin, method=method)
    assert answer.body == b"in" and "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "http://localhost:5001", "http://localhost:5000.evil.example", "", "file://", "x"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_other_pages(origin, method):
    answer = get(host="localhost:5000", origin=origin, method=method)
    assert "allowed_origins" in answer.assert_problem(403, "forbidden")
    assert "access-control-allow-origin" not in answer.headers


def test_other_pages_do_not_come_in_by_a_unix_socket_either():
    via = connection(socket.AF_UNIX, "", "/run/x")
    get(host="h", origin="http://evil.example", via=via).assert_problem(403, "forbidden")


def test_pages_of_allowed_origins_see_the_answer():
    answer = get(origin="https://UI.example", origins=["https://ui.example:443/"], method="POST")
    assert answer.body == b"in"
    assert answer.headers["access-control-allow-origin"] == "https://UI.example"
    # Of a longpoll: without, scripts of the page could not go on where they were.
    assert answer.headers["access-control-expose-headers"] == "Last-Event-ID, Gaffer-Lost, Retry-After"
    assert answer.headers["vary"] == "Origin"


def test_preflight_of_allowed_origins():
    headers = {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT"}
    answer = get(origin="https://ui.example", origins=["https://ui.example"], method="OPTIONS", headers=headers)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://ui.example"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "Content-Type" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_preflight_of_others():
    headers = {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT"}
    get(origin="https://x.example", origins=["https://ui.example"], method="OPTIONS", headers=headers).assert_problem(
        403, "forbidden"
    )


@pytest.mark.parametrize("origin", ["*", "http://*", "http://*.ab", "null", "example.org", "ftp://x", "http://a/b", ""])
def test_origins_that_cannot_be_allowed(origin):
    with pytest.raises(ValueError, match="no web origin"):
        check_origin(origin)


def test_pages_without_tls_are_others_where_a_proxy_says_that_the_client_used_tls():
    said = {"HTTP_X_FORWARDED_PROTO": "https"}
    get(origin="http://localhost", headers=said).assert_problem(403, "forbidden")
    assert get(origin="https://localhost", headers=said).body == b"in"
    # Without its word, both: the proxy may be the one that speaks TLS.
    assert get(origin="https://localhost").body == get(origin="http://localhost").body == b"in"


def test_small_functions():
    assert clean_host(" [::1]:80 ") == "::1" and clean_host("A.b.:1") == "a.b"
    assert is_loopback("::ffff:127.0.0.1") and is_loopback("::1")
    assert not is_loopback("127.1") and not is_loopback("::2") and not is_loopback("localhost")
    assert not is_own_origin("http://", "") and not is_own_origin("localhost", "localhost")
