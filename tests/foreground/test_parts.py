"""The pieces of gaffer start that need no processes: patterns of files, endings, ports, one-off commands."""

import re
import shutil
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.config.jobconfig import JobConfig
from gaffer.errors import BadRequest
from gaffer.foreground.exit_policy import ExitPolicy, process_name, process_names
from gaffer.foreground.lifeline import can_start, death_signal_prefix
from gaffer.foreground.oneoff import one_off
from gaffer.foreground.ports import first_taken, is_taken
from gaffer.foreground.watch import affected, read_pattern, translate
from gaffer.process.exit_status import ExitStatus
from gaffer.process.spawn import SpawnPlan, find_program
from gaffer.procfile.application import read_application
from gaffer.supervisor.restart_policy import Done

# -- patterns


@pytest.mark.parametrize(
    "glob, matches, others",
    [
        ("*.py", ["a.py", ".py"], ["a.pyc", "src/a.py"]),
        ("src/**/*.py", ["src/a.py", "src/x/y/a.py"], ["a.py", "srca.py"]),
        ("src/**", ["src/a", "src/a/b"], ["src", "other/a"]),
        ("a?c.[ch]", ["abc.c", "abc.h"], ["ac.c", "abc.o", "a/c.c"]),
        ("[!a].txt", ["b.txt"], ["a.txt", "/.txt"]),
        ("x+(1).py", ["x+(1).py"], ["xx1.py"]),
    ],
)
def test_what_a_pattern_matches(glob, matches, others):
    expression = re.compile(translate(glob))
    assert all(expression.match(path) for path in matches)
    assert not any(expression.match(path) for path in others)


@given(st.text(alphabet="ab*?[]!^-/\\.(", max_size=12))
def test_every_pattern_is_an_expression(glob):
    re.compile(translate(glob))


@given(st.text(alphabet=st.characters(exclude_characters="*?[", exclude_categories=["Cs"]), max_size=12))
def test_text_without_wildcards_matches_itself_alone(text):
    assert re.compile(translate(text)).match(text)
    assert not re.compile(translate(text)).match(text + "x")


def test_one_type_or_all():
    patterns = [read_pattern("web=src/*.py", ("web", "worker")), read_pattern("conf/x.ini", ("web", "worker"))]
    assert [pattern.folder for pattern in patterns] == ["src", "conf"]
    assert affected(patterns, ["src/a.py", "src/b.py"]) == {"web": "src/a.py"}
    assert affected(patterns, ["conf/x.ini", "conf/y.ini"]) == {"web": "conf/x.ini", "worker": "conf/x.ini"}


def test_an_equals_sign_may_belong_to_the_pattern():
    assert read_pattern("./a=b/*", ("web",)).folder == "a=b"
    with pytest.raises(
        BadRequest, match="no process type 'wbe' runs here; did you mean 'web'.; .* write './wbe=x/\\*'"
    ):
        read_pattern("wbe=x/*", ("web",))


@pytest.mark.parametrize("text", ["", "web=", "/etc/*", "../x", "a/../../x"])
def test_patterns_that_lead_elsewhere(text):
    with pytest.raises(BadRequest, match="inside the application's folder"):
        read_pattern(text, ("web",))


# -- names and ends


def test_names_have_numbers_where_there_are_several():
    assert process_names("web", 1) == ["web"] and process_names("web", 2) == ["web.1", "web.2"]
    assert process_names("web", 0) == ["web"] and process_name("web", -1, 3) == "web"


class Said(list):
    def __call__(self, *what):
        self.append(what)


class Thing:
    """Anything with attributes."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def job(name="web", number=1, active=True, restart="always"):
    config = Thing(numprocesses=number, restart=restart)
    return Thing(name=Thing(job=name), config=config, active=active, wanted=number)


@pytest.mark.parametrize(
    "status, code, sentence",
    [
        (ExitStatus(0, None), 0, "ended with code 0; everything is stopped"),
        (ExitStatus(3, None), 3, "ended with code 3; everything is stopped"),
        (ExitStatus(None, 9), 137, "ended with signal SIGKILL; everything is stopped"),
        (None, 1, "could not be started; everything is stopped"),
    ],
)
def test_the_first_end_ends_all(status, code, sentence):
    said = Said()
    process = None if status is None else Thing(index=1)
    decision = ExitPolicy("stop", said).gaffer_restart_decision(job(number=2), process, status)
    assert isinstance(decision, Done)
    assert said == [("web" if status is None else "web.2", code, sentence)]


def test_what_others_wait_for_until_it_completes_ends_nothing_unless_it_fails():
    said = Said()
    ending = ExitPolicy("stop", said)
    for code in (0, 3):
        ending.gaffer_restart_decision(job("migrate", restart="on-failure"), Thing(index=0), ExitStatus(code, None))
    assert said == [("migrate", 3, "ended with code 3; everything is stopped")]


def test_until_the_last_has_ended():
    said = Said()
    ending = ExitPolicy("ignore", said)
    jobs = [job("a"), job("b"), job("none", number=0)]
    ending.manager = Thing(all_jobs=lambda: jobs)
    ending.gaffer_restart_decision(jobs[0], Thing(index=0), ExitStatus(4, None))
    jobs[0].active = False
    ending.gaffer_job_stopped(jobs[0])
    assert said == []
    ending.gaffer_restart_decision(jobs[1], Thing(index=0), ExitStatus(0, None))
    jobs[1].active = False
    ending.gaffer_job_stopped(jobs[1])
    assert said == [("a", 4, "the last process has ended; the first to fail ended with code 4")]


# -- ports, and what a command is


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert is_taken(port) and first_taken({"web.1": port}) == ("web.1", port)
    assert not is_taken(port) and first_taken({"web.1": port}) is None
    assert first_taken({}) is None


@pytest.fixture
def application(tmp_path):
    (tmp_path / "Procfile").write_text("web: serve $PORT\nworker: work\n")
    (tmp_path / ".env").write_text("A=1\nGAFFER_REDIRECT_INPUT=web")
    return read_application(root=str(tmp_path), environ={})


@pytest.mark.parametrize(
    "words, cmd, shell",
    [
        (["ls", "-l", "a b", "$HOME"], "ls -l 'a b' '$HOME'", False),
        (["echo $A | wc"], "echo $A | wc", True),
        (["worker"], "work", False),
    ],
)
def test_what_a_one_off_command_runs(application, tmp_path, words, cmd, shell):
    config = one_off(application, words)
    assert (config.cmd, config.shell, config.cwd, config.env) == (cmd, shell, str(tmp_path), {"A": "1"})
    assert (config.name, config.port, config.numprocesses) == ("run", 5200 if words == ["worker"] else None, 1)


def test_words_that_were_split_already_mean_what_they_say(application):
    assert one_off(application, ["ls", "a b", "$HOME", "*", "'"]).template.expand({}) == [
        "ls",
        "a b",
        "$HOME",
        "*",
        "'",
    ]


@pytest.mark.parametrize("name", ["sh", "nothing-of-that-name", "/bin/sh", "/bin", "./x", "a/b", "..", ""])
@pytest.mark.parametrize("path", ["/usr/bin:/bin", "", "/nowhere"])
def test_programs_are_found_as_everywhere(name, path):
    assert bool(find_program(name, path)) == bool(shutil.which(name, path=path))


def test_a_program_that_shares_its_file_with_others_is_no_setpriv(tmp_path, monkeypatch):
    (tmp_path / "busybox").write_text("#!/bin/sh\n")
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "setpriv").symlink_to("busybox")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert death_signal_prefix() == []
    (tmp_path / "setpriv").unlink()
    assert death_signal_prefix() == []
    (tmp_path / "setpriv").write_text("#!/bin/sh\n")
    (tmp_path / "setpriv").chmod(0o755)
    assert death_signal_prefix() == [str(tmp_path / "setpriv"), "--pdeathsig", "KILL", "--"]


@pytest.mark.parametrize("command, found", [("true", True), ("./nothing-here", False), ("no-such-program", False)])
def test_only_what_can_be_started_is_wrapped(command, found):
    """The failure of anything else would be told as the wrapper's."""
    plan = SpawnPlan([command], {"PATH": "/usr/bin:/bin"}, "/", 0, 1)
    assert can_start(plan, JobConfig("x", command)) is found


def test_another_user_is_not_wrapped_where_that_cannot_be(monkeypatch):
    plan = SpawnPlan(["true"], {"PATH": "/usr/bin:/bin"}, "/", 0, 1)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert not can_start(plan, JobConfig("x", "true", uid=0))
    assert can_start(plan, JobConfig("x", "true"))
