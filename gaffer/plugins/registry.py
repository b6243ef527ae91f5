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
from copy import copy
from functools import partial
from operator import itemgetter
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
    :param csp: the Content-Security-Policy of its files; by default what allows nothing but this server's own files.
    """

    name: str
    root: str
    private: bool = False
    csp: str | None = None


class PluginInfo:
    """A plugin of a set, for ``gafferd --plugins`` and ``GET /plugins`` too.

    :param origin: the distribution, the folder or file, or ``embedder``.
    :param state: ``loaded``, ``disabled``, ``failed`` or ``muted``.
    :param find: imports it, returns what it brings.
    :ivar kind: ``plugin``, ``hooks``, ``app`` or ``site``.
    """

    def __init__(
        self,
        name: str,
        origin: str,
        version: str = "",
        state: str = "failed",
        kind: str = "plugin",
        find: Callable[[], builtins.list[Any]] = list,
    ) -> None:
        self.name, self.origin, self.version, self.state, self.kind = name, origin, version, state, kind
        self.find = find
        self.description = ""
        self.hooks: builtins.list[str] = []
        self.object: Any = None
        self.app: Any = None
        #: Whether it was asked for its application.
        self.asked = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        shown = ("name", "version", "origin", "description", "kind", "hooks", "state")
        return {key: getattr(self, key) for key in shown}


class PluginSet:
    """The plugins of one manager, with a pluggy manager of its own.

    :param hookspecs: modules or classes with hook specifications of the embedder's;
        names beginning with ``gaffer_`` are refused.
    """

    def __init__(self, hookspecs: Iterable[Any] = ()) -> None:
        self.pm: pluggy.PluginManager = kinds.HookManager(specs.MODULES)
        self._records: dict[str, PluginInfo] = {}
        self._folders: list[str] = []
        self._unmoved: list[str] = []
        self._disabled: set[str] = set()
        self._private_sites: set[str] = set()
        self._policies: dict[str, str] = {}
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
        unnamed = not name and not isinstance(obj, ModuleType) and not kinds.text_of(obj, "name")
        default = name or kinds.name_of(obj)
        if unnamed:  # two applications of one class are no mistake
            default = kinds.free_name(default, self._records)
        parts = self._parts(obj)
        if not parts:
            raise PluginError(f"plugin '{default}' ({origin}) {NOTHING}")
        for part, own in kinds.name_parts(parts, default):
            self._register(part, name if name and len(parts) == 1 else own, origin, version, app)

    def _parts(self, obj: Any) -> builtins.list[Any]:
        return kinds.find_parts(self.pm, [obj]) if isinstance(obj, ModuleType) else [obj]

    def _register(self, obj: Any, name: str, origin: str, version: str, app: bool = False) -> None:
        self._refuse_double(name, origin)
        record = self._records[name] = PluginInfo(name, origin, version)
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

    def _describe(self, record: PluginInfo, calls: Iterable[kinds.HookFunction], app: bool) -> None:
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

    def _register_hooks(self, record: PluginInfo, calls: Iterable[kinds.HookFunction]) -> None:
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
        found = self._installed(group)
        if only is not None:
            found = _select(found, list(only))
        _try_all(self._load, found)

    def _installed(self, group: str) -> builtins.list[PluginInfo]:
        """Return the plugins of *group*, gaffer's own first, then by name.

        A distribution is looked at once: each answer about it parses all of its description.
        """
        from importlib import metadata  # late: it takes longer than the engine, and embedders may not need it

        known: dict[metadata.Distribution | None, tuple[str, str]] = {None: ("", "")}
        found = []
        for point in metadata.entry_points(group=group):
            if point.dist is not None and point.dist not in known:
                about = point.dist.metadata
                known[point.dist] = about["Name"], about["Version"]
            distribution, version = known[point.dist]
            origin = f"{distribution} {version}" if distribution else point.value
            info = PluginInfo(point.name, origin, version, find=partial(self._import, point, origin))
            found.append(((distribution != "gaffer", point.name, distribution), info))
        return [info for _, info in sorted(found, key=itemgetter(0))]

    def _import(self, point: metadata.EntryPoint, origin: str) -> builtins.list[Any]:
        return self._parts(guard(point.name, f"{origin}, {point.value}", point.load))

    def _load(self, info: PluginInfo) -> None:
        """Import what was found and register it; one that cannot be used is known as failed."""
        try:
            if info.name in self._disabled:
                info.state = "disabled"
                self._records.setdefault(info.name, info)
                return
            parts = info.find()
            if not parts:
                raise PluginError(f"plugin '{info.name}' ({info.origin}) {NOTHING}{remedy(info.name, info.origin)}")
            for part, name in kinds.name_parts(parts, info.name):
                self._register(part, name, info.origin, info.version)
        except PluginError:
            self._records.setdefault(info.name, info)
            raise

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
        if found.python or found.name in self._disabled:
            self._load(PluginInfo(found.name, found.path, find=partial(self._import_folder, found)))
        elif found.pure_site:
            self._unmoved.append(found.path)
        elif found.site is None:
            log.warning("%s is no folder that may be served; that site is left out", found.path)

    def _import_folder(self, found: folders.FolderEntry) -> builtins.list[Any]:
        self._refuse_double(found.name, found.path)
        guard(found.name, found.path, folders.check_owner, found.path)
        modules: list[ModuleType] = []
        for package in found.packages:
            self._packages += 1
            unique = f"{self._module_prefix}_{self._packages}"
            modules += guard(found.name, package, folders.load_modules, package, unique)
        parts = guard(found.name, found.path, kinds.find_parts, self.pm, modules)
        if any(getattr(part, "private_site", False) is True for part in parts):
            self._private_sites.add(found.name)
        for part in parts:
            if getattr(part, "site_csp", None):
                self._policies[found.name] = str(part.site_csp)
        return parts

    def check_mandatory(self) -> None:
        """Check, when everything is registered, that nothing is missing.

        :raises PluginError: a plugin's ``mandatory`` names one that is not loaded, or a plugin
            implements a hook without a specification; one line for each.
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

    def _loaded(self) -> builtins.list[PluginInfo]:
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
                        found.setdefault(name, Site(name, root, name in self._private_sites, self._policies.get(name)))
            except OSError as error:
                log.warning("plugin folder %s cannot be read: %s", folder, error.strerror)
        return list(found.values())

    def list(self, muted: Collection[str] = ()) -> builtins.list[PluginInfo]:
        """Return every plugin in the order of registration, then the folders that are sites only.

        :param muted: names of plugins whose hooks are muted (:meth:`gaffer.plugins.calling.Hooks.counters`).
        """
        shown = [copy(info) for info in self._records.values()]
        for info in shown:
            if info.name in muted and info.state == "loaded":
                info.state = "muted"
        sites = [site for site in self.sites if site.name not in self._records]
        return shown + [PluginInfo(site.name, site.root, state="loaded", kind="site") for site in sites]


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


def _select(found: list[PluginInfo], only: list[str]) -> list[PluginInfo]:
    known = [info.name for info in found]
    for name in only:
        if name not in known:
            raise PluginError(f"no installed plugin is called '{name}'{nearest(name, known)}")
    return [info for info in found if info.name in only]
