"""Calling hooks: ask, collect and tell. Nothing else in gaffer touches ``pm.hook``.

*ask* stops an operation when a plugin raises, and names the plugin. *collect*
takes every answer on its own. *tell* puts the call in the plugin's outbox: a
bounded queue with a greenlet of its own, so that a plugin is told in order and
one that is slow, raises or calls ``sys.exit`` delays and hurts only itself.
"""

from __future__ import annotations

import logging
import time
import traceback
from typing import Any, Callable, Iterator, NamedTuple, NoReturn

import pluggy
from greenlet import GreenletExit

from ..errors import GafferError, Hold, PluginError, described
from ..events.outbox import Outbox
from .answers import checked

log = logging.getLogger("gaffer.hooks")
#: On its own, so that those who cannot do anything about it need not read it.
slow = logging.getLogger("gaffer.hooks.slow")

#: An implementation that takes longer is logged with its name, in seconds.
SLOW = 0.05
#: Hooks of the start and the end: the user who starts gaffer sees how long they take, and nothing else waits.
UNTIMED = frozenset(
    (
        "gaffer_check_config",
        "gaffer_load_jobs",
        "gaffer_manager_start",
        "gaffer_manager_stopped",
        "gaffer_ready",
        "gaffer_registry",
        "gaffer_routes",
        "gaffer_run_instead",
        "gaffer_wrap_wsgi",
    )
)
#: How long a stopping manager waits for outboxes to empty, in seconds.
FLUSH = 5.0


class Killed(GreenletExit):  # type: ignore[misc]
    """gaffer itself ends a greenlet. A GreenletExit that comes out of a plugin is contained like any exception."""


class Implementation(NamedTuple):
    """Function of a plugin for a hook."""

    plugin: str
    hook: str
    function: Callable[..., Any]
    argnames: tuple[str, ...]

    def call(self, kwargs: dict[str, Any]) -> Any:
        """Call the function with those of *kwargs* that it takes; slow ones are logged."""
        started = time.monotonic()
        try:
            return self.function(*[kwargs[name] for name in self.argnames])
        finally:
            took = time.monotonic() - started
            if took > SLOW and self.hook not in UNTIMED:
                slow.warning("plugin %s: %s took %.0f ms", self.plugin, self.hook, took * 1000)


class Hooks:
    """The hooks of one manager."""

    def __init__(self, pm: pluggy.PluginManager) -> None:
        self._pm = pm
        self._outboxes: dict[str, Outbox] = {}
        #: Queues of what plugins made, such as sinks, while they exist; flushed and closed with the others.
        self.passing: set[Outbox] = set()

    def implementations(self, name: str) -> list[Implementation]:
        """Return the implementations of hook *name* in the order of registration."""
        caller = getattr(self._pm.hook, name, None)
        if caller is None:
            return []
        return [
            Implementation(impl.plugin_name, name, impl.function, tuple(impl.argnames))
            for impl in caller.get_hookimpls()
            if not (impl.hookwrapper or impl.wrapper)
        ]

    def implemented(self, name: str) -> bool:
        """Tell whether any plugin implements hook *name*."""
        caller = getattr(self._pm.hook, name, None)
        return caller is not None and bool(caller.get_hookimpls())

    def historic(self, name: str, **kwargs: Any) -> None:
        """Call every implementation now, and those of plugins registered later when they are.

        :raises GafferError: as :meth:`ask`.
        """
        try:
            getattr(self._pm.hook, name).call_historic(kwargs=kwargs)
        except BaseException as error:
            # pluggy calls and remembers in one step, so who failed is seen only in the traceback.
            frames = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
            for call in self.implementations(name):
                if getattr(call.function, "__code__", None) in frames:
                    _raise_named(error, call)
            raise

    def ask(self, name: str, **kwargs: Any) -> list[Any]:
        """Call every implementation, the one registered last first; None answers are left out.

        :raises GafferError: the first exception, its sentence beginning with the plugin's name.
        """
        answers = [named_call(call, kwargs) for call in reversed(self.implementations(name))]
        return [answer for answer in answers if answer is not None]

    def ask_in_order(self, name: str, **kwargs: Any) -> None:
        """Call every implementation in the order of registration.

        :raises GafferError: as :meth:`ask`; those that come later are not called.
        """
        for call in self.implementations(name):
            named_call(call, kwargs)

    def ask_first(self, name: str, **kwargs: Any) -> Any:
        """Return the first answer that is not None, asking the plugin registered last first.

        :raises GafferError: as :meth:`ask`.
        """
        for call in reversed(self.implementations(name)):
            answer = named_call(call, kwargs)
            if answer is not None:
                return answer
        return None

    def fold(self, name: str, key: str, value: Any, **kwargs: Any) -> Any:
        """Pass *value* as argument *key* through every implementation, in the order of registration."""
        for call in self.implementations(name):
            answer = named_call(call, {**kwargs, key: value})
            value = value if answer is None else answer
        return value

    def collect(self, name: str, **kwargs: Any) -> list[tuple[str, Any]]:
        """Return ``(plugin, answer)`` of every implementation that gave one; failures are logged."""
        answers = []
        for plugin, answer in self.attempts(name, **kwargs):
            if isinstance(answer, BaseException):
                log.error("plugin %s failed in %s: %r", plugin, name, answer, exc_info=answer)
            elif answer is not None:
                answers.append((plugin, answer))
        return answers

    def attempts(self, name: str, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        """Yield ``(plugin, answer or exception)`` of every implementation."""
        for call in reversed(self.implementations(name)):
            try:
                answer = _answer(call, kwargs)
            except Killed:
                raise
            except BaseException as error:
                answer = error
            yield call.plugin, answer

    def tell(self, name: str, **kwargs: Any) -> None:
        """Queue the call for every implementing plugin; never waits, never raises."""
        for call in self.implementations(name):
            outbox = self._outboxes.get(call.plugin)
            if outbox is None:
                outbox = self._outboxes[call.plugin] = Outbox(f"plugin {call.plugin}")
            outbox.put(name, call.call, (kwargs,))

    def flush(self, timeout: float = FLUSH) -> list[str]:
        """Wait until all outboxes are empty; returns the plugins that were too slow."""
        deadline = time.monotonic() + timeout
        boxes = [*self._outboxes.items(), *((box.owner.removeprefix("plugin "), box) for box in self.passing)]
        return [plugin for plugin, box in boxes if not box.flush(max(0.0, deadline - time.monotonic()))]

    def excuse(self, greenlet: Any) -> None:
        """Do not wait for what a plugin does in *greenlet*: that waits for the end of the manager itself."""
        for outbox in (*self._outboxes.values(), *self.passing):
            outbox.excuse(greenlet)

    def close(self) -> None:
        """End all outboxes."""
        for outbox in (*self._outboxes.values(), *self.passing):
            outbox.close()
        self.passing.clear()

    def counters(self) -> dict[str, dict[str, Any]]:
        """Return the counters of every plugin that was ever told something."""
        return {name: outbox.counters() for name, outbox in self._outboxes.items()}


def named_call(call: Implementation, kwargs: dict[str, Any]) -> Any:
    """Call one implementation; any exception gets the plugin's name into its sentence.

    :raises GafferError: the plugin's own error with its code, else :class:`PluginError`.
    """
    try:
        return _answer(call, kwargs)
    except BaseException as error:
        _raise_named(error, call)


def _answer(call: Implementation, kwargs: dict[str, Any]) -> Any:
    """Call one implementation and check its answer; a generator's exceptions come now, like those of any other."""
    answer = call.call(kwargs)
    return checked(call.plugin, call.hook, list(answer) if isinstance(answer, Iterator) else answer)


def _raise_named(error: BaseException, call: Implementation) -> NoReturn:
    if isinstance(error, (Killed, Hold)):
        raise error
    if isinstance(error, GafferError):
        if not getattr(error, "plugin", None):
            error.plugin = call.plugin  # type: ignore[attr-defined]
            error.args = (f"plugin {call.plugin}: {error}", *error.args[1:])
        raise error
    log.error("plugin %s failed in %s: %r", call.plugin, call.hook, error, exc_info=error)
    raise PluginError(
        f"plugin {call.plugin} failed in {call.hook}: {described(error)}; "
        f"mend it or leave it out with --no-plugin {call.plugin}"
    ) from error
