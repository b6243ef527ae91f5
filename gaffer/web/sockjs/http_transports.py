"""The ways to receive over plain HTTP: how each of them wraps frames, and the bodies of the answers."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Iterator, NamedTuple, cast

from ...errors import GafferError
from ..live.feeds import SourceReader
from ..live.sources import LiveSource, Wakeable
from . import PAGE, SCRIPT, frames
from .session import SockJSSession

_CALLBACK = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")
#: Browsers show nothing of an answer before they have so much of it.
_PADDING = 2048

_HTMLFILE = """\
<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    var c = parent.%s;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
"""


class BadCallback(GafferError):
    """The name of the function to call is missing, or is none. The protocol wants a plain sentence and 500."""

    code = "bad_callback"
    status = 500


class SockJSTransport(NamedTuple):
    """Encoding of frames in the body of an answer.

    :param wrap: makes bytes of a frame.
    :param prelude: what a streamed answer begins with.
    :param streams: the answer goes on after its first frame.
    """

    media: str
    wrap: Callable[[str], bytes]
    prelude: bytes = b""
    streams: bool = False


def _line(frame: str) -> bytes:
    return f"{frame}\n".encode()


def _event(frame: str) -> bytes:
    return f"data: {frame}\r\n\r\n".encode()


XHR = SockJSTransport(SCRIPT, _line)
XHR_STREAMING = SockJSTransport(SCRIPT, _line, b"h" * _PADDING + b"\n", True)
EVENTSOURCE = SockJSTransport("text/event-stream", _event, b"\r\n", True)


def htmlfile(callback: str | None) -> SockJSTransport:
    """Return the transport of scripts in an endless page.

    :raises BadCallback: *callback* is no name of a function.
    """
    head = _HTMLFILE % _checked(callback)
    prelude = head + " " * max(0, _PADDING - len(head)) + "\r\n\r\n"
    return SockJSTransport(
        PAGE, lambda frame: f"<script>\np({_literal(frame)});\n</script>\r\n".encode(), prelude.encode(), True
    )


def jsonp(callback: str | None) -> SockJSTransport:
    """Return the transport of one script a frame.

    :raises BadCallback: *callback* is no name of a function.
    """
    name = _checked(callback)
    # The comment keeps the answer from being taken for a Flash file.
    return SockJSTransport(SCRIPT, lambda frame: f"/**/{name}({_literal(frame)});\r\n".encode())


def _checked(callback: str | None) -> str:
    if not callback:
        raise BadCallback('"callback" parameter required')
    if not _CALLBACK.match(callback):
        raise BadCallback('invalid "callback" parameter')
    return callback


def _literal(frame: str) -> str:
    """Return a frame as a string of JavaScript that cannot end the script it stands in."""
    return json.dumps(frame, ensure_ascii=False).replace("<", "\\u003c")


class FrameSource(Wakeable):
    """A session's frames as a source, for one receiver; closing it is leaving the session."""

    raw = False
    __slots__ = ("clean", "session", "wake", "_told")

    def __init__(self, session: SockJSSession) -> None:
        self.session = session
        #: Whether all that was taken was sent.
        self.clean = False
        self._told = False
        self.wake: Callable[[], None] | None = None
        session.attach(self.notify)

    def take(self) -> list[Any]:
        """Return the next frame, if there is one."""
        if self._told:
            return []
        frame = self.session.next()
        self._told = self.session.closed is not None and frame == self.session.closed
        return [] if frame is None else [frame]

    @property
    def ended(self) -> bool:
        """True when the last frame was taken."""
        return self._told

    def close(self) -> None:
        """Leave the session."""
        self.session.detach(self.clean)


class FrameReader(SourceReader):
    """Waits for frames; when the server stops, the client is told so."""

    def __init__(self, source: FrameSource, connection: Any = None) -> None:
        self.frames = source
        super().__init__(cast(LiveSource, source), connection)
        if self._departure is not None:
            source.session.probe = self._departure.look

    def end(self) -> None:
        """The server stops."""
        self.frames.session.close(*frames.STOPPING)
        super().end()

    def frame(self, heartbeat: float) -> str | None:
        """Wait for the next frame; None when no receiver is left."""
        found = self.take(heartbeat)
        if found:
            return str(found[0])
        return None if self.over else frames.HEARTBEAT


class FrameStreamBody:
    """The body of a streamed answer: frames until it is long enough, or the session has ended."""

    def __init__(self, receiving: FrameReader, transport: SockJSTransport, heartbeat: float, limit: int) -> None:
        self._receiving = receiving
        self._transport = transport
        self._heartbeat = heartbeat
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        yield self._transport.prelude
        sent = 0
        while sent < self._limit and not self._receiving.frames.ended:
            frame = self._receiving.frame(self._heartbeat)
            if frame is None:
                return
            data = self._transport.wrap(frame)
            sent += len(data)
            yield data
        self._receiving.frames.clean = True

    def close(self) -> None:
        """WSGI's way to say that the answer ended, however it did."""
        self._receiving.close()


class SingleFrameBody:
    """The body of an answer of one frame."""

    def __init__(self, receiving: FrameReader, data: bytes) -> None:
        self._receiving = receiving
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self._data
        self._receiving.frames.clean = True

    def close(self) -> None:
        """See :meth:`FrameStreamBody.close`."""
        self._receiving.close()
