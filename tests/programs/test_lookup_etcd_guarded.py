"""A lookupd in front of an etcd that wants certificates, or users with passwords."""

from __future__ import annotations

from base64 import b64encode

from ..kit.etcd import Etcd
from ..kit.gafferd import eventually
from ..kit.lookupd import Lookupd, Talker, refused, run


def stale(lookupd: Lookupd) -> str:
    """Return why answers may be out of date; empty if they are not."""
    lookupd.client.nodes()
    return str(lookupd.client.stale["reason"]) if lookupd.client.stale else ""


def test_client_certificates(tmp_path):
    with Etcd(tmp_path, members=1, tls=True) as etcd:
        ca = f"cacert={etcd.file('etcd.pem')}"
        ours = f"certfile={etcd.file('client.pem')}&keyfile={etcd.file('client.key')}"

        def lookupd(name: str, query: str) -> Lookupd:
            return Lookupd(tmp_path, "--registry", f"{etcd.url}?{query}", "--ping-interval", "60", name=name)

        with lookupd("a", f"{ca}&{ours}") as a, lookupd("b", f"{ca}&{ours}") as b, Talker(a) as node:
            assert node.identify("life")["ok"]
            node.say("REGISTER_JOB", job_name="web", pids=[1])
            eventually(lambda: [job["name"] for job in b.client.jobs()] == ["default.web"])
            assert stale(a) == stale(b) == ""
            assert "https://localhost:" in a.client.health()["registry"]["member"]
            assert refused(b, "another life")
            etcd.kill(0)
            eventually(lambda: "connection refused" in stale(b))
            etcd.start(0)
            eventually(lambda: stale(a) == stale(b) == "")
        theirs = f"certfile={etcd.file('stranger.pem')}&keyfile={etcd.file('stranger.key')}"
        for name, query, words in (
            ("none", ca, "it wants a certificate, does not accept ours"),
            ("stranger", f"{ca}&{theirs}", "it wants a certificate, does not accept ours"),
            ("distrust", f"tls=1&{ours}", "its certificate is not accepted: self-signed certificate"),
            ("plain", "", "it speaks TLS only: tls=1, or cacert=FILE"),
        ):
            with lookupd(name, query) as one:
                eventually(lambda one=one, words=words: words in stale(one))


def test_tls_to_what_speaks_none(tmp_path):
    with Etcd(tmp_path, members=1) as etcd, Lookupd(tmp_path, "--registry", f"{etcd.url}?tls=1") as lookupd:
        eventually(lambda: "speaks no TLS" in stale(lookupd))


def test_files_are_checked_first(tmp_path):
    (tmp_path / "rubbish.pem").write_text("rubbish")
    for query in ("cacert=rubbish.pem", "cacert=none.pem", "certfile=rubbish.pem&keyfile=rubbish.pem"):
        done = run(tmp_path, "--bind", "127.0.0.1:0", "--registry", f"etcd://127.0.0.1:1?{query}")
        assert done.returncode == 2 and "cannot be used: " in done.stderr and "Traceback" not in done.stderr


def guard(etcd: Etcd, prefix: bytes, permission: str = "READWRITE") -> None:
    """Let only root do everything, and the user lookupd what is below a prefix."""
    for user, password in (("root", "master"), ("lookupd", "pass word")):
        etcd.ask("auth/user/add", name=user, password=password)
        etcd.ask("auth/role/add", name=user)
        etcd.ask("auth/user/grant", user=user, role=user)
    ends = {"key": prefix + b"/", "range_end": prefix + b"0"}
    allowed = {name: b64encode(value).decode() for name, value in ends.items()}
    etcd.ask("auth/role/grant", name="lookupd", perm={"permType": permission, **allowed})
    etcd.ask("auth/enable")


def test_users_with_passwords(tmp_path):
    # Tokens end after five seconds without a request: as they do after five minutes.
    with Etcd(tmp_path, members=1, flags=("--auth-token-ttl=5",)) as etcd:
        hosts = etcd.url.removeprefix("etcd://")
        (tmp_path / "password").write_text("pass word\n")

        def lookupd(name: str, url: str) -> Lookupd:
            return Lookupd(tmp_path, "--registry", url, "--ping-interval", "60", name=name)

        with lookupd("a", f"etcd://lookupd:pass%20word@{hosts}/x") as a:
            eventually(lambda: stale(a) == "")
            guard(etcd, b"/x")
            with lookupd("b", f"etcd://lookupd@{hosts}/x?passwordfile=password") as b, Talker(a) as node:
                assert node.identify("life")["ok"], "etcd is guarded from now on"
                eventually(lambda: stale(b) == "" and b.nodes() == ["n"])
                _outlive_tokens(etcd, a, b)
                node.say("REGISTER_JOB", job_name="web")
                eventually(lambda: [job["name"] for job in b.client.jobs()] == ["default.web"])
                assert refused(b, "another life")
        for name, url, words in (
            ("anonymous", etcd.url, "it wants a user with a password"),
            ("wrong", f"etcd://lookupd:no@{hosts}/x", "user or password is wrong"),
            ("elsewhere", f"etcd://lookupd:pass%20word@{hosts}/y", "this user has no permission to read and write"),
        ):
            with lookupd(name, url) as one:
                eventually(lambda one=one, words=words: words in stale(one))
                assert "no@" not in one.log.read_text() and "pass%20word" not in one.log.read_text()


def test_nodes_that_etcd_does_not_take_are_told_of(tmp_path):
    with Etcd(tmp_path, members=1) as etcd:
        guard(etcd, b"/x", "READ")
        url = etcd.url.replace("//", "//lookupd:pass%20word@") + "/x"
        with Lookupd(tmp_path, "--registry", url, "--ping-interval", "60") as lookupd, Talker(lookupd) as node:
            eventually(lambda: stale(lookupd) == "")
            assert lookupd.client.health()["ok"] and node.identify("life")["ok"]
            eventually(
                lambda: "no permission to read and write" in lookupd.client.health()["registry"].get("problem", "")
            )
            assert not lookupd.client.health()["ok"] and lookupd.nodes() == ["n"]
            lookupd.logged("nodes that are connected here are not known to other lookupds, trying again")


def _outlive_tokens(etcd: Etcd, *lookupds: Lookupd) -> None:
    """Start etcd again: what tokens it has given is forgotten, as is everything that is kept by no disk."""
    etcd.kill(0)
    for one in lookupds:
        eventually(lambda one=one: stale(one) != "")
    etcd.start(0)
    for one in lookupds:
        eventually(lambda one=one: stale(one) == "")
