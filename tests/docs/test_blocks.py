"""Code blocks are what they say they are: configurations pass the check, JSON is JSON, Python is a file."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import gaffer_tables as tables
import pytest

from gaffer.cli.app.gaffer import make_program as gaffer_program
from gaffer.cli.ctl.gafferctl import make_program
from gaffer.daemon import commandline
from gaffer.lookupd.options import make_options as lookupd_options
from gaffer.lookupd.program import make_parser as lookupd_parser

from ..kit.pages import DOCS, PAGES, ROOT, all_blocks, code_blocks, without_slowness

#: Tested by test_console.py, or nothing that could be wrong.
OTHERS = {"console", "text"}
TESTED = {"ini", "json", "sh"}


def check(path, cwd):
    return subprocess.run(
        [sys.executable, "-m", "gaffer.daemon.main", "--check", "-p", str(DOCS / "examples" / "plugins"), str(path)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("block", all_blocks("ini"), ids=str)
def test_a_configuration_passes_the_check(block, tmp_path):
    path = tmp_path / "g.ini"
    path.write_text(block.text, "utf-8")
    ended = check(path, tmp_path)
    *warnings, last = ended.stdout.splitlines()
    assert ended.returncode == 0 and last.startswith(f"{path}: no problems")
    # Programs and folders of the reader's own are not here.
    assert all("there is no" in warning for warning in warnings), warnings
    assert without_slowness(ended.stderr) == ""


def test_a_wrong_configuration_does_not(tmp_path):
    path = tmp_path / "g.ini"
    path.write_text("[plugin:mailer]\nfrom = me@example.org\n[process:a]\ncmd = x\nnone = 1\n", "utf-8")
    ended = check(path, tmp_path)
    assert ended.returncode == 2
    assert without_slowness(ended.stderr).splitlines() == [
        f"{path}:1: to: required, the address that mail goes to",
        f"{path}:5: unknown setting 'none'",
    ]


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_json_is_json(block):
    json.loads(block.text)


def test_the_job_in_json_is_a_job():
    from gaffer.config.jobconfig import JobConfig

    (block,) = (block for block in all_blocks("json") if block.page == "configuration.rst")
    assert JobConfig.from_dict(json.loads(block.text)).flapping.retry_in == 7.0


@pytest.mark.parametrize("block", all_blocks("sh"), ids=str)
def test_commands_that_are_not_typed_have_at_least_the_right_options(block):
    for line in block.text.splitlines():
        program, *words = shlex.split(line)
        if program == "gafferd":
            assert commandline.parse(words, tables.all_options()).unknown == []
        elif program == "gaffer_lookupd":
            lookupd_parser(lookupd_options()).parse_args(words)
        elif program == "gafferctl":
            assert make_program().main([*words, "--help"], standalone_mode=False) == 0
        elif program == "gaffer":
            assert gaffer_program().main([*words, "--help"], standalone_mode=False) == 0
        elif program == "python":
            assert (ROOT / words[0]).is_file(), line
        else:
            assert program in ("export", "ssh", "pip"), line


def test_every_block_has_a_language_that_is_tested():
    for page in PAGES:
        for block in code_blocks(page):
            assert block.language in TESTED | OTHERS, f"{block}: {block.language}; put it into a file that a test runs"


def test_there_are_no_blocks_without_a_language():
    for page in PAGES:
        for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
            assert not re.search(r"(?<!:):: *$", line) or line.lstrip().startswith(".. "), f"{page.name}:{number}"


def test_every_included_file_is_run_by_a_test():
    tested = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for page in PAGES:
        for name in re.findall(r"^\.\. literalinclude:: (\S+)", page.read_text("utf-8"), re.M):
            path = (DOCS / name).resolve()
            assert path.is_file()
            assert path.stem in tested or path.parent.name in tested, f"{page.name}: nothing runs {name}"
