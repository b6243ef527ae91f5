"""A command line whose commands are imported when called, and how it ends.

Exit codes: 0 done, 1 the operation failed, 2 wrong usage or configuration,
3 gafferd cannot be reached, 4 not allowed, 130 interrupted. A failure is told in
one line on stderr, never as a traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, Mapping, NoReturn, Sequence, TypeVar

import click

from ...errors import ConfigError, GafferError, Unauthorized, nearest
from ...service.exit_codes import BROKEN_PIPE, DONE, FAILED, INTERRUPTED, NOT_ALLOWED, UNREACHABLE, USAGE
from ...version import __version__
from .output import View, chosen_form, show
from .output import complain as complain

if TYPE_CHECKING:
    from ...httpclient import Cluster, Node

#: Why a file or disk takes no more output.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Entry points whose ``gaffer_cli(cli)`` adds commands of plugins.
ENTRY_POINTS = "gaffer.cli"
#: Context settings of commands whose last arguments may begin with a dash.
DASHES = {"ignore_unknown_options": True, "help_option_names": ["--help"]}

FOLDER_GONE = "the folder you are in is gone; change to another one"

_F = TypeVar("_F", bound=Callable[..., Any])


class Failed(GafferError):
    """A failed operation; the sentence is printed as it is."""

    code = "failed"


class ReaderLeft(SystemExit):
    """The end of a program whose output is not read any more, as after ``| head``."""

    def __init__(self) -> None:
        super().__init__(BROKEN_PIPE)


class ProgramCommand(click.Command):
    """A command whose options are also read from ``PROGRAM_<OPTION>``, without the command's name."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if parent is None:
            return super().make_context(info_name, args, parent, **extra)
        extra.setdefault("auto_envvar_prefix", parent.auto_envvar_prefix)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.NoSuchOption as error:
            root, option = parent.find_root(), error.option_name
            if not any(option in one.opts for one in root.command.params):
                raise
            words = f"{parent.command_path} {info_name}".removeprefix(f"{root.info_name} ")
            sentence = f"{option} stands before the command: {root.info_name} {option} ... {words}"
            raise click.UsageError(sentence, error.ctx) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_help(args))

    def invoke(self, ctx: click.Context) -> Any:
        result = super().invoke(ctx)
        if not isinstance(result, View):
            return result
        show(result, chosen_form(ctx))
        return ctx.exit(result.exit_code)


class ProgramGroup(click.Group):
    """A command with commands of its own; their options are read from ``PROGRAM_<OPTION>``, too."""

    command_class = ProgramCommand

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if parent is not None:
            extra.setdefault("auto_envvar_prefix", parent.auto_envvar_prefix)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_help(args))


def _with_help(args: list[str]) -> list[str]:
    """Replace ``-h`` in the first place: later arguments may begin with a dash.

    click keeps the names of a command's help option from the context that came first, which may not have known it.
    """
    return ["--help", *args[1:]] if args[:1] == ["-h"] else args


def command(name: str, **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Return the decorator that makes a function a command."""
    return click.command(name, cls=ProgramCommand, **settings)


no_wait_option = click.option("--no-wait", is_flag=True, help="Return when gafferd has accepted the request.")


class TimeoutType(click.FloatRange):
    """Seconds from 0. Unlike click's range it rejects nan, after which no wait would ever end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return *value* as a number.

        :raises click.BadParameter: it is none, negative or nan.
        """
        seconds: float = super().convert(value, param, ctx)
        if seconds != seconds:
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


def timeout_option(help: str) -> Callable[[_F], _F]:
    """Return the decorator that adds ``--timeout``, in seconds."""
    return click.option("--timeout", type=TimeoutType(min=0), metavar="SECONDS", help=help)


def patience_options(function: _F) -> _F:
    """Add ``--connect-timeout`` and ``--timeout``, before the command."""
    seconds: dict[str, Any] = {"type": TimeoutType(min=0, min_open=True), "metavar": "SECONDS", "show_default": True}
    connect = click.option("--connect-timeout", default=5.0, help="To wait for a connection.", **seconds)
    return connect(click.option("--timeout", default=30.0, help="To wait for an answer.", **seconds)(function))


def port_options(function: _F) -> _F:
    """Add the options for the numbers of processes and for their ports."""
    for option in (
        click.option("--no-port", is_flag=True, help="Set no PORT."),
        click.option(
            "-p", "--port", type=click.IntRange(1, 65_535), metavar="N", help="First PORT; by default PORT, or 5100."
        ),
        click.option(
            "-c",
            "--concurrency",
            metavar="TYPE=N[,TYPE=N]...",
            multiple=True,
            help="How many processes of a type; all=N for the others. By default 1.",
        ),
    ):
        function = option(function)
    return function


class Program(click.Group):
    """A program with commands in sections.

    :param sections: ``{title: {command: "module:attribute"}}``; modules are
        relative to this package and are imported when a command is called.
    :param aliases: other names of commands, not listed in the help.
    :param plugins: whether plugins add commands, as to any click group; ``ctx.obj`` must be the
        :class:`~gaffer.httpclient.Server` then.
    :param elsewhere: what some commands are with ``-L``, where they mean something else.
    :param everywhere: makes of a context with ``-L`` the cluster, and what makes a node's ``ctx.obj``.
    :param remedy: ``"module:function"`` that adds to a refusal for want of a key what to do; it gets the sentence,
        the address and the program's name.

    ``-`` and ``_`` in a command's name are the same.
    """

    command_class = ProgramCommand

    def __init__(
        self,
        name: str,
        sections: Mapping[str, Mapping[str, str]],
        aliases: Mapping[str, str] | None = None,
        plugins: bool = True,
        everywhere: Callable[[click.Context], tuple[Cluster, Callable[[Node], Any]]] | None = None,
        elsewhere: Mapping[str, str] | None = None,
        remedy: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(name, context_settings={"help_option_names": ["-h", "--help"]}, **settings)
        self.sections = sections
        self._everywhere = everywhere
        self._elsewhere = elsewhere or {}
        self._remedy = remedy
        self._spellings = {_spelling(known): known for section in sections.values() for known in section}
        self._spellings.update({_spelling(alias): known for alias, known in (aliases or {}).items()})
        self._plugins_asked = not plugins

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:  # of --help and --version
            raise ReaderLeft from None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = self._spellings.get(_spelling(cmd_name))
        if known is not None:
            return self._import(known)
        self.ask_plugins()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self.ask_plugins()
        return [*(known for section in self.sections.values() for known in section), *self._added()]

    def _added(self) -> list[str]:
        """Return the names of plugins' commands; they cannot replace ours."""
        return sorted(name for name in self.commands if _spelling(name) not in self._spellings)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        wanted = args[0]
        if not wanted.startswith("-") and self.get_command(ctx, wanted) is None:
            ctx.fail(f"No such command '{wanted}'{nearest(wanted, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def far(self, name: str) -> click.Command | None:
        """Return what the command *name* is with ``-L``; None if it is the same."""
        target = self._elsewhere.get(name)
        return None if target is None else _load(target)

    def _import(self, known: str) -> click.Command:
        return _load(next(section[known] for section in self.sections.values() if known in section))

    def ask_plugins(self) -> None:
        """Let plugins add their commands, once; one that fails is named and left out."""
        if self._plugins_asked:
            return
        self._plugins_asked = True
        from importlib.metadata import entry_points

        for entry_point in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
            try:
                entry_point.load().gaffer_cli(cli=self)
            except Exception as error:
                complain(self.name, f"the commands of plugin '{entry_point.name}' are missing: {_described(error)}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = formatter.width - 6 - max(map(len, self.list_commands(ctx)))
        for title, names in [*self.sections.items(), ("Plugins", self._added())]:
            found = [(name, self.get_command(ctx, name)) for name in names]
            if found:
                with formatter.section(title):
                    formatter.write_dl([(name, one.get_short_help_str(width)) for name, one in found if one])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = self._invoke_everywhere(ctx) if self._is_meant_for_many(ctx) else super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            raise ReaderLeft from None
        except Unauthorized as error:
            if self._remedy is None or ctx.params.get("lookupd_address"):
                raise
            with_remedy = _find(self._remedy)
            address = ctx.params.get("connect") or ctx.params.get("endpoint") or ""
            raise Unauthorized(with_remedy(str(error), address, str(self.name))) from None

    def _is_meant_for_many(self, ctx: click.Context) -> bool:
        if self._everywhere is None or _words(ctx)[:1] in (["lookup"], ["help"]):
            return False
        on = ctx.params.get("on") or any(word == "--on" or word.startswith("--on=") for word in _words(ctx))
        if not ctx.params.get("lookupd_address"):
            if ctx.params.get("on"):
                ctx.fail("--on needs a lookupd that knows the nodes: -L URL")
            return False
        # A user with lookupds set in the environment may still mean the one gafferd.
        source = ctx.get_parameter_source("lookupd_address")
        return bool(on) or source is not click.core.ParameterSource.ENVIRONMENT

    def _invoke_everywhere(self, ctx: click.Context) -> Any:
        from .fanout import run_everywhere

        assert self._everywhere is not None
        cluster, make = self._everywhere(ctx)
        with cluster:
            ctx.exit(run_everywhere(self, ctx, _words(ctx), make, cluster))


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _load(target: str) -> click.Command:
    """Return the command at ``module:attribute`` below :mod:`gaffer.cli`."""
    found: click.Command = _find(target)
    return found


def _find(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(f"gaffer.cli.{module}"), attribute)


def _words(ctx: click.Context) -> list[str]:
    """Return the command and its arguments, which click keeps in two lists, one of them under two names."""
    return [*(getattr(ctx, "_protected_args", None) or getattr(ctx, "protected_args", [])), *ctx.args]


def _spelling(name: str) -> str:
    return name.replace("-", "_")


def version_option(program: str) -> Callable[[_F], _F]:
    """Return the decorator that adds ``--version``."""
    return click.version_option(
        __version__, prog_name=program, message="%(prog)s %(version)s", allow_from_autoenv=False
    )


def exit_code(error: GafferError) -> int:
    """Return the exit code for *error*."""
    from ...httpclient import CannotConnect

    if isinstance(error, CannotConnect):
        return UNREACHABLE
    if error.status in (401, 403):
        return NOT_ALLOWED
    return USAGE if error.code in ("bad_request", "invalid_config") else FAILED


def run(program: Program, args: Sequence[str] | None = None) -> NoReturn:
    """Run *program* and end the process with its exit code.

    :param args: the command line without the program's name; by default the process's own.
    """
    if sys.stdout is None:  # a shell's >&- closes it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _outcome(program, args)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (BrokenPipeError, ReaderLeft):
        # At once: what is left in the buffers, and threads that still print, would raise while Python ends.
        os._exit(BROKEN_PIPE)
    sys.exit(code)


def _outcome(program: Program, args: Sequence[str] | None) -> int:
    prefix = str(program.name).upper()
    if f"_{prefix}_COMPLETE" in os.environ:
        from .completion_scripts import register

        register()
    try:
        code = program.main(args, prog_name=program.name, standalone_mode=False, auto_envvar_prefix=prefix)
        return code if isinstance(code, int) else DONE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ConfigError as error:
        for problem in error.problems:
            complain(None if problem.file else program.name, str(problem))
        return USAGE
    except GafferError as error:
        complain(program.name, str(error))
        return exit_code(error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            _drop_output()
            complain(program.name, f"cannot write the output: {error.strerror}; make room, or write it elsewhere")
            return FAILED
        if is_folder_gone(error):
            complain(program.name, FOLDER_GONE)
            return FAILED
        complain(program.name, f"a defect of {program.name} itself, please report it: {_described(error)}")
        return FAILED


def is_folder_gone(error: Exception) -> bool:
    """Tell whether *error* says that the current folder does not exist any more."""
    if not isinstance(error, FileNotFoundError) or error.filename is not None:
        return False
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _described(error: BaseException) -> str:
    """Name an unexpected exception and the place it comes from, in one line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""
    return f"{type(error).__name__}: {error}{place}"
