"""Files in the manner of those that people have, through check, convert and export, and back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import gaffer
from gaffer.cli.app.export import as_export, exporters
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
    if path.suffix != ".json"
)
#: What a supervisord.conf cannot hold.
REFUSED = {"key": "TLS_KEY", "windows": "TITLE"}
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
    return {name: (one.cwd, one.port, one.numprocesses, one.redirect_output) for name, one in configs.items()}


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


def test_every_file_is_described():
    text = (DATA / "README.rst").read_text()
    named = re.findall(r"^``(\w+/\w+)``", text, re.M)
    assert sorted(named) == sorted([*(f"apps/{name}" for name in APPS), *CONFIGURATIONS])
