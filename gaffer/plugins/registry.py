"""The plugins of one manager: finding them, registering them, listing them.

Whatever cannot be used stops the start with a sentence that names the plugin,
the file and the remedy: a plugin that is silently missing could be the one that
asks for keys.
"""

from __future__ import annotations

import builtins
import inspect
import logging
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, Collection, Iterable, NamedTuple

import pluggy

from .. import hookspecs as specs
from ..errors import PluginError, nearest
from . import folders as folders
from . import introspection as kinds
from .introspection import EMBEDDER, NOTHING, Plugin, guard, remedy

if TYPE_CHECKING:
    from importlib import metadata

__all__ = ["Plugin", "PluginInfo", "PluginSet", "Site"]

log = logging.getLogger("gaffer.plugins")


class Site(NamedTuple):
    """Static files, served at ``/_plugin/NAME/``.

    :param root: the folder that holds them.
    :param private: whether they are shown only to those who may read.
    """

    name: str
    root: str
    private: bool = False


class PluginInfo(NamedTuple):
    """Description of a plugin, for ``gafferd --plugins`` and ``GET /plugins``.

    :param origin: the distribution, the folder or file, or ``embedder``.
    :param kind: ``plugin``, ``hooks``, ``app`` or ``site``.
    :param state: ``loaded``, ``disabled``, ``failed`` or ``muted``.
    """

    name: str
    version: str
    origin: str
    description: str
    kind: str
    hooks: list[str]
    state: str


class _Record:
    """Registration of a name, and its state."""

    def __init__(self, name: str, origin: str, version: str = "", state: str = "failed") -> None:
        self.name, self.origin, self.version, self.state = name, origin, version, state
        self.kind = "plugin"
        self.description = ""
        self.hooks: list[str] = []
        self.object: Any = None
        self.app: Any = None
        self.asked = False

    def info(self, muted: bool) -> PluginInfo:
        state = "muted" if muted and self.state == "loaded" else self.state
        return PluginInfo(self.name, self.version, self.origin, self.description, self.kind, self.hooks, state)


class PluginSet:
    """The plugins of one manager, with a pluggy manager of its own.

    :param hookspecs: modules or classes with hook specifications of the embedder's;
        names beginning with ``gaffer_`` are refused.
    """

    def __init__(self, hookspecs: Iterable[Any] = ()) -> None:
        self.pm: pluggy.PluginManager = kinds.HookManager(specs.MODULES)
        self._records: dict[str, _Record] = {}
        self._folders: list[str] = []
        self._unmoved: list[str] = []
        self._disabled: set[str] = set()
        self._private_sites: set[str] = set()
        # Random, since two sets of one process may load the same folder.
        self._module_prefix = f"gaffer_folder_{os.urandom(4).hex()}"
        self._packages = 0
        for module in hookspecs:
            self.pm.add_hookspecs(module)
        self.pm.hook.gaffer_addhooks.call_historic(kwargs={"pluginmanager": self.pm})

    def add(
        self, obj: Any, name: str | None = None, origin: str = EMBEDDER, version: str = "", app: bool = False
    ) -> None:
        """Register *obj*, whatever kind of plugin it is.

        :param obj: a module or object with hook functions, a module that lists :class:`Plugin`
            subclasses in ``__all__``, a class (instantiated now), a :class:`Plugin` or an application.
        :param name: its name; by default its own, else one made from the module's or class's.
        :param origin: where it comes from, for lists and messages.
        :param app: whether an object with hooks is an application too; one without hooks always is.
        :raises PluginError: one sentence.
        """
        parts = kinds.find_parts(self.pm, [obj]) if isinstance(obj, ModuleType) else [obj]
        default = name or self._free_name(obj)
        if not parts:
            raise PluginError(f"plugin '{default}' ({origin}) {NOTHING}")
        for part, own in kinds.name_parts(parts, default):
            self._register(part, name if name and len(parts) == 1 else own, origin, version, app)

    def _free_name(self, obj: Any) -> str:
        """Number the unnamed: two applications of one class are no mistake."""
        name = kinds.own_name(obj)
        if kinds.declared_name(obj) or isinstance(obj, ModuleType):
            return name
        free = (f"{name}-{number}" if number > 1 else name for number in range(1, len(self._records) + 2))
        return next(candidate for candidate in free if candidate not in self._records)

    def _register(self, obj: Any, name: str, origin: str, version: str, app: bool = False) -> None:
        self._refuse_double(name, origin)
        record = self._records[name] = _Record(name, origin, version)
        if name in self._disabled:
            record.state = "disabled"
            return
        record.object = guard(name, origin, obj) if inspect.isclass(obj) else obj
        calls = kinds.implementations(self.pm, record.object)
        self._describe(record, calls, app)
        self._register_hooks(record, calls)
        record.state = "loaded"

    def _refuse_double(self, name: str, origin: str) -> None:
        other = self._records.get(name)
        if other is not None:
            raise PluginError(f"two plugins are called '{name}': {other.origin} and {origin}; remove one of them")

    def _describe(self, record: _Record, calls: Iterable[kinds.HookFunction], app: bool) -> None:
        obj = record.object
        record.hooks = [call.hook for call in calls]
        plugin = isinstance(obj, Plugin)
        if not plugin and not record.hooks and not kinds.is_app(obj):
            raise PluginError(f"plugin '{record.name}' ({record.origin}) {NOTHING}{remedy(record.name, record.origin)}")
        record.kind = "plugin" if plugin else "hooks" if record.hooks else "app"
        if not plugin and kinds.is_app(obj) and (app or not record.hooks):
            record.app = obj
        record.version = kinds.text_of(obj, "version", "__version__") or record.version
        record.description = kinds.describe(obj)

    def _register_hooks(self, record: _Record, calls: Iterable[kinds.HookFunction]) -> None:
        kinds.check_hooks(self.pm, calls, record.name, record.origin)
        if self.pm.is_registered(record.object):
            other = self.pm.get_name(record.object)
            raise PluginError(f"plugin '{record.name}' ({record.origin}) is registered already as '{other}'")
        try:
            guard(record.name, record.origin, self.pm.register, record.object, record.name)
        except PluginError:
            self.pm.unregister(name=record.name)  # its set-up hooks ran half way
            raise

    def load_entry_points(
        self, group: str = "gaffer.plugins", only: Iterable[str] | None = None, disabled: Iterable[str] = ()
    ) -> None:
        """Load plugins of installed distributions: gaffer's own first, then others by name.

        :param only: load these names and no others; None loads all.
        :param disabled: names that are not even imported.
        :raises PluginError: after all were tried; one line for each that failed.
        """
        self._disabled |= set(disabled)
        points = _installed(group)
        if only is not None:
            points = _select(points, list(only))
        _try_all(self._load_entry_point, points)

    def _load_entry_point(self, installed: _Installed) -> None:
        point, distribution, version = installed
        origin = f"{distribution} {version}" if distribution else point.value
        if not self._skip_disabled(point.name, origin, version):
            try:
                obj = guard(point.name, f"{origin}, {point.value}", point.load)
                parts = kinds.find_parts(self.pm, [obj]) if isinstance(obj, ModuleType) else [obj]
                self._register_parts(parts, point.name, origin, version)
            except PluginError:
                self._records.setdefault(point.name, _Record(point.name, origin, version))
                raise

    def _skip_disabled(self, name: str, origin: str, version: str = "") -> bool:
        if name not in self._disabled:
            return False
        self._records.setdefault(name, _Record(name, origin, version, "disabled"))
        return True

    def _register_parts(self, parts: builtins.list[Any], name: str, origin: str, version: str = "") -> None:
        if not parts:
            raise PluginError(f"plugin '{name}' ({origin}) {NOTHING}{remedy(name, origin)}")
        for part, part_name in kinds.name_parts(parts, name):
            self._register(part, part_name, origin, version)

    def load_folder(self, path: str, disabled: Iterable[str] = ()) -> None:
        """Load all plugins in the folder *path* (``-p``) and remember it for sites that appear later.

        A folder without Python is a site; :meth:`configure` moves its content under ``_site``.

        :param disabled: names that are not even imported.
        :raises PluginError: after all were tried; one line for each that failed.
        """
        self._disabled |= set(disabled)
        path = os.path.abspath(path)
        if path in self._folders:
            return
        folders.check_owner(path, deep=False)
        try:
            found = list(folders.scan(path))
        except OSError as error:
            raise PluginError(f"plugin folder {path} cannot be read: {error.strerror}") from None
        self._folders.append(path)
        _try_all(self._load_found, found)

    def _load_found(self, found: folders.FolderEntry) -> None:
        if self._skip_disabled(found.name, found.path):
            return
        if found.pure_site:
            self._unmoved.append(found.path)
        elif found.python:
            try:
                self._load_python(found)
            except PluginError:
                self._records.setdefault(found.name, _Record(found.name, found.path))
                raise
        elif found.site is None:
            log.warning("%s is no folder that may be served; that site is left out", found.path)

    def _load_python(self, found: folders.FolderEntry) -> None:
        self._refuse_double(found.name, found.path)
        guard(found.name, found.path, folders.check_owner, found.path)
        modules: list[ModuleType] = []
        for package in found.packages:
            self._packages += 1
            unique = f"{self._module_prefix}_{self._packages}"
            modules += guard(found.name, package, folders.load_modules, package, unique)
        parts = guard(found.name, found.path, kinds.find_parts, self.pm, modules)
        self._register_parts(parts, found.name, found.path)
        if any(getattr(part, "private_site", False) is True for part in parts):
            self._private_sites.add(found.name)

    def check_mandatory(self) -> None:
        """Check, when everything is registered, that nothing is missing.

        :raises PluginError: a plugin's ``mandatory`` names one that is not loaded, or a plugin
            implements a hook that nobody specifies; one line for each.
        """
        problems = kinds.unspecified(self.pm)
        for record in self._loaded():
            mandatory = record.object.mandatory if isinstance(record.object, Plugin) else ()
            for name in [mandatory] if isinstance(mandatory, str) else mandatory:
                problem = self._missing(name)
                if problem:
                    problems.append(
                        f"plugin '{record.name}' ({record.origin}) needs plugin '{name}', {problem}; "
                        f"provide it, or leave this one out with --no-plugin {record.name}"
                    )
        if problems:
            raise PluginError("\n".join(problems))

    def _missing(self, name: str) -> str:
        record = self._records.get(name)
        if record is not None:
            return "" if record.state == "loaded" else f"which is {record.state}"
        if any(site.name == name for site in self.sites):
            return ""
        return f"which is not installed{nearest(name, self._records)}"

    def _loaded(self) -> builtins.list[_Record]:
        return [record for record in self._records.values() if record.state == "loaded"]

    def configure(self, settings: Any) -> None:
        """Let every :class:`Plugin` make its application from *settings*, once; move sites to their place.

        This is the part of loading that belongs to a start: ``gafferd --check`` changes no files.

        :raises PluginError: a plugin failed to, or returned something that is no application.
        """
        while self._unmoved:
            folders.move_site(self._unmoved.pop())
        for record in self._loaded():
            if isinstance(record.object, Plugin) and not record.asked:
                record.asked = True
                app = guard(record.name, record.origin, record.object.app, settings)
                if app is not None and not kinds.is_app(app):
                    raise PluginError(
                        f"plugin '{record.name}' ({record.origin}): app() returned {app!r}, "
                        "which has none of start, stop and restart"
                    )
                record.app = app

    @property
    def apps(self) -> builtins.list[tuple[str, Any]]:
        """The applications with their plugins' names, in start order; made now if :meth:`configure` was not called."""
        self.configure(None)
        return [(record.name, record.app) for record in self._loaded() if record.app is not None]

    @property
    def sites(self) -> builtins.list[Site]:
        """The sites of all folders, looked up now: some may have appeared since the start."""
        found: dict[str, Site] = {}
        for folder in self._folders:
            try:
                for name, root in folders.scan_sites(folder):
                    if name not in self._disabled:
                        found.setdefault(name, Site(name, root, name in self._private_sites))
            except OSError as error:
                log.warning("plugin folder %s cannot be read: %s", folder, error.strerror)
        return list(found.values())

    def list(self, muted: Collection[str] = ()) -> builtins.list[PluginInfo]:
        """Return every plugin in the order of registration, then the folders that are sites only.

        :param muted: names of plugins whose hooks are muted (:meth:`gaffer.plugins.calling.Hooks.counters`).
        """
        shown = [record.info(record.name in muted) for record in self._records.values()]
        sites = [site for site in self.sites if site.name not in self._records]
        return shown + [PluginInfo(site.name, "", site.root, "", "site", [], "loaded") for site in sites]


def _try_all(load: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Load every item, so that all problems are told at once."""
    problems = []
    for item in items:
        try:
            load(item)
        except PluginError as error:
            log.debug("%s", error, exc_info=error)
            problems.append(str(error))
    if problems:
        raise PluginError("\n".join(problems))


class _Installed(NamedTuple):
    """An entry point, and what is said of the distribution that has it."""

    point: metadata.EntryPoint
    distribution: str
    version: str

    def order(self) -> tuple[bool, str, str]:
        return self.distribution != "gaffer", self.point.name, self.distribution


def _installed(group: str) -> list[_Installed]:
    """Return the entry points of *group*, gaffer's own first, then by name.

    A distribution is looked at once: each answer about it parses all of its description.
    """
    from importlib import metadata  # late: it takes longer than the engine, and embedders may not need it

    known: dict[metadata.Distribution | None, tuple[str, str]] = {None: ("", "")}
    found = []
    for point in metadata.entry_points(group=group):
        if point.dist is not None and point.dist not in known:
            about = point.dist.metadata
            known[point.dist] = about["Name"], about["Version"]
        found.append(_Installed(point, *known[point.dist]))
    return sorted(found, key=_Installed.order)


def _select(points: list[_Installed], only: list[str]) -> list[_Installed]:
    known = [installed.point.name for installed in points]
    for name in only:
        if name not in known:
            raise PluginError(f"no installed plugin is called '{name}'{nearest(name, known)}")
    return [installed for installed in points if installed.point.name in only]
