"""Applications: a Procfile with its environment, its ports and how many of each type, as settings of jobs.

All commands that run an application, here or on a gafferd, read it by :func:`read_application`, which finds
everything that is wrong at once. Types of processes are numbered in the order of the Procfile, whether
they are wanted or not, so that each keeps its ports: 5100 for the first copy of the first type, one more
for each further copy, 100 more for each further type.
"""

from __future__ import annotations

import os
import re
from typing import Any, Iterable, Mapping, NamedTuple

from ..config.dependencies import Dependency, needed_first
from ..config.dotenv import DotenvVariable, read_env_lines
from ..config.jobconfig import CORE, JobConfig, JobFields
from ..config.names import JobName
from ..config.text_file import read_text
from ..errors import BadRequest, ConfigError, InvalidConfig, Problem, nearest
from .depends import Needs, completes, own_type, read_needs
from .naming import application_name, find_procfile
from .parser import (
    BASE_PORT,
    GID,
    LAST_PORT,
    MAX_SIZE,
    PORT_STEP,
    REDIRECT_INPUT,
    UID,
    job_settings,
    parse_lines,
    words,
)

#: In ``-c``, every type that is not named itself.
ALL = "all"
#: Settings that come from a variable of the environment files.
_FROM_VARIABLES = {"uid": UID, "gid": GID}
_CONCURRENCY = re.compile(r"([^=]*)=([0-9]{1,6})")


class ProcessType(NamedTuple):
    """A line of a Procfile.

    :param line: its number.
    :param port: ``PORT`` of its first copy; None without ports.
    :param number: how many processes are wanted.
    :param chosen: whether it was asked for; False if others were named.
    :param needs: what it waits for.
    :param once: whether others wait until it has completed.
    """

    name: str
    command: str
    line: int
    port: int | None
    number: int
    chosen: bool
    needs: Needs = Needs()
    once: bool = False

    def ports(self) -> str:
        """Return its ports as text: ``5100``, ``5100-5102`` or ``""``."""
        if self.port is None or not self.number:
            return ""
        return f"{self.port}-{self.port + self.number - 1}" if self.number > 1 else str(self.port)


class ProcfileApplication(NamedTuple):
    """An application without any problem; :func:`read_application` makes one.

    :param name: its session on a gafferd.
    :param file: the Procfile's path.
    :param root: its folder, where its processes run.
    :param env: its variables, those for gaffer among them.
    :param types: all types, in the order of the Procfile.
    """

    name: str
    file: str
    root: str
    env: dict[str, str]
    types: tuple[ProcessType, ...]

    @property
    def chosen(self) -> list[ProcessType]:
        """The types that were asked for."""
        return [one for one in self.types if one.chosen]

    def settings(self, one: ProcessType) -> dict[str, Any]:
        """Return the settings of a type's job, as JSON has them; its name is ``session.type``."""
        found = job_settings(one.name, one.command, self.env, self.root, one.number, one.port)
        if one.once:
            found["restart"] = "on-failure"
        needs = self._needs(one)
        if needs:
            found |= {"depends_on": [str(need) for need in needs], "on_lost": one.needs.policy}
        return {**found, "name": JobName(self.name, one.name).full}

    def _needs(self, one: ProcessType) -> list[Dependency]:
        """Return what a type waits for, without the types that are not run."""
        idle = {other.name for other in self.types if not other.chosen or not other.number}
        return [need for need in one.needs.dependencies if own_type(need, self.name) not in idle]

    def jobs(self) -> list[dict[str, Any]]:
        """Return the settings of the jobs of all types that were asked for, each behind those that it waits for."""
        by_name = {one.name: one for one in self.chosen}
        order = needed_first(by_name, lambda name: [need.job for need in self._needs(by_name[name])])
        return [self.settings(by_name[name]) for name in order]

    def configs(self, fields: JobFields = CORE) -> list[JobConfig]:
        """Return the jobs of all types that were asked for.

        :param fields: the manager's table of settings.
        """
        # A program's own table may lack what plugins declare: those settings are checked when the jobs are loaded.
        return [JobConfig.from_dict(settings, fields, strict=fields is not CORE) for settings in self.jobs()]

    def ports(self) -> dict[str, int]:
        """Return ``{"web.1": 5100, …}`` for every process that is wanted and gets a port."""
        return {
            f"{one.name}.{copy + 1}": one.port + copy
            for one in self.chosen
            if one.port is not None
            for copy in range(one.number)
        }


def read_application(
    procfile: str | None = None,
    root: str | None = None,
    envs: Iterable[str] = (),
    *,
    dotenv: bool = True,
    name: str | None = None,
    concurrency: Iterable[str] = (),
    port: int | None = None,
    ports: bool = True,
    only: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> ProcfileApplication:
    """Read and check an application.

    :param procfile: see :func:`find_procfile`, as for *root*.
    :param envs: dotenv files, read after the ``.env`` of the root; a later one wins.
    :param dotenv: whether that ``.env`` is read.
    :param name: see :func:`application_name`.
    :param concurrency: texts such as ``web=2,worker=3``; ``all=2`` means the types that are not named.
    :param port: the first port; by default ``PORT`` of the files or of *environ*, or 5100.
    :param ports: whether ``PORT`` is set at all; without, the files may set it, the same for all.
    :param only: names of the types that are wanted; all if there are none.
    :param environ: the environment we run in; by default the real one.
    :raises ConfigError: every problem, with file and line where it has them.
    """
    path, root = find_procfile(procfile, root)
    problems: list[Problem] = []
    found = _read_types(path, problems)
    variables = _read_variables([*_own_dotenv(root if dotenv else None), *envs], problems)
    numbers = _read_numbers(concurrency, found, problems)
    only = list(only)
    for one in only:
        if found and one not in found:
            problems.append(_unknown("", path, one, found))
    try:
        name = application_name(name, root)
    except BadRequest as error:
        problems.append(Problem("", 0, str(error)))
        name = application_name(None, root)
    needs = read_needs(root, name, found, problems)
    once = completes(needs, name)
    base = _base_port(port, variables, os.environ if environ is None else environ, problems) if ports else None
    types = tuple(
        ProcessType(
            one,
            command,
            line,
            None if base is None else base + PORT_STEP * place,
            numbers.get(one, numbers.get(ALL, 1)),
            not only or one in only,
            needs.get(one, Needs()),
            one in once,
        )
        for place, (one, (line, command)) in enumerate(found.items())
    )
    env = {key: variable.value for key, variable in variables.items()}
    application = ProcfileApplication(name, path, root, env, types)
    _check_input(variables, found, problems)
    _check_ports(application, problems)
    _check_jobs(application, variables, problems)
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return application


def _read_types(path: str, problems: list[Problem]) -> dict[str, tuple[int, str]]:
    if not os.path.exists(path):
        problems.append(Problem(path, 0, "there is no such Procfile; name one with -f FILE, or its folder with -d DIR"))
        return {}
    try:
        found, wrong = parse_lines(read_text(path, MAX_SIZE), path)
    except ConfigError as error:
        problems += error.problems
        return {}
    problems += wrong
    return found


def _own_dotenv(root: str | None) -> list[str]:
    own = None if root is None else os.path.normpath(os.path.join(root, ".env"))
    return [own] if own is not None and os.path.lexists(own) else []


def _read_variables(envs: Iterable[str], problems: list[Problem]) -> dict[str, DotenvVariable]:
    variables: dict[str, DotenvVariable] = {}
    for path in dict.fromkeys(envs):
        if not os.path.lexists(path):
            problems.append(Problem(path, 0, "there is no such environment file; create it, or leave out -e"))
            continue
        found, wrong = read_env_lines(path, {name: variable.value for name, variable in variables.items()})
        variables.update(found)
        problems += wrong
    return variables


def _read_numbers(concurrency: Iterable[str], types: Mapping[str, Any], problems: list[Problem]) -> dict[str, int]:
    """Return ``{type: number}`` for ``web=2,worker=3``."""
    numbers: dict[str, int] = {}
    for part in [part.strip() for text in concurrency for part in text.split(",")]:
        match = _CONCURRENCY.fullmatch(part)
        if match is None:
            problems.append(Problem("", 0, f"-c takes TYPE=NUMBER,TYPE=NUMBER, such as web=2,worker=1, not {part!r}"))
        elif match[1] != ALL and types and match[1] not in types:
            problems.append(_unknown("-c: ", "the Procfile", match[1], types))
        elif match[1] in numbers:
            problems.append(Problem("", 0, f"-c: {match[1]} is given twice"))
        else:
            numbers[match[1]] = int(match[2])
    return numbers


def _unknown(where: str, file: str, name: str, types: Mapping[str, Any]) -> Problem:
    known = nearest(name, types) or f"; it has {', '.join(types)}"
    return Problem("", 0, f"{where}{file} has no process type {name!r}{known}")


def _base_port(
    port: int | None, variables: Mapping[str, DotenvVariable], environ: Mapping[str, str], problems: list[Problem]
) -> int:
    if port is not None:
        return port
    variable = variables.get("PORT", DotenvVariable(environ.get("PORT", ""), "", 0))
    text = variable.value.strip()
    if not text:
        return BASE_PORT
    if text.isascii() and text.isdigit() and 0 < int(text) <= LAST_PORT:
        return int(text)
    sentence = f"PORT: expected a number from 1 to {LAST_PORT}, not {text!r}; --port and --no-port win over it"
    problems.append(Problem(variable.file, variable.line, sentence))
    return BASE_PORT


def _check_input(variables: Mapping[str, DotenvVariable], types: Mapping[str, Any], problems: list[Problem]) -> None:
    variable = variables.get(REDIRECT_INPUT)
    if variable is None or not types:
        return
    for one in words(variable.value):
        if one not in types:
            problem = _unknown(f"{REDIRECT_INPUT}: ", "the Procfile", one, types)
            problems.append(Problem(variable.file, variable.line, problem.message))


def _check_ports(application: ProcfileApplication, problems: list[Problem]) -> None:
    for one in application.chosen:
        if one.port is None or not one.number:
            continue
        if one.number > PORT_STEP:
            sentence = f"{one.number} processes of {one.name}: a type has {PORT_STEP} ports; use --no-port for more"
            problems.append(Problem("", 0, sentence))
        elif one.port + one.number - 1 > LAST_PORT:
            sentence = f"{one.name} would get the ports {one.ports()}, and {LAST_PORT} is the last"
            problems.append(Problem(application.file, one.line, f"{sentence}; choose a lower --port, or use --no-port"))


def _check_jobs(
    application: ProcfileApplication, variables: Mapping[str, DotenvVariable], problems: list[Problem]
) -> None:
    # Without a type that is right, user and group are checked in an invented one.
    for one in application.types or (ProcessType("x", "x", 0, None, 1, False),):
        try:
            JobConfig.from_dict(application.settings(one), strict=False)
        except InvalidConfig as error:
            for sentence in error.problems:
                if not sentence.startswith("port: "):  # those that are wanted are looked at above
                    problems.append(_placed(sentence, application, one, variables))


def _placed(
    sentence: str, application: ProcfileApplication, one: ProcessType, variables: Mapping[str, DotenvVariable]
) -> Problem:
    """Return the problem with a setting where it was written: in an environment file, or the line of the type."""
    setting, _, rest = sentence.partition(": ")
    variable = variables.get(_FROM_VARIABLES.get(setting, ""))
    if variable is not None:
        return Problem(variable.file, variable.line, f"{_FROM_VARIABLES[setting]}: {rest}")
    return Problem(application.file, one.line, f"{one.name}: {sentence}")
