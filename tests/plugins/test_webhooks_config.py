"""Webhooks: URLs, patterns and options, and what is said about wrong ones."""

from __future__ import annotations

import dataclasses
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.errors import BadRequest
from gaffer.events import patterns
from gaffer.manager import notifier
from gaffer_plugins.webhooks import WebhooksPlugin
from gaffer_plugins.webhooks.config import FIELDS, Tuning, check_tuning, read_config
from gaffer_plugins.webhooks.plugin import is_set
from gaffer_plugins.webhooks.urls import parse_url, redact

from ..kit.webhook_receiver import settings

SECRET = "0123456789abcdef"


def complaints(text):
    return [str(problem) for problem in sorted(WebhooksPlugin().gaffer_check_config(settings(text)))]


class TestUrls:
    @pytest.mark.parametrize(
        ("text", "shown", "port", "path"),
        [
            ("http://some/url", "http://some/url", 80, "/url"),
            ("https://Example.COM", "https://example.com/", 443, "/"),
            ("http://echohttp.com/echo you", "http://echohttp.com/echo%20you", 80, "/echo%20you"),
            ("http://h:8080/a%2Fb?x=1&y=2#there", "http://h:8080/a%2Fb?x=***&y=***", 8080, "/a%2Fb?x=1&y=2"),
            ("http://h:80/", "http://h/", 80, "/"),
            ("https://h:80/", "https://h:80/", 80, "/"),
            ("http://h/grüße?q=ü", "http://h/gr%C3%BC%C3%9Fe?q=***", 80, "/gr%C3%BC%C3%9Fe?q=%C3%BC"),
            ("http://bücher.example/", "http://xn--bcher-kva.example/", 80, "/"),
            ("http://[::1]:9/x", "http://[::1]:9/x", 9, "/x"),
            ("http://h/?token", "http://h/?***", 80, "/?token"),
            (" http://h/ ", "http://h/", 80, "/"),
            ("http://h/öööööö", "http://h/" + 6 * "%C3%B6", 80, "/" + 6 * "%C3%B6"),
            ("http://h/T0123/x1yzx1yzx1yzx1yz", "http://h/T0123/***", 80, "/T0123/x1yzx1yzx1yzx1yz"),
            ("http://h/what-is-to-be-told/v2/", "http://h/what-is-to-be-told/v2/", 80, "/what-is-to-be-told/v2/"),
        ],
    )
    def test_read(self, text, shown, port, path):
        target = parse_url(text)
        assert (target.shown, target.port, target.path, target.authorization) == (shown, port, path, None)

    def test_credentials_become_a_header(self):
        target = parse_url("https://me:p%40ss@h/x")
        assert target.authorization == "Basic bWU6cEBzcw=="  # me:p@ss
        assert target.shown == "https://***@h/x"
        assert "p%40ss" not in repr(target)

    def test_equal_urls_are_one_receiver_and_others_are_not(self):
        assert parse_url("http://h").url == parse_url("http://H:80/").url
        assert parse_url("http://a:b@h/").url != parse_url("http://a:c@h/").url
        assert parse_url("http://h/?a=1").url != parse_url("http://h/?a=2").url

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("ftp://h/", "'ftp://h/' does not begin with http:// or https://"),
            ("h/x", "'h/x' does not begin with http://"),
            ("b", "a comma in a URL is written %2C"),
            ("unix:/x", "does not begin with"),
            ("http://", "'http://' names no host"),
            ("http:///x", "names no host"),
            ("http://h:0/", "has no usable port"),
            ("http://h:99999/", "cannot be read as a URL"),
            ("http://h:http/", "cannot be read as a URL"),
            ("http://a b/", "cannot be read as a URL"),
            ("http://a..b/", "cannot be read as a URL"),
            ("http://" + "a" * 64 + "/", "cannot be read as a URL"),
            ("http://[::1/", "cannot be read as a URL"),
            ("http://h/a\r\nX-Evil: 1", "cannot hold control characters"),
        ],
    )
    def test_wrong(self, text, said):
        with pytest.raises(ValueError, match="^[^\r\n]*$") as caught:
            parse_url(text)
        assert said in str(caught.value)

    @given(st.text(min_size=1, max_size=12), st.sampled_from(["http://u:{}@h/", "http://h:x/?t={}", "http://h/?t={}"]))
    def test_no_secret_is_ever_shown(self, text, form):
        secret = f"S3{text}cr"
        for written in (secret, quote(secret, safe="")):
            try:
                said = parse_url(form.format(written)).shown
            except ValueError as error:
                said = str(error)
            assert "S3" not in said, said

    def test_hiding_is_greedy(self):
        assert redact("http://u:pa/ss@h/x?a=b") == "http://***@h/x?***"
        assert redact("http://h/\n" + "x" * 300) == "http://h/ " + "x" * 190


class TestPatterns:
    @pytest.mark.parametrize(
        "pattern",
        ["create", ".", "*", "load", "job", "job.default.web", "job.default.web.exit", "job.default.create"]
        + ["proc.dummy.spawn", "proc(dummy).spawn", "proc(dummy)", "proc.3.exit", "proc.create", "mailer.sent"]
        + ["job.default.web.stop_process"],
    )
    def test_right(self, pattern):
        assert patterns.problem_of(pattern) == ""

    @pytest.mark.parametrize(
        ("pattern", "said"),
        [
            ("craete", "there is no event 'craete'; did you mean 'create'?"),
            ("xyz", "there is no event 'xyz'; there are create, start"),
            ("create.web", "nothing comes below 'create'; for one job write job.default.NAME.create"),
            ("proc.web.create", "proc.NAME has no event 'create'; job.default.NAME.create has"),
            ("proc.web.spwan", "proc.NAME has no event 'spwan'; did you mean 'spawn'?"),
            ("job.default.web.xyz", "job.SESSION.JOB has no event 'xyz'; it has create"),
            ("job.default.web.exit.x", "job.SESSION.JOB has no event 'exit.x'"),
        ],
    )
    def test_wrong(self, pattern, said):
        assert patterns.problem_of(pattern).startswith(said)

    def test_the_classic_family_is_the_managers(self):
        assert set(patterns.OF_PROC) == notifier._CLASSIC


class TestConfig:
    def test_hooks(self):
        found = read_config(
            settings("[webhooks]\ncreate = http://a/, http://b/\nproc(x).spawn = http://a/\n. = http://c/\n")
        )
        assert found.problems == []
        assert [(pattern, target.shown) for pattern, target in found.hooks] == [
            ("create", "http://a/"),
            ("create", "http://b/"),
            ("proc.x.spawn", "http://a/"),
            (".", "http://c/"),
        ]
        assert found.tuning == check_tuning({})

    def test_every_problem_at_once_with_its_line(self):
        assert complaints(
            "[webhooks]\ncraete = http://a/\nexit = http://u:pass@h:x/?key=pass, nonsense\nstop =\nstart = ,\n"
            "[plugin:webhooks]\nretries = 3\ntimeout = soon\nmax_attempts = 0\nflush_timeout = 60\nsecret = short\n"
            "cacert = /nonexistent\nqueue_size = 0\n"
        ) == [
            "g.ini:2: craete: there is no event 'craete'; did you mean 'create'?",
            "g.ini:3: exit: 'http://***@h:x/?***' cannot be read as a URL",
            "g.ini:3: exit: 'nonsense' does not begin with http:// or https:// (a comma in a URL is written %2C)",
            "g.ini:4: stop: expected one or more URLs",
            "g.ini:5: start: expected one or more URLs",
            "g.ini:7: retries: unknown option",
            "g.ini:8: timeout: expected a number of seconds, not 'soon'",
            "g.ini:9: max_attempts: expected an integer from 1 to 100, not 0",
            "g.ini:10: flush_timeout: expected 0 to 4 seconds, not 60",
            "g.ini:11: secret: a key of 5 bytes can be guessed; give 16 or more: openssl rand -hex 32",
            "g.ini:12: cacert: cannot read /nonexistent: No such file or directory",
            "g.ini:13: queue_size: expected an integer from 1 to 1000000, not 0",
        ]

    def test_options_without_a_hook_are_checked_too(self):
        assert complaints("[plugin:webhooks]\nsecrte = x\n") == [
            "g.ini:2: secrte: unknown option; did you mean 'secret'?"
        ]

    def test_nothing_set_is_nothing_read(self):
        for text in ("", "[webhooks]\n;create = http://some/url\n", "[plugin:other]\nx = 1\n"):
            assert not is_set(settings(text))
            assert complaints(text) == []
        assert not is_set(None)

    def test_the_table_of_options_is_complete(self):
        kept = {field.name for field in FIELDS} - {"secret", "secret_env", "secret_file"} | {"key"}
        assert kept == {field.name for field in dataclasses.fields(Tuning)}
        assert all(field.help for field in FIELDS)

    def test_options_of_a_program_yield_to_the_settings(self):
        given = {"timeout": 3, "secret": SECRET, "queue_size": 5}
        found = read_config(settings("[plugin:webhooks]\ntimeout = 4\nsecret = fedcba9876543210\n"), given)
        assert found.problems == []
        assert (found.tuning.timeout, found.tuning.queue_size, found.tuning.key) == (4.0, 5, b"fedcba9876543210")

    def test_a_secret_of_the_settings_replaces_that_of_a_program(self, monkeypatch):
        monkeypatch.setenv("HOOK_SECRET", "fedcba9876543210")
        found = read_config(settings("[plugin:webhooks]\nsecret_env = HOOK_SECRET\n"), {"secret": SECRET})
        assert (found.problems, found.tuning.key) == ([], b"fedcba9876543210")

    def test_options_of_a_program_are_checked(self):
        with pytest.raises(
            BadRequest, match=r"^timeout: expected a number of seconds, not '3'; max_tries: unknown opt"
        ):
            WebhooksPlugin(timeout="3", max_tries=1)
        with pytest.raises(BadRequest, match="^webhook for 'exit': 'x' does not begin with http"):
            WebhooksPlugin(hooks=[("exit", "x")])


class TestSecrets:
    def test_in_the_file(self):
        assert check_tuning({"secret": SECRET}).key == SECRET.encode()
        assert check_tuning({"secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}).key == SECRET.encode()
        assert check_tuning({"secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZg"}).key == SECRET.encode()
        assert check_tuning({"secret": ""}).key is None

    def test_in_the_environment(self, monkeypatch):
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        assert check_tuning({"secret_env": "HOOK_SECRET"}).key == SECRET.encode()
        monkeypatch.delenv("HOOK_SECRET")
        with pytest.raises(BadRequest, match="^secret_env: the environment variable HOOK_SECRET is not set$"):
            check_tuning({"secret_env": "HOOK_SECRET"})

    def test_in_a_file_of_its_own(self, tmp_path):
        path = tmp_path / "secret"
        path.write_text(f"{SECRET}\n")
        assert check_tuning({"secret_file": str(path)}).key == SECRET.encode()
        path.write_bytes(b"\xff" * 20)
        with pytest.raises(BadRequest, match="holds no text"):
            check_tuning({"secret_file": str(path)})
        with pytest.raises(BadRequest, match="cannot read .*: Is a directory"):
            check_tuning({"secret_file": str(tmp_path)})

    @pytest.mark.parametrize("secret", ["short", "whsec_c2hvcnQ=", "whsec_!!!", "whsec_ü"])
    def test_unfit(self, secret):
        with pytest.raises(BadRequest, match="^secret: ") as caught:
            check_tuning({"secret": secret})
        assert secret not in str(caught.value)

    def test_one_is_enough(self):
        said = complaints(f"[plugin:webhooks]\nsecret = {SECRET}\nsecret_file = /x\n")
        assert said == ["g.ini:3: secret_file: secret is set too; one of secret, secret_env, secret_file is enough"]

    def test_never_shown(self):
        assert repr(check_tuning({"secret": SECRET})) == "Tuning(signed)"

    def test_a_file_without_certificates(self, tmp_path):
        (tmp_path / "ca").write_text("nothing")
        with pytest.raises(BadRequest, match="^cacert: .* holds no certificate in PEM form$"):
            check_tuning({"cacert": str(tmp_path / "ca")})
