"""gaffer.daemon.commandline: argparse from the table of options."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaffer.config.fields import Bool, Int
from gaffer.config.options import Options
from gaffer.daemon.commandline import parse, parse_early

PLUGINS = Options()
PLUGINS.add("speed", Int(), 1, "100% of it", flags=("--speed",))
PLUGINS.add("turbo", Bool(), False, "even more", flags=("--turbo",))


def test_every_kind_of_option() -> None:
    given = parse(
        "-c g.ini -p a --plugin-dir b --plugins-dir c,d -vv --daemon --bind x:1 --no-plugin http --check".split(),
        Options(),
    )
    assert given.config == "g.ini"
    assert given.overrides == {
        "plugin_dir": ["a", "b", "c,d"],
        "verbose": 2,
        "daemonize": True,
        "bind": "x:1",
        "no_plugin": ["http"],
        "check": True,
    }


def test_only_what_is_given_overrides() -> None:
    assert parse([], Options()).overrides == {}
    assert parse([], Options()).config is None
    assert parse(["g.ini"], Options()).config == "g.ini"


def test_options_of_plugins() -> None:
    given = parse("--speed 3 --turbo g.ini".split(), PLUGINS)
    assert (given.config, given.overrides) == ("g.ini", {"speed": "3", "turbo": True})


@pytest.mark.parametrize(
    "line",
    [
        "--speed 3 g.ini",
        "g.ini --speed 3 -v",
        "--turbo -v g.ini",
        "-c g.ini --speed 3",
        "--speed=3 g.ini",
        "--speed 3 -v g.ini",
    ],
)
def test_the_configuration_is_found_before_plugins_are_known(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.ini").touch()
    assert parse_early(line.split()).config == parse(line.split(), PLUGINS).config == "g.ini"


def test_values_of_unknown_options_are_no_configuration() -> None:
    assert parse_early(["--speed", "3"]).config is None
    assert parse_early(["no-such.ini"]).config == "no-such.ini"


def test_early_reading_keeps_what_it_does_not_know() -> None:
    early = parse_early(["--speed", "3", "-v", "--help"])
    assert early.overrides == {"verbose": 1}
    assert early.unknown == ["--speed", "--help"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--bindd x", "unrecognized arguments: --bindd"),
        ("--check a b", "unrecognized arguments: b"),
        ("-c a b", "two configuration files are given: a and b"),
        ("--backlog", "expected one argument"),
        ("--create-admin-user", "unrecognized arguments: --create-admin-user"),
        ("--lookupd-address x", "unrecognized arguments: --lookupd-address"),
    ],
)
def test_wrong_usage(line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(line.split(), Options())
    assert caught.value.code == 2
    assert sentence in capsys.readouterr().err


def test_help_shows_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"], PLUGINS)
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for option in PLUGINS for flag in option.flags)
    assert "100% of it" in shown
