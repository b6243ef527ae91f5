"""Errors of etcd, in short sentences: the libraries' own are long and repeat themselves."""

from __future__ import annotations

import re

from gaffer.api import GafferError


class EtcdError(GafferError):
    """etcd does not answer, or not as it should."""

    code = "etcd"
    status = 503


class LeaseGone(EtcdError):
    """The lease has expired meanwhile."""


class Compacted(EtcdError):
    """Error of a watch that begins before etcd's history: the state has to be read again."""


class LoginNeeded(EtcdError):
    """The member does not know who asks, or not any more."""


#: Characters of what went wrong that are looked at.
_LOOKED_AT = 10_000
#: The sentence in an answer of etcd's that is an error.
_SAID = re.compile(r'"error": ?"(?:etcdserver: )?([^"]{1,200})"')
#: Parts of sentences of etcd that mean that a login, or another one, would help.
_LOGIN = ("user name is empty", "invalid auth token", "auth store is old")
#: etcd's gateway has lost etcd: what speaks JSON in there is a client, too, with the server's certificate.
_GATEWAY = "connection closed"
_DISTRUST = "it rejects its own JSON gateway: its trusted-ca-file has to trust its cert-file"
#: How a connection may end from the other side: which of them is seen is a matter of microseconds.
_ENDED = ("alert", "eof occurred", "connection reset", "broken pipe", "without response", "ended prematurely", _GATEWAY)
#: What that may mean if it never went better, of a member that is asked with TLS and without.
_CAUSES = {
    True: ": it wants a certificate, does not accept ours, or speaks no TLS",
    False: "; if it speaks TLS only: tls=1, or cacert=FILE",
}
#: What is looked for in lower case, and what is said then; the first one that is found counts.
_WORDS = (
    ("refused", "connection refused"),
    ("timed out", "no answer in time"),
    ("certificate verify failed", "its certificate is not accepted"),
    ("wrong version number", "it speaks no TLS, and should be asked without tls=1 and cacert"),
    ("http request to an https server", "it speaks TLS only: tls=1, or cacert=FILE"),
    ("invalid user id or password", "user or password is wrong"),
    ("permission denied", "this user has no permission to read and write everything below the prefix"),
    ("no leader", "the cluster has no leader"),
    ("leader changed", "the cluster has got another leader"),
)


def explain(url: str, error: BaseException, before: bool = False) -> EtcdError:
    """Return the error for what a library has raised.

    :param url: the member's.
    :param before: it has answered before, so that what is configured is right.
    """
    detail = str(getattr(error, "detail_text", "") or error)[:_LOOKED_AT]
    lowered = detail.lower()
    if "requested lease not found" in lowered:
        return LeaseGone("the lease has expired")
    if any(sign in lowered for sign in _LOGIN):
        return LoginNeeded(f"etcd at {url}: it wants a user with a password: etcd://USER:PASSWORD@HOST")
    for sign, words in _WORDS:
        if sign in lowered:
            return EtcdError(f"etcd at {url}: {words}{_reason(detail)}")
    if _GATEWAY in lowered and not before:
        return EtcdError(f"etcd at {url}: {_DISTRUST}")
    if any(sign in lowered for sign in _ENDED):
        cause = "" if before else _CAUSES[url.startswith("https:")]
        return EtcdError(f"etcd at {url}: it closed the connection{cause}")
    said = _SAID.search(detail)
    return EtcdError(f"etcd at {url}: {said[1] if said else f'{type(error).__name__}: {detail[:200]}'}")


def _reason(detail: str) -> str:
    """Return what OpenSSL has against a certificate, if it is about one."""
    found = re.search(r"certificate verify failed: ([^(]*[^( ])", detail, re.IGNORECASE)
    return f": {found[1]}" if found else ""
