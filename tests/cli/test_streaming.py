"""What commands that go on are made of: lines of events, keys, colours, names, several feeds at once."""

from __future__ import annotations

import re

import pytest

from gaffer.cli.core.streaming import MAX_NAME_WIDTH, Painter, merge
from gaffer.cli.core.terminal import parse_key
from gaffer.cli.ctl.watch import is_shown, line, spelled
from gaffer.cli.operations.logs import tamed
from gaffer.errors import BadRequest

PLAIN = Painter(False)


@pytest.mark.parametrize(
    "name, shown, text",
    [
        ("exit", True, "exit"),
        ("proc.dummy.exit", True, "proc(dummy).exit"),
        ("proc.7up.exit", True, "proc(7up).exit"),
        ("proc.3.exit", False, "proc(3).exit"),
        ("job.shop.web.exit", False, "job(shop.web).exit"),
        ("spawn_failed", True, "spawn_failed"),
    ],
)
def test_names_of_events(name, shown, text):
    assert (is_shown({"event": name}), spelled(name)) == (shown, text)


def test_event_as_a_line():
    event = {"event": "proc.dummy.exit", "name": "dummy", "time": 0.0, "pid": 3, "exit_status": 1, "term_signal": 0}
    assert re.fullmatch(r"\d\d:\d\d:\d\d dummy \| proc\(dummy\)\.exit dummy", line(event, PLAIN))
    assert line(event, PLAIN, details=True).endswith("proc(dummy).exit dummy (pid 3, code 1)")
    killed = {**event, "term_signal": 9, "exit_status": 137}
    assert line(killed, PLAIN, details=True).endswith("(pid 3, signal KILL)")
    flap = {"event": "flap", "name": "dummy", "time": 0.0, "retry_in": 7.0, "reason": "it \x1b[2J dies"}
    assert line(flap, PLAIN, details=True).endswith("flap dummy (it \\x1b[2J dies, retry in 7 s)")
    assert "12 events are missing here" in line({"event": "gap", "lost": 12}, PLAIN)


def test_names_are_aligned_and_coloured():
    painter = Painter(True)
    assert painter.aligned("dummy") == "dummy"
    assert painter.aligned("priority0") == "priority0"
    assert painter.aligned("dummy") == "dummy    "
    assert painter.aligned("x" * 50) == "x" * 50 and len(painter.aligned("a")) == MAX_NAME_WIDTH
    first, second, again = (painter.paint(name, "text") for name in ("a", "b", "a"))
    assert first == again != second and first.startswith("\x1b[") and "text" in first
    assert PLAIN.paint("a", "text") == "text"


@pytest.mark.parametrize(
    "said, shown",
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("a\tb\r", "a    b"),
        ("\x1b[2Jgone\x07\x9b1m", "\\x1b[2Jgone\\x07\\x9b1m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
    ],
)
def test_control_characters_of_output_are_escaped(said, shown):
    assert tamed(said) == shown


def test_colours_of_a_process_end_with_its_line_or_are_left_out():
    assert tamed("\x1b[31mred") == "\x1b[31mred\x1b[0m"
    assert tamed("\x1b[31mred\x1b[0m\x07", colors=False) == "red\\x07"


@pytest.mark.parametrize(
    "text, key",
    [
        ("ctrl-]", b"\x1d"),
        ("^]", b"\x1d"),
        ("Ctrl-a", b"\x01"),
        ("^C", b"\x03"),
        ("q", b"q"),
        ("^", b"^"),
        ("none", b""),
    ],
)
def test_names_of_keys(text, key):
    assert parse_key(text) == key


@pytest.mark.parametrize("text", ["F1", "ctrl-", "ctrl-1", "^1", "", "ä"])
def test_invalid_keys_are_rejected(text):
    with pytest.raises(BadRequest, match="is no key"):
        parse_key(text)


class Items:
    """A feed of what it is given; an exception is raised."""

    def __init__(self, *items):
        self.items = items

    def __iter__(self):
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item


def test_feeds_are_merged():
    found = [pair for pairs in merge([Items("a", "b"), Items(), Items("c")]) for pair in pairs]
    assert sorted(found) == [(0, "a"), (0, "b"), (2, "c")]
    assert [pair for pairs in merge([Items("a", "b")]) for pair in pairs] == [(0, "a"), (0, "b")]


@pytest.mark.parametrize("others", [[], [Items("b")]])
def test_feed_that_fails_fails_all(others):
    with pytest.raises(BadRequest):
        list(merge([Items("a", BadRequest("no")), *others]))


def test_send_to_a_job_without_processes_is_a_failure(gafferd, gafferctl):
    gafferd.load("default.web")
    assert gafferctl("send", "web", "x") == (1, "", "gafferctl: web has no process; 'gafferctl start web' starts it\n")


def test_send_writes_lines_bytes_and_the_end_of_a_stream(gafferd, gafferctl):
    gafferd.load("default.web", start=True, redirect_input=True, custom_streams=["extra"])
    assert gafferctl("send", "web", "a", "-b").code == 0
    assert gafferctl("send", "1", "--stream", "extra", "--no-newline", "--eof", "c").code == 0
    assert gafferd.process(1).written == b"a -b\n"
    assert gafferd.process(1).duplexes["extra"].writer.written == b"c"
    posted = [(one.path, one.body) for one in gafferd.requests.seen if one.method == "POST"]
    assert posted[1:] == [("/streams/1/extra", b"c"), ("/streams/1/extra?eof=true", b"")]
