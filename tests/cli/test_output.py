"""Tables, details and words for people."""

import sys

import pytest

from gaffer.cli.core.output import (
    TextBlock,
    View,
    cell,
    colored,
    details_lines,
    duration,
    printable,
    shortened,
    show,
    state_color,
    table_lines,
)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (None, "-"),
        (0, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (12.9, "12s"),
        (59.9, "59s"),
        (60, "1m 0s"),
        (185, "3m 5s"),
        (3600, "1h 0m"),
        (7620, "2h 7m"),
        (86400, "1d 0h"),
        (442800, "5d 3h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (0, "0"),
        (True, "yes"),
        (False, "no"),
        (["stdout", "std err"], "stdout 'std err'"),
        ([0, 2], "0 2"),
        ({"A": "ü"}, '{"A": "ü"}'),
        ("a\x1b[31mb\nc\td\x9b", r"a\x1b[31mb\x0ac    d\x9b"),
    ],
)
def test_cells(value, text):
    assert cell(value) == text


def test_table_is_aligned(capsys):
    rows = [["web", "running", 12, "3m 5s", None], ["shop.worker", "stopped", 0, None, "code 1"]]
    show(View([], [], ["NAME", "STATE", "RUNNING", "UPTIME", "LAST"], rows), "table")
    assert capsys.readouterr().out == (
        "NAME         STATE    RUNNING  UPTIME  LAST\n"
        "web          running       12   3m 5s  -\n"
        "shop.worker  stopped        0       -  code 1\n"
    )


def test_table_without_rows_is_its_header(capsys):
    show(View([], [], ["NAME", "STATE"]), "table")
    assert capsys.readouterr().out == "NAME  STATE\n"


def test_three_forms(capsys):
    view = View([{"name": "web", "é": "ü"}], ["web"], ["NAME"], [["web"]])
    for output, printed in [
        ("name", "web\n"),
        ("json", '[\n  {\n    "name": "web",\n    "é": "ü"\n  }\n]\n'),
        ("table", "NAME\nweb\n"),
    ]:
        show(view, output)
        assert capsys.readouterr().out == printed


def test_view_without_columns_is_a_plain_list(capsys):
    show(View([1, 2], [1, 2]), "table")
    assert capsys.readouterr().out == "1\n2\n"


def test_details():
    pairs = [("name", "web"), ("last lines", TextBlock(["one", "\x07two"])), ("uptime", None)]
    assert list(details_lines(pairs)) == ["name    web", "last lines:", "  one", "  \\x07two", "uptime  -"]


@pytest.fixture
def pretend(monkeypatch):
    """Pretend, from inside the test, that stdout is a terminal."""

    def pretend() -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")

    return pretend


def test_colour_on_terminals(pretend):
    pretend()
    assert colored()


@pytest.mark.parametrize("name, value", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_with_no_color_or_a_dumb_terminal(pretend, monkeypatch, name, value):
    pretend()
    monkeypatch.setenv(name, value)
    assert not colored()


def test_no_colour_elsewhere():
    assert not colored()


def test_states_are_coloured_without_moving_columns(pretend, capsys):
    pretend()
    rows = [["running", 1], ["failed", 2], ["stopped", 3]]
    show(View([], [], ["STATE", "N"], rows, {"STATE": state_color}), "table")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "\x1b[32mrunning\x1b[0m  1",
        "\x1b[31mfailed \x1b[0m  2",
        "stopped  3",
    ]


def test_characters_to_keep_are_not_escaped():
    assert printable("a\nb\x00", keep="\n") == "a\nb\\x00"


LONG = "shop.worker-of-the-very-long-name-1234567"
COLUMNS = ["NAME", "STATE", "UPTIME", "RESTARTS", "LAST EXIT"]
ROWS = [[LONG, "running", "3m 5s", 0, None], ["web", "backoff", None, 12, "exit code 1, some minutes ago"]]


@pytest.mark.parametrize("width", [20, 30, 40, 50, 60, 80, 100, 160])
def test_tables_fit_into_the_width(width):
    lines = list(table_lines(COLUMNS, ROWS, {}, width, ["RESTARTS"]))
    assert max(map(len, lines)) <= max(width, 21)
    assert "STATE" in lines[0]


def test_columns_are_dropped_in_order_of_worth_and_names_keep_both_ends():
    assert list(table_lines(COLUMNS, ROWS, {}, 50, ["RESTARTS", "UPTIME"])) == [
        "NAME                  STATE    LAST EXIT",
        "shop.work..e-1234567  running  -",
        "web                   backoff  exit code..utes ago",
    ]


def test_wide_tables_and_those_that_are_no_terminals_are_whole():
    whole = list(table_lines(COLUMNS, ROWS, {}))
    assert list(table_lines(COLUMNS, ROWS, {}, 160)) == whole
    assert LONG in whole[1]


@pytest.mark.parametrize("room, text", [(8, "abc..xyz"), (3, "a.."), (10, "abcdefwxyz"), (1, ".")])
def test_names_lose_their_middle(room, text):
    assert shortened("abcdefwxyz", room) == text
