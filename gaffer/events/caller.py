"""Name of the caller on whose behalf code runs: what ``why`` says of who started or stopped a job."""

from __future__ import annotations

from contextvars import ContextVar

#: Set while a command of a client runs; by default it is the program itself.
CALLER: ContextVar[str] = ContextVar("gaffer.caller", default="gafferd")
