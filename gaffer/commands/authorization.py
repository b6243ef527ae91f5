"""Authentication and authorization, in one place (docs/security.rst).

Plugins know who (``gaffer_identify``) and what (``gaffer_permit``); commands and
routes ask here, whatever transport they came by. Whatever goes wrong means no.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Mapping

from ..config.names import JobName, check_name, parse_job_name
from ..errors import BadRequest, ConfigError, Forbidden, GafferError, InvalidConfig, Unauthorized
from ..security.redact import redact, redact_sentence
from .identity import LOCAL, NODE, Credentials, Identity, Resource, of_job

if TYPE_CHECKING:
    from ..plugins.calling import Hooks

log = logging.getLogger("gaffer.access")

#: What a permission may be asked about. ``visible`` is what is about all jobs and shows those that one may read.
TARGETS = (None, "job", "session", "process", "visible")
_NO_KEY = "a key is needed; send it in the header X-Api-Key"
_WRONG_KEY = "unknown or expired {}; 'gaffer login' gets a new key"
_NOT_IDENTIFIED = "your identity cannot be determined; the server's log says why"


class Authorization:
    """Decides who makes a request and what they may do.

    :param hooks: calls the plugins that know keys and permissions.
    :param job_of: returns the job of a process by its pid, None if there is no such process.
    """

    def __init__(self, hooks: Hooks, job_of: Callable[[int], JobName | None] = lambda pid: None) -> None:
        self._hooks = hooks
        self._job_of = job_of
        #: If true, requests without credentials are rejected; if false, they have full access.
        self.strict = False

    # -- who ------------------------------------------------------------------------------------

    def identify(self, credentials: Credentials, required: bool | None = None) -> Identity:
        """Return the identity that *credentials* belong to.

        :param required: reject a request without credentials; by default :attr:`strict`.
        :raises Unauthorized: the credentials are wrong, or missing where they are required.
        """
        identity = self._ask(credentials)
        if identity is not None and not identity.ended:
            return identity
        if credentials.shown and self._hooks.implemented("gaffer_identify"):
            raise Unauthorized(_WRONG_KEY.format("key" if credentials.key is not None else "ticket"))
        if self.strict if required is None else required:
            raise Unauthorized(_NO_KEY)
        return LOCAL

    def _ask(self, credentials: Credentials) -> Identity | None:
        try:
            answer = self._hooks.ask_first("gaffer_identify", credentials=credentials)
        except Unauthorized:
            raise
        except GafferError as error:
            if error.status in (429, 503):
                raise
            log.error("the request is rejected: %s", error)
            raise Unauthorized(_NOT_IDENTIFIED) from error
        if answer is not None and not isinstance(answer, Identity):
            log.error("gaffer_identify must return a gaffer.Identity, not %r", answer)
            raise Unauthorized(_NOT_IDENTIFIED)
        return answer

    # -- what -----------------------------------------------------------------------------------

    def _unrestricted(self, identity: Identity | None) -> bool:
        """Tell whether *identity* may do everything, so that no plugin is asked."""
        return not self.strict if identity is None else identity.trusted and not identity.ended

    def permits(self, identity: Identity | None, permission: str | None, resource: Resource = NODE) -> bool:
        """Tell whether *identity* may do what needs *permission* to *resource*.

        :param identity: None is code of our own that names no caller: like a request without credentials.
        :param permission: None is open to everybody.
        """
        if permission is None or self._unrestricted(identity):
            return True
        if identity is None or identity.ended:
            return False
        permitted = False
        for plugin, answer in self._hooks.attempts(
            "gaffer_permit", identity=identity, permission=permission, resource=resource
        ):
            if isinstance(answer, BaseException):
                log.error("plugin %s failed in gaffer_permit, which means no: %r", plugin, answer, exc_info=answer)
                return False
            if answer is not None and answer is not True:
                return False
            permitted = permitted or answer is True
        return permitted

    def check(self, identity: Identity | None, permission: str | None, resource: Resource = NODE) -> None:
        """Reject what :meth:`permits` does not allow.

        :raises Unauthorized: there is no identity, or it has ended. :raises Forbidden: it has no permission.
        """
        if self.permits(identity, permission, resource):
            return
        if identity is None or identity.ended:
            raise Unauthorized(_NO_KEY if identity is None else _WRONG_KEY.format("key"))
        raise Forbidden(f"{identity} has no permission '{permission}' for {resource}")

    def check_target(
        self, identity: Identity | None, permission: str | None, target: str | None, args: Mapping[str, Any]
    ) -> None:
        """Reject what needs *permission* on what *args* name; see :meth:`check`.

        :param target: one of :data:`TARGETS`.
        """
        if permission is None or self._unrestricted(identity):
            return
        if target == "process":
            self._check_process(identity, permission, args.get("pid"))
        elif target != "visible" or identity is None or identity.ended:
            self.check(identity, permission, _RESOURCES.get(target, _node)(args))

    def _check_process(self, identity: Identity | None, permission: str, pid: Any) -> None:
        # A missing process looks like one that may not be touched: pids tell nothing.
        job = self._job_of(pid)
        try:
            self.check(identity, permission, NODE if job is None else of_job(job))
        except Forbidden:
            raise Forbidden(f"{identity} has no permission '{permission}' for process {pid}") from None

    def note(
        self,
        command: str,
        permission: str | None,
        args: Mapping[str, Any],
        identity: Identity | None,
        origin: str,
        error: BaseException | None = None,
    ) -> None:
        """Notify plugins of a command and its outcome (``gaffer_command_run``), without secrets."""
        if not self._hooks.implemented("gaffer_command_run"):
            return
        self._hooks.tell(
            "gaffer_command_run",
            command=command,
            permission=permission,
            args=redact(args),
            identity=identity,
            origin=origin,
            error=None if error is None else _cleaned(error, args),
        )

    def view(self, identity: Identity | None) -> VisibleJobs | None:
        """Return the filter of what *identity* may see; None if that is everything."""
        return None if self._unrestricted(identity) else VisibleJobs(self, identity)

    def reads_pid(self, identity: Identity | None, pid: int) -> bool:
        """Tell whether the job of a process may be read; a missing process may not."""
        job = self._job_of(pid)
        return job is not None and self.permits(identity, "read", of_job(job))


class VisibleJobs:
    """Filter of what an identity may see of the jobs."""

    def __init__(self, access: Authorization, identity: Identity | None) -> None:
        self._access = access
        self._identity = identity

    def reads(self, name: JobName | str) -> bool:
        """Tell whether a job may be read."""
        return self._access.permits(self._identity, "read", of_job(parse_job_name(name)))

    def manages(self, name: JobName | str) -> bool:
        """Tell whether a job may be managed, and so its secrets be seen."""
        return self._access.permits(self._identity, "manage", of_job(parse_job_name(name)))

    def reads_pid(self, pid: int) -> bool:
        """Tell whether the job of a process may be read."""
        return self._access.reads_pid(self._identity, pid)

    def reads_event(self, message: Mapping[str, Any]) -> bool:
        """Tell whether what an event is about may be read."""
        session, job = message.get("session"), message.get("job")
        if isinstance(session, str) and isinstance(job, str):
            return self.reads(JobName(session, job))
        return self._access.permits(self._identity, "read", NODE)


def _cleaned(error: BaseException, args: Mapping[str, Any]) -> GafferError:
    """Return an error of the same class whose sentences hold nothing of the secrets in *args*."""
    if not isinstance(error, GafferError):
        return GafferError(f"{type(error).__name__}; the server's log says more")
    # Not by the constructor: each class has one of its own.
    cleaned = type(error).__new__(type(error), redact_sentence(str(error), args))
    vars(cleaned).update(vars(error))
    if isinstance(cleaned, InvalidConfig):
        cleaned.problems = [redact_sentence(problem, args) for problem in cleaned.problems]
    elif isinstance(cleaned, ConfigError):
        cleaned.problems = [replace(one, message=redact_sentence(one.message, args)) for one in cleaned.problems]
    return cleaned


# -- what arguments name ----------------------------------------------------------------------------


def _node(args: Mapping[str, Any]) -> Resource:
    return NODE


def _job(args: Mapping[str, Any]) -> Resource:
    if "config" not in args:
        return of_job(parse_job_name(args["name"]))
    session, config = args.get("sessionid"), args["config"]
    try:
        name = parse_job_name(config.get("name", ""))
    except BadRequest:
        return NODE  # only those who may manage everything read what is wrong
    # As when a job is loaded: the session of the argument wins over that in the name.
    return of_job(name) if session is None else Resource(check_name(session, "session name"), name.job)


def _session(args: Mapping[str, Any]) -> Resource:
    session = args.get("sessionid")
    if session is not None or "config" not in args:
        return Resource(check_name(session, "session name"))
    return Resource(_job(args).session)


_RESOURCES = {None: _node, "visible": _node, "job": _job, "session": _session}
_NAMED_BY = {"job": "name", "session": "sessionid", "process": "pid"}


def is_named(target: str | None, args: Mapping[str, Any]) -> bool:
    """Tell whether *args*, of which some may be missing yet, say already what a permission on *target* is about."""
    return target not in _NAMED_BY or _NAMED_BY[target] in args
