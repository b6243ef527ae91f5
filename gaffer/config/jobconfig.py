"""A job's settings, and the immutable value made from them."""

from __future__ import annotations

import shlex
from types import MappingProxyType
from typing import Any, Iterable, Iterator, Mapping

from ..errors import BadRequest, InvalidConfig, nearest
from .command_template import Template, make_template
from .fields import (
    Account,
    BackoffRule,
    Bool,
    Choice,
    Environment,
    Field,
    FlappingRule,
    Int,
    IntList,
    Kind,
    Labels,
    OptionalSignal,
    OptionalText,
    Seconds,
    Signal,
    Text,
    Umask,
    Words,
    parse_signal,
)
from .names import JobName, parse_job_name

#: stdin has its own setting; ttin is the classic route's other name for it.
RESERVED_LABELS = ("stdin", "ttin")


class Handles(Kind):
    """Inherited handles, given by Python programs only."""

    label = "Python only"

    def parse(self, text: str) -> Any:
        raise ValueError("can be set from Python only")

    def check(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"expected a list of file descriptors or objects with fileno(), not {value!r}")
        for item in value:
            if isinstance(item, bool) or not (isinstance(item, int) or hasattr(item, "fileno")):
                raise ValueError(f"expected file descriptors or objects with fileno(), not {item!r}")
        return tuple(value)

    def to_json(self, value: Any) -> Any:
        return list(value)


CORE_FIELDS: tuple[Field, ...] = (
    Field("name", Text(empty=False), help="the job's name"),
    Field("cmd", Text(empty=False), help="the command, split with shell rules; its extra words come before args"),
    Field("args", Words(), (), "arguments: a list, or a string split with shell rules"),
    Field("env", Environment(), MappingProxyType({}), "environment variables; they win over env_file and the system's"),
    Field("env_file", OptionalText(), None, "a dotenv file, read at every spawn"),
    Field("os_env", Bool(), True, "pass gafferd's own environment, without options and secrets of gaffer"),
    Field("uid", Account(), None, "user to run as"),
    Field("gid", Account(group=True), None, "group to run as; by default the user's"),
    Field("port", Int(1, 65_535, optional=True), None, "PORT of the first copy; each further one gets one more"),
    Field("cwd", OptionalText(), None, "working directory; must exist at spawn"),
    Field("detach", Bool(), False, "survives gafferd; supervised while gafferd lives"),
    Field("shell", Bool(), False, "run the whole line with sh -c"),
    Field("numprocesses", Int(0, 100_000), 1, "how many processes are kept alive", needs_restart=False),
    Field("start", Bool(), True, "start after load", needs_restart=False),
    Field("priority", Int(0, optional=True), None, "0 starts first; by default last", needs_restart=False),
    Field("flapping", FlappingRule(), None, "attempts, window, retry_in, max_retry", needs_restart=False),
    Field(
        "backoff",
        BackoffRule(),
        None,
        "first, factor, longest: seconds before a process that did not live min_uptime is started again; "
        "by default 0.1, 2, 30",
        needs_restart=False,
    ),
    Field(
        "essential",
        Bool(),
        False,
        "when it has ended for good, gafferd stops everything and ends with its exit code",
        needs_restart=False,
    ),
    Field(
        "redirect_output",
        Labels(2, reserved=RESERVED_LABELS),
        (),
        "labels of stdout and stderr; the same label twice merges them",
    ),
    Field("tty", Bool(), False, "stdout and stderr are a terminal, and one stream: the first label's"),
    Field("redirect_input", Bool(), False, "stdin can be written"),
    Field(
        "stdin",
        Choice("auto", "null", "open"),
        "auto",
        "stdin without a writer: the null device, or a pipe that stays open; auto is open with tty, else null",
    ),
    Field(
        "custom_streams",
        # stdout and stderr are what outputs are called that redirect_output does not name.
        Labels(64, distinct=True, reserved=(*RESERVED_LABELS, "stdout", "stderr")),
        (),
        "labels of two-way pipes from descriptor 3 up",
    ),
    Field("custom_channels", Handles(), (), "inherited handles (Python only)"),
    Field("graceful_timeout", Seconds(), 30.0, "seconds between the stop signal and KILL", needs_restart=False),
    Field("stop_signal", Signal(), parse_signal("TERM"), "the signal that asks a process to stop", needs_restart=False),
    Field(
        "restart",
        Choice("always", "on-failure", "never"),
        "always",
        "when a process that exits is replaced",
        needs_restart=False,
    ),
    Field(
        "exit_codes", IntList(), (0,), "exit codes that are no failure, for restart = on-failure", needs_restart=False
    ),
    Field("min_uptime", Seconds(), 1.0, "a process that lived this long started well", needs_restart=False),
    Field("umask", Umask(), None, "file mode mask; by default gafferd's"),
    Field(
        "reload",
        Choice("replace", "rolling"),
        "replace",
        "how processes are replaced: all at once, or one after another when each new one is ready",
        needs_restart=False,
    ),
    Field("max_surge", Int(0, 1000), 1, "rolling: processes more than wanted meanwhile", needs_restart=False),
    Field("max_unavailable", Int(0, 1000), 0, "rolling: processes fewer than wanted meanwhile", needs_restart=False),
    Field(
        "reload_rollback",
        Bool(),
        True,
        "rolling: go back to the old configuration if a new process does not become ready",
        needs_restart=False,
    ),
    Field(
        "reload_signal",
        OptionalSignal(),
        None,
        "signal by which the program reloads itself: a reload sends it and replaces nothing",
        needs_restart=False,
    ),
)


class JobFields:
    """The table of job settings of one manager: the core's and those of its plugins.

    Plugins add theirs in the ``gaffer_job_settings(fields)`` hook.
    """

    def __init__(self) -> None:
        self._fields: dict[str, Field] = {field.name: field for field in CORE_FIELDS}

    def add(self, name: str, kind: Kind, default: Any = None, help: str = "", needs_restart: bool = True) -> None:
        """Declare a setting.

        :param name: its key, by convention beginning with the plugin's name.
        :param kind: an instance of one of the kinds of :mod:`gaffer.config.fields`.
        :param default: the value of jobs that do not say; None means "not set".
        :raises ValueError: the name is taken or no name, or *kind* refuses the default.
        """
        if name in self._fields:
            raise ValueError(f"job setting {name!r} is declared already")
        if not name.isidentifier() or name.startswith("_") or name in _OWN or hasattr(JobConfig, name):
            raise ValueError(f"{name!r} cannot be the name of a job setting; settings are attributes of JobConfig")
        try:
            default = None if default is None else kind.check(default)
        except ValueError as error:
            raise ValueError(f"job setting {name!r}: the default: {error}") from None
        self._fields[name] = Field(name, kind, default, help, needs_restart)

    def get(self, name: str) -> Field | None:
        return self._fields.get(name)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())

    def names(self) -> list[str]:
        """Return all keys, in declaration order."""
        return list(self._fields)

    def unknown(self, key: str) -> str:
        """Return the sentence for a key that no field has."""
        return f"unknown setting '{key}'{nearest(key, self._fields)}"


#: Wrong settings of one job for which the nearest known one is looked for.
MOST_NEAREST = 20
CORE = JobFields()
#: Attributes of every :class:`JobConfig` beside its settings.
_OWN = frozenset(("fields", "job_name", "template"))


class JobConfig:
    """The settings of one job, checked and immutable.

    :param name: ``job`` or ``session.job`` in any spelling.
    :param cmd: the command, split with shell rules.
    :param settings: the other settings of docs/configuration.rst. Keys that the core does
        not know are kept and checked against the plugins' settings at load.
    :raises InvalidConfig: lists every wrong value.

    Settings read as attributes: ``config.numprocesses``. Equality compares all.
    """

    _values: dict[str, Any]
    _extra: dict[str, Any]
    fields: JobFields
    job_name: JobName
    template: Template | None

    def __init__(self, name: str, cmd: str, **settings: Any) -> None:
        self._fill({"name": name, "cmd": cmd, **settings}, CORE, strict=False)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], fields: JobFields = CORE, strict: bool = True) -> JobConfig:
        """Check a mapping such as JSON gives.

        :param config: all settings by name, ``name`` and ``cmd`` among them.
        :param fields: the table to check against, a manager's ``job_fields``.
        :param strict: whether a key unknown to *fields* is an error.
        :raises InvalidConfig: lists every problem, with the nearest known key.
        """
        if not isinstance(config, Mapping):
            raise BadRequest(f"a job must be an object with at least name and cmd, not {config!r}")
        made = cls.__new__(cls)
        made._fill(dict(config), fields, strict)
        return made

    def _fill(self, settings: dict[str, Any], fields: JobFields, strict: bool) -> None:
        problems: list[str] = []
        self.__dict__.update(fields=fields, _values={}, _extra={}, template=None)
        for key, value in settings.items():
            field = fields.get(key) if isinstance(key, str) else None
            if field is None:
                self._extra[key] = value
                if strict:
                    # Looking for the nearest takes time, which is everybody's, and so many are no mistyped ones.
                    few = len(problems) < MOST_NEAREST
                    problems.append(fields.unknown(str(key)) if few else f"unknown setting '{key}'")
                continue
            try:
                checked = field.kind.check(value)
            except ValueError as error:
                problems.append(f"{key}: {error}")
                continue
            if checked != field.default or field.default is None and checked is not None:
                self._values[key] = checked
        # Real attributes, defaults too: some are read at every start of a process.
        self.__dict__.update({field.name: self._values.get(field.name, field.default) for field in fields})
        # A value that its kind refused needs no second sentence.
        refused = {problem.partition(":")[0] for problem in problems}
        if "name" not in refused:
            problems += self._check_name(settings)
        problems += self._check_command(settings, refused)
        if not refused & {"redirect_output", "custom_streams"}:
            problems += self._check_labels()
        if problems:
            raise InvalidConfig(problems)

    def _check_name(self, settings: Mapping[str, Any]) -> list[str]:
        if "name" not in settings:
            return ["name: required"]
        try:
            self.__dict__["job_name"] = parse_job_name(settings["name"])
        except BadRequest as error:
            return [f"name: {error}"]
        return []

    def _check_command(self, settings: Mapping[str, Any], refused: set[str]) -> list[str]:
        if "cmd" not in settings:
            return ["cmd: required"]
        if self.shell or refused & {"cmd", "args"}:
            return []
        try:
            self.__dict__["template"] = make_template(self.cmd, self.args)
        except ValueError as error:
            return [f"cmd: {error}"]
        return []

    def _check_labels(self) -> list[str]:
        """A label is how a stream is asked for, so it can be only one."""
        shared = [label for label in self.custom_streams if label in self.redirect_output]
        problems = [f"custom_streams: label {label!r} is in redirect_output already" for label in shared]
        if self.reload == "rolling" and not self.max_surge and not self.max_unavailable:
            problems.append(
                "max_surge: 0 with max_unavailable = 0 leaves no way to replace a process; make one of them 1"
            )
        if self.tty and len(set(self.redirect_output)) > 1:
            problems.append("redirect_output: on a terminal stdout and stderr are one stream; give one label")
        return problems

    def __getattr__(self, key: str) -> Any:
        """Called for what is no field: a setting of a plugin that no manager has declared yet."""
        if not key.startswith("_") and key in self._extra:
            return self._extra[key]
        raise AttributeError(f"no job setting {key!r}")

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"job settings cannot be changed; use replace({key}=…)")

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting, or *default* if no field has that name."""
        return getattr(self, key, default)

    @property
    def shell_line(self) -> str:
        """The whole line that ``sh -c`` gets when ``shell`` is set."""
        args = self.args if isinstance(self.args, str) else shlex.join(self.args)
        return f"{self.cmd} {args}" if args else self.cmd

    def variables(self) -> dict[str, str]:
        """Return the environment variables that settings use, each with the first setting that does."""
        found = dict.fromkeys(self.template.variables(), "cmd") if self.template is not None else {}
        for key, value in self._values.items():
            field = self.fields.get(key)
            for name in field.kind.variables(value) if field is not None else ():
                found.setdefault(name, key)
        return found

    def resolve(self, fields: JobFields) -> JobConfig:
        """Return this configuration checked against *fields*; unknown keys are errors now."""
        if fields is self.fields and not self._extra:
            return self
        return type(self).from_dict(self._raw(), fields)

    def replace(self, **changes: Any) -> JobConfig:
        """Return a copy with *changes*, checked again."""
        return type(self).from_dict({**self._raw(), **changes}, self.fields, strict=False)

    def _raw(self) -> dict[str, Any]:
        return {**self._values, **self._extra}

    def to_dict(self) -> dict[str, Any]:
        """Return every setting as JSON shows it, defaults included, handles left out."""
        shown = {
            field.name: field.kind.to_json(getattr(self, field.name))
            for field in self.fields
            if field.name != "custom_channels"
        }
        return {**shown, **self._extra}

    def changed(self, other: JobConfig) -> set[str]:
        """Return the names of the settings in which *other* differs."""
        names = {field.name for field in (*self.fields, *other.fields)} | set(self._extra) | set(other._extra)
        differing = {name for name in names - {"name"} if self.get(name) != other.get(name)}
        # Spellings of one name, "web" and "default.web", are no difference.
        return differing if self.job_name == other.job_name else differing | {"name"}

    def needs_restart(self, other: JobConfig) -> bool:
        """Tell whether going from this configuration to *other* needs new processes."""
        return any(_needs_restart(other.fields, name) for name in self.changed(other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobConfig) and not self.changed(other)

    def __hash__(self) -> int:
        return hash((self.job_name, self.cmd))

    def __repr__(self) -> str:
        return f"JobConfig({self.name!r}, {self.cmd!r})"


def _needs_restart(fields: JobFields, name: str) -> bool:
    field = fields.get(name)
    return field is None or field.needs_restart


def sort_by_priority(configs: Iterable[JobConfig]) -> list[JobConfig]:
    """Return *configs* in start order: 0 first, those without a priority last, else as given."""
    return sorted(configs, key=lambda config: (config.priority is None, config.priority or 0))
