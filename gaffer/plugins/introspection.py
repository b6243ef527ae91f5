"""Introspection of plugin objects: hooks, classes, names, and what makes them unusable."""

from __future__ import annotations

import importlib
import inspect
import os
import traceback
from types import ModuleType
from typing import Any, Callable, Collection, Iterable, NamedTuple, TypeVar

import pluggy
from gevent import GreenletExit

from ..errors import GafferError, PluginError, nearest

_T = TypeVar("_T")

#: Names of hooks that only gaffer specifies.
RESERVED = "gaffer_"
NOTHING = (
    "has neither hook functions (@gaffer.hookimpl), nor a gaffer.Plugin subclass in __all__, nor start, stop or restart"
)
EMBEDDER = "embedder"
_OURS = (
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    os.path.dirname(os.path.abspath(importlib.__file__)),
    "<frozen ",
)


class Plugin:
    """Base class of plugins that bring an application or hook methods.

    Subclasses set the attributes; in a plugin folder they are listed in their
    module's ``__all__``. Methods marked with ``@gaffer.hookimpl`` are hooks.
    """

    #: The plugin's name; empty means the name of its folder or entry point.
    name: str = ""
    version: str = ""
    description: str = ""
    #: Names of plugins that must be loaded too.
    mandatory: Collection[str] = ()
    #: Whether its site is shown only to those who may read.
    private_site: bool = False
    #: The Content-Security-Policy of its site, where that needs more than this server's own files.
    site_csp: str | None = None

    def app(self, cfg: Any) -> Any:
        """Return an application, an object with any of start, stop and restart, or None.

        :param cfg: the :class:`gaffer.config.settings.Settings`, None when embedded without any.
        """
        return None


class HookManager(pluggy.PluginManager):
    """pluggy's manager of one plugin set; names beginning with ``gaffer_`` stay ours.

    :param own: the modules with our own hook specifications.
    """

    def __init__(self, own: Iterable[ModuleType]) -> None:
        super().__init__("gaffer")
        for module in own:
            super().add_hookspecs(module)

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """Return the options of a hook function, None for anything else.

        What is Python's own is passed over: it is most of what an object has, and looking takes its time.
        """
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def add_hookspecs(self, module_or_class: Any) -> None:
        """Add hook specifications.

        :raises PluginError: there are none, one is taken or its name is reserved.
        """
        where = getattr(module_or_class, "__name__", repr(module_or_class))
        for name in dir(module_or_class):
            if name.startswith(RESERVED) and self.parse_hookspec_opts(module_or_class, name) is not None:
                raise PluginError(f"{where} specifies {name}, but hooks beginning with {RESERVED} are reserved")
        try:
            super().add_hookspecs(module_or_class)
        except (ValueError, pluggy.PluginValidationError) as error:
            raise PluginError(f"{where} cannot be used as hook specifications: {_one_line(error)}") from error


class HookFunction(NamedTuple):
    """A hook function of a plugin, found by its mark."""

    hook: str
    function: Callable[..., Any]
    optional: bool
    wrapper: bool


def implementations(pm: pluggy.PluginManager, obj: Any) -> list[HookFunction]:
    """Return the hook functions of *obj*; looking runs no code of its own."""
    found = []
    for name in dir(obj):
        options = pm.parse_hookimpl_opts(obj, name)
        if options:
            wrapper = bool(options.get("wrapper") or options.get("hookwrapper"))
            optional = bool(options.get("optionalhook"))
            found.append(HookFunction(options.get("specname") or name, getattr(obj, name), optional, wrapper))
    return found


def check_hooks(pm: pluggy.PluginManager, calls: Iterable[HookFunction], name: str, origin: str) -> None:
    """Refuse hook functions that would never be called, or not as they expect.

    A hook outside ``gaffer_`` may be specified by a plugin that comes later:
    :func:`unspecified` looks for those at the end.

    :raises PluginError: a sentence with the nearest name that exists.
    """
    for call in calls:
        caller = getattr(pm.hook, call.hook, None)
        if caller is None or not caller.has_spec():
            if call.hook.startswith(RESERVED) and not call.optional:
                raise PluginError(f"plugin '{name}' ({origin}): unknown hook {call.hook}{_nearest_hook(pm, call.hook)}")
            continue
        if call.wrapper and call.hook.startswith(RESERVED):
            raise PluginError(f"plugin '{name}' ({origin}): {call.hook} must be a plain function, not a wrapper")
        taken = caller.spec.argnames
        for argument in _required(call.function):
            if argument not in taken:
                raise PluginError(
                    f"plugin '{name}' ({origin}): {call.hook} has no argument '{argument}'"
                    f"{nearest(argument, taken) or '; it has ' + ', '.join(taken)}"
                )


def unspecified(pm: pluggy.PluginManager) -> list[str]:
    """Return a sentence for each implementation of a hook without a specification."""
    return [
        f"plugin '{call.plugin_name}' implements the hook {hook}, which nothing specifies{_nearest_hook(pm, hook)}"
        for hook, caller in vars(pm.hook).items()
        if not caller.has_spec()
        for call in caller.get_hookimpls()
        if not call.optionalhook
    ]


def _nearest_hook(pm: pluggy.PluginManager, name: str) -> str:
    return nearest(name, [known for known, caller in vars(pm.hook).items() if caller.has_spec()])


def _required(function: Callable[..., Any]) -> list[str]:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [item.name for item in parameters if item.kind in positional and item.default is item.empty]


def is_app(obj: Any) -> bool:
    """Tell whether *obj* is an application: gaffer 0.5's start, stop and restart, each of them optional."""
    return any(callable(getattr(obj, name, None)) for name in ("start", "stop", "restart"))


def find_parts(pm: pluggy.PluginManager, modules: Iterable[ModuleType]) -> list[Any]:
    """Return what *modules* bring: plugin classes, then modules with hook functions, else a module that is an app."""
    modules = list(modules)
    listing = [module for module in modules if hasattr(module, "__all__") and plugin_classes(module)]
    # Beside modules that say what their plugins are, others may have classes that they build on.
    declaring = listing or modules
    parts: list[Any] = list(dict.fromkeys(cls for module in declaring for cls in plugin_classes(module)))
    seen: set[Any] = set()
    for module in modules:
        functions = {call.function for call in implementations(pm, module)}
        if functions - seen:  # a package that re-exports its modules' functions is not a second plugin
            parts.append(module)
        seen |= functions
    return parts or [module for module in modules[:1] if is_app(module)]


def plugin_classes(module: ModuleType) -> list[type[Plugin]]:
    """Return the plugin classes that *module* lists in ``__all__``; without one, those that it defines.

    :raises PluginError: ``__all__`` lists what is not there.
    """
    listed = getattr(module, "__all__", None)
    if listed is None:
        own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        return [value for value in own if _is_plugin_class(value)]
    for name in listed:
        if not hasattr(module, name):
            raise PluginError(f"{module.__file__}: __all__ lists '{name}', which the module does not define")
    return [value for value in (getattr(module, name) for name in listed) if _is_plugin_class(value)]


def _is_plugin_class(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Plugin) and value is not Plugin


def name_parts(parts: Iterable[Any], name: str) -> list[tuple[Any, str]]:
    """Give each part a name: its own, else *name*, else *name* with the module's or class's."""
    named: dict[str, Any] = {}
    for part in parts:
        chosen = name_of(part, name)
        if chosen in named:
            chosen = f"{name}.{name_of(part)}"
        named[free_name(chosen, named)] = part
    return [(part, chosen) for chosen, part in named.items()]


def free_name(name: str, taken: Collection[str]) -> str:
    """Return *name*, with a number if it is taken."""
    free = (f"{name}-{number}" if number > 1 else name for number in range(1, len(taken) + 2))
    return next(candidate for candidate in free if candidate not in taken)


def name_of(obj: Any, default: str = "") -> str:
    """Return the name that a plugin object or class gives itself, else *default*, else the module's or class's."""
    if not isinstance(obj, ModuleType):
        return text_of(obj, "name") or default or (obj if inspect.isclass(obj) else type(obj)).__name__
    paths = getattr(obj, "__path__", None)
    path = list(paths)[0] if paths else getattr(obj, "__file__", None) or obj.__name__
    return default or os.path.splitext(os.path.basename(path))[0]


def text_of(obj: Any, *names: str) -> str:
    """Return the first of the attributes *names* that holds text; properties are not run."""
    for name in names:
        value = inspect.getattr_static(obj, name, "")
        if isinstance(value, str) and value:
            return value
    return ""


def describe(obj: Any) -> str:
    """Return an object's ``description`` or the first line of its own docstring."""
    owner = obj if inspect.isclass(obj) or isinstance(obj, ModuleType) else type(obj)
    return text_of(obj, "description") or (vars(owner).get("__doc__") or "").strip().partition("\n")[0]


def guard(name: str, where: str, function: Callable[..., _T], *args: Any) -> _T:
    """Call a plugin's code; any exception becomes one sentence with the plugin, the file and the remedy.

    :param where: the origin to name when the traceback names no file.
    :raises PluginError: what was raised, :exc:`SystemExit` too.
    """
    try:
        return function(*args)
    except (KeyboardInterrupt, GreenletExit):
        raise
    except BaseException as error:
        raise PluginError(_sentence(name, where, error)) from error


def remedy(name: str, where: str) -> str:
    """Return the last words of a sentence about a plugin that cannot be used."""
    return "" if where == EMBEDDER else f"; mend it, or leave it out with --no-plugin {name}"


def _sentence(name: str, where: str, error: BaseException) -> str:
    if isinstance(error, GafferError):
        return f"plugin '{name}' ({where}): {error}{remedy(name, where)}"
    reason = f"{type(error).__name__}: {_one_line(error)}".rstrip(": ")
    return f"plugin '{name}' ({_place(error) or where}) cannot be loaded: {reason}{remedy(name, where)}"


def _place(error: BaseException) -> str:
    """Return ``file:line`` of what a plugin did last, without the machinery of imports and our own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_OURS)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _one_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg
    return " ".join(str(error).split())
