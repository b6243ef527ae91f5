"""Kinds of values that settings of log files have."""

from __future__ import annotations

import re
from typing import Any

from gaffer.api import Int, OptionalText, expand_home, nearest

_UNITS = {"": 1, "B": 1, "K": 1 << 10, "KB": 1 << 10, "M": 1 << 20, "MB": 1 << 20, "G": 1 << 30, "GB": 1 << 30}
_SIZE = re.compile(r"([0-9]{1,15})\s*([KMG]?B?)\Z")
#: Nothing wider than two digits say, so that a name cannot become a gigabyte long.
_TEMPLATE = re.compile(r"(?:[^%]|%%|%\([^()]*\)(?:0?[0-9]{1,2})?[sd])*\Z")
#: What a name may hold, with values to try it with.
SAMPLE = {"name": "web", "session": "default", "job": "web", "index": 0, "pid": 1, "label": "stdout"}


class Size(Int):
    """A number of bytes: an integer, or text with a unit of 1024 such as ``50MB``."""

    label = "bytes, such as 50MB"

    def __init__(self, low: int = 0, high: int = 1 << 50, optional: bool = False) -> None:
        super().__init__(low, high, optional)
        number = self.schema
        text = {"type": "string", "pattern": "^[0-9]{1,9}([KkMm][Bb]?)?$"}
        self.schema = {"anyOf": [number, text], "examples": ["50MB"]}

    def parse(self, text: str) -> int | None:
        return self.check(text.strip() or None)

    def check(self, value: Any) -> int | None:
        if isinstance(value, str):
            found = _SIZE.match(value.strip().upper())
            if found is None:
                raise ValueError(f"expected a number of bytes such as 1000000 or 50MB, not {value!r}")
            value = int(found.group(1)) * _UNITS[found.group(2)]
        return super().check(value)


class OptionalSize(Size):
    """A number of bytes, or nothing; small ones make no sense."""

    def __init__(self) -> None:
        super().__init__(low=4096, optional=True)
        self.schema["anyOf"][1]["pattern"] = (
            "^([1-9][0-9]{4,8}|[4-9][Kk]|[1-9][0-9]{1,5}[Kk][Bb]?|[1-9][0-9]{0,5}[Mm][Bb]?)$"
        )


class FileName(OptionalText):
    """The name of a file; in a *template*, ``%(name)s`` and the like stand for something."""

    label = "file name"

    def __init__(self, template: bool = False) -> None:
        super().__init__()
        self._template = template
        if template:
            self.schema = {
                **self.schema,
                "pattern": r"^(([^\u0000%]|%%)*([^\u0000%/]|%%))?$",
                "examples": ["logs/%(name)s.log"],
            }

    def check(self, value: Any) -> str | None:  # type: ignore[override]
        name = super().check(value)
        if name is None or not self._template:
            return name and expand_home(name)
        if not _TEMPLATE.match(name):
            raise ValueError(f"{name!r} has a % that stands for nothing; write %% for one, or {_known()}")
        try:
            shown = name % SAMPLE
        except KeyError as error:
            word = str(error.args[0])
            raise ValueError(f"%({word})s stands for nothing{nearest(word, SAMPLE)}; there are {_known()}") from None
        except TypeError:
            raise ValueError(f"{name!r}: only numbers can be written with d; write s instead") from None
        if shown.endswith("/"):
            raise ValueError(f"{name!r} is the name of a folder")
        return name


def _known() -> str:
    return ", ".join(f"%({word})s" for word in SAMPLE)
