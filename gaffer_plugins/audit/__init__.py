"""Audit log: one JSON object a line for each change, with its author, origin and result."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import gevent

from gaffer import Plugin, hookimpl
from gaffer.api import Bool, FilePath, GafferError, PluginError

from .refusals import EVERY, Refusals
from .writer import AuditWriter

if TYPE_CHECKING:
    from gaffer import Identity, Manager
    from gaffer.api import Options

__all__ = ["AuditPlugin"]

log = logging.getLogger("gaffer.audit")

#: Seconds between two complaints of one trouble.
_COMPLAINT_INTERVAL = 60.0


class AuditPlugin(Plugin):
    """Writes the record; off unless ``audit_log`` names a file."""

    name = "audit"
    description = "a record of who did what, where audit_log says"

    def __init__(self) -> None:
        self._writer: AuditWriter | None = None
        self._refusals = Refusals(self.write)
        self._timer: gevent.Greenlet | None = None
        self._reads = False
        self._complained = 0.0
        self._listening = False

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare the file and what is written."""
        options.add(
            "audit_log",
            FilePath(),
            None,
            "file for a record of who did what",
            flags=("--audit-log",),
            metavar="FILE",
        )
        options.add("audit_reads", Bool(), False, "record also what only reads", needs_restart=False)

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Open the file: without it, nothing starts."""
        self._read(manager)
        path = manager.option("audit_log")
        if path is None:
            return
        self._writer = AuditWriter(path)
        try:
            self._writer.open()
        except OSError as error:
            raise PluginError(f"audit_log: cannot write to {path}: {error.strerror or error}") from error
        if not self._listening:
            # Only now: without listeners, no record is built.
            self._listening = True
            manager.plugins.add(CommandListener(self), "audit_record", origin="plugin audit")

    @hookimpl
    def gaffer_config_reloaded(self, manager: Manager) -> None:
        """Take over what is written."""
        self._read(manager)

    def _read(self, manager: Manager) -> None:
        self._reads = manager.option("audit_reads", self._reads)

    def write(self, line: dict[str, Any]) -> None:
        """Write one record."""
        writer = self._writer
        if writer is None:
            return
        writer.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        if writer.trouble and time.monotonic() - self._complained > _COMPLAINT_INTERVAL:
            self._complained = time.monotonic()
            log.error("the audit log %s cannot be written: %s; %d records lost", *writer.state)

    def refuse(self, line: dict[str, Any]) -> None:
        """Write that an anonymous caller was refused, in full or as one of many."""
        self._refusals.add(line)
        if self._timer is None:
            self._timer = gevent.spawn(self._sum_up)

    def _sum_up(self) -> None:
        """Write the lines of refusals that are due, until there are no more."""
        left = True
        while left:
            gevent.sleep(EVERY / 4)
            left = self._refusals.flush(now())
        self._timer = None

    @property
    def reads(self) -> bool:
        """True if commands that only read are recorded, too."""
        return self._reads

    @hookimpl
    def gaffer_health(self) -> dict[str, Any] | None:
        """Say whether records were lost."""
        writer = self._writer
        if writer is None:
            return None
        found: dict[str, Any] = {"path": writer.path, "written": writer.written, "lost": writer.dropped}
        found["summarised"] = self._refusals.summarised
        return {**found, "ok": False, "reason": writer.trouble} if writer.trouble else found

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """Write what waits."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.kill(block=False)
        self._refusals.flush(now(), everything=True)
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class CommandListener:
    """Hears of everything, where there is a record.

    :param record: what takes the lines.
    """

    def __init__(self, record: AuditPlugin) -> None:
        self._record = record

    @hookimpl
    def gaffer_command_run(
        self,
        command: str,
        permission: str | None,
        args: dict[str, Any],
        identity: Identity | None,
        origin: str,
        error: Exception | None,
    ) -> None:
        """Write a line."""
        if error is not None and identity is None and origin:
            self._record.refuse(record(command, args, identity, origin, error))
        elif error is not None or self._record.reads or not is_read(command, permission):
            self._record.write(record(command, args, identity, origin, error))


def is_read(command: str, permission: str | None) -> bool:
    """Tell whether a command only looks at something.

    A route says so by its method: what a key needs for it tells nothing, since ``POST /keys`` needs no more than one
    that may read. A websocket, which begins with GET, changes something if it needs more.
    """
    method, space, _ = command.partition(" ")
    if space:
        return method in ("GET", "HEAD") and permission in (None, "read")
    return permission in (None, "read")


def now() -> str:
    """Return the time as lines say it."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def record(
    command: str, args: dict[str, Any], identity: Identity | None, origin: str, error: Exception | None
) -> dict[str, Any]:
    """Return one line's object."""
    line: dict[str, Any] = {
        "time": now(),
        "who": None,
        "from": origin or "gafferd",
        "what": command,
        "args": args,
        "result": "done",
    }
    if identity is not None:
        line["who"] = {"kind": identity.kind, "name": identity.name, "label": identity.label}
    if isinstance(error, GafferError):
        line |= {"result": error.code, "errno": error.status, "reason": str(error)}
    return line
