"""gaffer.config.settings and gaffer.config.options: what gafferd was told, by whom, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gaffer.config.fields import Int, OptionalText, TextList
from gaffer.config.ini_reader import parse_text
from gaffer.config.options import Options
from gaffer.config.settings import Endpoint, Settings, find_config, read_settings
from gaffer.errors import Problem

from .test_ini_reader import SEED_001, SEED_002


def settings(
    text: str = "", environ: dict[str, str] | None = None, options: Options | None = None, **overrides: Any
) -> Settings:
    return Settings(options or Options(), parse_text(text, "g.ini"), overrides, environ, "g.ini")


def complaints(found: Settings) -> list[str]:
    return [str(problem) for problem in sorted(found.problems)]


class TestPrecedence:
    INI = "[gaffer]\nbind = 127.0.0.1:1\nbacklog = 11\nlog_level = error\n"

    def test_defaults(self) -> None:
        found = settings()
        assert complaints(found) == []
        assert found.get("bind") == ("127.0.0.1:5000",)
        assert found.get("require_key") is False
        assert found.origin("bind") == "default"

    def test_ini_wins_over_defaults(self) -> None:
        found = settings(self.INI)
        assert (found.get("bind"), found.get("backlog")) == (("127.0.0.1:1",), 11)
        assert (found.origin("bind"), found.origin("backlog")) == ("g.ini:2", "g.ini:3")

    def test_the_environment_wins_over_the_ini_file(self) -> None:
        found = settings(self.INI, {"GAFFERD_BACKLOG": "12", "GAFFERD_BIND": ""})
        assert (found.get("bind"), found.get("backlog")) == (("127.0.0.1:1",), 12)
        assert found.origin("backlog") == "GAFFERD_BACKLOG"

    def test_the_command_line_wins_over_all(self) -> None:
        found = settings(self.INI, {"GAFFERD_BACKLOG": "12"}, backlog="13", bind=["127.0.0.1:2", "[::1]:2"])
        assert found.get("backlog") == 13
        assert found.get("bind") == ("127.0.0.1:2", "[::1]:2")
        assert (found.origin("backlog"), found.origin("bind")) == ("--backlog", "--bind")

    def test_every_option_has_a_variable(self) -> None:
        assert all(f"GAFFERD_{option.name.upper()}" in option.environment for option in Options())
        found = settings("", {"GAFFERD_DAEMON": "yes", "GAFFER_PLUGIN_DIR": "/,/tmp", "GAFFERD_VERBOSE": "2"})
        assert (found.get("daemonize"), found.get("plugin_dir"), found.get("verbose")) == (True, ("/", "/tmp"), 2)
        assert settings("", {"GAFFERD_PLUGINS_DIR": "/tmp"}).get("plugin_dir") == ("/tmp",)

    def test_what_is_overridden_is_checked_all_the_same(self) -> None:
        found = settings("[gaffer]\nbacklog = many\n", {"GAFFERD_BACKLOG": "0"}, backlog="13")
        assert complaints(found) == [
            "GAFFERD_BACKLOG: expected an integer from 1 to 65535, not 0",
            "g.ini:2: backlog: expected an integer, not 'many'",
        ]
        assert found.get("backlog") == 13

    def test_undeclared_options(self) -> None:
        with pytest.raises(KeyError, match="no option 'bindd'; did you mean 'bind'?"):
            settings().get("bindd")
        with pytest.raises(KeyError):
            settings().origin("nonsense")


class TestKeysAndSections:
    def test_everything_unknown_at_once_with_the_nearest_known(self) -> None:
        found = settings(
            "[gaffer]\nbindd = 1\ndaemonise = yes\ninclude = x.ini\nverbose = 1\n"
            "[proces:dummy]\n[process]\n[webhooks:x]\n[zzz]\n[plugins]\ndisabel = x\n"
            "[endpoint:public]\nbind = 127.0.0.1:1\ncertfle = x\nbacklog = no\n[gaffer:x]\n"
        )
        assert complaints(found) == [
            "g.ini:2: unknown key 'bindd' in [gaffer]; did you mean 'bind'?",
            "g.ini:3: unknown key 'daemonise' in [gaffer]; did you mean 'daemonize'?",
            "g.ini:5: unknown key 'verbose' in [gaffer]",
            "g.ini:6: unknown section [proces:dummy]; did you mean 'process'?",
            "g.ini:7: section [process] needs a name: [process:NAME]",
            "g.ini:8: section [webhooks:x] takes no name: [webhooks]",
            "g.ini:9: unknown section [zzz]; settings of a plugin go into [plugin:zzz]",
            "g.ini:11: unknown key 'disabel' in [plugins]; did you mean 'disable'?",
            "g.ini:12: nothing serves it: name it in [gaffer] http_endpoints = public",
            "g.ini:14: unknown key 'certfle' in [endpoint:public]; did you mean 'certfile'?",
            "g.ini:15: backlog: expected an integer, not 'no'",
            "g.ini:16: section [gaffer:x] takes no name: [gaffer]",
        ]

    def test_both_spellings_of_the_plugin_folder(self, tmp_path: Path) -> None:
        for key in ("plugin_dir", "plugins_dir"):
            found = settings(f"[gaffer]\n{key} = {tmp_path}\n")
            assert found.plugin_dirs == [str(tmp_path)]
        found = settings(f"[gaffer]\nplugins_dir = {tmp_path}\nplugin_dir = {tmp_path}\n")
        assert complaints(found) == ["g.ini:3: plugin_dir: set already at g.ini:2"]

    def test_plugin_folders_that_do_not_exist(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert complaints(settings("", plugin_dir="/no/such")) == ["--plugins-dir: there is no plugin folder /no/such"]
        monkeypatch.setenv("HOME", str(tmp_path))
        assert settings().plugin_dirs == []
        (tmp_path / ".gaffer/plugins").mkdir(parents=True)
        (tmp_path / ".gafferd/plugins").mkdir(parents=True)
        assert settings().plugin_dirs == [f"{tmp_path}/.gafferd/plugins", f"{tmp_path}/.gaffer/plugins"]
        assert settings("[gaffer]\nplugin_dir = ~/.gaffer\n").plugin_dirs == [f"{tmp_path}/.gaffer"]

    def test_sections_that_belong_to_plugins(self) -> None:
        found = settings("[webhooks]\ncreate = http://x/, http://y/\n[plugin:mailer]\nto = 'me'\n[plugin:other]\n")
        assert complaints(found) == []
        assert found.plugin("mailer") == {"to": "me"}
        assert found.plugin("missing") == {}
        (webhooks,) = found.sections("webhooks")
        assert webhooks.items["create"].text == "http://x/, http://y/"

    def test_one_option_set_in_two_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.ini").write_text("[gaffer]\ninclude = b.ini\nbacklog = 1\n[plugin:x]\nk = 1\n")
        (tmp_path / "b.ini").write_text("[gaffer]\nbacklog = 2\numask = 077\n[plugin:x]\nk = 2\nl = 3\n")
        found = read_settings(str(tmp_path / "a.ini"), environ={})
        assert complaints(found) == [
            f"{tmp_path}/b.ini:2: backlog: set already at {tmp_path}/a.ini:3",
            f"{tmp_path}/b.ini:5: k: set already at {tmp_path}/a.ini:5",
        ]
        assert (found.get("backlog"), found.get("umask")) == (1, 0o077)

    @pytest.mark.parametrize("text", [SEED_001, SEED_002])
    def test_the_seeds_examples(self, text: str) -> None:
        found = settings(text)
        assert complaints(found) == []
        assert found.endpoints == [Endpoint("public", ("127.0.0.1:5000",), 128, None, None, None, "g.ini:5")]


class TestOptionsOfPlugins:
    def test_are_options_like_any_other(self) -> None:
        options = Options()
        options.add("mail_to", OptionalText(), None, "who hears of it", flags=("--mail-to",))
        options.add("peer", TextList(), (), aliases=("peer*",), flags=("--peer",), multiple=True)
        options.add_section("mailer")
        text = "[gaffer]\nmail_to = a\npeer1 = x\npeer_2 = y, z\n[mailer]\nanything = goes\n"
        found = settings(text, {"GAFFERD_MAIL_TO": "b"}, options)
        assert complaints(found) == []
        assert (found.get("mail_to"), found.get("peer")) == ("b", ("x", "y", "z"))
        assert settings("", options=options, mail_to="c").get("mail_to") == "c"

    @pytest.mark.parametrize(
        ("name", "flags", "sentence"),
        [
            ("bind", (), "option 'bind' is declared already"),
            ("x", ("--bind",), "option 'x': the flag --bind is taken"),
            ("x", ("-c",), "option 'x': the flag -c is taken"),
        ],
    )
    def test_cannot_take_what_is_taken(self, name: str, flags: tuple[str, ...], sentence: str) -> None:
        with pytest.raises(ValueError) as caught:
            Options().add(name, Int(), 0, flags=flags)
        assert str(caught.value) == sentence

    def test_do_not_leak_into_other_tables(self) -> None:
        Options().add("mail_to", OptionalText())
        assert Options().get("mail_to") is None


class TestEndpoints:
    INI = (
        "[gaffer]\nhttp_endpoints = a, b\n"
        "[endpoint:a]\nbind = 127.0.0.1:1, unix:/tmp/x\nbacklog = 5\n"
        "[endpoint:b]\nbind = [::1]:2\n"
    )

    def names(self, found: Settings) -> list[str]:
        assert complaints(found) == []
        return [endpoint.name for endpoint in found.endpoints]

    def test_named_ones(self) -> None:
        found = settings(self.INI)
        assert self.names(found) == ["a", "b"]
        assert found.endpoints[0] == Endpoint("a", ("127.0.0.1:1", "unix:/tmp/x"), 5, None, None, None, "g.ini:4")

    def test_bind_on_the_command_line_replaces_them(self) -> None:
        found = settings(self.INI, bind="127.0.0.1:9", backlog="7")
        assert self.names(found) == ["default"]
        assert found.endpoints[0] == Endpoint("default", ("127.0.0.1:9",), 7, None, None, None, "--bind")
        assert self.names(settings(self.INI, {"GAFFERD_BIND": "127.0.0.1:9"})) == ["default"]

    def test_bind_beside_them_is_one_more(self) -> None:
        assert self.names(settings(self.INI.replace("[gaffer]", "[gaffer]\nbind = 127.0.0.1:9"))) == [
            "default",
            "a",
            "b",
        ]

    def test_without_any(self) -> None:
        assert self.names(settings()) == ["default"]

    def test_problems(self) -> None:
        found = settings(
            "[gaffer]\nhttp_endpoints = pubic, broken\n[endpoint:public]\nbind = 127.0.0.1:1\n"
            "[endpoint:broken]\nkeyfile = /no/key\n"
        )
        assert complaints(found) == [
            "g.ini:2: http_endpoints: there is no section [endpoint:pubic]; did you mean 'public'?",
            "g.ini:5: endpoint 'broken' needs bind = HOST:PORT",
            "g.ini:6: keyfile is of no use without certfile",
        ]
        assert complaints(settings("", certfile="/no/cert", bind="5000")) == [
            "--bind: '5000' names no host: give 127.0.0.1:5000 or *:5000",
            "--certfile: cannot read /no/cert: No such file or directory",
        ]

    def test_each_has_its_own_policy(self) -> None:
        text = (
            "[gaffer]\nhttp_endpoints = a, b, c\nrequire_key = true\nbind = 127.0.0.1:4\n"
            "[endpoint:a]\nbind = 0.0.0.0:1\n"
            "[endpoint:b]\nbind = unix:/tmp/x\nrequire_key = false\nmode = 660\ngroup = 0\nallow_local_users = yes\n"
            "[endpoint:c]\nbind = 10.0.0.1:2\nrequire_key = no\nallow_anonymous = yes\n"
        )
        found = settings(text)
        assert self.names(found) == ["default", "a", "b", "c"]
        default, a, b, c = found.endpoints
        assert [one.require_key for one in (default, a, b, c)] == [True, True, False, False]
        assert [one.allow_anonymous for one in (default, a, b, c)] == [False, False, False, True]
        assert [one.allow_local_users for one in (default, a, b, c)] == [None, None, True, None]
        assert (b.mode, b.owner, b.group) == (0o660, None, 0)

    def test_an_open_door_is_each_endpoints_own(self) -> None:
        found = settings(
            "[gaffer]\nhttp_endpoints = a, b\nrequire_key = true\n"
            "[endpoint:a]\nbind = 0.0.0.0:1\nrequire_key = false\n"
            "[endpoint:b]\nbind = 127.0.0.1:2\nmode = 600\nowner = no-such-account\n"
        )
        assert complaints(found) == [
            "g.ini:5: " + TestOpenDoors.SENTENCE.format("0.0.0.0:1"),
            "g.ini:9: mode is of use for unix sockets only",
            "g.ini:10: owner is of use for unix sockets only",
            "g.ini:10: owner: no user 'no-such-account' on this machine",
        ]

    def test_two_of_one_name(self, tmp_path: Path) -> None:
        (tmp_path / "a.ini").write_text(
            "[gaffer]\ninclude = b.ini\nhttp_endpoints = x\n[endpoint:x]\nbind = localhost:1\n"
        )
        (tmp_path / "b.ini").write_text("[endpoint:x]\nbind = localhost:2\n")
        found = read_settings(str(tmp_path / "a.ini"), environ={})
        assert complaints(found) == [f"{tmp_path}/b.ini:1: endpoint 'x' is defined a second time"]


class TestOpenDoors:
    SENTENCE = (
        "other machines can reach {}, and any client there can run commands; "
        "ask for keys with --require-key, or allow it with --allow-anonymous"
    )

    @pytest.mark.parametrize(
        "address", ["0.0.0.0:5000", "*:5000", ":5000", "[::]:5000", "10.0.0.1:5000", "example.org:1"]
    )
    def test_have_to_be_meant(self, address: str) -> None:
        assert complaints(settings("", bind=address)) == ["--bind: " + self.SENTENCE.format(address)]
        assert complaints(settings(f"[gaffer]\nbind = {address}\n")) == ["g.ini:2: " + self.SENTENCE.format(address)]
        assert complaints(settings("", bind=address, allow_anonymous=True)) == []
        assert complaints(settings("[gaffer]\nrequire_key = true\n", bind=address)) == []

    def test_one_among_closed_ones(self) -> None:
        text = "[gaffer]\nhttp_endpoints = a\n[endpoint:a]\nbind = localhost:1, unix:/x, *:2\n"
        assert complaints(settings(text)) == ["g.ini:4: " + self.SENTENCE.format("*:2")]

    def test_endpoints_that_are_not_served_open_nothing(self) -> None:
        text = "[gaffer]\nhttp_endpoints = a\n[endpoint:a]\nbind = localhost:1\n[endpoint:b]\nbind = *:2\n"
        assert complaints(settings(text)) == []


def test_problem_points_where_asked() -> None:
    found = settings("[process:x]\ncmd = y\n", backlog="3")
    (section,) = found.sections("process")
    assert found.problem(section, "a") == Problem("g.ini", 1, "a")
    assert found.problem(section.items["cmd"], "a") == Problem("g.ini", 2, "a")
    assert found.problem("backlog", "a") == Problem("--backlog", 0, "a")
    assert found.problem("umask", "a") == Problem("g.ini", 0, "a")


def test_what_changed_between_two_readings() -> None:
    old = settings(TestEndpoints.INI + "\n")
    assert old.changed(settings("# another line\n" + TestEndpoints.INI)) == []
    new = settings(TestEndpoints.INI.replace("127.0.0.1:1", "127.0.0.1:3"), log_level="debug")
    assert [option.name for option in old.changed(new)] == ["log_level", "http_endpoints"]


class TestFindConfig:
    def test_what_is_given_wins(self, tmp_path: Path) -> None:
        environ = {"GAFFERD_CONFIG": "/env.ini", "HOME": str(tmp_path)}
        assert find_config("given.ini", environ) == "given.ini"
        assert find_config(None, environ) == "/env.ini"
        assert find_config(str(tmp_path), environ) == f"{tmp_path}/gafferd.ini"

    def test_the_home_folder(self, tmp_path: Path) -> None:
        environ = {"HOME": str(tmp_path)}
        assert find_config(None, environ) is None
        assert find_config(None, {}) is None
        (tmp_path / ".gaffer").mkdir()
        (tmp_path / ".gaffer/gafferd.ini").touch()
        assert find_config(None, environ) == f"{tmp_path}/.gaffer/gafferd.ini"

    def test_a_missing_one_is_a_problem(self, tmp_path: Path) -> None:
        found = read_settings(find_config(str(tmp_path), {}), environ={})
        assert complaints(found) == [f"{tmp_path}/gafferd.ini: No such file or directory"]
