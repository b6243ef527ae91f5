"""A cluster of etcd: requests go to one member, and to the next when that one fails (client etcd3gw)."""

from __future__ import annotations

import base64
import json
import ssl
from typing import Any, Iterator, NamedTuple

from gevent.lock import BoundedSemaphore

from gaffer.api import Meter, PluginError, TooMuch
from gaffer.api.web import TimeSlice

from .key_layout import ClusterAddress, Spot, read_password
from .problems import Compacted, EtcdError, LeaseGone, LoginNeeded, explain

#: Seconds that a member has for an answer.
ANSWER_TIMEOUT = 1.5
#: A line of a watch may have this many bytes; etcd's own limit for a value is below it.
_MAX_WATCH_LINE = 16 << 20
#: Bytes of a watch that are read at once; a shorter chunk is not waited for.
_PIECE = 65_536
#: The header that says who we are.
_TOKEN = "Authorization"


class EtcdEntry(NamedTuple):
    """A key with its value; without one it was deleted."""

    key: str
    value: bytes | None
    revision: int


class Etcd:
    """The members of a cluster.

    :raises PluginError: etcd3gw is not installed.
    """

    def __init__(self, place: ClusterAddress) -> None:
        try:
            from etcd3gw.client import Etcd3Client
            from etcd3gw.exceptions import Etcd3Exception
            from requests import RequestException

            from . import bounds
        except ImportError as error:
            sentence = f"etcd:// needs etcd3gw ({error}); install it: pip install 'gaffer[etcd]'"
            raise PluginError(sentence) from None
        self._errors = (RequestException, Etcd3Exception, TooMuch, ValueError, KeyError, RecursionError, OSError)
        self._bounds = bounds
        self._members: list[Any] = []
        for host, port in place.members:
            member = Etcd3Client(
                host,
                port,
                "https" if place.tls else "http",
                place.cacert,
                place.keyfile,
                place.certfile,
                timeout=ANSWER_TIMEOUT,
            )
            # A proxy of the environment is for the web, and has no business between machines.
            member.session.trust_env = False
            member.session.verify = place.cacert or _system_authorities()
            for scheme in ("http://", "https://"):
                member.session.mount(scheme, bounds.BoundedAdapter())
            self._members.append(member)
        self._chosen = 0
        self._answered = False
        self._place = place
        self._turn = BoundedSemaphore(1)

    @property
    def member(self) -> Any:
        """The member that is asked at present."""
        return self._members[self._chosen]

    @property
    def url(self) -> str:
        """Its URL."""
        return str(self.member.base_url)

    def next(self, failed: Any) -> None:
        """Ask another member from now on, if it is *failed* that is asked at present."""
        if failed is self.member:
            self._chosen = (self._chosen + 1) % len(self._members)

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of the first member that gives one.

        :raises LeaseGone: it names a lease that has expired. :raises EtcdError: no member answers.
        """
        problem: EtcdError | None = None
        for _ in self._members:
            member = self.member
            try:
                return self.ask(member, path, body)
            except LeaseGone:
                raise
            except EtcdError as error:
                problem = error
                self.next(member)
        assert problem is not None
        raise problem

    def ask(self, member: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of one member; who is asked who he is says it, and asks again.

        :raises LeaseGone: it names a lease that has expired. :raises EtcdError: there is none.
        """
        token = member.session.headers.get(_TOKEN)
        try:
            return self._ask(member, path, body)
        except LoginNeeded:
            if self._place.user is None:
                raise
        self._log_in(member, token)
        return self._ask(member, path, body)

    def _log_in(self, member: Any, old: str | None) -> None:
        """Get a token from a member, which forgets it after some time, or when it starts again.

        :param old: the one that it does not know any more.
        """
        with self._turn:
            if member.session.headers.get(_TOKEN) != old:
                return  # another greenlet was faster
            try:
                password = read_password(self._place)
            except (OSError, ValueError) as error:
                raise EtcdError(f"the password in {self._place.passwordfile} cannot be read: {error}") from None
            # etcd rejects a login, too, that comes with a token that it has forgotten.
            member.session.headers.pop(_TOKEN, None)
            answer = self._ask(member, "/auth/authenticate", {"name": self._place.user, "password": password})
            member.session.headers[_TOKEN] = str(answer.get("token", ""))

    def _ask(self, member: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = member.post(member.get_url(path), json=body)
        except self._errors as error:
            raise explain(member.base_url, error, self._answered) from None
        if not isinstance(answer, dict):
            raise EtcdError(f"what answers at {member.base_url} is not etcd")
        self._answered = True
        return answer

    # -- what a registry does -------------------------------------------------------------------
    def grant(self, ttl: int) -> int:
        """Return a new lease of *ttl* seconds."""
        return int(self.call("/lease/grant", {"TTL": ttl, "ID": 0})["ID"])

    def keep(self, lease: int) -> None:
        """Let a lease live on.

        :raises LeaseGone: it has expired.
        """
        if int(self.call("/lease/keepalive", {"ID": lease}).get("result", {}).get("TTL", 0)) <= 0:
            raise LeaseGone("the lease has expired")

    def revoke(self, lease: int) -> None:
        """End a lease: what is kept by it is deleted."""
        try:
            self.call("/lease/revoke", {"ID": lease})
        except LeaseGone:
            pass

    def put(self, spot: Spot, value: bytes, lease: int) -> bool:
        """Write a copy for as long as *lease* lives, unless there is one of another life of that node.

        One transaction: of two that come at once from different lookupds, one is refused.

        :returns: whether it is written.
        """
        before, after = (f"{spot.node}/", f"{spot.life}/"), (f"{spot.life}0", f"{spot.node}0")
        request = {"key": _encode(spot.key.encode()), "value": _encode(value), "lease": lease}
        body = {"compare": [_nothing(*before), _nothing(*after)], "success": [{"request_put": request}]}
        return bool(self.call("/kv/txn", body).get("succeeded"))

    def delete(self, spot: Spot) -> None:
        """Delete all copies of one life of a node, whichever lookupd has written them."""
        self.call("/kv/deleterange", _below(spot.life))

    def read(self, member: Any, prefix: str) -> tuple[int, list[EtcdEntry]]:
        """Return the revision and everything below *prefix*, as the majority of the cluster has it."""
        answer = self.ask(member, "/kv/range", _below(prefix))
        return int(answer["header"]["revision"]), [_entry(one) for one in answer.get("kvs", ())]

    def latest(self, member: Any, prefix: str) -> int:
        """Return the revision of the latest change below *prefix*, as the majority of the cluster has it."""
        newest = {"limit": 1, "sort_order": "DESCEND", "sort_target": "MOD", "keys_only": True}
        answer = self.ask(member, "/kv/range", _below(prefix) | newest)
        return max((int(one["mod_revision"]) for one in answer.get("kvs", ())), default=0)

    def watch(self, member: Any, prefix: str, revision: int) -> Iterator[list[EtcdEntry]]:
        """Yield changes below *prefix* from *revision* on, for ever; an empty list says that it has begun.

        :raises Compacted: *revision* is forgotten. :raises EtcdError: the member has gone.
        """
        request = {"create_request": _below(prefix) | {"start_revision": revision}}
        response: Any = None
        meter = Meter(TimeSlice().give_way)
        meter.begin(self._bounds.MAX_UNFINISHED_LINE)
        session = self._bounds.metered_copy(member.session, meter)
        try:
            response = session.post(member.get_url("/watch"), json=request, stream=True, timeout=(ANSWER_TIMEOUT, None))
            if response.status_code != 200:
                raise EtcdError(f"etcd at {member.base_url} answered a watch with status {response.status_code}")
            for line in _lines(response.iter_content(_PIECE)):
                meter.begin(self._bounds.MAX_UNFINISHED_LINE)
                yield _changes(json.loads(line), member.base_url)
        except self._errors as error:
            raise explain(member.base_url, error, self._answered) from None
        finally:
            if response is not None:
                response.close()
            session.close()
        raise EtcdError(f"etcd at {member.base_url} ended the watch")


def _system_authorities() -> str | bool:
    """Return where the authorities are that the system trusts; requests would take its own."""
    found = ssl.get_default_verify_paths()
    return found.cafile or found.capath or True


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in chunks:
        *lines, last = chunk.split(b"\n")
        for line in lines:
            rest += line
            if rest.strip():
                yield bytes(rest)
            rest.clear()
        rest += last
        if len(rest) > _MAX_WATCH_LINE:
            raise ValueError("a line of the watch is too long")


def _changes(message: dict[str, Any], url: str) -> list[EtcdEntry]:
    result = message.get("result")
    if not isinstance(result, dict):
        raise EtcdError(f"etcd at {url} ended the watch: {str(message.get('error'))[:200]}")
    if result.get("canceled"):
        kind = Compacted if int(result.get("compact_revision") or 0) else EtcdError
        raise kind(f"etcd at {url} ended the watch: {result.get('cancel_reason', 'the revision is compacted')}")
    return [_entry(event["kv"], event.get("type") == "DELETE") for event in result.get("events", ())]


def _entry(kv: dict[str, Any], deleted: bool = False) -> EtcdEntry:
    value = None if deleted else base64.b64decode(kv.get("value", ""))
    return EtcdEntry(base64.b64decode(kv["key"]).decode("utf-8", "replace"), value, int(kv["mod_revision"]))


def _below(prefix: str) -> dict[str, Any]:
    """Return the range of keys that begin with *prefix* and a slash; 0 is what follows the slash."""
    return {"key": _encode(f"{prefix}/".encode()), "range_end": _encode(f"{prefix}0".encode())}


def _nothing(first: str, end: str) -> dict[str, Any]:
    """Return the comparison that is true if no key is in a range: what does not exist has version 0."""
    range_ = {"key": _encode(first.encode()), "range_end": _encode(end.encode())}
    return range_ | {"target": "VERSION", "result": "EQUAL", "version": "0"}


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
