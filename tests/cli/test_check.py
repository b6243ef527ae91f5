"""gaffer check, and what every command of gaffer says about an application that cannot be used."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gaffer.cli.app.gaffer import SECTIONS, make_program
from gaffer.cli.core.program import run


@pytest.fixture
def gaffer(tmp_path, capsys, monkeypatch):
    """Return a function that runs gaffer in a folder called shop; it returns exit code, stdout and stderr."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PORT", raising=False)

    def call(*args, **files):
        for name, content in files.items():
            (folder / {"env": ".env"}.get(name, name)).write_text(content)
        with pytest.raises(SystemExit) as ended:
            run(make_program(), args)
        return ended.value.code, *capsys.readouterr()

    return call


def test_help_names_every_command(gaffer):
    code, out, _ = gaffer("--help")
    assert code == 0 and all(f"  {name} " in out for section in SECTIONS.values() for name in section)


def test_table_shows_numbers_ports_and_who_runs_it(gaffer):
    code, out, err = gaffer("check", "-c", "web=2", Procfile="web: serve $PORT\nworker: work 'a b'\n")
    assert (code, err) == (0, "")
    assert [line.split(maxsplit=4) for line in out.splitlines()] == [
        ["NAME", "PROCESSES", "PORT", "RUN", "BY  COMMAND"],
        ["web", "2", "5100-5101", "shell", "serve $PORT"],
        ["worker", "1", "5200", "gaffer", "work 'a b'"],
    ]


def test_json_is_what_gafferd_would_be_given(gaffer):
    code, out, _ = gaffer("check", "-o", "json", "worker", Procfile="web: serve\nworker: work\n", env="A=1")
    found = json.loads(out)
    assert found["name"] == "shop"
    (job,) = found["jobs"]
    assert (job["name"], job["cmd"], job["port"], job["env"]) == ("shop.worker", "work", 5200, {"A": "1"})


def test_without_ports_there_are_none(gaffer):
    assert " 5" not in gaffer("check", "--no-port", Procfile="web: serve\n")[1]


def test_every_problem_has_its_file_and_line(gaffer):
    code, out, err = gaffer("check", Procfile="web: serve\nwhat\n", env="A=1\n=\n")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        ".env:2: expected NAME=VALUE, not '='",
        "Procfile:2: expected 'name: command', not 'what'",
    ]


def test_missing_procfile_says_what_to_do(gaffer):
    assert gaffer("check") == (
        2,
        "",
        "Procfile: there is no such Procfile; name one with -f FILE, or its folder with -d DIR\n",
    )


def test_number_for_an_unknown_type(gaffer):
    assert gaffer("check", "-c", "wbe=2", Procfile="web: serve\n") == (
        2,
        "",
        "gaffer: -c: the Procfile has no process type 'wbe'; did you mean 'web'?\n",
    )


def test_options_come_from_the_environment_too(gaffer, monkeypatch, tmp_path):
    (tmp_path / "other").write_text("clock: tick\n")
    monkeypatch.setenv("GAFFER_PROCFILE", str(tmp_path / "other"))
    monkeypatch.setenv("GAFFER_PORT", "6000")
    assert gaffer("check")[1].splitlines()[1].split() == ["clock", "1", "6000", "gaffer", "tick"]


def test_folder_can_be_elsewhere(gaffer, tmp_path):
    (tmp_path / "Procfile").write_text("clock: tick\n")
    assert gaffer("-d", str(tmp_path), "check", "-o", "name")[1] == "clock\n"


def test_neither_client_nor_engine_is_imported(tmp_path):
    (tmp_path / "Procfile").write_text("clock: tick\n")
    code = (
        "import sys\nfrom gaffer.cli.app.gaffer import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "late = {'gevent', 'gaffer.httpclient', 'gaffer.supervisor.engine', 'http.client'}\n"
        "sys.exit(' '.join(late & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, "-d", tmp_path, "check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_commands_of_gafferctls_plugins_are_not_gaffers():
    assert CliRunner().invoke(make_program(), ["webhooks"], standalone_mode=False).exception is not None
