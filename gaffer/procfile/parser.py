"""Procfiles: what an application consists of, a line ``name: command`` for each type of process.

Names are letters, digits, ``_`` and ``-``; blank lines and lines that begin with ``#`` are skipped,
anything else is an error that names its line. Variables come from the ``.env`` beside the Procfile and from
files given besides; a later file wins.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Any, ItemsView, Iterable, Mapping

from ..config.command_template import make_template
from ..config.dotenv import read_env_file
from ..config.ini_section import can_name_variable, ini_command, ini_value
from ..config.names import check_name, clean_name
from ..config.text_file import read_text
from ..errors import BadRequest, ConfigError, GafferError, InvalidConfig, Problem, nearest

if TYPE_CHECKING:
    import configparser

#: Bytes of a Procfile; more is a mistake.
MAX_SIZE = 1_048_576
#: Variables that tell gaffer something and are not passed on: user, group, and which types get a stdin.
UID, GID, REDIRECT_INPUT = "GAFFER_UID", "GAFFER_GID", "GAFFER_REDIRECT_INPUT"
#: ``PORT`` of the first copy of the first type; each type has that many more ports than the one before.
BASE_PORT, PORT_STEP, LAST_PORT = 5100, 100, 65_535

_LINE = re.compile(r"([A-Za-z0-9_-]+):[ \t]*(.*)")
#: What a line begins with that only a shell understands: assignments, builtins, keywords.
_SHELL_START = re.compile(
    r"[A-Za-z_][A-Za-z0-9_]*=|(?:[.:!{]|case|cd|eval|exec|export|for|if|set|source|trap|ulimit|umask|unset|until|while)\s"
)


def get_env(envs: Iterable[str] = ()) -> dict[str, str]:
    """Return the variables of dotenv files; a later file wins.

    :raises InvalidConfig: one cannot be read.
    """
    env: dict[str, str] = {}
    for path in envs:
        env.update(read_env_file(path, earlier=env))
    return env


class Procfile:
    """The types of processes of an application, and their environment.

    :param procfile: its path.
    :param root: the application's folder; by default the one that holds the Procfile.
    :param envs: dotenv files, read after the root's own ``.env``.
    :raises ConfigError: every problem with file and line. :raises InvalidConfig: a dotenv file cannot be read.
    """

    def __init__(self, procfile: str, root: str | None = None, envs: Iterable[str] | None = None) -> None:
        self.procfile = procfile
        self.root = root or os.path.dirname(procfile) or "."
        own = os.path.join(self.root, ".env")
        self.env = get_env([*([own] if os.path.isfile(own) else []), *(envs or ())])
        self.cfg = self.parse(procfile)

    def parse(self, procfile: str) -> dict[str, str]:
        """Return ``{name: command line}`` of a Procfile, in its order.

        :raises ConfigError: every problem with file and line.
        """
        return parse_text(read_text(procfile, MAX_SIZE), procfile)

    def parse_cmd(self, v: str) -> tuple[str, list[str]]:
        """Return the command and the arguments of a command line, split by the shell's rules; nothing is replaced.

        :raises BadRequest: it cannot be split, or is empty.
        """
        try:
            words = shlex.split(v)
        except ValueError as error:
            raise BadRequest(f"{v!r} cannot be split into words: {error}") from None
        if not words:
            raise BadRequest("the command is empty")
        return words[0], words[1:]

    def processes(self) -> ItemsView[str, str]:
        """Return the names and command lines, in the order of the Procfile."""
        return self.cfg.items()

    def get_appname(self) -> str:
        """Return the name of the root folder."""
        return os.path.basename(os.path.abspath(self.root))

    def as_dict(self, name: str, concurrency_settings: Mapping[str, int] | None = None) -> dict[str, Any]:
        """Return one type as the settings of a job, as ``gafferctl load_process`` takes them.

        The command runs in a shell only where it needs one.

        :param concurrency_settings: numbers of processes by type; 1 for those left out.
        :raises BadRequest: there is no such type, or a number is none.
        """
        if name not in self.cfg:
            raise BadRequest(f"{self.procfile} has no process type {name!r}{nearest(name, self.cfg)}")
        number = self._check_concurrency(concurrency_settings or {}).get(name, 1)
        base = self.env.get("PORT", "")
        if base and not (base.isascii() and base.isdigit() and 0 < int(base) <= LAST_PORT):
            raise BadRequest(f"PORT: expected a number from 1 to {LAST_PORT}, not {base!r}")
        port = int(base or BASE_PORT) + PORT_STEP * list(self.cfg).index(name)
        return job_settings(name, self.cfg[name], self.env, self.root, number, port)

    def as_configparser(self, concurrency_settings: Mapping[str, int] | None = None) -> configparser.ConfigParser:
        """Return all types as sections ``process:APP:NAME`` of an ini file, to be written where gafferd can include it.

        :raises InvalidConfig: a variable has a name or a value that an ini file cannot hold.
        """
        import configparser

        config = configparser.ConfigParser(interpolation=None)
        # The default writes names in lower case.
        config.optionxform = str  # type: ignore[assignment,method-assign]
        session = clean_name(self.get_appname())
        for name in self.cfg:
            settings = self.as_dict(name, concurrency_settings)
            env = settings.pop("env")
            del settings["name"]
            config[f"process:{session}:{name}"] = {key: _ini_text(key, value) for key, value in settings.items()}
            if env:
                config[f"env:{session}:{name}"] = {_ini_name(key): _ini_value(key, value) for key, value in env.items()}
        return config

    def _check_concurrency(self, settings: Mapping[str, int]) -> Mapping[str, int]:
        for name, number in settings.items():
            if name not in self.cfg:
                raise BadRequest(f"{self.procfile} has no process type {name!r}{nearest(name, self.cfg)}")
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise BadRequest(f"{name}: expected a number of processes, not {number!r}")
        return settings


def job_settings(
    name: str, command: str, env: Mapping[str, str], root: str, number: int, port: int | None
) -> dict[str, Any]:
    """Return one type of process as the settings of a job, as JSON has them.

    :param env: variables of the application, :data:`UID` and so on among them.
    :param root: the application's folder, where it runs.
    :param number: how many processes.
    :param port: ``PORT`` of the first one; without, *env* may say.
    """
    settings: dict[str, Any] = {
        "name": name,
        "cmd": command,
        "cwd": os.path.abspath(root),
        "env": {key: value for key, value in env.items() if key not in (UID, GID, REDIRECT_INPUT)},
        "numprocesses": number,
        "redirect_output": ["stdout", "stderr"],
    }
    if port is not None:
        settings["port"] = port
        settings["env"].pop("PORT", None)
    if needs_shell(command):
        settings["shell"] = True
    if name in words(env.get(REDIRECT_INPUT, "")):
        settings["redirect_input"] = True
    else:
        settings["stdin"] = "open"  # as in a terminal: programs that watch files end when stdin does
    accounts = {"uid": env.get(UID), "gid": env.get(GID)}
    return settings | {key: value for key, value in accounts.items() if value}


def words(text: str) -> list[str]:
    """Return the words of a list that commas or blanks separate."""
    return [word for word in re.split(r"[\s,]+", text) if word]


def parse_text(text: str, file: str = "") -> dict[str, str]:
    """Return ``{name: command line}`` of a Procfile's text.

    :param file: the name that problems carry.
    :raises ConfigError: lists every problem.
    """
    found, problems = parse_lines(text, file)
    if problems:
        raise ConfigError(problems)
    return {name: command for name, (_, command) in found.items()}


def parse_lines(text: str, file: str = "") -> tuple[dict[str, tuple[int, str]], list[Problem]]:
    """Return ``{name: (line, command line)}`` of a Procfile's text, and every problem.

    :param file: the name that problems carry.
    """
    found: dict[str, tuple[int, str]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            name, command = _read_line(line)
            if name in found:
                raise ValueError(f"{name} appears a second time; the first is in line {found[name][0]}")
        except (GafferError, ValueError) as error:
            problems.append(Problem(file, number, str(error)))
        else:
            found[name] = number, command
    if not found and not problems:
        problems.append(Problem(file, 0, "there is no 'name: command' in it"))
    return found, problems


def _read_line(line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"expected 'name: command', not {_short(line)}")
    name, command = match.groups()
    check_name(name, "process type")
    if not command:
        raise ValueError(f"{name}: the command is missing")
    if "\0" in command:
        raise ValueError(f"{name}: a NUL character cannot be passed to a process")
    if not needs_shell(command):
        try:
            make_template(command)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return name, command


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")


def needs_shell(line: str) -> bool:
    """Tell whether a command line means something that only a shell can do: variables, pipes, patterns, builtins."""
    if _SHELL_START.match(line):
        return True
    at, quote = 0, ""
    while at < len(line):
        char = line[at]
        if char == "\\" and quote != "'":
            at += 2
            continue
        if char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        elif quote != "'" and char in "$`":
            return True
        elif not quote and _is_meta(line, at):
            return True
        at += 1
    return False


def _is_meta(line: str, at: int) -> bool:
    if line[at] in "~#":
        return at == 0 or line[at - 1].isspace()
    return line[at] in "|&;<>()*?["


# -- ini files ------------------------------------------------------------------------


def _ini_text(key: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, bool):
        return "true"
    return ini_command(key, value) if key == "cmd" else _ini_value(key, str(value))


def _ini_name(key: str) -> str:
    if not can_name_variable(key):
        raise InvalidConfig(f"an ini file cannot hold a variable called {key!r}: names there are upper case")
    return key


def _ini_value(key: str, value: str) -> str:
    if "\n" in value:  # ConfigParser would indent what follows
        raise InvalidConfig(
            f"an ini file cannot hold the line break in the value of {key} so; 'gaffer export' writes it"
        )
    return ini_value(key, value)
