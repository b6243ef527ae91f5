"""What ``gafferd --check`` warns of, and what it refuses because it could not be started."""

from __future__ import annotations

import pytest

from gaffer import Manager
from gaffer.config.ini_reader import parse_text
from gaffer.config.options import Options
from gaffer.config.settings import Settings
from gaffer.daemon.checks import find_problems
from gaffer.daemon.warnings import find_warnings


def settings(text: str) -> Settings:
    return Settings(Options(), parse_text(text, "g.ini"), {}, {})


@pytest.mark.parametrize(
    "job, warning",
    [
        ("cmd = echo hi ; a comment", "g.ini:2: cmd: ';' and what follows are arguments; a comment needs a line"),
        ("cmd = echo hi # a comment", "g.ini:2: cmd: '#' and what follows are arguments; a comment needs a line"),
        ("cmd = true && true", "g.ini:2: cmd: '&&' is an argument, since no shell runs this; set shell = true"),
        ("cmd = cat < x", "g.ini:2: cmd: '<' is an argument"),
        ("cmd = nosuchprog x", "g.ini:2: cmd: there is no program nosuchprog now"),
        ("cmd = /etc/passwd", "g.ini:2: cmd: there is no program /etc/passwd now"),
        ("cmd = sleep 1\ncwd = /no/such", "g.ini:3: cwd: there is no folder /no/such"),
        ("cmd = sleep 1\ncwd = ~/no/such\nuid = root", "g.ini:3: cwd: there is no folder ~/no/such"),
    ],
)
def test_job_that_is_probably_not_meant_so(job: str, warning: str) -> None:
    (found,) = find_warnings(settings(f"[process:a]\n{job}\n"))
    assert str(found).startswith(warning)


@pytest.mark.parametrize(
    "job",
    [
        "cmd = sleep 1",
        "cmd = true && true; true # x\nshell = true",
        "cmd = $HOME/bin/x",
        "cmd = x\nenv = PATH=/opt/x/bin",
        "cmd = sleep 1\ncwd = $HOME/x",
        "cmd = sleep 1\ncwd = ~\nuid = root",
        "cmd = sleep 1\ncwd = ~/x\nuid = no-such-account",
        "cmd = /bin/sh -c 'a;b'",
    ],
)
def test_job_that_is_meant_so(job: str) -> None:
    assert find_warnings(settings(f"[process:a]\n{job}\n")) == []


@pytest.mark.parametrize(
    "line, problem",
    [
        ("bind = unix:/no/such/s", "g.ini:2: bind: there is no folder /no/such"),
        ("error_log = /no/such/l", "g.ini:2: error_log: there is no folder /no/such"),
        ("pidfile = /no/such/p", "g.ini:2: pidfile: there is no folder /no/such"),
    ],
)
def test_files_without_a_folder_are_problems(line: str, problem: str) -> None:
    assert problem in [str(found) for found in find_problems(settings(f"[gaffer]\n{line}\n"), Manager())]
