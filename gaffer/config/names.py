"""Names of sessions, jobs and variables, and the one parser for them.

``job``, ``session.job``, ``session:job`` and ``session/job`` are accepted
everywhere; a bare name means ``default.job``. The short form leaves
``default.`` out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import BadRequest

DEFAULT_SESSION = "default"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+-]*\Z")
_SEPARATOR = re.compile(r"[.:/]")
#: What every shell and service manager accepts as the name of a variable.
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: Characters that names, paths and URLs cannot hold.
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
#: Longer names would not fit file systems, process titles and tables.
MAX_NAME = 128


class JobName(NamedTuple):
    """A job's identity: its session and its own name."""

    session: str
    job: str

    @property
    def full(self) -> str:
        """``session.job``, always both parts."""
        return f"{self.session}.{self.job}"

    @property
    def short(self) -> str:
        """``job`` in the default session, ``session.job`` elsewhere."""
        return self.job if self.session == DEFAULT_SESSION else self.full

    def __str__(self) -> str:
        return self.short


class ProcessName(JobName):
    """The name of a process' job, which is equal to its text as well, as in gaffer 0.5: ``process.name == "web"``."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other in (self.short, self.full) if isinstance(other, str) else tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = JobName.__hash__


def check_name(name: object, what: str = "name") -> str:
    """Return *name* if it may name a session or a job.

    :raises BadRequest: with a sentence that says which rule it breaks.
    """
    if not isinstance(name, str) or not name:
        raise BadRequest(f"{what} must be a non-empty string, not {name!r}")
    if len(name) > MAX_NAME:
        raise BadRequest(f"{what} is longer than {MAX_NAME} characters")
    if not _NAME.match(name):
        raise BadRequest(
            f"{what} {name!r} may hold letters, digits, '_', '+' and '-' only, and start with a letter, a digit or '_'"
        )
    if name.isdigit():
        raise BadRequest(f"{what} {name!r} must not be digits only: that would be a pid")
    return name


def parse_job_name(name: str | JobName, default: str = DEFAULT_SESSION) -> JobName:
    """Parse any accepted spelling into a :class:`JobName`.

    :param name: ``job``, ``session.job``, ``session:job`` or ``session/job``.
    :param default: the session of a bare name.
    :raises BadRequest: if a part is empty or holds other characters.
    """
    if isinstance(name, JobName):
        return name
    if not isinstance(name, str):
        raise BadRequest(f"job name must be a string, not {name!r}")
    session, separator, job = _partition(name)
    if not separator:
        return JobName(default, check_name(name, "job name"))
    return JobName(check_name(session, "session name"), check_name(job, "job name"))


def _partition(name: str) -> tuple[str, str, str]:
    found = _SEPARATOR.search(name)
    if found is None:
        return name, "", ""
    return name[: found.start()], found.group(), name[found.end() :]


def clean_name(text: str) -> str:
    """Turn a folder's name into a valid session name, ``-`` for every other character.

    A name that would still break the rules gets a leading ``_``.
    """
    cleaned = re.sub(r"[^A-Za-z0-9_+-]", "-", text)[:MAX_NAME]
    if not cleaned or cleaned[0] in "+-" or cleaned.isdigit():
        cleaned = "_" + cleaned[: MAX_NAME - 1]
    return cleaned
