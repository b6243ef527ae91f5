"""Checks of what plugins answer, made once, where an answer comes in.

Who asks a hook declares what an answer may be. A wrong one is logged with the plugin's name and left out: the plugin
that was right is still used, and no other plugin is blamed.
"""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping
from typing import Any, Callable, Iterable, TypeVar

log = logging.getLogger("gaffer.hooks")

Check = Callable[[Any], Any]
_C = TypeVar("_C", bound=Check)
_CHECKS: dict[str, Check] = {}


def checks(hook: str) -> Callable[[_C], _C]:
    """Make a function the check of the answers of *hook*: it returns the answer to use, or raises ValueError."""

    def declare(check: _C) -> _C:
        _CHECKS[hook] = check
        return check

    return declare


def checked(plugin: str, hook: str, answer: Any) -> Any:
    """Return *answer* as its check leaves it; None, as if there was none, if it is wrong, which is logged."""
    check = _CHECKS.get(hook)
    if check is None or answer is None:
        return answer
    try:
        return check(answer)
    except Exception as error:
        sentence = "plugin %s answered %s with %s, which is not used: %s; mend it or leave it out with --no-plugin %s"
        log.error(sentence, plugin, hook, reprlib.repr(answer), error, plugin)
        return None


def _of(kind: type, words: str) -> Check:
    def check(answer: Any) -> Any:
        if not isinstance(answer, kind) or isinstance(answer, (str, bytes)):
            raise ValueError(f"it must be {words}")
        return answer

    return check


def _function(answer: Any) -> Any:
    if not callable(answer):
        raise ValueError("it must be a WSGI application")
    return answer


def _functions(answer: Any) -> Any:
    if not isinstance(answer, Mapping) or not all(isinstance(key, str) and callable(answer[key]) for key in answer):
        raise ValueError("it must be a dictionary of words and functions")
    return answer


def _number(answer: Any) -> int:
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise ValueError("it must be a whole number")
    return answer


# Those whose answers are values of Python; modules that know more about an answer declare theirs.
for _hook in ("gaffer_routes", "gaffer_load_jobs", "gaffer_sites", "gaffer_check_config"):
    checks(_hook)(_of(Iterable, "a list"))
for _hook in ("gaffer_health", "gaffer_sample", "gaffer_node_info", "gaffer_job_info"):
    checks(_hook)(_of(Mapping, "a dictionary"))
checks("gaffer_probe_kinds")(_functions)
checks("gaffer_wrap_wsgi")(_function)
checks("gaffer_run_instead")(_number)
