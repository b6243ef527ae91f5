"""Encodings of a feed: bytes as they are, JSON lines, server-sent events."""

from __future__ import annotations

import re
from typing import Protocol

from ..requests.replies import encode_json
from .sources import LiveItem
from .utf8_stream import whole_characters

#: How long text waits for the end of its line, in seconds: a prompt has none.
PARTIAL_LINE_DELAY = 0.1
#: A line that is longer is sent in pieces, in bytes.
MAX_LINE_BYTES = 65_536
_BREAKS = re.compile(r"[\r\n\0]")


class Encoder(Protocol):
    """Protocol of an encoder of items."""

    #: Whether the answer has no way to say that something is missing.
    exact: bool
    #: How long to wait for more before :meth:`flush`, in seconds; None while nothing is held back.
    patience: float | None

    def encode(self, items: list[LiveItem]) -> list[bytes]:
        """Return what to send of *items*, in parts, which other readers may have, too; it may be nothing yet."""

    def flush(self, last: bool) -> bytes:
        """Return what was held back, as far as it makes sense.

        :param last: nothing will follow.
        """


class RawEncoder:
    """A stream's bytes, exactly."""

    exact = True
    patience: float | None = None

    def encode(self, items: list[LiveItem]) -> list[bytes]:
        return [item.data for item in items]

    def flush(self, last: bool) -> bytes:
        return b""


class JsonLinesEncoder:
    """JSON, one document a line; a gap is ``{"event": "gap", "lost": n}``."""

    exact = False
    patience: float | None = None

    def encode(self, items: list[LiveItem]) -> list[bytes]:
        return [b"".join((_gap(item) if item.lost else item.data) + b"\n" for item in items)]

    def flush(self, last: bool) -> bytes:
        return b""


def _gap(item: LiveItem) -> bytes:
    return encode_json({"event": item.event, "lost": item.lost})


class EventStreamEncoder:
    """Server-sent events: ``id:``, ``event:``, ``data:``, an empty line.

    Of a stream's bytes, an event is one or more whole lines of text, without the newline that ends the last one. A
    line that has no end yet comes after a moment, with an id that ends in ``+``: what follows belongs to that line.

    :param raw: items are bytes of a stream, not JSON.
    """

    exact = False

    def __init__(self, raw: bool) -> None:
        self._raw = raw
        self._rest = b""
        #: Position and name of the last item.
        self._last = ("", "")
        self.patience: float | None = None

    def encode(self, items: list[LiveItem]) -> list[bytes]:
        if not self._raw:
            return [b"".join(map(self._whole, items))]
        return [self._whole(item) if item.lost else self._bytes(item) for item in items]

    def _whole(self, item: LiveItem) -> bytes:
        """Return an item that is JSON, or the number of a gap."""
        return self.flush(True) + _event(item.id, item.event, item.data)

    def _bytes(self, item: LiveItem) -> bytes:
        # The rest is what the stream has before the item, so its size says what it is.
        key = ("eventstream", len(self._rest))
        text, self._rest, self._last = item.encode_once(key, lambda: (self._lines(item), self._rest, self._last))
        self.patience = PARTIAL_LINE_DELAY if self._rest else None
        return text

    def _lines(self, item: LiveItem) -> bytes:
        data = self._rest + item.data
        cut = data.rfind(b"\n") + 1
        if len(data) - cut > MAX_LINE_BYTES:
            cut = whole_characters(data)
        self._rest, self._last = data[cut:], (item.id, item.event)
        return self._text(data[:cut])

    def _text(self, data: bytes) -> bytes:
        if not data:
            return b""
        ended = data.endswith(b"\n")
        body = data[:-1].removesuffix(b"\r") if ended else data
        id, name = self._last
        return _event(_before(id, len(self._rest)) + ("" if ended else "+"), name, _utf8(body))

    def flush(self, last: bool) -> bytes:
        data = self._rest
        cut = len(data) if last else whole_characters(data)
        self._rest, self.patience = data[cut:], None
        return self._text(data[:cut])


def _event(id: str, name: str, data: bytes) -> bytes:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # CR LF, as gaffer 0.4 and 0.5 ended lines: their clients take nothing else.
    head = f"id: {id}\r\nevent: {_BREAKS.sub(' ', name)}\r\ndata: ".encode("utf-8", "replace")
    return b"".join((head, data.replace(b"\n", b"\r\ndata: "), b"\r\n\r\n"))


def _utf8(data: bytes) -> bytes:
    """Return *data* with U+FFFD for what is no UTF-8."""
    return data if data.isascii() else data.decode("utf-8", "replace").encode()


def _before(id: str, size: int) -> str:
    """Return the id of the position *size* bytes earlier."""
    life, _, number = id.rpartition("-")
    return f"{life}-{int(number) - size}"
