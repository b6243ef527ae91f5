"""The log of a program: standard error or a file that can be opened again, one line a record."""

from __future__ import annotations

import logging
import os
import stat
import sys
import threading
from contextlib import suppress
from typing import Any

from ..errors import GafferError
from ..security.trusted_files import open_log


class OneLine(logging.Formatter):
    """Formats a record as one line: lines of a log are searched, sorted and cut one by one.

    :param tracebacks: whether they are part of it.
    """

    def __init__(self, tracebacks: bool = True) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        if not self._tracebacks:
            record.exc_info = record.exc_text = None
        return " | ".join(line for line in super().format(record).splitlines() if line.strip())


class _Handler(logging.StreamHandler[Any]):
    """Closes its file, as logging's FileHandler does; which file that is, is not its own decision."""

    def close(self) -> None:
        with suppress(OSError):  # stderr is gone, too
            self.stream.close()
        super().close()


class Log:
    """Destination of log records.

    :param path: a file to append to; None for standard error.
    :param tracebacks: whether records have theirs.
    :param program: the logger that its own failures go to.
    :raises GafferError: the file cannot be written.
    """

    def __init__(self, path: str | None, level: str, tracebacks: bool = True, program: str = "gafferd") -> None:
        self.program = program
        self.path = path
        self._handler = self._open()
        self._handler.setFormatter(OneLine(tracebacks))
        # A log that cannot be written is no reason to write about it into whatever is standard error now.
        logging.raiseExceptions = False
        root = logging.getLogger()
        root.handlers[:] = [self._handler]
        self.set_level(level)

    def _open(self) -> logging.StreamHandler[Any]:
        if self.path is None:
            return logging.StreamHandler(sys.stderr)
        try:
            descriptor = open_log(self.path, 0o666)
        except OSError as error:
            raise GafferError(f"cannot write the log {self.path}: {error.strerror or error}") from error
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):  # others may share the flags of a socket
            os.set_blocking(descriptor, True)
        return _Handler(os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace"))

    def set_level(self, level: str) -> None:
        """Log records of *level* (``debug`` … ``critical``) and above."""
        logging.getLogger().setLevel(level.upper())

    def reopen(self) -> None:
        """Open the file again, after it was moved away."""
        if self.path is None:
            return
        try:
            handler = self._open()
        except GafferError as error:
            logging.getLogger(self.program).error("%s; records still go to the old file", error)
            return
        handler.setFormatter(self._handler.formatter)
        root = logging.getLogger()
        root.addHandler(handler)
        root.removeHandler(self._handler)
        self._handler.close()
        self._handler = handler


def log_failures(hub: Any, program: str = "gafferd") -> None:
    """Log uncaught exceptions of greenlets, threads and finalizers instead of printing them."""

    def failed(what: str, kind: Any, value: Any, traceback: Any) -> None:
        logging.getLogger(program).error("failure in %s", what, exc_info=(kind, value, traceback))

    def in_greenlet(context: Any, kind: Any, value: Any, traceback: Any) -> None:
        failed(repr(context), kind, value, traceback)

    hub.print_exception = in_greenlet
    threading.excepthook = lambda args: failed(
        f"thread {args.thread and args.thread.name}", args.exc_type, args.exc_value, args.exc_traceback
    )
    sys.unraisablehook = lambda args: failed(repr(args.object), args.exc_type, args.exc_value, args.exc_traceback)
