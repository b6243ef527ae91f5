"""Manual pages and shell completions: current, complete, and understood by man and the shells themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

CONTRIB = Path(__file__).parents[2] / "contrib"
PROGRAMS = ("gaffer", "gafferctl", "gafferd", "gaffer_lookupd")
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

sys.path.insert(0, str(CONTRIB))
pytest.importorskip("shtab")
import generate  # noqa: E402


def need(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"there is no {program}")


def run(*words, **env):
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=30, env={**os.environ, "PATH": PATH, **env}, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


@pytest.fixture(scope="module")
def made():
    return generate.files()


def tool_of(text):
    """Return what a script was made with, and that tool's version now."""
    found = re.search(r"^(?:#|\.\\\") Made by contrib/generate.py with (\w+) (\S+); do not edit\.$", text, re.M)
    return found and (found[2], version(found[1]))


def assert_current(name, made):
    there = (CONTRIB / name).read_text("utf-8")
    then, now = tool_of(there)
    if then != now:
        pytest.skip(f"made with another version of its tool, {then}")
    assert there == made[name], "run 'make man'"


@pytest.mark.parametrize("name", [path.relative_to(CONTRIB).as_posix() for path in CONTRIB.glob("man/*.[18]")])
def test_manual_pages_are_current(made, name):
    assert_current(name, made)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", generate.SHELLS)
def test_completions_are_current(made, program, shell):
    name = f"completion/{shell}/{generate.COMPLETION[shell].format(program)}"
    assert_current(name, made)


def test_there_is_nothing_else(made):
    there = {
        path.relative_to(CONTRIB).as_posix()
        for folder in ("man", "completion")
        for path in CONTRIB.glob(f"{folder}/**/*")
    }
    assert {name for name in there if (CONTRIB / name).is_file()} == set(made)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_option_has_its_place_in_the_page(made, program):
    text = made[f"man/{program}.{generate.SECTION[program]}"].replace("\\-", "-")
    shown = subprocess.run([sys.executable, "-c", START[program], "--help"], capture_output=True, text=True, timeout=30)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", shown.stdout))
    assert len(options) > 5
    assert {option for option in options if option not in text} == set()


START = {
    "gaffer": "from gaffer.cli.app.gaffer import main; main()",
    "gafferctl": "from gaffer.cli.ctl.gafferctl import main; main()",
    "gafferd": "import sys; from gaffer.daemon.main import main; sys.exit(main())",
    "gaffer_lookupd": "import sys; from gaffer.lookupd.main import main; sys.exit(main())",
}


@need("groff")
@pytest.mark.parametrize("program", PROGRAMS)
def test_groff_has_nothing_to_complain_of(program):
    run("groff", "-man", "-ww", "-z", "-Tutf8", str(CONTRIB / "man" / f"{program}.{generate.SECTION[program]}"))


def test_nothing_means_anything_to_roff():
    assert generate.escaped(".a -b 'c' \\d\n.e") == "\\&.a \\-b \\(aqc\\(aq \\ed\n\\&.e"


# -- what the shells make of them


BASH = """
source "{file}"
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="{words}"; COMP_POINT=${{#COMP_LINE}}
compopt() {{ :; }}
$(complete -p {program} | sed 's/.*-F \\([^ ]*\\) .*/\\1/') {program} "${{COMP_WORDS[COMP_CWORD]}}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
TYPED = [
    ("gaffer sca", {"scale"}),
    ("gaffer export --li", {"--list"}),
    ("gafferctl sta", {"start", "status", "stats"}),
    ("gafferctl stop --no", {"--no-wait"}),
    ("gafferd --plugins", {"--plugins", "--plugins-dir"}),
    ("gafferd --pidf", {"--pidfile"}),
    ("gaffer_lookupd --pidf", {"--pidfile"}),
]


@need("bash")
@pytest.mark.parametrize("line, expected", TYPED)
def test_bash_completes(line, expected):
    program = line.split()[0]
    script = BASH.format(file=CONTRIB / "completion" / "bash" / program, program=program, words=line)
    assert set(run("bash", "--norc", "-c", script).split()) == expected


@need("bash")
def test_bash_completes_the_types_of_the_procfile(tmp_path):
    (tmp_path / "Procfile").write_text("web: a\nworker: b\nclock: c\n")
    for line, expected in [
        (f"gaffer -d {tmp_path} stop w", {"web", "worker"}),
        (f"gaffer -d {tmp_path} scale cl", {"clock+1", "clock-1", "clock=1"}),
        (f"gaffer -d {tmp_path}/none logs w", set()),
    ]:
        script = BASH.format(file=CONTRIB / "completion" / "bash" / "gaffer", program="gaffer", words=line)
        assert set(run("bash", "--norc", "-c", script).split()) == expected


@need("fish")
@pytest.mark.parametrize("line, expected", TYPED)
def test_fish_completes(line, expected, tmp_path):
    program = line.split()[0]
    file = CONTRIB / "completion" / "fish" / f"{program}.fish"
    said = run("fish", "--no-config", "-c", f"source '{file}'; complete -C '{line}'", HOME=str(tmp_path))
    assert {shown.split("\t")[0] for shown in said.splitlines()} == expected


@need("zsh")
@pytest.mark.parametrize("program", PROGRAMS)
def test_zsh_loads_them(program, tmp_path):
    folder = CONTRIB / "completion" / "zsh"
    script = f"fpath=('{folder}' $fpath); autoload -Uz compinit && compinit -u -D; "
    script += f"print $_comps[{program}]; autoload +X _{program}"
    assert run("zsh", "-f", "-c", script, HOME=str(tmp_path)).splitlines() == [f"_{program}"]
