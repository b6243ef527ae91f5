"""A plugin that writes down every hook it is called for."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Iterable, Iterator, NamedTuple

from .. import hookspecs as ours
from ..hookspecs.markers import hookimpl


class HookCall(NamedTuple):
    """Call of a hook.

    :param args: its arguments by name; the objects themselves, which may have changed since.
    """

    name: str
    args: dict[str, Any]


class HookRecorder:
    """A plugin that implements every hook and keeps the calls in order.

    :param only: names of the hooks to implement; all without any. Some hooks cost more
        once they are implemented, and what is told comes later than what is asked.
    :param hookspecs: more modules with specifications, those of your own.

    It has no opinion unless it is given one::

        recorder = HookRecorder()
        recorder.answers["gaffer_before_scale"] = 3
        recorder.answers["gaffer_before_unload"] = gaffer.Veto("it stays")
        recorder.answers["gaffer_sample"] = lambda manager, processes: {}

    An exception is raised, a function is called with the hook's arguments.
    """

    name = "hook-recorder"

    def __init__(self, *only: str, hookspecs: Iterable[Any] = ()) -> None:
        #: What was called, in order.
        self.calls: list[HookCall] = []
        #: What to answer, by name of hook.
        self.answers: dict[str, Any] = {}
        specs = dict(_specs((*ours.MODULES, *hookspecs)))
        unknown = set(only) - specs.keys()
        if unknown:
            raise ValueError(f"no such hook: {', '.join(sorted(unknown))}")
        for name in only or specs:
            setattr(self, name, hookimpl(self._implementation(name, specs[name])))

    def _implementation(self, name: str, spec: Callable[..., Any]) -> Callable[..., Any]:
        names = [argument for argument in inspect.signature(spec).parameters if argument != "self"]

        # Looks like the specification, because pluggy gives a function what its arguments are called.
        @functools.wraps(spec, updated=())
        def record(*args: Any) -> Any:
            given = dict(zip(names, args))
            self.calls.append(HookCall(name, given))
            answer = self.answers.get(name)
            if isinstance(answer, BaseException):
                raise answer
            return answer(**given) if callable(answer) else answer

        return record

    @property
    def names(self) -> list[str]:
        """The names of the hooks that were called, in order."""
        return [call.name for call in self.calls]

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the arguments of every call of one hook."""
        return [call.args for call in self.calls if call.name == name]

    def clear(self) -> None:
        """Forget all calls."""
        self.calls.clear()


def _specs(modules: Iterable[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in modules:
        for name, function in vars(module).items():
            if hasattr(function, "gaffer_spec"):
                yield name, function
