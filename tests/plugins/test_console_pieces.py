"""Lines of the console as a terminal shows them: progress, prompts, and characters that come in parts."""

import pytest

from gaffer_plugins.console.pieces import PieceCutter, incomplete


class Shown:
    def __init__(self, most=100):
        self.lines = []
        self.busy = False
        self.cutter = PieceCutter(most, lambda data: self.lines.extend(data[:-1].split(b"\n")), lambda: self.busy)

    def take(self, *parts):
        """Write *parts*, None being a pause; return what is shown."""
        for part in parts:
            self.cutter.pause() if part is None else self.cutter.write(part)
        lines, self.lines = self.lines, []
        return lines


@pytest.mark.parametrize(
    "parts, lines",
    [
        ([b"\r10%\r20%\r30%\n"], [b"10%", b"20%", b"30%"]),
        ([b"\r10%", b"\r20%", b"\r30%", b"\n"], [b"10%", b"20%", b"30%"]),
        ([b"10%\r", b"20%\r", b"\n"], [b"10%", b"20%"]),
        ([b"10%\r", b"\r\nnext\n"], [b"10%", b"next"]),
        ([b"one\r\n\r\ntwo\r\r\n"], [b"one", b"", b"two"]),
        ([b"one\r\n", b"\r", b"\n", b"two\n"], [b"one", b"", b"two"]),
        ([b"Password: ", None], [b"Password: "]),
        ([b"Password: ", None, b"\n", b"ok\n"], [b"Password: ", b"ok"]),
        ([b"Name? ", None, b"Age? ", None], [b"Name? ", b"Age? "]),
        ([b"\r10%", None, b"\r20%", None], [b"10%", b"20%"]),
        ([b"a\xc3", None, b"\xbc\n"], [b"a", b"\xc3\xbc"]),
        ([None, b"\n"], [b""]),
    ],
)
def test_pieces(parts, lines):
    assert Shown().take(*parts) == lines


def test_a_pause_of_a_slow_terminal_cuts_no_line():
    shown = Shown()
    shown.busy = True
    assert shown.take(b"half", None, b" line\n") == [b"half line"]
    assert shown.take(b"rest") == []
    shown.cutter.close()
    assert shown.take() == [b"rest"]


@pytest.mark.parametrize(
    "data, count",
    [
        ("ü", 0),
        ("日", 0),
        ("😀", 0),
        ("a", 0),
        ("", 0),
        (b"\xc3", 1),
        (b"\xe6\x97", 2),
        (b"\xf0\x9f\x98", 3),
        (b"\x80", 0),
    ],
)
def test_incomplete_characters(data, count):
    assert incomplete(data if isinstance(data, bytes) else data.encode()) == count
