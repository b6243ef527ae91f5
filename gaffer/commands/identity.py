"""Identities, permissions and resources: values without any I/O (docs/security.rst).

A plugin makes an :class:`Identity` of :class:`Credentials`; what it may do to a
:class:`Resource` is said by plugins again, most simply by :class:`Permissions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from ..config.names import JobName, check_name
from ..errors import BadRequest, nearest

#: What a key may allow on jobs; each contains those before it.
LEVELS = ("read", "write", "manage")
#: The target that means everything.
EVERYTHING = "*"
_GLOBAL_PERMISSIONS = ("admin", "create_key", "create_user")
_RANK = {level: rank for rank, level in enumerate(LEVELS, 1)}
#: Targets that one key may name at each level.
MOST_TARGETS = 100


class Resource(NamedTuple):
    """Object of a permission: the node, a session or a job.

    :param session: ``""`` for the node itself.
    :param job: ``""`` for a whole session.
    """

    session: str = ""
    job: str = ""

    @property
    def kind(self) -> str:
        """``node``, ``session`` or ``job``."""
        return "job" if self.job else "session" if self.session else "node"

    @property
    def names(self) -> tuple[str, ...]:
        """The targets of keys that contain it, widest first."""
        if not self.session:
            return (EVERYTHING,)
        return (EVERYTHING, self.session, f"{self.session}.{self.job}") if self.job else (EVERYTHING, self.session)

    def __str__(self) -> str:
        return {"job": f"job {self.session}.{self.job}", "session": f"session {self.session}"}.get(
            self.kind, "this server as a whole"
        )


#: The node as a whole: what concerns all jobs, or none.
NODE = Resource()


def of_job(name: JobName) -> Resource:
    """Return the resource that a job is."""
    return Resource(name.session, name.job)


def of_target(target: str) -> Resource:
    """Return the resource that a key's target names: ``*``, ``session`` or ``session.job``.

    :raises BadRequest: it is none of these.
    """
    if target == EVERYTHING:
        return NODE
    session, dot, job = target.partition(".") if isinstance(target, str) else (target, "", "")
    check_name(session, "session name")
    return Resource(session, check_name(job, "job name") if dot else "")


@dataclass(frozen=True)
class Permissions:
    """Permissions of a key.

    :param admin: everything.
    :param create_key: making keys that allow no more.
    :param create_user: making users who may do no more.
    :param manage: targets: ``*``, ``session``, ``session.job``.
    :param write: the same; manage contains it.
    :param read: the same; write contains it.
    """

    admin: bool = False
    create_key: bool = False
    create_user: bool = False
    manage: frozenset[str] = frozenset()
    write: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, data: Any) -> Permissions:
        """Return what JSON says: an object with any of the fields.

        :raises BadRequest: naming what is wrong with it.
        """
        if not isinstance(data, Mapping):
            raise BadRequest(f"permissions must be an object, not {data!r}")
        for name in data:
            if name not in (*_GLOBAL_PERMISSIONS, *LEVELS):
                raise BadRequest(
                    f"there is no permission {name!r}{nearest(str(name), (*_GLOBAL_PERMISSIONS, *LEVELS))}"
                )
        given: dict[str, Any] = {name: _flag(name, data.get(name, False)) for name in _GLOBAL_PERMISSIONS}
        given |= {level: _targets(level, data.get(level, ())) for level in LEVELS}
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """Return it as docs/security.rst shows it."""
        shown: dict[str, Any] = {name: getattr(self, name) for name in _GLOBAL_PERMISSIONS}
        return {**shown, **{level: sorted(getattr(self, level)) for level in reversed(LEVELS)}}

    def allows(self, permission: str, resource: Resource) -> bool:
        """Tell whether *permission* on *resource* is among what is allowed."""
        if self.admin:
            return True
        rank = _RANK.get(permission)
        if rank is None:
            return False
        names = resource.names
        return any(not getattr(self, level).isdisjoint(names) for level in LEVELS[rank - 1 :])

    def covers(self, other: Permissions) -> bool:
        """Tell whether everything that *other* allows is allowed here."""
        if self.admin:
            return True
        if other.admin or other.create_key > self.create_key or other.create_user > self.create_user:
            return False
        return all(self.allows(level, of_target(target)) for level in LEVELS for target in getattr(other, level))

    def exceeds(self, other: Permissions) -> bool:
        """Tell whether this is more than *other*; an identity that may do everything exceeds all others.

        No key exceeds those it was made with, in any number of steps.
        """
        return self.admin or self.covers(other) and not other.covers(self)


#: Permissions of an admin: everything.
ADMIN = Permissions(admin=True)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(f"permission {name} must be true or false, not {value!r}")
    return value


def _targets(level: str, value: Any) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise BadRequest(f"permission {level} must be a list of '*', 'session' and 'session.job', not {value!r}")
    targets = list(value)
    if len(targets) > MOST_TARGETS:
        raise BadRequest(f"permission {level} may have {MOST_TARGETS} targets, not {len(targets)}")
    for target in targets:
        of_target(target)
    return frozenset(targets)


@dataclass(eq=False)
class Identity:
    """Authenticated caller, as a plugin's ``gaffer_identify`` returned it.

    :param name: what logs and lists show: the id of a key, never the key.
    :param kind: what it is: ``key``, ``user``, ``uid`` ….
    :param label: a word for people.
    :param permissions: what it may do, where that is said by :class:`Permissions`; a plugin may keep anything here
        that its ``gaffer_permit`` understands.
    :param trusted: it may do everything, and no plugin is asked.
    """

    name: str
    kind: str = "key"
    label: str = ""
    permissions: Any = None
    trusted: bool = False
    ended: bool = False
    #: Called when it ends: what is open for it ends with it.
    endings: set[Callable[[], Any]] = field(default_factory=set, repr=False)

    def end(self) -> None:
        """The key was deleted, or has expired: nothing is allowed any more, and what is open is closed."""
        self.ended = True
        for ending in list(self.endings):
            ending()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" ({self.label})" if self.label else "")


#: The identity of callers where no keys are required.
LOCAL = Identity("local", "local", trusted=True)


@dataclass(frozen=True)
class Credentials:
    """Credentials of a request: key, ticket and address.

    :param key: the header ``X-Api-Key``, ``Authorization: Bearer``, or a socket's first message ``AUTH:``.
    :param ticket: the query's ``ticket``.
    :param method: of the request.
    :param path: of the request.
    :param address: of the client; ``""`` on a unix socket.
    :param ask_uid: see :attr:`uid`.
    """

    key: str | None = field(default=None, repr=False)
    ticket: str | None = field(default=None, repr=False)
    method: str = "GET"
    path: str = "/"
    address: str = ""
    ask_uid: Callable[[], int | None] | None = field(default=None, repr=False)

    @property
    def uid(self) -> int | None:
        """The local account at the other end, as the kernel says; None from elsewhere, or if it is unknown."""
        return None if self.ask_uid is None else self.ask_uid()

    @property
    def shown(self) -> bool:
        """True with a key or a ticket."""
        return self.key is not None or self.ticket is not None

    def with_key(self, key: str) -> Credentials:
        """Return the same with a key that came later."""
        return replace(self, key=key, ticket=None)
