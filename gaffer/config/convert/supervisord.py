"""Turn a supervisord.conf into a gafferd.ini.

Programs become jobs, groups become sessions. What has no counterpart is listed on stderr with file and line.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
from functools import partial
from typing import Iterable, NamedTuple

from ..fields import MOST_ATTEMPTS
from ..ini_section import Section, Value
from .common import (
    ConvertedJob,
    Notes,
    Unusable,
    command,
    file_name,
    has_variable,
    home_of_now,
    keep_apart,
    log_settings,
    read,
    settings,
    true,
    usable,
    variable,
    variables_in,
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
    "minfds": "gafferd raises its limit by itself",
    "minprocs": "set the limit where gafferd is started",
    "childlogdir": "name the files, or set logfile_dir",
}
_WHY_SERVER = {"username": "gaffer has API keys: require_key", "password": "gaffer has API keys: require_key"}
#: Options whose variables have to be replaced here and now: numbers, switches and names.
_SIMPLE = (
    *("numprocs", "numprocs_start", "startretries", "startsecs", "stopwaitsecs", "priority", "exitcodes", "stopsignal"),
    *("autostart", "autorestart", "redirect_stderr", "umask", "loglevel", "nodaemon", "port", "chmod"),
)
_MAY_DIFFER = ("command", "directory", "environment")
_USUAL = Value("%(program_name)s", "", 0)
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
    sections = read(path, (";", "#"), _included, notes)
    for section in sections:
        section.items = {key.lower(): option for key, option in section.items.items()}
    groups = _groups(sections, notes)
    own: dict[str, str] = {}
    jobs: list[ConvertedJob] = []
    common = _Common({}, "", "")
    endpoints: dict[str, dict[str, str]] = {}
    for section in sections:
        if section.header == "supervisord":
            common = _daemon(section, own, notes)
    for section in sections:
        if section.header in ("unix_http_server", "inet_http_server"):
            _server(section, own, endpoints, common, notes)
        elif section.kind == "program":
            jobs += _program(section, groups.get(section.name), common, notes)
        elif section.kind == "group":
            notes.leftovers(section, {"priority": "give each job of the session a priority"}, "has no counterpart")
        elif section.kind not in _CONVERTED:
            notes.add(section, f"[{section.header}] is left out: {_OTHER.get(section.kind, 'it has no counterpart')}")
    keep_apart(jobs, notes)
    return write(own, jobs, endpoints), notes.lines


def _groups(sections: list[Section], notes: Notes) -> dict[str, Section]:
    """Return the group of each program that is in one; what a group names and there is not is reported."""
    programs = {section.name for section in sections if section.kind == "program"}
    others = {section.name for section in sections if section.kind in _OTHER}
    found = {}
    for section in sections:
        if section.kind == "group":
            option = section.items.get("programs")
            for name in filter(None, map(str.strip, section.take("programs").split(","))):
                found[name] = section
                if name not in programs | others:
                    notes.add(option or section, f"[{section.header}] programs: there is no [program:{name}]")
    return found


class _Common(NamedTuple):
    """Settings of ``[supervisord]`` for programs without their own."""

    env: dict[str, str]
    user: str
    directory: str


def _included(section: Section) -> Iterable[str]:
    if section.header != "include":
        return ()
    values = {"%(here)s": _folder(section.file), "%(host_node_name)s": platform.node()}
    files = section.take("files")
    for name, value in values.items():
        files = files.replace(name, value)
    return re.sub(r"%\(ENV_([A-Za-z0-9_]+)\)s", lambda found: os.environ.get(found[1], found[0]), files).split()


def _folder(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _daemon(section: Section, own: dict[str, str], notes: Notes) -> _Common:
    expand = _SupervisorExpansion(section, notes, {}, {})
    env: dict[str, str] = {}
    place = section.items.get("environment", section)
    try:
        env = _environment(expand, section)
    except Unusable as error:
        notes.add(place, f"[supervisord] {error}; its variables are left out")
    expand = expand._replace(env=env)
    expand.replace_simple()
    level = section.take("loglevel")
    if level and level not in _LEVELS:
        level = "debug"
    logfile = section.items.get("logfile", Value("", "", 0)).text
    own |= settings(
        error_log="" if logfile.strip().lower() in ("none", "off", "syslog") else expand.path("logfile"),
        log_level=_LEVELS.get(level, level),
        pidfile=expand.path("pidfile"),
        umask=section.take("umask"),
        daemonize="false" if true(section.take("nodaemon", "false")) else "true",
    )
    user = expand.take("user").strip()
    common = _Common(env, "" if user in ("root", "0") else user, expand.take("directory"))
    notes.leftovers(section, _WHY_DAEMON, "has no counterpart")
    return common


def _server(
    section: Section, own: dict[str, str], endpoints: dict[str, dict[str, str]], common: _Common, notes: Notes
) -> None:
    expand = _SupervisorExpansion(section, notes, {}, common.env)
    expand.replace_simple()
    if section.header == "unix_http_server":
        path = expand.path("file")
        address = f"unix:{path}" if path else ""
        owner, _, group = expand.take("chown").partition(":")
        access = settings(mode=section.take("chmod"), owner=owner, group=group) if path else {}
        if access:
            own["http_endpoints"] = "supervisor"
            endpoints["supervisor"] = {"bind": address, **access}
            address = ""
    else:
        host, _, port = section.items.get("port", Value("", "", 0)).text.rpartition(":")
        address = f"{'0.0.0.0' if host in ('', '*') else host}:{port}"
        option = section.items.pop("port", None)
        if option is not None and not address.startswith(("127.", "localhost:")):
            notes.add(option, f"other machines reach {address}: gafferd wants require_key = true for it")
    if address:
        own["bind"] = f"{own['bind']}, {address}" if "bind" in own else address
    notes.leftovers(section, _WHY_SERVER, "has no counterpart")


def _environment(expand: _SupervisorExpansion, section: Section) -> dict[str, str]:
    """Take ``KEY="value",KEY2=value`` as supervisor does.

    :raises Unusable: it cannot be read.
    """
    option = section.items.pop("environment", Value("", section.file, section.line))
    lexer = shlex.shlex(option.text)
    lexer.wordchars += "/.+-():%"
    try:
        tokens = list(lexer)
    except ValueError as error:
        raise Unusable(option, f"environment: {error}") from None
    found: dict[str, str] = {}
    for at in range(0, len(tokens), 4):
        if len(tokens) < at + 3 or tokens[at + 1] != "=":
            raise Unusable(option, "environment: expected KEY=VALUE,KEY=VALUE")
        found[tokens[at]] = expand(tokens[at + 2].strip("'\""), f"environment {tokens[at]}", option, marks=True)
    return found


def _program(section: Section, group: Section | None, common: _Common, notes: Notes) -> Iterable[ConvertedJob]:
    """Yield the job of a program, or one for each process if these differ."""
    if not section.items.get("command", Value("", "", 0)).text.strip():
        return notes.add(section, f"[{section.header}] is left out: it has no command")
    _SupervisorExpansion(section, notes, {"program_name": section.name}, common.env).replace_simple()
    count = whole(section, "numprocs", 1, notes)
    differ = any("%(process_num)" in section.items.get(key, _USUAL).text for key in _MAY_DIFFER)
    if differ:
        first = whole(section, "numprocs_start", 0, notes)
        section.take("process_name")
    elif section.items.get("process_name", _USUAL).text.strip() == _USUAL.text:
        section.take("process_name")
    if not differ:
        make = partial(_job, section, group, common, notes, section.name, count, 0)
        yield from usable(section, notes, make)
        return
    if count > 1:
        notes.add(section, f"[{section.header}]: its {count} processes differ and become {count} jobs")
    for number in range(first, first + count):
        name = f"{section.name}-{number}" if count > 1 else section.name
        copy = Section(section.header, section.file, section.line, dict(section.items))
        told = notes if number == first else Notes()
        yield from usable(copy, told, partial(_job, copy, group, common, told, name, 1, number))


def _job(
    section: Section,
    group: Section | None,
    common: _Common,
    notes: Notes,
    name: str,
    count: int,
    number: int,
) -> ConvertedJob:
    session = group.name if group is not None else ""
    expand = _SupervisorExpansion(
        section,
        notes,
        {
            "program_name": section.name,
            "group_name": session or section.name,
            "process_num": number,
            "numprocs": count,
        },
        common.env,
    )
    own = _environment(expand, section)
    # Variables of a program know those around it, its command knows its own.
    named = {name for text in own.values() for name in variables_in(text)}
    late = {name: text for name, text in own.items() if name in named and not has_variable(text)}
    env = {**common.env, **{name: text for name, text in own.items() if name not in late}}
    expand = expand._replace(env=env | late, literal=frozenset(late))
    restart = section.take("autorestart", "unexpected").strip().lower()
    cmd = command(expand.take("command", marks=True))
    retries = whole(section, "startretries", 3, notes) if "startretries" in section.items else None
    if retries is not None and retries >= MOST_ATTEMPTS:
        notes.add(section, f"[{section.header}] startretries: {retries} are more than gaffer counts; it never gives up")
    startsecs = whole(section, "startsecs", 1, notes)
    found = settings(
        cmd=cmd,
        cwd=expand.take("directory") or common.directory,
        numprocesses=count,
        start="" if true(section.take("autostart", "true")) else "false",
        priority=whole(section, "priority", 0, notes) if "priority" in section.items else "",
        restart=_RESTART.get(restart, "always" if true(restart) else "never"),
        exit_codes=section.take("exitcodes"),
        min_uptime=startsecs,
        flapping="" if retries is None else _flapping(retries, startsecs),
        stop_signal=section.take("stopsignal"),
        graceful_timeout=whole(section, "stopwaitsecs", 10, notes),
        # What cannot be replaced stays, and gafferd refuses it: root would be worse.
        uid=expand.take("user") or common.user,
        umask=section.take("umask"),
        redirect_output="out, out" if true(section.take("redirect_stderr", "false")) else "out, err",
    )
    found |= _logs(section, expand, count, notes)
    found |= log_settings(section, notes, _SIZES) if "stdout_logfile" in found or "stderr_logfile" in found else {}
    for key in ("stopasgroup", "killasgroup"):
        if true(section.items.get(key, Value("false", "", 0)).text):
            section.take(key)
    notes.leftovers(section, _WHY, "has no counterpart")
    return ConvertedJob(section, session, name, found, env, late)


def _logs(section: Section, expand: _SupervisorExpansion, count: int, notes: Notes) -> dict[str, str]:
    """Return the log files; a copy's number stays a placeholder."""
    found: dict[str, str] = {}
    for key in ("stdout_logfile", "stderr_logfile"):
        text = section.items.get(key, _USUAL).text.strip()
        if text.lower() in ("none", "off"):
            section.take(key)
        elif key in section.items and text.lower() not in ("auto", "syslog"):
            option = home_of_now(section.items.pop(key), f"[{section.header}] {key}", notes)
            # Every second piece is the form of a number.
            pieces = (_NUMBER if count > 1 else re.compile("$^()")).split(option.text)
            names = [
                f"%(index){piece}" if at % 2 else file_name(expand(piece, key, option))
                for at, piece in enumerate(pieces)
            ]
            if not any(_EXPANSION.search(name.replace("%%", "%")) for name in names[::2]):
                found[key] = _DEVICES.get(text, "".join(names))
    return found


def _flapping(retries: int, startsecs: int) -> str:
    """Give up after so many starts in a row that did not last; with more than gaffer counts, never."""
    attempts = retries + 1
    if attempts > MOST_ATTEMPTS:
        return ""
    return f"{attempts}, {attempts * max(1, startsecs)}, 1, 0"


class _SupervisorExpansion(NamedTuple):
    """Replaces ``%(name)s``; what only the environment knows becomes a variable of the command.

    :param env: variables that the file itself sets.
    :param literal: those of them that a command cannot name.
    """

    section: Section
    notes: Notes
    values: dict[str, object]
    env: dict[str, str]
    literal: frozenset[str] = frozenset()

    def replace_simple(self) -> None:
        """Replace variables in options that take no text of their own."""
        for key in _SIMPLE:
            option = self.section.items.get(key)
            if option is not None and "%(" in option.text:
                self.section.items[key] = option._replace(text=self(option.text, key, option))

    def take(self, key: str, marks: bool = False) -> str:
        """Take an option, replaced."""
        option = self.section.items.pop(key, None)
        return "" if option is None else self(option.text, key, option, marks)

    def path(self, key: str) -> str:
        """Take an option that names a file of gafferd's own; ``""`` if something in it cannot be replaced."""
        option = self.section.items.get(key)
        if option is not None:
            self.section.items[key] = home_of_now(option, f"[{self.section.header}] {key}", self.notes)
        text = self.take(key)
        return "" if re.search(r"%\([A-Za-z0-9_]+\)", text) else text

    def __call__(self, text: str, key: str, place: Value, marks: bool = False) -> str:
        """Return *text*, replaced.

        :param marks: whether it may hold what :func:`variable` returns.
        """
        label = f"[{self.section.header}] {key}"

        def replaced(found: re.Match[str]) -> str:
            if found.group() == "%%":
                return "%"
            name = found[1]
            if name == "host_node_name":
                self.notes.add(place, f"{label}: {found.group()} is replaced by this machine's name")
                return platform.node()
            if name == "here" or name in self.values:
                return self._formatted(found, place, label)
            known = self._variable(name[4:], place, label, marks) if name.startswith("ENV_") else None
            if known is None and not name.startswith("ENV_"):
                self.notes.add(place, f"{label}: {found.group()} has no counterpart there")
            return found.group() if known is None else known

        return _EXPANSION.sub(replaced, text)

    def _formatted(self, found: re.Match[str], place: Value, label: str) -> str:
        value = _folder(place.file) if found[1] == "here" else self.values[found[1]]
        try:
            return f"%{found[2]}" % value
        except (TypeError, ValueError):
            self.notes.add(place, f"{label}: {found.group()} is no text that can be formatted so")
            return found.group()

    def _variable(self, name: str, place: Value, label: str, marks: bool) -> str | None:
        known = self.env.get(name)
        if marks:
            if known is not None and (name in self.literal or has_variable(known)):
                return known
            return variable(name)
        if known is not None and not has_variable(known):
            return known
        return self.notes.value_of(name, place, label)
