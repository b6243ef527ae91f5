"""Errors of a client: no connection, no answer, or an error that gafferd sent.

An error of gafferd is raised here as the same class of :mod:`gaffer.errors` that
was raised there, with ``code``, ``status`` and ``reason``.
"""

from __future__ import annotations

import socket
from typing import Any

from .. import errors
from ..errors import GafferError

GAFFERD, LOOKUPD = "gafferd", "gaffer_lookupd"
START_HINT = "is it running? start it with 'gafferd -c gaffer.ini'"
_START_HINTS = {GAFFERD: START_HINT, LOOKUPD: "is it running? start it with 'gaffer_lookupd'"}
#: What OpenSSL calls it when the other side does not speak TLS, but HTTP or nothing.
_NO_TLS = ("UNEXPECTED_EOF_WHILE_READING", "WRONG_VERSION_NUMBER", "HTTP_REQUEST")


class CannotConnect(GafferError):
    """gafferd cannot be reached; nothing was changed by the request."""

    code = "cannot_connect"
    status = 503


class NoAnswer(CannotConnect):
    """gafferd was reached and did not answer in time; whether it acted is unknown."""

    code = "no_answer"


class Disconnected(CannotConnect):
    """The connection ended before the answer was complete; whether gafferd acted is unknown."""

    code = "disconnected"


class NotGafferd(CannotConnect):
    """Something answers at the address, but not as gafferd does."""

    code = "not_gafferd"


class WrongServer(NotGafferd):
    """A program of an account that is not trusted with a key or a password listens at the address; nothing was sent."""

    code = "wrong_server"


class Quiet(GafferError, TimeoutError):
    """Nothing came within the time that was given; waiting may go on."""

    code = "quiet"
    status = 408


class Missing(GafferError):
    """Output is missing here, because it was read too slowly; reading may go on.

    :param lost: how many bytes.
    """

    code = "gap"
    status = 416

    def __init__(self, reason: str, lost: int) -> None:
        super().__init__(reason)
        self.lost = lost


_BY_CODE: dict[str, type[GafferError]] = {
    kind.code: kind
    for kind in (
        errors.BadRequest,
        errors.IONotRedirected,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.Conflict,
        errors.TooLarge,
        errors.UriTooLong,
        errors.HeadersTooLarge,
        errors.UnsupportedMediaType,
        errors.Misdirected,
        errors.InvalidConfig,
        errors.TooManyRequests,
        errors.Unavailable,
        errors.SpawnError,
        errors.PluginError,
        errors.ReentrantCall,
    )
}
_BY_STATUS = {kind.status: kind for kind in reversed(_BY_CODE.values()) if kind.status != GafferError.status}


def error_from_answer(status: int, body: Any, fallback: str) -> GafferError:
    """Return the exception for an answer that reports an error.

    :param status: the HTTP status.
    :param body: the decoded JSON; None when the answer was no JSON.
    :param fallback: the sentence when the body holds none.
    """
    body = body if isinstance(body, dict) else {}
    code, reason = str(body.get("error") or ""), str(body.get("reason") or fallback)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status, GafferError)
    error = kind(reason)
    error.code, error.status = code or kind.code, status
    vars(error)["reason"] = reason
    return error


def connect_error(uri: str, error: OSError, peer: str = GAFFERD) -> CannotConnect:
    """Return the exception for a connection that could not be made, saying what to do.

    :param peer: what was to be reached.
    """
    hint = _hint(error, peer)
    return CannotConnect(f"cannot reach {peer} at {uri}: {_system_reason(error)}{'; ' + hint if hint else ''}")


def _system_reason(error: OSError) -> str:
    """Return the system's reason as the middle of a sentence."""
    reason = getattr(error, "verify_message", "") or error.strerror or str(error) or type(error).__name__
    reason = reason.rstrip(".")
    return reason[:1].lower() + reason[1:] if reason[1:2].islower() else reason


def _hint(error: OSError, peer: str) -> str:
    if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
        return _START_HINTS.get(peer, "is it running?")
    if isinstance(error, PermissionError):
        return f"use the account that {peer} runs as"
    if isinstance(error, socket.gaierror):
        return "check the host's name"
    if hasattr(error, "verify_message"):
        return "give the certificate of its authority as cacert"
    if getattr(error, "reason", None) in _NO_TLS:
        return "does it speak TLS there? if not, write http://"
    return ""
