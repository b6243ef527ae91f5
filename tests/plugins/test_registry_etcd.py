"""gaffer_plugins.registry_etcd without etcd: URLs, keys and what a watch says."""

from base64 import b64encode

import pytest

from gaffer.errors import BadRequest, ConfigError
from gaffer.lookupd.records import NodeKey
from gaffer_plugins.registry_etcd.client import _changes, _lines
from gaffer_plugins.registry_etcd.key_layout import PREFIX, ClusterAddress, check_files, make_spot, parse_key, read_url
from gaffer_plugins.registry_etcd.problems import Compacted, EtcdError, LeaseGone, LoginNeeded, explain


@pytest.mark.parametrize(
    "url, place",
    [
        ("etcd://a", ClusterAddress((("a", 2379),))),
        ("etcd://a:1,b,[::1]:3/x/", ClusterAddress((("a", 1), ("b", 2379), ("::1", 3)), "/x")),
        ("etcd://a?tls=1", ClusterAddress((("a", 2379),), tls=True)),
        ("etcd://a?cacert=c.pem", ClusterAddress((("a", 2379),), tls=True, cacert="c.pem")),
        ("etcd://u:p%40%2F:@a,b", ClusterAddress((("a", 2379), ("b", 2379)), user="u", password="p@/:")),
        ("etcd://u@a?passwordfile=f", ClusterAddress((("a", 2379),), user="u", passwordfile="f")),
    ],
)
def test_urls(url, place):
    assert read_url(url) == place


@pytest.mark.parametrize(
    "url, words",
    [
        ("etcd:", "a member has no host"),
        ("etcd://a,,b", "a member has no host"),
        ("etcd://a:x", "Port could not be cast"),
        ("etcd://u@a", "a user needs a password"),
        ("etcd://:p@a", "a password needs a user"),
        ("etcd://a?passwordfile=f", "a password needs a user"),
        ("etcd://u:p@a?passwordfile=f", "a user needs a password"),
        ("etcd://a?certfile=x", "belong together"),
        ("etcd://a?colour=red", "there is no colour"),
    ],
)
def test_what_is_no_url(url, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read_url(url)
    assert "write etcd://host:port[,host:port]" in str(caught.value)


def test_no_password_is_shown():
    with pytest.raises(ConfigError) as caught:
        read_url("etcd://me:se@cret@a?colour=red")
    assert "'etcd://me@a?colour=red'" in str(caught.value) and "cret" not in str(caught.value)


def test_files_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "rubbish").write_text("x")
    (tmp_path / "binary").write_bytes(b"\xff\xff")
    check_files(ClusterAddress((("a", 1),), user="u", passwordfile=str(tmp_path / "rubbish")))
    for file in ("rubbish", "none"):
        path = str(tmp_path / file)
        for place in (ClusterAddress((), cacert=path), ClusterAddress((), certfile=path, keyfile=path)):
            with pytest.raises(ConfigError, match=f"{file}.* cannot be used: "):
                check_files(place)
    for file in ("binary", "none"):
        with pytest.raises(ConfigError, match=f"{file} cannot be used: "):
            check_files(ClusterAddress((), user="u", passwordfile=str(tmp_path / file)))


def test_keys():
    key = NodeKey("a/b c", "http://[::1]:5000/x")
    for life in ("12", "", "%", "a/b"):
        text = make_spot(PREFIX, key, life, "me").key
        assert text.count("/") == PREFIX.count("/") + 5 and parse_key(PREFIX, text) == (key, "me")
    for wrong in ("/other/nodes/a/b/c/d", f"{PREFIX}/nodes/a/b/c", f"{PREFIX}/nodes/a//c/d", f"{PREFIX}/x"):
        with pytest.raises(BadRequest):
            parse_key(PREFIX, wrong)


def test_no_other_life_is_overlooked_and_no_other_node_is_meant():
    """The two ranges that a claim wants empty hold the keys of all other lives of the node, and nothing else."""
    mine = make_spot(PREFIX, NodeKey("a", "o"), "b", "h")
    ranges = [(f"{mine.node}/", f"{mine.life}/"), (f"{mine.life}0", f"{mine.node}0")]

    def forbids(name, origin, life):
        key = make_spot(PREFIX, NodeKey(name, origin), life, "h").key
        return any(first <= key < end for first, end in ranges)

    assert not forbids("a", "o", "b")
    assert all(forbids("a", "o", life) for life in ("", "a", "b-", "b.", "b0", "bb", "c", "~", "%", "b/", "é"))
    others = [("a", "o-"), ("a", "o0"), ("a", "oo"), ("a", "n"), ("a0", "o"), ("a-", "o"), ("b", "o"), ("a/o", "b")]
    assert not any(forbids(name, origin, life) for name, origin in others for life in ("", "a", "b", "c"))


def kv(key, value=b"", revision=1):
    return {"key": b64encode(key).decode(), "value": b64encode(value).decode(), "mod_revision": str(revision)}


def test_what_a_watch_says():
    assert _changes({"result": {"created": True}}, "u") == []
    events = [
        {"kv": kv(b"k", b"v", 7)},
        {"type": "DELETE", "kv": {"key": b64encode(b"k").decode(), "mod_revision": "8"}},
    ]
    assert _changes({"result": {"events": events}}, "u") == [("k", b"v", 7), ("k", None, 8)]
    with pytest.raises(Compacted):
        _changes({"result": {"canceled": True, "compact_revision": "5"}}, "u")
    for wrong in ({"result": {"canceled": True}}, {"error": {"message": "no"}}, {}):
        with pytest.raises(EtcdError):
            _changes(wrong, "u")


def test_lines_come_in_any_pieces():
    assert list(_lines(iter([b"a", b"b\nc\n\n", b"d", b"\nrest"]))) == [b"ab", b"c", b"d"]


def test_errors_are_short():
    assert str(explain("http://e", OSError("HTTPConnectionPool(…): [Errno 111] Connection refused"))) == (
        "etcd at http://e: connection refused"
    )
    assert isinstance(explain("http://e", OSError("etcdserver: requested lease not found")), LeaseGone)
    assert "ValueError: x" in str(explain("http://e", ValueError("x" * 999)))
    assert (
        str(explain("http://e", OSError('{"error":"etcdserver: too slow","code":14}'))) == "etcd at http://e: too slow"
    )
    assert isinstance(explain("http://e", OSError("etcdserver: user name is empty")), LoginNeeded)
    verify = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, … (_ssl.c:1006)"
    assert str(explain("https://e", OSError(verify))).endswith("not accepted: Hostname mismatch, …")
    for sign in (
        "EOF occurred in violation of protocol",
        "[SSL] tlsv13 alert certificate required",
        "Connection reset",
    ):
        assert "it wants a certificate, does not accept ours" in str(explain("https://e", OSError(sign)))
        assert str(explain("http://e", OSError(sign))).endswith("; if it speaks TLS only: tls=1, or cacert=FILE")
        assert str(explain("https://e", OSError(sign), before=True)).endswith(": it closed the connection")
