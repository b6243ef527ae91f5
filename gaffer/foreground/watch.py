"""``--watch GLOB``: restarts types when files change."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple

from ..errors import BadRequest, Unavailable, nearest
from ..events.unpatched import native
from ..hookspecs.markers import hookimpl

if TYPE_CHECKING:
    from ..config.jobconfig import JobConfig
    from ..manager.manager import Manager

#: Changes are taken together until none came for the second, at most for the first, in milliseconds.
_MAX_COLLECT_MS, _QUIET_MS = 1000, 100
_TYPE = re.compile(r"[A-Za-z0-9_-]+")
_WILD = re.compile(r"[*?\[]")
_SET = re.compile(r"(.)-(.)|(.)", re.DOTALL)
_PART = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|\[(!?)([^]]+)\]|(.)", re.DOTALL)


class Pattern(NamedTuple):
    """Files, and the types that are restarted when one of them changes.

    :param folder: the part of the pattern without wildcards, relative to the application's folder.
    :param expression: matches paths relative to the application's folder.
    """

    folder: str
    expression: re.Pattern[str]
    types: tuple[str, ...]


class FileWatch:
    """A plugin that restarts types when files change; changes in quick succession count once.

    :param configs: the jobs; their own names are what types are called.
    :param root: the folder that patterns are relative to.
    :param patterns: ``GLOB``, or ``TYPE=GLOB`` for one type.
    :param say: prints a sentence about a type.
    :raises BadRequest: a pattern cannot be used. :raises Unavailable: watchfiles is not installed.
    """

    name = "watch"
    description = "restarts types when files change"

    def __init__(
        self, configs: Iterable[JobConfig], root: str, patterns: Iterable[str], say: Callable[[str, str], Any]
    ) -> None:
        try:
            import watchfiles
        except ImportError:
            raise Unavailable("--watch needs the package watchfiles: pip install watchfiles") from None
        self._watch = watchfiles.watch
        self._root = os.path.realpath(root)  # which is how changes are reported
        self._names = {config.job_name.job: config.job_name for config in configs}
        self._patterns = [read_pattern(text, tuple(self._names)) for text in patterns]
        for pattern in self._patterns:
            if not os.path.isdir(os.path.join(self._root, pattern.folder)):
                raise BadRequest(f"--watch: there is no folder {pattern.folder!r} in {self._root}")
        self._say = say
        self._manager: Manager | None = None

    @hookimpl
    def gaffer_ready(self, manager: Manager) -> None:
        """Start the thread once everything runs."""
        self._manager = manager
        native("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        """Wait for changes, in a thread that ends with the program."""
        assert self._manager is not None
        folders = sorted({os.path.join(self._root, pattern.folder) for pattern in self._patterns})
        changes = self._watch(*folders, debounce=_MAX_COLLECT_MS, step=_QUIET_MS, rust_timeout=0, raise_interrupt=False)
        for found in changes:
            self._manager.later(self._changed, sorted({path for _, path in found}))

    def _changed(self, paths: list[str]) -> None:
        manager = self._manager
        if manager is None or not manager.active:
            return
        for name, path in affected(self._patterns, (os.path.relpath(path, self._root) for path in paths)).items():
            self._say(name, f"restart: {path} changed")
            manager.restart_job(self._names[name])


def read_pattern(text: str, types: tuple[str, ...]) -> Pattern:
    """Parse ``GLOB`` or ``TYPE=GLOB``.

    :raises BadRequest: it is empty or leads out of the folder, or no such type runs.
    """
    name, separator, rest = text.partition("=")
    if separator and name in types:
        types, text = (name,), rest
    elif separator and _TYPE.fullmatch(name):
        remedy = nearest(name, types) or f"; there are {', '.join(types)}"
        raise BadRequest(f"--watch: no process type {name!r} runs here{remedy}; for files called so write './{text}'")
    glob = os.path.normpath(text) if text else ""
    if not glob or os.path.isabs(glob) or glob.split(os.sep)[0] == "..":
        raise BadRequest(f"--watch takes a pattern of files inside the application's folder, not {text!r}")
    parts = glob.split(os.sep)
    plain = next((place for place, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
    return Pattern(os.sep.join(parts[:plain]), re.compile(translate(glob)), types)


def translate(glob: str) -> str:
    """Return the regular expression of a pattern: ``*`` and ``?`` stop at ``/``, ``**`` does not."""
    return "".join(map(_expression, _PART.finditer(glob))) + r"\Z"


def _expression(part: re.Match[str]) -> str:
    folders, all_below, star, one, negated, some, char = part.groups()
    if folders:
        return "(?:.*/)?"
    if all_below:
        return ".*"
    if star or one:
        return "[^/]*" if star else "[^/]"
    if some:
        return f"(?!/)[{'^' if negated else ''}{_SET.sub(_in_set, some)}]"
    return re.escape(char)


def _in_set(part: re.Match[str]) -> str:
    first, last, char = part.groups()
    if char is not None or first > last:
        return re.escape(part.group())
    return f"{re.escape(first)}-{re.escape(last)}"


def affected(patterns: Iterable[Pattern], paths: Iterable[str]) -> dict[str, str]:
    """Return ``{type: path}``: the types to restart, each with the first file that changed."""
    found: dict[str, str] = {}
    for path in paths:
        for pattern in patterns:
            if pattern.expression.match(path):
                for name in pattern.types:
                    found.setdefault(name, path)
    return found
