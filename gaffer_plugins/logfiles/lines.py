"""The output of one stream on its way into a file: time stamps, and lines that stay whole among those of others."""

from __future__ import annotations

from datetime import datetime

#: A line that is longer is not held back until it ends, in bytes.
MAX_STAMPED_LINE = 65_536


class LineStamper:
    """Lines of one stream.

    :param about: what a notice of missing bytes calls it.
    """

    __slots__ = ("fresh", "lost", "_about", "_rest", "_start")

    def __init__(self, about: str) -> None:
        #: Whether nothing of it was written yet.
        self.fresh = True
        #: Bytes that were dropped since the last that were taken.
        self.lost = 0
        self._about = about
        self._rest = b""
        self._start = True

    def text(self, data: bytes, when: float, stamp: bool, hold: bool) -> bytes:
        """Return what to write of *data*.

        :param when: seconds since 1970, when it was read.
        :param stamp: begin each line with that.
        :param hold: keep what has no line end yet, because others write to the same file.
        """
        data = self._rest + data
        self._rest = b""
        if hold:
            cut = data.rfind(b"\n") + 1
            if len(data) - cut <= MAX_STAMPED_LINE:
                data, self._rest = data[:cut], data[cut:]
        return self._out(data, when, stamp)

    def notice(self, lost: int, when: float, stamp: bool) -> bytes:
        """Return the line that says that *lost* bytes are missing, after what came before them."""
        before = self.end(when, stamp)
        if not self._start:
            before += b"\n"
            self._start = True
        return before + self._out(f"gaffer: {lost} bytes of {self._about} are missing here\n".encode(), when, stamp)

    def end(self, when: float, stamp: bool) -> bytes:
        """Return what was held back."""
        rest, self._rest = self._rest, b""
        return self._out(rest, when, stamp)

    def _out(self, data: bytes, when: float, stamp: bool) -> bytes:
        if not data:
            return data
        start, self._start = self._start, data.endswith(b"\n")
        if not stamp:
            return data
        mark = datetime.fromtimestamp(when).astimezone().isoformat(timespec="milliseconds").encode() + b" "
        return (mark if start else b"") + data[:-1].replace(b"\n", b"\n" + mark) + data[-1:]
