"""Authentication and authorization, in one place (docs/security.rst).

Plugins know who (``gaffer_identify``) and what (``gaffer_permit``); commands and
routes ask here, whatever transport they came by. Whatever goes wrong means no.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Mapping

from ..config.names import JobName, check_name, parse_job_name
from ..errors import BadRequest, Forbidden, GafferError, Unauthorized
from ..security.redact import redact, redact_sentence
from .identity import LOCAL, NODE, Credentials, Identity, Resource, of_job

if TYPE_CHECKING:
    from ..manager.manager import Manager

log = logging.getLogger("gaffer.access")

#: What a permission may be asked about. ``visible`` is what is about all jobs and shows those that one may read.
TARGETS = (None, "job", "session", "process", "visible")
_NO_KEY = "a key is needed; send it in the header X-Api-Key"
_WRONG_KEY = "nobody knows this {}, or it is no longer valid; 'gaffer login' gets a new key"


class Access:
    """Authentication and authorization for one manager."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        #: Whether whoever does not say who they are is nobody. Without it, they may do everything.
        self.strict = False

    # -- who ------------------------------------------------------------------------------------

    def identify(self, credentials: Credentials, required: bool | None = None) -> Identity:
        """Return who shows *credentials*.

        :param required: whether nobody in particular is refused; by default what :attr:`strict` says.
        :raises Unauthorized: it is nobody, but has to be somebody; or what it shows is wrong.
        """
        identity = self._ask(credentials)
        if identity is not None and not identity.ended:
            return identity
        if credentials.shown and self._manager.hooks.implemented("gaffer_identify"):
            raise Unauthorized(_WRONG_KEY.format("key" if credentials.key is not None else "ticket"))
        if self.strict if required is None else required:
            raise Unauthorized(_NO_KEY)
        return LOCAL

    def _ask(self, credentials: Credentials) -> Identity | None:
        try:
            answer = self._manager.hooks.ask_first("gaffer_identify", credentials=credentials)
        except Unauthorized:
            raise
        except GafferError as error:
            if error.status in (429, 503):
                raise
            log.error("nobody is let in by it: %s", error)
            raise Unauthorized("who you are cannot be found out; the server's log says why") from error
        if answer is not None and not isinstance(answer, Identity):
            log.error("gaffer_identify must return a gaffer.Identity, not %r", answer)
            raise Unauthorized("who you are cannot be found out; the server's log says why")
        return answer

    # -- what -----------------------------------------------------------------------------------

    def permits(self, identity: Identity | None, permission: str | None, resource: Resource = NODE) -> bool:
        """Tell whether *identity* may do what needs *permission* to *resource*.

        :param identity: None is a program of our own that did not say who it asks for: nobody, if keys are needed.
        :param permission: None is open to everybody.
        """
        if permission is None:
            return True
        if identity is None:
            return not self.strict
        if identity.trusted or identity.ended:
            return not identity.ended
        found = False
        for plugin, answer in self._manager.hooks.attempts(
            "gaffer_permit", identity=identity, permission=permission, resource=resource
        ):
            if isinstance(answer, BaseException):
                log.error("plugin %s failed in gaffer_permit, which means no: %r", plugin, answer, exc_info=answer)
                return False
            if answer is not None and answer is not True:
                return False
            found = found or answer is True
        return found

    def check(self, identity: Identity | None, permission: str | None, resource: Resource = NODE) -> None:
        """Refuse what :meth:`permits` does not.

        :raises Unauthorized: nobody has said who they are. :raises Forbidden: they may not.
        """
        if self.permits(identity, permission, resource):
            return
        if identity is None or identity.ended:
            raise Unauthorized(_NO_KEY if identity is None else _WRONG_KEY.format("key"))
        raise Forbidden(f"{identity} has no permission '{permission}' for {resource}")

    def check_target(
        self, identity: Identity | None, permission: str | None, target: str | None, args: Mapping[str, Any]
    ) -> None:
        """Refuse what needs *permission* on what *args* name; see :meth:`check`.

        :param target: one of :data:`TARGETS`.
        """
        if permission is None or identity is not None and identity.trusted and not identity.ended:
            return
        if identity is None and not self.strict:
            return
        if target == "visible" and identity is not None and not identity.ended:
            return
        if target == "process":
            self._check_process(identity, permission, args.get("pid"))
        else:
            self.check(identity, permission, _RESOURCES.get(target, _node)(args))

    def _check_process(self, identity: Identity | None, permission: str, pid: Any) -> None:
        # One that is not there looks like one that somebody may not touch: pids tell nothing.
        process = self._manager.any_process(pid)
        resource = NODE if process is None else of_job(process.name)
        try:
            self.check(identity, permission, resource)
        except Forbidden:
            raise Forbidden(f"{identity} has no permission '{permission}' for process {pid}") from None

    def note(
        self,
        command: str,
        permission: str | None,
        args: Mapping[str, Any],
        identity: Identity | None,
        origin: str,
        error: Exception | None = None,
    ) -> None:
        """Tell plugins what somebody asked for and what came of it (``gaffer_command_run``); see there."""
        hooks = self._manager.hooks
        if not hooks.implemented("gaffer_command_run"):
            return
        if error is not None:
            error = _cleaned(error, args)
        hooks.tell(
            "gaffer_command_run",
            command=command,
            permission=permission,
            args=redact(args),
            identity=identity,
            origin=origin,
            error=error,
        )

    def view(self, identity: Identity | None) -> VisibleJobs | None:
        """Return what *identity* sees; None if that is everything."""
        if identity is None:
            identity = None if self.strict else LOCAL
        sees_all = identity is not None and identity.trusted and not identity.ended
        return None if sees_all else VisibleJobs(self, identity)


class VisibleJobs:
    """Filter of what an identity may see of the jobs."""

    def __init__(self, access: Access, identity: Identity | None) -> None:
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
        process = self._access._manager.any_process(pid)
        return process is not None and self.reads(process.name)

    def reads_event(self, message: Mapping[str, Any]) -> bool:
        """Tell whether what an event is about may be read."""
        session, job = message.get("session"), message.get("job")
        if isinstance(session, str) and isinstance(job, str):
            return self.reads(JobName(session, job))
        return self._access.permits(self._identity, "read", NODE)


def _cleaned(error: Exception, args: Mapping[str, Any]) -> Exception:
    """Return an error of the same kind whose sentence holds nothing of the secrets in *args*."""
    if not isinstance(error, GafferError):
        return GafferError(f"{type(error).__name__}; the server's log says more")
    cleaned = GafferError(redact_sentence(str(error), args))
    cleaned.code, cleaned.status = error.code, error.status
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
        return NODE  # what is wrong is told to those who may know
    # As loading does it: a session that is said counts more than that in the name.
    return of_job(name) if session is None else Resource(check_name(session, "session name"), name.job)


def _session(args: Mapping[str, Any]) -> Resource:
    session = args.get("sessionid")
    if session is not None or "config" not in args:
        return Resource(check_name(session, "session name"))
    return Resource(_job(args).session)


_RESOURCES = {None: _node, "visible": _node, "job": _job, "session": _session}
