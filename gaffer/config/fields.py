"""Kinds of values: how a setting is read from text, checked, shown and described.

Job settings and gafferd's options are tables of :class:`Field`; each field has
one kind. A kind reads ini text (:meth:`Kind.parse`) and checks values that came
from JSON or Python (:meth:`Kind.check`); both return the value in its one
canonical form or raise :class:`ValueError` with what was expected.
"""

from __future__ import annotations

import grp
import pwd
import re
import shlex
import signal
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Iterable, Mapping, NamedTuple

_TRUE = frozenset(("true", "yes", "on", "1"))
_FALSE = frozenset(("false", "no", "off", "0"))
#: A longer word is no argument of a program (MAX_ARG_STRLEN, execve(2)).
MOST_TEXT = 131_071
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*\Z")
#: Longer ones are out of any range, and Python refuses very long ones in words of its own.
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}\Z")
_LONGEST_SECONDS = 31_536_000  # seconds: a year
#: For JSON Schema. No process can be given a NUL.
_NO_NUL: dict[str, Any] = {"type": "string", "pattern": r"^[^\u0000]*$"}
_SECONDS: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": _LONGEST_SECONDS}
MOST_ATTEMPTS, _MOST_RETRIES = 10_000, 1_000_000


class Kind:
    """A kind of value; subclasses say how it is read, checked and described."""

    #: What the reference tables print.
    label = "value"
    #: JSON Schema of the value as JSON carries it.
    schema: dict[str, Any] = {}

    def parse(self, text: str) -> Any:
        """Read the value from an ini file or the environment."""
        return self.check(text.strip())

    def check(self, value: Any) -> Any:
        """Return *value* in canonical form, or raise ValueError saying what was expected."""
        raise NotImplementedError

    def to_json(self, value: Any) -> Any:
        """Return the canonical value as JSON shows it."""
        return value

    def variables(self, value: Any) -> Iterable[str]:
        """Return the environment variables that the canonical value uses; a job that has them not is refused."""
        return ()


class Text(Kind):
    """A string without NUL; the empty one is allowed only where ``empty`` says so."""

    label = "text"
    schema = _NO_NUL

    def __init__(self, empty: bool = True) -> None:
        self.empty = empty
        if not empty:
            self.schema = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"expected a string, not {value!r}")
        if "\0" in value:
            raise ValueError("a NUL character cannot be passed to a process")
        if len(value) > MOST_TEXT:
            raise ValueError(f"longer than {MOST_TEXT} characters, which no other could be given")
        if not value.strip() and not self.empty:
            raise ValueError("must not be empty")
        return value


class OptionalText(Text):
    """A string; the empty one means "not set"."""

    schema = {**_NO_NUL, "type": ["string", "null"]}

    def check(self, value: Any) -> str | None:  # type: ignore[override]
        return (super().check(value) or None) if value is not None else None


class Bool(Kind):
    label = "true or false"
    schema = {"type": "boolean"}

    def parse(self, text: str) -> bool:
        word = text.strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise ValueError(f"expected true or false, not {text.strip()!r}")

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, not {value!r}")
        return value


class Int(Kind):
    """An integer between *low* and *high*, both included."""

    label = "integer"

    def __init__(self, low: int = 0, high: int = 1_000_000, optional: bool = False) -> None:
        self.low, self.high, self.optional = low, high, optional
        self.schema = {"type": ["integer", "null"] if optional else "integer", "minimum": low, "maximum": high}

    def parse(self, text: str) -> int | None:
        text = text.strip()
        if not text and self.optional:
            return None
        if not _INTEGER.match(text):
            raise ValueError(f"expected an integer, not {text!r}")
        return self.check(int(text))

    def check(self, value: Any) -> int | None:
        if value is None and self.optional:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"expected an integer, not {value!r}")
        if not self.low <= value <= self.high:
            raise ValueError(f"expected an integer from {self.low} to {self.high}, not {value}")
        return value


class Seconds(Kind):
    """A finite number of seconds, as a float; not less than *low*, which is not negative."""

    label = "seconds"
    schema = _SECONDS

    def __init__(self, low: float = 0) -> None:
        self.low = low
        if low:
            self.schema = {**_SECONDS, "minimum": low}

    def parse(self, text: str) -> float:
        try:
            value = float(text.strip())
        except ValueError:
            raise ValueError(f"expected a number of seconds, not {text.strip()!r}") from None
        return self.check(value)

    def check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"expected a number of seconds, not {value!r}")
        if not self.low <= value <= _LONGEST_SECONDS:  # so written, it refuses what is not a number too
            raise ValueError(f"expected a number of seconds from {self.low:g} to one year, not {value!r}")
        return float(value)


class Choice(Kind):
    """Choice from a few words."""

    label = "word"

    def __init__(self, *words: str) -> None:
        self.words = words
        self.label = ", ".join(words)
        self.schema = {"type": "string", "enum": list(words)}

    def check(self, value: Any) -> str:
        if value not in self.words:
            raise ValueError(f"expected one of {', '.join(self.words)}, not {value!r}")
        return str(value)


class TextList(Kind):
    """A list of strings; in ini files separated by commas."""

    label = "list of texts"
    schema: dict[str, Any] = {"type": "array", "items": _NO_NUL}

    def parse(self, text: str) -> tuple[str, ...]:
        return self.check([part.strip() for part in text.split(",") if part.strip()])

    def check(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise ValueError(f"expected a list of strings, not {value!r}")
        for item in value:
            if not isinstance(item, str) or "\0" in item:
                raise ValueError(f"expected a list of strings without NUL, but it holds {item!r}")
        return tuple(value)

    def to_json(self, value: Any) -> Any:
        return list(value)


class Words(TextList):
    """Arguments: a list, or one string that is kept whole and split by shell rules later."""

    label = "list, or text split with shell rules"
    schema = {"anyOf": [TextList.schema, _NO_NUL]}

    def parse(self, text: str) -> Any:
        return self.check(text.strip())

    def check(self, value: Any) -> Any:
        if isinstance(value, str):
            if "\0" in value:
                raise ValueError("a NUL character cannot be passed to a process")
            try:
                shlex.split(value)
            except ValueError as error:
                raise ValueError(f"cannot be split into words: {error}") from None
            return value or ()
        return super().check(value)

    def to_json(self, value: Any) -> Any:
        return value if isinstance(value, str) else list(value)


class Labels(TextList):
    """Names of streams: letters, digits, ``_`` and ``-``."""

    label = "list of labels"

    def __init__(self, most: int, distinct: bool = False, reserved: Iterable[str] = ()) -> None:
        self.most, self.distinct, self.reserved = most, distinct, frozenset(reserved)
        items: dict[str, Any] = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"}
        if reserved:
            items["not"] = {"enum": sorted(reserved)}
        self.schema = {"type": "array", "items": items, "maxItems": most, "uniqueItems": distinct}

    def check(self, value: Any) -> tuple[str, ...]:
        labels = super().check(value)
        if len(labels) > self.most:
            raise ValueError(f"at most {self.most} labels, not {len(labels)}")
        for label in labels:
            if not _LABEL.match(label) or len(label) > 64:
                raise ValueError(f"label {label!r} may hold up to 64 letters, digits, '_' and '-' only")
            if label in self.reserved:
                raise ValueError(f"label {label!r} is reserved")
        if self.distinct and len(set(labels)) != len(labels):
            raise ValueError("every label must be different")
        return labels


class IntList(Kind):
    """A list of small integers, such as exit codes."""

    label = "list of integers"
    schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}

    def parse(self, text: str) -> tuple[int, ...]:
        try:
            return self.check([int(part) for part in text.split(",") if part.strip()])
        except ValueError:
            raise ValueError(f"expected integers from 0 to 255, not {text.strip()!r}") from None

    def check(self, value: Any) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"expected a list of integers, not {value!r}")
        for item in value:
            if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item <= 255:
                raise ValueError(f"expected integers from 0 to 255, not {item!r}")
        return tuple(value)

    def to_json(self, value: Any) -> Any:
        return list(value)


class Environment(Kind):
    """A mapping of environment variables, read-only once checked; numbers are turned into text."""

    label = "mapping"
    schema = {
        "type": "object",
        "propertyNames": {"pattern": r"^[^=\u0000]+$"},
        "additionalProperties": {"type": ["string", "number"], "pattern": _NO_NUL["pattern"]},
    }

    def parse(self, text: str) -> Mapping[str, str]:
        raise ValueError("environment variables are written in a section of their own: [env:NAME]")

    def check(self, value: Any) -> Mapping[str, str]:
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a mapping of names to texts, not {value!r}")
        checked = {}
        for key, item in value.items():
            if not isinstance(key, str) or not key or "=" in key or "\0" in key:
                raise ValueError(f"{key!r} cannot name an environment variable")
            if isinstance(item, bool) or not isinstance(item, (str, int, float)):
                raise ValueError(f"the value of {key} must be a text or a number, not {item!r}")
            if "\0" in str(item):
                raise ValueError(f"the value of {key} holds a NUL character")
            checked[key] = str(item)
        return MappingProxyType(checked)

    def to_json(self, value: Any) -> Any:
        return dict(value)


class Account(Kind):
    """A user or group: its id or its name, which must exist on this machine."""

    schema = {"type": ["integer", "string", "null"], "minimum": 0}

    def __init__(self, group: bool = False) -> None:
        self.group = group
        self.label = "group id or name" if group else "user id or name"

    def parse(self, text: str) -> int | str | None:
        return self.check(text.strip())

    def check(self, value: Any) -> int | str | None:
        if value is None or value == "":
            return None
        value = _as_number(value)
        what = "group" if self.group else "user"
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(f"expected the id or the name of a {what}, not {value!r}")
        try:
            self.lookup(value)
        except (KeyError, OverflowError, ValueError):
            raise ValueError(f"no {what} {value!r} on this machine") from None
        return value

    def lookup(self, value: int | str) -> int:
        """Return the numeric id; raises KeyError if there is no such account."""
        value = _as_number(value)
        if self.group:
            return (grp.getgrgid(value) if isinstance(value, int) else grp.getgrnam(value)).gr_gid
        return (pwd.getpwuid(value) if isinstance(value, int) else pwd.getpwnam(value)).pw_uid


def _as_number(value: Any) -> Any:
    """Return the number that a text of digits means, anything else as it is."""
    return int(value) if isinstance(value, str) and _INTEGER.match(value.strip()) else value


class Umask(Kind):
    """A file mode or a mask of one; text is octal."""

    label = "octal"
    schema = {"type": ["string", "integer", "null"], "pattern": "^0?[0-7]{0,3}$", "minimum": 0, "maximum": 0o777}

    def check(self, value: Any) -> int | None:
        if value is None or value == "":
            return None
        try:
            mask = int(value, 8) if isinstance(value, str) else value
        except ValueError:
            mask = -1
        if isinstance(mask, bool) or not isinstance(mask, int) or not 0 <= mask <= 0o777:
            raise ValueError(f"expected an octal number from 000 to 777, not {value!r}")
        return mask

    def to_json(self, value: Any) -> Any:
        return None if value is None else f"{value:03o}"


#: Signals that have a name in Python, and real-time ones, most of which have none; macOS has none of them.
_NAMED = frozenset(int(one) for one in signal.Signals)
_REAL_TIME = range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else range(0)
_REAL_TIME_NAME = re.compile(r"(SIGRTMIN(?=\+)|SIGRTMAX(?=-))([+-][0-9]{1,2})")


def _signal_schema() -> dict[str, Any]:
    """Return the schema of this machine's signals; mixed case, which is accepted too, is left out of its pattern."""
    names = "|".join(sorted(name.removeprefix("SIG") for name in signal.Signals.__members__))
    if _REAL_TIME:
        names += r"|RTMIN\+[0-9]{1,2}|RTMAX-[0-9]{1,2}"
    numbers = sorted(_NAMED.union(_REAL_TIME))
    pattern = f"^((SIG)?({names})|(sig)?({names.lower()})|{'|'.join(map(str, numbers))})$"
    return {
        "anyOf": [{"type": "integer", "enum": numbers}, {"type": "string", "pattern": pattern}],
        "examples": ["TERM"],
    }


class Signal(Kind):
    """A signal: its number, or its name with or without SIG, any case, or ``RTMIN+n`` and ``RTMAX-n``."""

    label = "signal"
    schema = _signal_schema()

    def parse(self, text: str) -> int:
        return parse_signal(text.strip())

    def check(self, value: Any) -> int:
        return parse_signal(value)

    def to_json(self, value: Any) -> Any:
        return signal_name(value)


class OptionalSignal(Signal):
    """A signal; nothing means none."""

    schema = {**Signal.schema, "anyOf": [*Signal.schema["anyOf"], {"type": "null"}]}

    def parse(self, text: str) -> int | None:  # type: ignore[override]
        return self.check(text.strip() or None)

    def check(self, value: Any) -> int | None:  # type: ignore[override]
        return None if value is None else parse_signal(value)

    def to_json(self, value: Any) -> Any:
        return None if value is None else signal_name(value)


def parse_signal(value: Any) -> int:
    """Return the signal that *value* names: ``15``, ``"15"``, ``"TERM"``, ``"sigterm"``, ``37``, ``"RTMIN+3"``.

    Those without a name of their own in Python, between RTMIN and RTMAX (signal(7)), are numbers; the others are
    :class:`signal.Signals`.

    :raises ValueError: if this machine has no such signal.
    """
    number = _as_number(value)
    if isinstance(number, str):
        word = number.strip().upper()
        number = _signal_number(word if word.startswith("SIG") else "SIG" + word)
    if isinstance(number, int) and not isinstance(number, bool):
        if number in _NAMED:
            return signal.Signals(number)
        if number in _REAL_TIME:
            return number
    raise ValueError(f"no signal {value!r}; give a number such as 15 or a name such as TERM or RTMIN+1")


def _signal_number(name: str) -> int | None:
    found = _REAL_TIME_NAME.fullmatch(name)
    if found is None:
        return signal.Signals.__members__.get(name)
    number = signal.Signals[found[1]] + int(found[2])
    return number if number in _REAL_TIME else None


def signal_name(number: int) -> str:
    """Return the name of a signal: ``SIGTERM``, ``SIGRTMIN+3``; the number where this machine has no such signal."""
    if number in _NAMED:
        return signal.Signals(number).name
    return f"SIGRTMIN+{number - _REAL_TIME.start}" if number in _REAL_TIME else str(number)


class Flapping(NamedTuple):
    """When a process that keeps dying is paused, and when gaffer gives it up."""

    attempts: int
    window: float
    retry_in: float
    max_retry: int


_FLAPPING: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 1, "maximum": MOST_ATTEMPTS},
    _SECONDS,
    _SECONDS,
    {"type": "integer", "minimum": -1, "maximum": _MOST_RETRIES},
]


def _whole(text: str) -> int:
    """Return a whole number, which gaffer 0.5 also took as ``2.``.

    :raises ValueError: it is none.
    """
    value = float(text)
    if not value.is_integer():
        raise ValueError(f"expected a whole number, not {text!r}")
    return int(value)


class Backoff(NamedTuple):
    """Delays before a process that does not stay up is started again, in seconds: each *factor* times the last."""

    first: float
    factor: float
    longest: float


class BackoffRule(Kind):
    """``first, factor, longest``."""

    label = "first, factor, longest"
    schema = {
        "type": ["array", "null"],
        "prefixItems": [_SECONDS, {"type": "number", "minimum": 1, "maximum": 100}, _SECONDS],
        "minItems": 3,
        "maxItems": 3,
        "examples": [[0.1, 2, 30]],
    }

    def parse(self, text: str) -> Backoff | None:
        if not text.strip():
            return None
        try:
            return self.check([float(part) for part in text.replace(",", " ").split()])
        except ValueError as error:
            raise ValueError(f"expected '{self.label}' such as '0.1, 2, 30', not {text.strip()!r}: {error}") from error

    def check(self, value: Any) -> Backoff | None:
        if value is None:
            return None
        if not isinstance(value, (list, tuple)) or len(value) != 3:
            raise ValueError(f"expected '{self.label}', not {value!r}")
        first, longest = Seconds().check(value[0]), Seconds().check(value[2])
        factor = value[1]
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 <= factor <= 100:
            raise ValueError(f"the factor must be a number from 1 to 100, not {factor!r}")
        if first > longest:
            raise ValueError(f"the first delay, {first:g}, is longer than the longest, {longest:g}")
        return Backoff(first, float(factor), longest)

    def to_json(self, value: Any) -> Any:
        return None if value is None else list(value)


class FlappingRule(Kind):
    """``attempts, window, retry_in, max_retry``; a negative ``max_retry`` never gives up."""

    label = "attempts, window, retry_in, max_retry"
    schema = {
        "anyOf": [
            {"type": "null"},
            {
                "type": "object",
                "required": list(Flapping._fields),
                "additionalProperties": False,
                "properties": dict(zip(Flapping._fields, _FLAPPING)),
            },
            {"type": "array", "prefixItems": _FLAPPING, "minItems": 4, "maxItems": 4},
        ],
        "examples": [{"attempts": 2, "window": 1.0, "retry_in": 7.0, "max_retry": 5}],
    }

    def parse(self, text: str) -> Flapping | None:
        if not text.strip():
            return None
        parts = text.replace(",", " ").split()
        if len(parts) != 4:
            raise ValueError(f"expected four values '{self.label}', not {text.strip()!r}")
        try:
            return self.check([_whole(parts[0]), float(parts[1]), float(parts[2]), _whole(parts[3])])
        except ValueError as error:
            raise ValueError(f"expected '{self.label}' such as '2, 1., 7., 5', not {text.strip()!r}") from error

    def check(self, value: Any) -> Flapping | None:
        if value is None or value == "":
            return None
        if isinstance(value, dict):
            if set(value) != set(Flapping._fields):
                raise ValueError(f"expected an object with {', '.join(Flapping._fields)}")
            value = [value[key] for key in Flapping._fields]
        if not isinstance(value, (list, tuple)) or len(value) != 4:
            raise ValueError(f"expected '{self.label}', not {value!r}")
        attempts, window, retry_in, max_retry = value
        return Flapping(
            Int(1, MOST_ATTEMPTS).check(attempts) or 1,
            Seconds().check(window),
            Seconds().check(retry_in),
            Int(-1, _MOST_RETRIES).check(max_retry) or 0,
        )

    def to_json(self, value: Any) -> Any:
        return None if value is None else value._asdict()


@dataclass(frozen=True)
class Field:
    """Declaration of a setting, used by parsers, validation, JSON, CLI and reference pages.

    :param name: the key in JSON and ini files.
    :param kind: how its value is read and checked.
    :param default: the canonical value of a setting that is not given.
    :param help: one line for the reference.
    :param needs_restart: whether a change means new processes (job settings)
        or a new gafferd (options).
    :param flags: command-line flags (options only).
    :param section: the ini section it belongs to (options only).
    """

    name: str
    kind: Kind
    default: Any = None
    help: str = ""
    needs_restart: bool = True
    flags: tuple[str, ...] = ()
    section: str = "gaffer"
    multiple: bool = False
