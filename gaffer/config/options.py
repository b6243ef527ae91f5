"""The options of gafferd: one table for command line, environment, ini files and reference pages."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Iterable, Iterator

from ..errors import nearest
from ..security.root_socket import ROOT_SOCKET
from .fields import Account, Bool, Choice, Field, Int, Kind, TextList, Umask
from .paths import FilePath

DEFAULT_BIND = "127.0.0.1:5000"
#: Where plugins are looked for when nothing says where; those that exist.
DEFAULT_PLUGIN_DIRS = ("~/.gafferd/plugins", "~/.gaffer/plugins")
ENVIRONMENT = "GAFFERD_"

#: Sections of ini files, and whether they are named: ``[process:NAME]``.
_SECTIONS = {
    "gaffer": False,
    "endpoint": True,
    "process": True,
    "job": True,
    "env": True,
    "webhooks": False,
    "plugin": True,
    "plugins": False,
}
#: Where what gaffer 0.5 read from sections of its own is said now.
_MOVED = {
    "ssl": "certfile, keyfile and cacert are options of [gaffer], or of an [endpoint:NAME]",
    "lookup_ssl": "client_certfile and client_keyfile are options of [gaffer], cacert is one of [plugin:lookup]",
    "auth": "require_key and auth_database are options of [gaffer]; keys are made by gaffer key create",
}


@dataclass(frozen=True)
class Option(Field):
    """Option of gafferd: a :class:`~gaffer.config.fields.Field` with its other spellings.

    :param section: the ini section that may hold it; ``""`` keeps it out of ini files.
    :param aliases: other ini keys for it; ``*`` stands for anything.
    :param variables: environment variables beside ``GAFFERD_<NAME>`` and those of its flags.
    :param metavar: what ``--help`` prints for its value.
    :param count: the flag is repeated instead of taking a value: ``-vv``.
    :param program: what its environment variables begin with.
    """

    aliases: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    metavar: str = ""
    count: bool = False
    program: str = ENVIRONMENT

    def has_key(self, key: str) -> bool:
        """Tell whether *key* spells this option in an ini file."""
        return key == self.name or any(fnmatchcase(key, alias) for alias in self.aliases)

    def parser_argument(self) -> dict[str, Any]:
        """Arguments of ``ArgumentParser.add_argument`` beside the flags."""
        described = {"dest": self.name, "help": self.help.replace("%", "%%")}
        if self.count:
            return {**described, "action": "count"}
        if isinstance(self.kind, Bool):
            return {**described, "action": "store_true"}
        action = "append" if self.multiple else "store"
        return {**described, "action": action, "metavar": self.metavar or self.name.upper()}

    @property
    def numbered(self) -> bool:
        """True for a list that an ini file may hold in pieces, under numbered keys."""
        return any("*" in alias for alias in self.aliases)

    @property
    def environment(self) -> tuple[str, ...]:
        """The environment variables that set it, the one that wins first."""
        long = [flag[2:].replace("-", "_").upper() for flag in self.flags if flag.startswith("--")]
        return tuple(dict.fromkeys([*self.variables, *(self.program + word for word in (self.name.upper(), *long))]))


class Options:
    """The table of options: a program's own and those of its plugins (``gaffer_add_options``).

    :param core: the program's own; by default gafferd's.
    :param program: what environment variables begin with.
    :param power: what a client can do that reaches an address of the program.
    """

    def __init__(
        self, core: Iterable[Option] | None = None, program: str = ENVIRONMENT, power: str = "run commands"
    ) -> None:
        self._program = program
        self.power = power
        self._options: dict[str, Option] = {option.name: option for option in (CORE_OPTIONS if core is None else core)}
        self._sections = dict(_SECTIONS)

    def add(
        self,
        name: str,
        kind: Kind,
        default: object = None,
        help: str = "",
        *,
        flags: tuple[str, ...] = (),
        section: str = "gaffer",
        aliases: tuple[str, ...] = (),
        multiple: bool = False,
        count: bool = False,
        metavar: str = "",
        needs_restart: bool = True,
    ) -> None:
        """Declare an option.

        :param name: its ini key; ``GAFFERD_<NAME>`` in the environment.
        :param kind: an instance of one of the kinds of :mod:`gaffer.config.fields`.
        :param default: its value, in canonical form, when nothing sets it.
        :param flags: command-line flags, such as ``("-x", "--example")``.
        :param section: the ini section it belongs to; ``""`` for none.
        :param multiple: the flag may be repeated; the kind is a list.
        :raises ValueError: the name or a flag belongs to another option.
        """
        if name in self._options:
            raise ValueError(f"option '{name}' is declared already")
        taken = {flag for option in self for flag in option.flags}
        for flag in flags:
            if flag in taken or flag in ("-h", "--help", "-c", "--config", "--version"):
                raise ValueError(f"option '{name}': the flag {flag} is taken")
        self._options[name] = Option(
            name,
            kind,
            default,
            help,
            needs_restart,
            flags,
            section,
            multiple,
            aliases,
            (),
            metavar,
            count,
            self._program,
        )

    def add_section(self, kind: str, named: bool = False) -> None:
        """Accept sections ``[kind]``, or ``[kind:NAME]`` if *named*; what they hold is the plugin's to check."""
        self._sections.setdefault(kind, named)

    def get(self, name: str) -> Option | None:
        return self._options.get(name)

    def __iter__(self) -> Iterator[Option]:
        return iter(self._options.values())

    def names(self) -> list[str]:
        """Return the names of all options, in declaration order."""
        return list(self._options)

    def find(self, section: str, key: str) -> Option | None:
        """Return the option that *key* of ini section *section* spells."""
        return next((option for option in self if option.section == section and option.has_key(key)), None)

    def checked_sections(self) -> set[str]:
        """Return the sections whose keys are all options."""
        return {option.section for option in self if option.section}

    def unknown_key(self, section: str, key: str) -> str:
        """Return the sentence for a key of *section* that is no option."""
        known = [option.name for option in self if option.section == section]
        known += [alias for option in self if option.section == section for alias in option.aliases]
        return f"unknown key '{key}' in [{section}]{nearest(key, [*known, *INCLUDE_KEYS])}"

    def section_problem(self, kind: str, name: str, header: str) -> str:
        """Return what is wrong with the header of a section, or ``""``."""
        named = self._sections.get(kind)
        if named is None:
            if kind in _MOVED:
                return f"gaffer 0.5's section [{header}] is no more: {_MOVED[kind]}"
            known = nearest(kind, self._sections)
            return f"unknown section [{header}]" + (known or f"; settings of a plugin go into [plugin:{kind}]")
        if named and not name:
            return f"section [{header}] needs a name: [{kind}:NAME]"
        if not named and name:
            return f"section [{header}] takes no name: [{kind}]"
        return ""


#: Keys of [gaffer] that the ini reader itself follows.
INCLUDE_KEYS = ("include", "include_dir")

FILE = "FILE"

CORE_OPTIONS: tuple[Option, ...] = (
    Option(
        "plugin_dir",
        TextList(),
        (),
        "folder of plugins; may be repeated (default: ~/.gafferd/plugins and ~/.gaffer/plugins)",
        flags=("-p", "--plugins-dir", "--plugin-dir"),
        multiple=True,
        aliases=("plugins_dir",),
        variables=("GAFFER_PLUGIN_DIR",),
        metavar="DIR",
    ),
    Option(
        "no_plugin",
        TextList(),
        (),
        "leave a plugin out; may be repeated",
        flags=("--no-plugin",),
        section="plugins",
        multiple=True,
        aliases=("disable",),
        metavar="NAME",
    ),
    Option(
        "verbose",
        Int(0, 2),
        0,
        "print events; -vv the output of every process too",
        flags=("-v",),
        section="",
        count=True,
    ),
    Option(
        "daemonize",
        Bool(),
        False,
        "go into the background; returns when gafferd is ready or has failed",
        flags=("--daemon",),
    ),
    Option(
        "pidfile",
        FilePath(),
        None,
        "file that holds gafferd's process id, locked while it runs",
        flags=("--pidfile",),
        metavar=FILE,
    ),
    Option(
        "orphans",
        Choice("leave", "stop"),
        "leave",
        "what happens at the start to processes of a gafferd that was killed; stop needs a pidfile",
    ),
    Option(
        "bind",
        TextList(),
        (DEFAULT_BIND,),
        "where HTTP is served: host:port, [ipv6]:port or unix:/path, separated by commas "
        f"(default: {DEFAULT_BIND}, for root also unix:{ROOT_SOCKET})",
        flags=("--bind",),
        metavar="ADDR",
    ),
    Option(
        "backlog",
        Int(1, 65535),
        128,
        "connections that may wait to be accepted (default: 128)",
        flags=("--backlog",),
        metavar="N",
    ),
    Option("certfile", FilePath(), None, "certificate of --bind: TLS", flags=("--certfile",), metavar=FILE),
    Option("keyfile", FilePath(), None, "its private key", flags=("--keyfile",), metavar=FILE),
    Option("cacert", FilePath(), None, "CA that clients must show a certificate of", flags=("--cacert",), metavar=FILE),
    Option("http_endpoints", TextList(), (), "names of the [endpoint:NAME] sections to serve HTTP at"),
    Option(
        "require_key",
        Bool(),
        False,
        "serve only clients that show a key",
        flags=("--require-key",),
    ),
    Option(
        "allow_anonymous",
        Bool(),
        False,
        "serve other machines without keys: any client there can run commands",
        flags=("--allow-anonymous",),
    ),
    Option("allow_local_users", Bool(), False, "without keys, serve every user of this machine", needs_restart=False),
    Option("allowed_hosts", TextList(), (), "more names that requests may give as Host", needs_restart=False),
    Option("allowed_origins", TextList(), (), "origins whose pages may use the API", needs_restart=False),
    Option(
        "error_log",
        FilePath(),
        None,
        "log to this file instead of standard error",
        flags=("--error-log",),
        metavar=FILE,
    ),
    Option(
        "log_level",
        Choice("debug", "info", "warning", "error", "critical"),
        "info",
        "least important records that are logged (default: info)",
        flags=("--log-level",),
        needs_restart=False,
        metavar="LEVEL",
    ),
    Option("umask", Umask(), None, "gafferd's file mode mask (default: 022 in the background, else unchanged)"),
    Option("check", Bool(), False, "check configuration and plugins, start nothing", flags=("--check",), section=""),
    Option(
        "allow_shared_files",
        Bool(),
        False,
        "read configuration, plugins and keys that other users of this machine can change",
        flags=("--allow-shared-files",),
        section="",
    ),
    Option("plugins", Bool(), False, "list the plugins and exit", flags=("--plugins",), section=""),
)

#: The keys of [endpoint:NAME]: what the options of the same name say of --bind, and who may come.
ENDPOINT_FIELDS: tuple[Field, ...] = (
    Field("bind", TextList(), (), "addresses, separated by commas"),
    Field("backlog", Int(1, 65535), 128, "connections that may wait to be accepted"),
    Field("certfile", FilePath(), None, "certificate: TLS"),
    Field("keyfile", FilePath(), None, "its private key"),
    Field("cacert", FilePath(), None, "CA that clients must show a certificate of"),
    Field("mode", Umask(), None, "file mode of unix sockets (default: 600)"),
    Field("owner", Account(), None, "user that unix sockets are given to; needs root"),
    Field("group", Account(group=True), None, "group that unix sockets are given to"),
    Field("require_key", Bool(), None, "serve only clients that show a key (default: as in [gaffer])"),
    Field("allow_anonymous", Bool(), None, "serve other machines without keys (default: as in [gaffer])"),
    Field(
        "allow_local_users", Bool(), None, "without keys, serve every user of this machine (default: as in [gaffer])"
    ),
)

#: Those that a unix socket alone has.
SOCKET_FIELDS = ("mode", "owner", "group")
