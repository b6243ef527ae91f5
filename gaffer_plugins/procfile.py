"""Jobs from Procfiles: ``[procfile:shop]`` with ``path = …`` loads the application ``shop`` as a session."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from gaffer import JobConfig, hookimpl
from gaffer.api import (
    Bool,
    ConfigError,
    FilePath,
    Int,
    JobFields,
    Kind,
    Options,
    Problem,
    Section,
    Settings,
    SharedFile,
    TextList,
    check_read,
    expand_home,
    find_procfile,
    nearest,
    read_application,
)

KIND = "procfile"


class _Port(Int):
    """A number, or ``none``."""

    def parse(self, text: str) -> int | None:
        return 0 if text.strip().lower() == "none" else super().parse(text)


#: What a section may hold. Paths are relative to the file that holds it.
KEYS: dict[str, Kind] = {
    "path": FilePath(),
    "root": FilePath(),
    "env_file": TextList(),
    "concurrency": TextList(),
    "types": TextList(),
    "port": _Port(1, 65_535, optional=True),
    "start": Bool(),
}
#: What the reader of applications calls in the words of a command line, and what a section says instead.
_WORDS = {
    "-c: ": "",
    "-c takes": "expected",
    "--port and --no-port win": "port wins",
    "--no-port": "port = none",
    "--port": "port",
    "name one with -f FILE, or its folder with -d DIR": "correct the path",
    "create it, or leave out -e": "create it, or leave it out of env_file",
}


class _FoundJob(NamedTuple):
    jobs: list[JobConfig]
    problems: list[Problem]


@hookimpl
def gaffer_add_options(options: Options) -> None:
    options.add_section(KIND, named=True)


@hookimpl
def gaffer_check_config(settings: Settings, fields: JobFields) -> list[Problem]:
    return _read(settings, fields).problems


@hookimpl
def gaffer_load_jobs(settings: Settings | None, fields: JobFields) -> list[JobConfig]:
    if settings is None:
        return []
    found = _read(settings, fields)
    if found.problems:
        raise ConfigError(found.problems)
    return found.jobs


def _read(settings: Settings, fields: JobFields) -> _FoundJob:
    found = _FoundJob([], [])
    first: dict[str, Section] = {}
    for section in settings.sections(KIND):
        other = first.setdefault(section.name, section)
        if other is not section:
            where = f"{other.file}:{other.line}"
            found.problems.append(section.problem(f"the application is defined a second time; the first is at {where}"))
        elif section.name:
            _read_section(section, fields, found)
    return found


def _read_section(section: Section, fields: JobFields, found: _FoundJob) -> None:
    values = _read_values(section, found.problems)
    if "path" not in section.items and "root" not in section.items:
        found.problems.append(section.problem("path: required, the Procfile; or root, its folder"))
        return
    start = values.pop("start", True)
    port = values.pop("port", None)
    folder = os.path.dirname(section.file)
    file, root = (os.path.join(folder, values[key]) if values.get(key) else None for key in ("path", "root"))
    procfile, root = find_procfile(file, root)
    envs = [os.path.join(folder, expand_home(path)) for path in values.get("env_file", ())]
    try:
        for path in (procfile, os.path.join(root, ".env"), os.path.join(root, ".gaffer.ini"), *envs):
            check_read(path)
        application = read_application(
            procfile,
            root,
            envs,
            name=section.name,
            concurrency=values.get("concurrency", ()),
            port=port or None,
            ports=port != 0,
            only=values.get("types", ()),
            # What gafferd itself was started with says nothing about applications.
            environ={},
        )
    except SharedFile as error:
        found.problems.append(section.problem(str(error)))
        return
    except ConfigError as error:
        found.problems.extend(_placed(section, problem) for problem in error.problems)
        return
    found.jobs.extend(config if start else config.replace(start=False) for config in application.configs(fields))


def _read_values(section: Section, problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in section.items.items():
        kind = KEYS.get(key)
        try:
            if kind is None:
                raise ValueError(f"unknown key '{key}' in [{section.header}]{nearest(key, KEYS)}")
            values[key] = kind.parse(value.text)
        except ValueError as error:
            problems.append(section.problem(f"{key}: {error}" if kind else str(error), key))
    return values


def _placed(section: Section, problem: Problem) -> Problem:
    """Return a problem with an application where it was written: in its own files, or in the section."""
    message = problem.message
    for words, ours in _WORDS.items():
        message = message.replace(words, ours)
    if problem.file and problem.line:
        return Problem(problem.file, problem.line, message)
    key = _key_of(section, problem)
    at = section.problem("", key)
    subject = f"{problem.file}: " if problem.file else f"{key}: " if key else ""
    return Problem(at.file, at.line, f"{subject}{message}")


def _key_of(section: Section, problem: Problem) -> str:
    """Return the key that a problem without a line of its own is about."""
    if problem.message.startswith("-c"):
        return "concurrency"
    if "has no process type" in problem.message:
        return "types"
    if problem.file:
        return "env_file" if "env" in problem.message or ".env" in problem.file else "path"
    return "concurrency" if "processes of" in problem.message else ""
