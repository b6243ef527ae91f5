"""gaffer_plugins.inijobs: sections of ini files become jobs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from gaffer.config.fields import Flapping, Int
from gaffer.config.ini_reader import parse_text
from gaffer.config.jobconfig import JobConfig, JobFields
from gaffer.config.settings import Options, Settings, read_settings
from gaffer.errors import ConfigError
from gaffer_plugins import inijobs


def jobs(text: str, fields: JobFields | None = None) -> dict[str, JobConfig]:
    fields = fields or JobFields()
    found = Settings(Options(), parse_text(text, "g.ini"))
    assert found.problems == []
    assert inijobs.gaffer_check_config(found, fields) == []
    return {config.job_name.short: config for config in inijobs.gaffer_load_jobs(found, fields)}


def complaints(text: str) -> list[str]:
    found = Settings(Options(), parse_text(text, "g.ini"))
    problems = inijobs.gaffer_check_config(found, JobFields())
    with pytest.raises(ConfigError) as caught:
        inijobs.gaffer_load_jobs(found, JobFields())
    assert sorted(problems) == caught.value.problems
    return [str(problem) for problem in sorted(problems)]


def test_the_seeds_sections() -> None:
    found = jobs(
        "[process:dummy]\ncmd = ./dummy.py\n;cwd = .\nuid =\ngid =\ndetach = false\nshell = false\n"
        "flapping = 2, 1., 7., 5\nnumprocesses = 1\nredirect_output = stdout, stderr\nredirect_input  = true\n"
        "graceful_timeout = 30\ncustom_streams = control, more\n"
        "[process:test:web]\ncmd = web\n[job:other.web]\ncmd = web\n"
        "[env:dummy]\nport = 80\nGreeting = 'hello, world'\n"
    )
    assert sorted(found) == ["dummy", "other.web", "test.web"]
    dummy = found["dummy"]
    assert (dummy.cmd, dummy.cwd, dummy.uid, dummy.numprocesses) == ("./dummy.py", None, None, 1)
    assert dummy.flapping == Flapping(2, 1.0, 7.0, 5)
    assert (dummy.redirect_output, dummy.redirect_input) == (("stdout", "stderr"), True)
    assert dummy.custom_streams == ("control", "more")
    assert dummy.env == {"PORT": "80", "GREETING": "hello, world"}
    assert found["test.web"].env == {}


def test_command_lines_reach_the_job_untouched() -> None:
    found = jobs(
        "[job:a]\ncmd = sh -c 'echo a, b # c; %s [x]' ; next\nargs = \"one two\" three,four # five\n"
        '[job:b]\ncmd = "/opt/my prog"\nargs = \'all of it\'\nstop_signal = "INT"\n'
    )
    assert found["a"].template.expand({}) == [
        *("sh", "-c", "echo a, b # c; %s [x]", ";", "next"),
        *("one two", "three,four", "#", "five"),
    ]
    assert found["b"].template.expand({}) == ["/opt/my prog", "all of it"]
    assert found["b"].stop_signal == signal.SIGINT


def test_all_problems_at_once() -> None:
    assert complaints(
        "[process:dummy]\ncmd = x\nnumproceses = 2\npriority = first\ncustom_channels = 1\nname = y\nenv = A=1\n"
        "[process:bad name]\n[process:a:b:c]\n[process:empty]\n[process:quote]\ncmd = sh 'x\n"
        "[job:default:dummy]\ncmd = y\n"
        "[env:dumy]\nx = 1\n[env:dummy]\nport = 1\nPORT = 2\n[env:default:dummy]\n"
        "[process:worse]\nstart = maybe\n"
    ) == [
        "g.ini:3: unknown setting 'numproceses'; did you mean 'numprocesses'?",
        "g.ini:4: priority: expected an integer, not 'first'",
        "g.ini:5: custom_channels: can be set from Python only",
        "g.ini:6: name: a job's name stands in the header of its section",
        "g.ini:7: env: environment variables are written in a section of their own: [env:NAME]",
        "g.ini:8: job name 'bad name' may hold letters, digits, '_', '+' and '-' only, "
        "and start with a letter, a digit or '_'",
        "g.ini:9: job name 'b:c' may hold letters, digits, '_', '+' and '-' only, "
        "and start with a letter, a digit or '_'",
        "g.ini:10: cmd: required",
        "g.ini:12: cmd: a single quote is never closed",
        "g.ini:13: job 'dummy' is defined a second time; the first is at g.ini:1",
        "g.ini:15: there is no job 'dumy' that this could be the environment of; did you mean 'dummy'?",
        "g.ini:19: PORT is set a second time; upper and lower case are the same here",
        "g.ini:20: the environment of job 'dummy' is defined a second time; the first is at g.ini:17",
        "g.ini:21: cmd: required",
        "g.ini:22: start: expected true or false, not 'maybe'",
    ]


class TestVariables:
    def test_come_from_the_jobs_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("FROM_OS", "1")
        (tmp_path / ".env").write_text("FROM_FILE=1\n")
        text = (
            f"[job:a]\ncmd = x $FROM_OS $FROM_FILE ${{FROM_ENV}} $$NO '$LITERAL'\ncwd = {tmp_path}\nenv_file = .env\n"
        )
        assert jobs(text + "[env:a]\nfrom_env = 1\n").keys() == {"a"}
        assert complaints(text) == ["g.ini:2: cmd: unknown variable $FROM_ENV; set it in env, or write $$ for a dollar"]

    def test_that_are_unknown_are_told_beside_other_problems(self) -> None:
        """But only what is certain: the right user, or environment, might have them."""
        assert complaints(
            "[job:a]\ncmd = x $NO_SUCH\nuid = no-such-user\npriority = first\n"
            "[job:b]\ncmd = x $HOME $LOGNAME $GIVEN\nuid = no-such-user\nos_env = false\n[env:b]\ngiven = 1\n"
            "[job:c]\ncmd = x $NO_SUCH\nos_env = perhaps\n"
            "[job:d]\ncmd = x $NO_SUCH\n[env:d]\nport = 1\nPORT = 2\n"
        ) == [
            "g.ini:2: cmd: unknown variable $NO_SUCH; set it in env, or write $$ for a dollar",
            "g.ini:3: uid: no user 'no-such-user' on this machine",
            "g.ini:4: priority: expected an integer, not 'first'",
            "g.ini:7: uid: no user 'no-such-user' on this machine",
            "g.ini:13: os_env: expected true or false, not 'perhaps'",
            "g.ini:18: PORT is set a second time; upper and lower case are the same here",
        ]

    def test_are_the_shells_business_with_shell(self) -> None:
        assert jobs("[job:a]\ncmd = echo $NO_SUCH_VARIABLE | cat\nshell = true\n")

    def test_an_env_file_that_cannot_be_read(self) -> None:
        (sentence,) = complaints("[job:a]\ncmd = x\nenv_file = /no/such\n")
        assert sentence.startswith("g.ini:") and "/no/such" in sentence


def test_settings_of_plugins_are_read_by_the_same_table() -> None:
    fields = JobFields()
    fields.add("mail_after", Int(1, 9), 1)
    assert jobs("[job:a]\ncmd = x\nmail_after = 3\n", fields)["a"].mail_after == 3


def test_jobs_of_included_files(tmp_path: Path) -> None:
    (tmp_path / "main.ini").write_text("[gaffer]\ninclude_dir = .\n[job:a]\ncmd = x\n")
    (tmp_path / "other.ini").write_text("[job:a]\ncmd = y\n[env:b]\nx = 1\n[job:b]\ncmd = z\n")
    found = read_settings(str(tmp_path / "main.ini"), environ={})
    assert [str(problem) for problem in inijobs.gaffer_check_config(found, JobFields())] == [
        f"{tmp_path}/other.ini:1: job 'a' is defined a second time; the first is at {tmp_path}/main.ini:3"
    ]


def test_an_embedded_manager_has_no_ini_file() -> None:
    assert inijobs.gaffer_load_jobs(None, JobFields()) == []
