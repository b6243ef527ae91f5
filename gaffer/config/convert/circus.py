"""Turn a circus.ini into a gafferd.ini.

Watchers become jobs. What has no counterpart is listed on stderr with file and line.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from functools import partial
from typing import Mapping, NamedTuple

from ..ini_section import Section, Value
from .common import (
    ConvertedJob,
    Notes,
    command,
    file_name,
    has_variable,
    keep_apart,
    log_settings,
    read,
    settings,
    true,
    usable,
    variable,
    whole,
    write,
)

_EXPANSION = re.compile(r"\$\(circus\.([A-Za-z0-9_.]+)\)|\(\(circus\.([A-Za-z0-9_.]+)\)\)", re.IGNORECASE)
_DOLLAR_SIGN = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
#: Options whose variables have to be replaced here and now.
_SIMPLE = (
    *("numprocesses", "singleton", "autostart", "respawn", "max_retry", "graceful_timeout", "stop_signal"),
    *("uid", "gid"),
)
_LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "critical": "critical"}
_LOGS = "the output is kept for gafferctl logs, and stdout_logfile appends it to a file"
_SIZES = {"logfile_maxbytes": "_stream.max_bytes", "logfile_backups": "_stream.backup_count"}
_WHY = {
    "stdout_stream.*": _LOGS,
    "stderr_stream.*": _LOGS,
    "hooks.*": "write a plugin: gaffer_before_spawn, gaffer_spawned and so on",
    "rlimit_*": "set the limit in the command: sh -c 'ulimit ...; exec PROGRAM'",
    "warmup_delay": "gaffer starts processes as fast as it can; priority gives the order of jobs",
    "max_age*": "let cron call gafferctl restart",
    "use_sockets": "gaffer hands over no sockets; let the program bind one with SO_REUSEPORT",
    "virtualenv*": "name the virtualenv's python in cmd",
    "on_demand": "gaffer starts nothing because of a connection",
    "copy_path": "set PYTHONPATH in the job's environment",
    "shell_args": "write them into cmd",
    "stop_children": "gaffer always stops the whole group",
    "send_hup": "gaffer reload replaces processes; send HUP with gafferctl kill NAME HUP",
    "close_child_*": "output that is not redirected goes to the null device",
    "use_papa": "gaffer has no papa",
}
_WHY_DAEMON = {
    "endpoint": "gafferd's own address is bind, http://127.0.0.1:5000 by default",
    "pubsub_endpoint": "events come over HTTP and websockets from the one address",
    "stats_endpoint": "statistics come over HTTP from the one address",
    "statsd*": "gafferd's plugin stats is always there",
    "httpd*": "gafferd serves HTTP by itself: bind",
    "check_delay": "gaffer is told when a process ends and looks for nothing",
    "warmup_delay": _WHY["warmup_delay"],
}


def convert(path: str) -> tuple[str, list[str]]:
    """Return the text of the gafferd.ini, and what is lost."""
    notes = Notes()
    sections = read(path, (), _included, notes)
    own: dict[str, str] = {}
    for section in sections:
        if section.header == "circus":
            own = _daemon(section, notes)
    watchers = [section for section in sections if section.kind == "watcher" and _has_command(section, notes)]
    rule = _flapping_plugin(sections)
    ranks = _ranks(watchers, notes)
    jobs: list[ConvertedJob] = []
    for section in watchers:
        jobs += usable(section, notes, partial(_job, section, sections, rule, ranks, notes))
    for section in sections:
        if section.kind == "socket":
            notes.add(section, f"[{section.header}] is left out: {_WHY['use_sockets']}")
        elif section.kind == "plugin":
            _tell_plugin(section, notes)
        elif section.kind not in ("circus", "watcher", "env"):
            notes.add(section, f"[{section.header}] is left out: it has no counterpart")
    keep_apart(jobs, notes)
    return write(own, jobs), notes.lines


def _included(section: Section) -> list[str]:
    if section.header != "circus":
        return []
    folders = [os.path.join(folder, "*.ini") for folder in section.take("include_dir").split()]
    return section.take("include").split() + folders


def _daemon(section: Section, notes: Notes) -> dict[str, str]:
    expand = _CircusExpansion(section, {}, notes)
    log = expand.take("logoutput")
    pidfile = expand.take("pidfile")
    own = settings(
        pidfile="" if _EXPANSION.search(pidfile) else pidfile,
        error_log="" if log == "-" or _EXPANSION.search(log) else log,
        log_level=_LEVELS.get(section.take("loglevel").lower(), ""),
        umask=section.take("umask"),
    )
    notes.leftovers(section, _WHY_DAEMON, "has no counterpart")
    return own


def _environment(section: Section, sections: list[Section], inherits: bool, notes: Notes) -> dict[str, str]:
    """Return the variables of a watcher: those for all, then those of patterns, in the order of the file.

    :param inherits: whether the watcher has the environment of its daemon.
    """
    env: dict[str, str] = {}
    for other in sections:
        patterns = [pattern.strip() for pattern in other.name.split(",")] if other.name else ["*"]
        if other.kind == "env" and any(fnmatch.fnmatchcase(section.name, pattern) for pattern in patterns):
            for key, option in other.items.items():
                expand = _CircusExpansion(other, env, notes)
                text = _DOLLAR_SIGN.sub(
                    partial(_known, env, inherits, option, f"[{other.header}] {key}", notes), option.text
                )
                env[key] = expand(text, key, option)
    return env


def _known(env: Mapping[str, str], inherits: bool, place: Value, label: str, notes: Notes, found: re.Match[str]) -> str:
    """Return what ``$NAME`` stands for in a variable."""
    name = found[1] or found[2]
    if name in env:
        return env[name]
    if inherits:
        return variable(name)
    value = notes.value_of(name, place, label)
    return found.group() if value is None else value


def _has_command(section: Section, notes: Notes) -> bool:
    if "cmd" not in section.items:
        notes.add(section, f"[{section.header}] is left out: it has no cmd")
    return "cmd" in section.items


def _ranks(watchers: list[Section], notes: Notes) -> dict[str, int]:
    """Return gaffer's priorities: there the smallest is first, in circus the largest."""
    given = {one.name: whole(one, "priority", 0, notes, least=-sys.maxsize) for one in watchers}
    order = sorted(set(given.values()), reverse=True)
    return {name: order.index(priority) for name, priority in given.items()} if len(order) > 1 else {}


def _flapping_plugin(sections: list[Section]) -> list[str]:
    """Return circus' rule for watchers that flap: attempts, window, retry_in, max_retry."""
    for section in sections:
        if section.kind == "plugin" and section.items.get("use", ("",))[0].endswith(".Flapping"):
            section.take("use")
            return [
                section.take("attempts", "2"),
                section.take("window", "1"),
                section.take("retry_in", "7"),
                section.take("max_retry", "5"),
            ]
    return []


def _tell_plugin(section: Section, notes: Notes) -> None:
    if "use" in section.items:
        notes.add(
            section, f"[{section.header}] is left out: {section.take('use')} has no counterpart; see gaffer's plugins"
        )
    else:
        notes.leftovers(section, {}, "has no counterpart")


def _job(
    section: Section, sections: list[Section], rule: list[str], ranks: dict[str, int], notes: Notes
) -> ConvertedJob:
    inherits = true(section.take("copy_env", "false"))
    env = _environment(section, sections, inherits, notes)
    expand = _CircusExpansion(section, env, notes)
    shell = true(section.take("shell", "false"))
    for key in _SIMPLE:
        if key in section.items:
            option = section.items[key]
            section.items[key] = option._replace(text=expand(option.text, key, option))
    number = whole(section, "numprocesses", 1, notes)
    cmd = f"{expand.take('cmd', marks=not shell)} {expand.take('args', marks=not shell)}".strip()
    found = settings(
        cmd=cmd if shell else command(cmd),
        shell="true" if shell else "",
        cwd=expand.take("working_dir"),
        numprocesses=1 if true(section.take("singleton", "false")) else number,
        # circus gives a process only what the file says, unless it is told otherwise.
        os_env="" if inherits else "false",
        uid=section.take("uid"),
        gid=section.take("gid"),
        start="" if true(section.take("autostart", "true")) else "false",
        restart="" if true(section.take("respawn", "true")) else "never",
        priority=ranks.get(section.name),
        stop_signal=section.take("stop_signal"),
        graceful_timeout=section.take("graceful_timeout"),
        flapping=_flapping(section, rule, notes),
        redirect_output="stdout, stderr",
    )
    found |= _logs(section, expand)
    found |= log_settings(section, notes, _SIZES) if "stdout_logfile" in found or "stderr_logfile" in found else {}
    notes.leftovers(section, _WHY, "has no counterpart")
    return ConvertedJob(section, "", section.name, found, env)


def _logs(section: Section, expand: _CircusExpansion) -> dict[str, str]:
    """Return the log files of circus' FileStream."""
    found = {}
    for stream in ("stdout", "stderr"):
        kind = section.items.get(f"{stream}_stream.class")
        if kind is not None and kind.text.rpartition(".")[2] == "FileStream":
            section.take(f"{stream}_stream.class")
            name = expand.take(f"{stream}_stream.filename")
            if _EXPANSION.search(name):
                continue
            found[f"{stream}_logfile"] = file_name(name)
            if section.take(f"{stream}_stream.time_format"):
                found["logfile_timestamps"] = "true"
    return found


def _flapping(section: Section, rule: list[str], notes: Notes) -> str:
    names = ("attempts", "window", "retry_in", "max_retry")
    given = [section.take(f"flapping.{name}") for name in names]
    active = true(section.take("flapping.active", "true"))
    most = whole(section, "max_retry", 0, notes, least=-1)
    if rule:
        return ", ".join(own or common for own, common in zip(given, rule)) if active else ""
    # Without the plugin, circus gives up after so many starts that did not work.
    return f"{most}, {most}, 1, 0" if most > 0 else ""


class _CircusExpansion(NamedTuple):
    """Replaces ``$(circus.…)``; a variable of the environment becomes one of the command.

    :param env: variables that the file itself sets.
    """

    section: Section
    env: Mapping[str, str]
    notes: Notes

    def take(self, key: str, marks: bool = False) -> str:
        """Take an option, replaced."""
        option = self.section.items.pop(key, None)
        return "" if option is None else self(option.text, key, option, marks)

    def __call__(self, text: str, key: str, place: Value, marks: bool = False) -> str:
        """Return *text*, replaced.

        :param marks: whether it may hold what :func:`variable` returns.
        """
        label = f"[{self.section.header}] {key}"

        def replaced(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            kind, _, rest = name.partition(".")
            if kind.lower() == "env" and rest:
                known = self._variable(rest, key, place, label, marks)
                return found.group() if known is None else known
            if kind.lower() == "wid" and key in ("cmd", "args"):
                self.notes.add(place, f"{label}: circus.wid counts from 1; $GAFFER_INDEX from 0")
                return variable("GAFFER_INDEX") if marks else "$GAFFER_INDEX"
            self.notes.add(place, f"{label}: {found.group()} has no counterpart")
            return found.group()

        return _EXPANSION.sub(replaced, text)

    def _variable(self, name: str, key: str, place: Value, label: str, marks: bool) -> str | None:
        name = next((known for known in [*self.env, *os.environ] if known.lower() == name.lower()), name)
        known = self.env.get(name)
        if marks:
            return known if known is not None and has_variable(known) else variable(name)
        if key in ("cmd", "args"):  # the shell replaces it
            return f"${{{name}}}"
        if known is not None and not has_variable(known):
            return known
        return self.notes.value_of(name, place, label)
