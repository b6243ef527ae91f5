"""Turn a supervisord.conf into a gafferd.ini.

Programs become jobs, groups become sessions. What has no counterpart is listed on stderr with file and line.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import Iterable

from .common import (
    Job,
    Notes,
    Option,
    Section,
    command,
    file_name,
    log_settings,
    read,
    settings,
    true,
    variable,
    whole,
    write,
)

_RESTART = {"true": "always", "false": "never", "unexpected": "on-failure"}
_LEVELS = {"critical": "critical", "error": "error", "warn": "warning", "info": "info"}
_EXPANSION = re.compile(r"%\(([A-Za-z0-9_]+)\)([-0-9]*[ds])|%%")
_SIZES = {"logfile_maxbytes": "_logfile_maxbytes", "logfile_backups": "_logfile_backups"}
_DEVICES = {"/dev/fd/1": "/dev/stdout", "/dev/fd/2": "/dev/stderr"}
_NUMBER = re.compile(r"%\(process_num\)(0?[0-9]*[ds])")
_WHY = {
    "process_name": "names of processes are gaffer's own: web.1, web.2",
    "numprocs_start": "copies are counted from 0",
    "stdout_syslog": "let the command pipe into logger",
    "stderr_syslog": "let the command pipe into logger",
    "stdout_events_enabled": "output can be followed over HTTP instead",
    "stderr_events_enabled": "output can be followed over HTTP instead",
    "stdout_capture_maxbytes": "output is always kept: gafferctl logs",
    "stderr_capture_maxbytes": "output is always kept: gafferctl logs",
    "stdout_logfile": "gaffer makes up no names; the output is kept for gafferctl logs",
    "stderr_logfile": "gaffer makes up no names; the output is kept for gafferctl logs",
    "stopasgroup": "gaffer always stops the whole group",
    "killasgroup": "gaffer always stops the whole group",
    "serverurl": "processes find gafferd under its own address",
}
_WHY_DAEMON = {
    "logfile*": "rotate the file of error_log with logrotate, which sends USR1",
    "user": "start gafferd as that user, or give jobs a uid",
    "minfds": "gafferd raises its limit by itself",
    "minprocs": "set the limit where gafferd is started",
    "directory": "start gafferd in that folder",
    "childlogdir": "name the files, or set logfile_dir",
}
_WHY_SERVER = {"username": "gaffer has API keys: require_key", "password": "gaffer has API keys: require_key"}
_MAY_DIFFER = ("command", "directory", "environment")
_USUAL = Option("%(program_name)s", "", 0)
_OTHER = {
    "supervisorctl": "gafferctl takes --connect, or GAFFERCTL_CONNECT",
    "eventlistener": "let a webhook or a plugin hear of events",
    "fcgi-program": "gaffer has no shared FastCGI sockets; let the program bind one itself",
    "rpcinterface": "gaffer's HTTP API is always there",
    "ctlplugin": "plugins of gafferctl are Python packages of their own",
}
_CONVERTED = ("supervisord", "unix_http_server", "inet_http_server", "include")


def convert(path: str) -> tuple[str, list[str]]:
    """Return the text of the gafferd.ini, and what is lost."""
    notes = Notes()
    sections = read(path, (";", "#"), _included)
    for section in sections:
        section.options = {key.lower(): option for key, option in section.options.items()}
    groups = {
        program.strip(): section
        for section in sections
        if section.kind == "group"
        for program in section.take("programs").split(",")
    }
    own: dict[str, str] = {}
    jobs: list[Job] = []
    common_env: dict[str, str] = {}
    for section in sections:
        if section.header == "supervisord":
            common_env = _daemon(section, own, notes)
        elif section.header in ("unix_http_server", "inet_http_server"):
            _server(section, own, notes)
    for section in sections:
        if section.kind == "program":
            jobs += _program(section, groups.get(section.name), path, common_env, notes)
        elif section.kind == "group":
            notes.leftovers(section, {"priority": "give each job of the session a priority"}, "has no counterpart")
        elif section.kind not in _CONVERTED:
            notes.add(section, f"[{section.header}] is left out: {_OTHER.get(section.kind, 'it has no counterpart')}")
    return write(own, jobs), notes.lines


def _included(section: Section) -> Iterable[str]:
    if section.header != "include":
        return ()
    return [word.replace("%(here)s", _folder(section.file)) for word in section.take("files").split()]


def _folder(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _daemon(section: Section, own: dict[str, str], notes: Notes) -> dict[str, str]:
    level = section.take("loglevel")
    if level and level not in _LEVELS:
        level = "debug"
    own |= settings(
        error_log=section.take("logfile"),
        log_level=_LEVELS.get(level, level),
        pidfile=section.take("pidfile"),
        umask=section.take("umask"),
        daemonize="false" if true(section.take("nodaemon", "false")) else "true",
    )
    expand = _Expansion(section, notes, {"here": _folder(section.file)})
    env = {key: expand(text, f"environment {key}") for key, text in _environment(section.take("environment")).items()}
    notes.leftovers(section, _WHY_DAEMON, "has no counterpart")
    return env


def _server(section: Section, own: dict[str, str], notes: Notes) -> None:
    if section.header == "unix_http_server":
        address = f"unix:{section.take('file')}"
    else:
        host, _, port = section.options.get("port", Option("", "", 0)).text.rpartition(":")
        address = f"{'0.0.0.0' if host in ('', '*') else host}:{port}"
        option = section.options.pop("port", None)
        if option is not None and not address.startswith(("127.", "localhost:")):
            notes.add(option, f"other machines reach {address}: gafferd wants require_key = true for it")
    own["bind"] = f"{own['bind']}, {address}" if "bind" in own else address
    notes.leftovers(section, _WHY_SERVER, "has no counterpart")


def _environment(text: str) -> dict[str, str]:
    """Read ``KEY="value",KEY2=value`` as supervisor does."""
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():%"
    tokens = list(lexer)
    return {tokens[at]: tokens[at + 2].strip("'\"") for at in range(0, len(tokens) - 2, 4)}


def _program(
    section: Section, group: Section | None, path: str, common_env: dict[str, str], notes: Notes
) -> Iterable[Job]:
    """Yield the job of a program, or one for each process if these differ."""
    if not section.options.get("command", Option("", "", 0)).text.strip():
        return notes.add(section, f"[{section.header}] is left out: it has no command")
    count = whole(section, "numprocs", 1, notes)
    differ = any("%(process_num)" in section.options.get(key, _USUAL).text for key in _MAY_DIFFER)
    if differ:
        first = whole(section, "numprocs_start", 0, notes)
        section.take("process_name")
    elif section.options.get("process_name", _USUAL).text.strip() == _USUAL.text:
        section.take("process_name")
    if not differ:
        yield _job(section, group, path, common_env, notes, section.name, count, 0)
        return
    if count > 1:
        notes.add(section, f"[{section.header}]: its {count} processes differ and become {count} jobs")
    for number in range(first, first + count):
        name = f"{section.name}-{number}" if count > 1 else section.name
        copy = Section(section.header, section.file, section.line, dict(section.options))
        yield _job(copy, group, path, common_env, notes if number == first else Notes(), name, 1, number)


def _job(
    section: Section,
    group: Section | None,
    path: str,
    env: dict[str, str],
    notes: Notes,
    name: str,
    count: int,
    number: int,
) -> Job:
    session = group.name if group is not None else ""
    expand = _Expansion(
        section,
        notes,
        {
            "here": _folder(path),
            "program_name": section.name,
            "group_name": session or section.name,
            "process_num": number,
            "numprocs": count,
        },
    )
    own = {key: expand(text, f"environment {key}") for key, text in _environment(section.take("environment")).items()}
    restart = section.take("autorestart", "unexpected").strip().lower()
    cmd = command(expand(section.take("command"), "command", marks=True))
    retries = whole(section, "startretries", 3, notes) if "startretries" in section.options else None
    startsecs = whole(section, "startsecs", 1, notes)
    found = settings(
        cmd=cmd,
        cwd=expand(section.take("directory"), "directory"),
        numprocesses=count,
        start="" if true(section.take("autostart", "true")) else "false",
        priority=whole(section, "priority", 0, notes) if "priority" in section.options else "",
        restart=_RESTART.get(restart, "always" if true(restart) else "never"),
        exit_codes=section.take("exitcodes"),
        min_uptime=startsecs,
        flapping="" if retries is None else _flapping(retries, startsecs),
        stop_signal=section.take("stopsignal"),
        graceful_timeout=whole(section, "stopwaitsecs", 10, notes),
        # What cannot be replaced stays, and gafferd refuses it: root would be worse.
        uid=expand(section.take("user"), "user"),
        umask=section.take("umask"),
        redirect_output="out, out" if true(section.take("redirect_stderr", "false")) else "out, err",
    )
    found |= _logs(section, expand, count)
    found |= log_settings(section, notes, _SIZES) if "stdout_logfile" in found or "stderr_logfile" in found else {}
    for key in ("stopasgroup", "killasgroup"):
        if true(section.options.get(key, Option("false", "", 0)).text):
            section.take(key)
    notes.leftovers(section, _WHY, "has no counterpart")
    return Job(session, name, found, {**env, **own})


def _logs(section: Section, expand: _Expansion, count: int) -> dict[str, str]:
    """Return the log files; a copy's number stays a placeholder."""
    found: dict[str, str] = {}
    for key in ("stdout_logfile", "stderr_logfile"):
        text = section.options.get(key, _USUAL).text
        if text.strip().lower() in ("none", "off"):
            section.take(key)
        elif key in section.options and text.strip().lower() not in ("auto", "syslog"):
            section.take(key)
            # Every second piece is the form of a number.
            pieces = (_NUMBER if count > 1 else re.compile("$^()")).split(text)
            names = [f"%(index){piece}" if at % 2 else file_name(expand(piece, key)) for at, piece in enumerate(pieces)]
            found[key] = _DEVICES.get(text.strip(), "".join(names))
    return found


def _flapping(retries: int, startsecs: int) -> str:
    """Give up after so many starts in a row that did not last."""
    attempts = retries + 1
    return f"{attempts}, {attempts * max(1, startsecs)}, 1, 0"


class _Expansion:
    """Replaces ``%(name)s``; what only the environment knows becomes a variable of the command."""

    def __init__(self, section: Section, notes: Notes, values: dict[str, object]) -> None:
        self.section, self.notes, self.values = section, notes, values

    def __call__(self, text: str, key: str, marks: bool = False) -> str:
        def replaced(found: re.Match[str]) -> str:
            if found.group() == "%%":
                return "%"
            name, form = found.groups()
            if name in self.values:
                return f"%{form}" % self.values[name]
            if name.startswith("ENV_") and marks:
                return variable(name[4:])
            self.notes.add(self.section, f"[{self.section.header}] {key}: {found.group()} has no counterpart there")
            return found.group()

        return _EXPANSION.sub(replaced, text)
