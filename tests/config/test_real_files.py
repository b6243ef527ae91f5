"""Files in the manner of those that people have, through check, convert and export, and back."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import gaffer
from gaffer.cli.app.export import as_export, exporters
from gaffer.cli.app.gaffer import make_program
from gaffer.config.convert import convert
from gaffer.config.ini_reader import parse_text
from gaffer.config.jobconfig import JobConfig
from gaffer.config.settings import Options, Settings
from gaffer.errors import InvalidConfig
from gaffer.procfile.application import read_application
from gaffer.procfile.export import Application, ExportJob
from gaffer_plugins import inijobs
from gaffer_plugins.http import HttpPlugin
from gaffer_plugins.logfiles import LogfilesPlugin
from tests.kit.data import data_folder

DATA = data_folder()
APPS = sorted(path.name for path in (DATA / "apps").iterdir())
CONFIGURATIONS = sorted(
    f"{kind}/{path.stem}"
    for kind in ("supervisord", "circus")
    for path in (DATA / kind).iterdir()
    if path.suffix in (".conf", ".ini")
)
#: What a supervisord.conf cannot hold.
REFUSED = {"key": "TLS_KEY", "windows": "TITLE", "escapes": "TWO_LINES_OF_ONE"}
GAFFERDS_OWN = {"PATH": "/usr/bin", "GAFFER_INDEX": "0"}


def loaded(text):
    """Return the jobs of a gafferd.ini by name."""
    fields = gaffer.Manager(plugins=[LogfilesPlugin]).job_fields
    options = Options()
    HttpPlugin().gaffer_add_options(options)
    settings = Settings(options, parse_text(text, "g.ini"))
    assert settings.problems == [] and inijobs.gaffer_check_config(settings, fields) == []
    return {config.name: config for config in inijobs.gaffer_load_jobs(settings, fields)}


def kept(configs):
    """Return what else an export has to keep."""
    settings = ("cwd", "port", "numprocesses", "redirect_output", "redirect_input", "stdin", "uid", "gid")
    return {name: {setting: getattr(one, setting) for setting in settings} for name, one in configs.items()}


def start_of(argv, env):
    """Return arguments and variables; those that ``env`` sets in the command are variables, too."""
    argv, env = list(argv), dict(env)
    if argv[0] == "/usr/bin/env":
        del argv[0]
        while re.match(r"[A-Za-z_]+=", argv[0]):
            name, _, text = argv.pop(0).partition("=")
            env[name] = text
    return {"argv": argv, "env": env}


def starts(configs):
    """Return what each job is started with."""
    jobs = {name: ExportJob(config, ({},)) for name, config in configs.items()}
    return {name: start_of(job.argv({**GAFFERDS_OWN, **job.config.env}), job.config.env) for name, job in jobs.items()}


def export(form, application):
    return exporters()[form][0].export(application).files[0].text


def through_supervisord(application, path):
    """Return what each process is started with after an export to supervisord and the way back."""
    path.write_text(export("supervisord", application), newline="")
    return list(starts(loaded(convert(str(path), "supervisord")[0])).values())


def check_expected(found, path):
    """Compare with the file that says what is right."""
    text = json.dumps(found, indent=1, ensure_ascii=False).replace(str(DATA), "DATA")
    assert json.loads(text) == json.loads(path.read_text())


@pytest.mark.parametrize("name", APPS)
def test_application_is_read_exported_and_read_back(name, tmp_path, monkeypatch):
    monkeypatch.delenv("CACHE_DIR", raising=False)
    application = read_application(root=str(DATA / "apps" / name), environ={})
    configs = {config.name: config for config in application.configs()}
    check_expected(starts(configs), DATA / "apps" / name / "expected.json")
    exported = as_export(application)
    listed = [JobConfig.from_dict(one) for one in json.loads(export("json", exported))["jobs"]]
    for back in (loaded(export("ini", exported)), {config.name: config for config in listed}):
        assert (starts(back), kept(back)) == (starts(configs), kept(configs))
    if name in REFUSED:
        with pytest.raises(InvalidConfig, match=f"cannot hold the line break in {REFUSED[name]}"):
            through_supervisord(exported, tmp_path / "s.conf")
    else:
        wanted = [start_of(job.argv(env), env) for _, job, env in exported.processes()]
        assert through_supervisord(exported, tmp_path / "s.conf") == wanted


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration_is_converted_exported_and_read_back(name, tmp_path):
    (path,) = [path for path in (DATA / name).parent.glob(f"{Path(name).name}.*") if path.suffix != ".json"]
    text, _ = convert(str(path))
    configs = loaded(text)
    check_expected(starts(configs), (DATA / name).with_suffix(".json"))
    # gafferd's own variables are known to an export only if they are said.
    jobs = tuple(ExportJob(config, ({**GAFFERDS_OWN, **config.env},)) for config in configs.values())
    application = Application("x", "/", jobs)
    back = through_supervisord(application, tmp_path / "s.conf")
    wanted = [start_of(job.argv(env), env) for _, job, env in application.processes()]
    assert back == wanted


@pytest.mark.parametrize("name", APPS)
def test_application_passes_the_check_and_is_exported_to_every_format(name, monkeypatch):
    monkeypatch.delenv("CACHE_DIR", raising=False)
    monkeypatch.chdir(DATA / "apps" / name)
    checked = CliRunner().invoke(make_program(), ["check", "-o", "json"])
    assert checked.exit_code == 0, checked.output
    application = read_application(root=".", environ={})
    shown = {one["name"]: one["cmd"] for one in json.loads(checked.output)["jobs"]}
    assert shown == {one.job_name.full: one.cmd for one in application.configs()}
    for form, (exporter, *_) in exporters().items():
        try:
            files = exporter.export(as_export(application)).files
        except InvalidConfig as error:
            # It names the variable and never shows its value.
            assert REFUSED[name] in str(error), form
        else:
            assert files, form


def test_every_file_is_described():
    text = (DATA / "README.rst").read_text()
    named = re.findall(r"^``(\w+/\w+)``", text, re.M)
    assert sorted(named) == sorted([*(f"apps/{name}" for name in APPS), *CONFIGURATIONS])


#: Commands that never end, whatever their programs do.
ENDLESS = {"laravel.schedule"}
#: Stands for every program, and says what it was called and got.
STUB = """#!/bin/sh
printf '%s' "${0##*/}"; for one in "$@"; do printf '|%s' "$one"; done; echo
"""


def stub(folder, line):
    """Put a program into *folder* for each word that a command may run."""
    for word in re.split(r"[\s;&|()\"'`]+", line):
        if re.fullmatch(r"(\./)?\w[\w./-]*", word) and word not in ("cd", "exec", "env", "printf"):
            path = folder / (word if "/" in word else f"stubs/{word}")
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text(STUB)
                path.chmod(0o755)


@pytest.mark.parametrize("name", APPS)
def test_programs_get_what_a_shell_would_give_them(name, tmp_path, monkeypatch):
    monkeypatch.delenv("CACHE_DIR", raising=False)
    for config in read_application(root=str(DATA / "apps" / name), environ={}).configs():
        if config.job_name.full not in ENDLESS:
            for folder in re.findall(r"\bcd ([\w/]+)", config.cmd):
                (tmp_path / folder).mkdir(parents=True)
            stub(tmp_path, config.cmd)
            env = {**config.env, "PATH": f"{tmp_path}/stubs:/usr/bin:/bin", "PORT": "5100", "HOME": "/root"}
            argv = ExportJob(config, ({},)).argv(env)
            ran = [
                subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, timeout=60)
                for words in (argv, ["/bin/sh", "-c", config.cmd])
            ]
            assert (ran[0].stdout, ran[0].returncode) == (ran[1].stdout, ran[1].returncode), config.cmd
            assert ran[0].stdout, (config.cmd, ran[0].stderr)
