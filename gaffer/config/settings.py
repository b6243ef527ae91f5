"""gafferd's settings: what command line, environment and ini files say, each value with where it was said.

Command line wins over environment, environment over ini files, those over
defaults. Reading never raises for what is written there: all problems are
collected, so that they can be told at once.
"""

from __future__ import annotations

import os
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ..errors import Problem, nearest
from ..security.trusted_files import SharedFile, allow_shared_files, check_read
from .addresses import UNIX, is_local, parse_address
from .fields import Field
from .ini_reader import Ini, Section, Value, read_ini
from .options import DEFAULT_PLUGIN_DIRS, ENDPOINT_FIELDS, ENVIRONMENT, INCLUDE_KEYS, SOCKET_FIELDS, Option, Options
from .paths import expand_home

__all__ = ["Endpoint", "Option", "Options", "Section", "Settings", "Value", "find_config", "read_settings"]

CONFIG_NAME = "gafferd.ini"
#: How much each source counts.
_COMMAND_LINE, _ENVIRON, _INI, _DEFAULT = 3, 2, 1, 0
_SHARED = "allow_shared_files"


class Endpoint(NamedTuple):
    """A place where HTTP is served.

    :param name: the section's name; ``default`` for ``--bind``.
    :param bind: addresses as :func:`gaffer.config.addresses.parse_address` takes them.
    :param source: where its addresses were given: ``FILE:LINE``, ``--bind``, ``default``…
    :param mode: of unix sockets; None is 0600.
    :param owner: and *group*: whom unix sockets are given to, by id or name.
    :param require_key: serve only clients that show a key.
    :param allow_anonymous: serve other machines without keys.
    :param allow_local_users: without keys, serve every user of this machine; None is as ``[gaffer]`` says.
    """

    name: str
    bind: tuple[str, ...]
    backlog: int
    certfile: str | None
    keyfile: str | None
    cacert: str | None
    source: str
    mode: int | None = None
    owner: int | str | None = None
    group: int | str | None = None
    require_key: bool = False
    allow_anonymous: bool = False
    allow_local_users: bool | None = None


class _FoundValue(NamedTuple):
    """A value and its source."""

    value: Any
    rank: int
    file: str
    line: int = 0


class Settings:
    """Everything that gafferd was told.

    :param options: the table of options.
    :param ini: what the configuration file holds; nothing without one.
    :param overrides: values of the command line: option name to text, list of texts, number or bool.
    :param environ: environment variables.
    :param path: the configuration file.
    """

    def __init__(
        self,
        options: Options,
        ini: Ini | None = None,
        overrides: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        path: str | None = None,
    ) -> None:
        self.options = options
        self.path = path
        self.ini = ini or Ini()
        self.problems: list[Problem] = list(self.ini.problems)
        self._found: dict[str, _FoundValue] = {}
        # From weak to strong: what comes later replaces what was there.
        self._read_sections()
        self._read_environment(environ or {})
        self._read_overrides(overrides or {})
        self._endpoints = self._read_endpoints()
        self._check_access()
        self._check_plugin_dirs()

    # -- asking ---------------------------------------------------------------
    def get(self, option: str) -> Any:
        """Return the value of *option* in its canonical form.

        :raises KeyError: no such option is declared.
        """
        found = self._found.get(option)
        return self._option(option).default if found is None else found.value

    def origin(self, option: str) -> str:
        """Return where the value of *option* comes from: ``FILE:LINE``, ``--bind``, ``GAFFERD_BIND`` or ``default``."""
        self._option(option)
        found = self._found.get(option)
        if found is None:
            return "default"
        return f"{found.file}:{found.line}" if found.line else found.file

    def _option(self, name: str) -> Option:
        option = self.options.get(name)
        if option is None:
            raise KeyError(f"no option {name!r}{nearest(name, self.options.names())}")
        return option

    def sections(self, *kinds: str) -> list[Section]:
        """Return the ini sections ``[kind]`` and ``[kind:…]`` of these kinds, in the order they were read."""
        return [section for section in self.ini.sections if section.kind in kinds]

    def plugin(self, name: str) -> dict[str, str]:
        """Return the keys and texts of ``[plugin:NAME]``."""
        found = [section.items for section in self.sections("plugin") if section.name == name]
        return {key: value.text for items in found for key, value in items.items()}

    @property
    def endpoints(self) -> list[Endpoint]:
        """Endpoints of the HTTP API.

        ``--bind`` (or ``GAFFERD_BIND``) alone when it is given, else the sections
        that ``http_endpoints`` names, and ``[gaffer] bind`` if that is set.
        """
        return list(self._endpoints)

    @property
    def is_default_endpoint(self) -> bool:
        """True if neither options nor files name an endpoint."""
        return "bind" not in self._found and not self.get("http_endpoints")

    @property
    def plugin_dirs(self) -> list[str]:
        """The plugin folders: those that were given, else the default ones that exist."""
        if "plugin_dir" in self._found:
            return [expand_home(path) for path in self.get("plugin_dir")]
        return [path for path in map(expand_home, DEFAULT_PLUGIN_DIRS) if os.path.isdir(path)]

    def problem(self, source: Section | Value | str, message: str) -> Problem:
        """Return a problem that points at a section, at a value, or at where an option was set."""
        if not isinstance(source, str):
            return Problem(source.file, source.line, message)
        found = self._found.get(source)
        return Problem(found.file, found.line, message) if found else Problem(self.path or "", 0, message)

    def unknown_plugins(self, known: Sequence[str]) -> list[Problem]:
        """Return a problem for each plugin to leave out that is not among *known*: its name may be misspelt."""
        wrong = [name for name in self.get("no_plugin") if name not in known]
        return [self.problem("no_plugin", f"there is no plugin '{name}'{nearest(name, known)}") for name in wrong]

    def changed(self, other: Settings) -> list[Option]:
        """Return the options in which *other* differs; what sections of endpoints say counts as ``http_endpoints``."""
        changed = [option for option in self.options if self.get(option.name) != other.get(option.name)]
        before, after = (
            [endpoint._replace(source="") for endpoint in one._endpoints if endpoint.name != "default"]
            for one in (self, other)
        )
        endpoints = self._option("http_endpoints")
        return changed if before == after or endpoints in changed else [*changed, endpoints]

    # -- reading --------------------------------------------------------------
    def _read_sections(self) -> None:
        checked = self.options.checked_sections()
        seen: dict[str, Section] = {}
        for section in self.ini.sections:
            wrong = self.options.section_problem(section.kind, section.name, section.header)
            if wrong:
                self.problems.append(section.problem(wrong))
            elif section.kind in checked:
                self._read_options(section)
            elif section.kind in ("plugin", "webhooks"):
                self._refuse_doubles(section, seen)

    def _read_options(self, section: Section) -> None:
        for key, value in section.items.items():
            option = self.options.find(section.kind, key)
            if option is not None:
                self._take_ini(option, key, value)
            elif section.kind != "gaffer" or key not in INCLUDE_KEYS:
                self.problems.append(section.problem(self.options.unknown_key(section.header, key), key))

    def _take_ini(self, option: Option, key: str, value: Value) -> None:
        first = self._found.get(option.name)
        if first is not None and not option.numbered:
            self.problems.append(self.problem(value, f"{key}: set already at {self.origin(option.name)}"))
            return
        found = self._parse(option, value.text, value.file, value.line, f"{key}: ")
        if found is not None:
            more = (*first.value, *found.value) if first is not None else found.value
            self._found[option.name] = found._replace(value=more, rank=_INI)

    def _refuse_doubles(self, section: Section, seen: dict[str, Section]) -> None:
        first = seen.setdefault(section.header, section)
        for key in section.items if first is not section else ():
            if key in first.items:
                where = f"{first.file}:{first.items[key].line}"
                self.problems.append(section.problem(f"{key}: set already at {where}", key))

    def _read_environment(self, environ: Mapping[str, str]) -> None:
        for option in self.options:
            for variable in option.environment:
                if environ.get(variable):
                    found = self._parse(option, environ[variable], variable)
                    if found is not None:
                        self._found[option.name] = found._replace(rank=_ENVIRON)
                    break

    def _read_overrides(self, overrides: Mapping[str, Any]) -> None:
        for name, value in overrides.items():
            option = self._option(name)
            flag = next((flag for flag in option.flags if flag.startswith("--")), "".join(option.flags[:1]) or name)
            if isinstance(value, (list, tuple)):
                value = ",".join(value)
            found = self._parse(option, value, flag)
            if found is not None:
                self._found[name] = found._replace(rank=_COMMAND_LINE)

    def _parse(self, option: Field, value: Any, file: str, line: int = 0, prefix: str = "") -> _FoundValue | None:
        try:
            value = option.kind.parse(value) if isinstance(value, str) else option.kind.check(value)
        except ValueError as error:
            self.problems.append(Problem(file, line, f"{prefix}{error}"))
            return None
        return _FoundValue(value, _DEFAULT, file, line)

    # -- endpoints ------------------------------------------------------------
    def _read_endpoints(self) -> list[Endpoint]:
        rank = {
            name: self._found[name].rank if name in self._found else _DEFAULT for name in ("bind", "http_endpoints")
        }
        sections = self._endpoint_sections()
        named = [sections[name] for name in self.get("http_endpoints") if name in sections]
        values = {
            field.name: self.get(field.name) if self.options.get(field.name) else field.default
            for field in ENDPOINT_FIELDS
        }
        # What [gaffer] says of it may change while it is open.
        default = Endpoint(name="default", source=self.origin("bind"), **{**values, "allow_local_users": None})
        self._check_names(sections)
        self._check_tls(default, {name: self.problem(name, "") for name in ("certfile", "keyfile", "cacert")})
        if rank["bind"] > rank["http_endpoints"]:
            return [default]
        return [default, *named] if rank["bind"] or not self.get("http_endpoints") else named

    def _endpoint_sections(self) -> dict[str, Endpoint]:
        endpoints: dict[str, Endpoint] = {}
        for section in self.sections("endpoint"):
            if section.name in endpoints:
                self.problems.append(section.problem(f"endpoint '{section.name}' is defined a second time"))
            elif section.name:
                endpoints[section.name] = self._endpoint(section)
        return endpoints

    def _endpoint(self, section: Section) -> Endpoint:
        values: dict[str, Any] = {field.name: field.default for field in ENDPOINT_FIELDS}
        fields = {field.name: field for field in ENDPOINT_FIELDS}
        for key, value in section.items.items():
            if key not in fields:
                message = f"unknown key '{key}' in [{section.header}]{nearest(key, fields)}"
                self.problems.append(self.problem(value, message))
                continue
            found = self._parse(fields[key], value.text, value.file, value.line, f"{key}: ")
            if found is not None:
                values[key] = found.value
        for key in ("require_key", "allow_anonymous"):
            values[key] = self.get(key) if values[key] is None else values[key]
        if "bind" not in section.items:
            self.problems.append(section.problem(f"endpoint '{section.name}' needs bind = HOST:PORT"))
        at = section.items.get("bind", section)
        endpoint = Endpoint(name=section.name, source=f"{at.file}:{at.line}", **values)
        self._check_tls(endpoint, {key: section.problem("", key) for key in ("certfile", "keyfile", "cacert")})
        if endpoint.bind and not any(address.startswith(UNIX) for address in endpoint.bind):
            for key in SOCKET_FIELDS:
                if key in section.items:
                    self.problems.append(section.problem(f"{key} is of use for unix sockets only", key))
        return endpoint

    def _check_names(self, sections: Mapping[str, Endpoint]) -> None:
        for name in self.get("http_endpoints"):
            if name not in sections:
                message = f"http_endpoints: there is no section [endpoint:{name}]{nearest(name, sections)}"
                self.problems.append(self.problem("http_endpoints", message))
        if "http_endpoints" not in self._found:
            for section in self.sections("endpoint"):
                message = f"nothing serves it: name it in [gaffer] http_endpoints = {section.name}"
                self.problems.append(section.problem(message))

    def _check_tls(self, endpoint: Endpoint, where: Mapping[str, Problem]) -> None:
        for key, at in where.items():
            path = getattr(endpoint, key)
            if path:
                wrong = _unreadable(path)
                if not endpoint.certfile:
                    wrong = f"{key} is of no use without certfile"
                if wrong:
                    self.problems.append(Problem(at.file, at.line, wrong))

    def _check_access(self) -> None:
        """An address that other machines reach is an open door; it has to be said aloud (docs/command-line.rst)."""
        for endpoint in self._endpoints:
            guarded = endpoint.require_key or endpoint.allow_anonymous
            file, _, line = endpoint.source.rpartition(":")
            at = (file, int(line)) if line.isdigit() else (endpoint.source, 0)
            for address in endpoint.bind:
                try:
                    local = is_local(parse_address(address))
                except ValueError as error:
                    self.problems.append(Problem(*at, str(error)))
                    continue
                if not local and not guarded:
                    self.problems.append(Problem(*at, _OPEN.format(address, self.options.power)))

    def _check_plugin_dirs(self) -> None:
        for path in self.plugin_dirs:
            if not os.path.isdir(path):
                self.problems.append(self.problem("plugin_dir", f"there is no plugin folder {path}"))


_OPEN = (
    "other machines can reach {}, and any client there can {}; "
    "ask for keys with --require-key, or allow it with --allow-anonymous"
)


def _unreadable(path: str) -> str:
    try:
        check_read(path)
        with open(path, "rb"):
            return ""
    except SharedFile as error:
        return str(error)
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"


def read_shared_flag(options: Options, overrides: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Apply ``--allow-shared-files`` before any file is read: only what no file says can lift a check of files."""
    found = Settings(options, overrides={k: v for k, v in overrides.items() if k == _SHARED}, environ=environ)
    allow_shared_files(found.get(_SHARED))


def find_config(given: str | None, environ: Mapping[str, str], root: bool = False) -> str | None:
    """Return the configuration file to read, or None: no jobs and the default endpoint.

    :param given: what the command line says; a folder means its ``gafferd.ini``.
    :param root: whether ``/etc/gaffer/gafferd.ini`` counts too.
    """
    named = given or environ.get(ENVIRONMENT + "CONFIG")
    if named:
        named = expand_home(named)
        return os.path.join(named, CONFIG_NAME) if os.path.isdir(named) else named
    return next((path for path in _default_configs(environ, root) if os.path.isfile(path)), None)


def _default_configs(environ: Mapping[str, str], root: bool) -> Iterator[str]:
    if environ.get("HOME"):
        yield os.path.join(environ["HOME"], ".gaffer", CONFIG_NAME)
    if root:
        yield os.path.join("/etc/gaffer", CONFIG_NAME)


def read_settings(
    path: str | None,
    options: Options | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the configuration file *path*, if any, and all that it includes.

    :param options: the table of options; gafferd's own by default.
    :param overrides: values of the command line, by option name.
    :param environ: by default the process' environment.
    :returns: settings; what is wrong is in their ``problems``.
    """
    ini = read_ini(path) if path is not None else None
    return Settings(options or Options(), ini, overrides, os.environ if environ is None else environ, path)


def option(settings: Settings | None, name: str, default: Any = None) -> Any:
    """Return an option; *default* without settings, or if an embedding program read them without that option."""
    if settings is None or settings.options.get(name) is None:
        return default
    return settings.get(name)
