"""Kinds of values that settings of probes have.

What a text means is in :mod:`.syntax`, which most daemons do not import: they have no job with a probe.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping

from gaffer.api import OptionalText, TextList

#: The statuses that are a success unless a job says otherwise.
STATUSES = "200-399"
_MOST_HEADERS = 32


class ProbeText(OptionalText):
    """A probe, such as ``http://127.0.0.1:$PORT/healthz``.

    :param further: returns the kinds that other plugins bring.
    :param refused: kinds that cannot answer this question, each with the reason.
    """

    label = "probe"

    def __init__(self, further: Callable[[], Iterable[str]], refused: Mapping[str, str]) -> None:
        super().__init__()
        self._further, self._refused = further, refused
        self.schema = {
            "type": ["string", "null"],
            "pattern": r"^[^\u0000-\u001f]*$",
            "maxLength": 4096,
            "examples": ["http://127.0.0.1:$PORT/healthz"],
        }

    def check(self, value: Any) -> str | None:  # type: ignore[override]
        text = super().check(value)
        if text is None:
            return None
        from .syntax import read_probe

        probe = read_probe(text, self._further)
        if probe.kind in self._refused:
            raise ValueError(self._refused[probe.kind])
        return text

    def variables(self, value: str | None) -> set[str]:
        """Return the variables of the text."""
        if not value:
            return set()
        from .syntax import read_probe, variables_of

        return variables_of(read_probe(value, self._further))


class Statuses(OptionalText):
    """HTTP statuses: numbers and ranges."""

    label = "statuses, such as 200-399"

    def __init__(self) -> None:
        super().__init__()
        self.schema = {"type": "string", "pattern": "^[1-5][0-9, -]{2,4096}$", "examples": [STATUSES]}

    def check(self, value: Any) -> str:
        text = super().check(value) or ""
        if text != STATUSES:
            from .syntax import check_statuses

            check_statuses(text)
        return text


class Headers(TextList):
    """Headers of a request, each ``Name: value``."""

    label = "list of headers"
    schema = {
        "type": "array",
        "items": {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\u0000\r\n]*$"},
        "maxItems": _MOST_HEADERS,
    }

    def check(self, value: Any) -> tuple[str, ...]:
        headers = super().check(value)
        if len(headers) > _MOST_HEADERS:
            raise ValueError(f"at most {_MOST_HEADERS} headers, not {len(headers)}")
        for header in headers:
            from .syntax import check_header

            check_header(header)
        return headers

    def variables(self, value: tuple[str, ...]) -> set[str]:
        """Return the variables of all headers."""
        from .syntax import variables

        return variables(" ".join(value))
