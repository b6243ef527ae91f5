"""What a terminal shows while a program waits."""

import sys

import pytest

from gaffer.service.status_line import StatusLine, waiting_text


@pytest.mark.parametrize(
    "names, seconds, timeout, grace, text",
    [
        (["web"], 3.2, 40.0, 10.0, "waiting for web: 3 s, KILL in 7 s, 37 s left"),
        (["web"], 12.0, 40.0, 10.0, "waiting for web: 12 s, 28 s left"),
        (["a", "b", "c", "d", "e"], 1.0, None, None, "waiting for a, b, c and 2 more: 1 s"),
    ],
)
def test_line_names_the_jobs_and_the_time_until_they_are_killed(names, seconds, timeout, grace, text):
    assert waiting_text(names, seconds, timeout, grace) == text


def shown(monkeypatch, capsys, is_terminal):
    times = iter([0.0, 0.5, 1.5, 1.6, 9.0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    line = StatusLine(lambda seconds: f"waiting {seconds:.1f}", clock=lambda: next(times))
    for _ in range(3):
        line.sleep(0)
    line.clear()
    line.clear()
    return capsys.readouterr()


def test_line_is_shown_on_terminals_after_a_second_and_removed(monkeypatch, capsys):
    printed = shown(monkeypatch, capsys, True)
    assert (printed.out, printed.err) == ("", "\r\x1b[Kwaiting 1.5\r\x1b[K")


def test_nothing_is_shown_where_no_terminal_is(monkeypatch, capsys):
    assert shown(monkeypatch, capsys, False) == ("", "")
