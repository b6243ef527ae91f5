"""Secrets in environments, files of variables and logs: who tries to get them, or to use them against gafferd."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

from gaffer.config import dotenv as envfile
from gaffer.config.command_template import make_template
from gaffer.config.dotenv import MAX_EXPANDED, read_env_file, read_env_lines
from gaffer.errors import InvalidConfig
from gaffer.security.inherited_environment import inherited

from ..kit.gafferd import Gafferd, environment, eventually
from . import attack

SECRET = "sesame-of-gafferd"
#: What an operator may have set for gafferd and gafferctl.
OWN = {
    "GAFFERD_LOOKUPD_KEY": SECRET + "-1",
    "GAFFERD_PASSWORD": SECRET + "-2",
    "GAFFER_API_KEY": SECRET + "-3",
    "GAFFERCTL_API_KEY": SECRET + "-4",
    "GAFFER_LOOKUPD_READ_KEY": SECRET + "-5",
    "GAFFER_TOKEN": SECRET + "-6",
    "HOOK_SIGNING": SECRET + "-7-long-enough-for-webhooks",
}
KINDS = {
    "plain": "",
    "tty": "tty = true",
    "custom": "custom_streams = more",
    "detached": "detach = true",
    "as_file": "env_file = copied.env",
    **({"other": "uid = 65534\ngid = 65534\ncwd = /"} if os.geteuid() == 0 else {}),
}


@pytest.fixture
def seen() -> Iterator[Path]:
    """Return a folder that all accounts may write to; those of pytest are below one of our own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@attack(
    "a job",
    "its environment, in search of gafferd's own keys and passwords",
    "``GAFFERD_*``, ``GAFFERCTL_*``, keys and passwords of ``GAFFER_*`` and ``secret_env`` of webhooks are not there",
)
def test_environment_of_jobs_holds_no_secret_of_gafferd(tmp_path: Path, seen: Path) -> None:
    (tmp_path / "copied.env").write_text("COPIED=${GAFFERD_LOOKUPD_KEY-}${HOOK_SIGNING-}.\n")
    jobs = "".join(
        f'[process:{name}]\n{line}\ncmd = sh -c "env > {seen}/.{name}; cd {seen}; mv .{name} {name}; exec sleep 1000"\n'
        for name, line in {**KINDS, "meant": ""}.items()
    )
    jobs += "[env:meant]\ngaffer_api_key = on-purpose\n"
    jobs += "[webhooks]\nexit = http://127.0.0.1:9/\n[plugin:webhooks]\nsecret_env = HOOK_SIGNING\n"
    with Gafferd(tmp_path, jobs).start(ORDINARY="stays", **OWN).ready() as node:
        names = {*KINDS, "meant"}
        eventually(lambda: names <= {path.name for path in seen.iterdir()})
        texts = {name: (seen / name).read_text() for name in names}
        node.post("/jobs/default/detached/stop")
    assert not [name for name, text in texts.items() if SECRET in text]
    assert all("ORDINARY=stays" in text for text in texts.values())
    assert "COPIED=.\n" in texts["as_file"]
    assert "on-purpose" in texts["meant"]


def test_environment_of_applications_holds_no_secret_of_gaffer(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: env > seen; mv seen started; exit 0\n")
    (tmp_path / ".env").write_text("GAFFER_TOKEN=on-purpose\n")
    own = {name: value for name, value in OWN.items() if name != "HOOK_SIGNING"}
    env = environment(tmp_path, **own)
    gaffer = [str(Path(sys.executable).with_name("gaffer"))]
    for words in (["run", "env"], ["start"]):
        run = subprocess.Popen(
            [*gaffer, *words],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if words == ["start"]:
            eventually((tmp_path / "started").exists)
            run.terminate()
        said = run.communicate(timeout=60)[0]
        text = said if words != ["start"] else (tmp_path / "started").read_text()
        assert "GAFFER_TOKEN=on-purpose" in text and SECRET not in text, said


def test_table_of_what_children_do_not_inherit() -> None:
    gone = dict.fromkeys([*OWN, "GAFFERD_BIND", "GAFFER_SIGNKEY"], "x")
    del gone["HOOK_SIGNING"]  # only webhooks' option makes that a secret
    stay = dict.fromkeys(["PATH", "PGPASSWORD", "GAFFER_ID", "GAFFER_PLUGIN_DIR", "GAFFER_UID", "KEYBOARD"], "x")
    assert inherited({**gone, **stay}) == stay


# -- files that grow ---------------------------------------------------------------------------------


def doubling(lines: int) -> str:
    return "A0=" + "x" * 1024 + "\n" + "".join(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}\n" for n in range(1, lines))


@attack(
    "a holder of a key",
    "an ``env_file`` whose lines double themselves by ``${VARIABLE}``, up to gigabytes",
    "the start fails, naming the file, the line and the limit of 1 MiB of values; nothing of that size is made",
)
def test_env_file_that_doubles_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.env").write_text(doubling(40))
    job = {"name": "web", "cmd": "sleep 1000", "cwd": str(tmp_path), "env_file": "big.env"}
    with Gafferd(tmp_path).start().ready() as node:
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
        connection.request("POST", "/jobs/default", json.dumps(job), {"Content-Type": "application/json"})
        said = connection.getresponse().read().decode()
        connection.close()
        assert node.get("/ping", text=True) == "OK"
    assert "big.env:11" in said and str(MAX_EXPANDED) in said


def test_expanded_values_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "big.env"
    path.write_text(doubling(60))
    with pytest.raises(InvalidConfig, match=rf"{path}:11: with A10, .* {MAX_EXPANDED} characters"):
        read_env_file(str(path))
    found, problems = read_env_lines(str(path))
    assert not found and [(one.file, one.line) for one in problems] == [(str(path), 11)]
    path.write_text(doubling(9))
    assert len(read_env_file(str(path))["A8"]) == 1024 << 8


@pytest.mark.parametrize(
    "text",
    [
        "A=" + "${" * 500_000 + "\n",
        "A=" + "${x:" * 250_000 + "\n",
        "A=" + "${x:-" * 200_000 + "\n",
        "".join(f"A{n}=\n" for n in range(130_000)),
        "A=x" + (" " * envfile.MAX_BLANKS + "x") * 4000 + "\n",
        "A='\n" * 200_000,
        'A="\\"\n' * 100_000,
        "\n" * 1_000_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_no_file_takes_the_square_of_its_size(tmp_path: Path, text: str) -> None:
    """Without a bound each of them takes minutes to hours; the test itself would end by its time limit."""
    path = tmp_path / "a.env"
    path.write_text(text)
    read_env_lines(str(path))


def test_blanks_that_take_the_square_of_their_number_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.env"
    path.write_text("A=1\nB=x" + " " * 500_000 + "y\n")
    with pytest.raises(InvalidConfig, match=rf"{path}:2: more than {envfile.MAX_BLANKS} blanks"):
        read_env_file(str(path))


@pytest.mark.parametrize("where", ["cmd", "args"])
def test_expanded_commands_are_bounded(where: str) -> None:
    line = "$A" * 200_000
    template = make_template(f"x {line}") if where == "cmd" else make_template("x", [line])
    with pytest.raises(ValueError, match="longer than 2097152 characters"):
        template.expand({"A": "x" * 100_000})


# -- what is written down ----------------------------------------------------------------------------


@attack(
    "another account of the machine",
    "the audit log, or command lines that ``gafferctl`` shows, in search of passwords of jobs",
    "values of variables, options, headers, queries and JSON whose names are those of secrets are ``***``",
)
def test_audit_log_holds_no_password_of_a_job(tmp_path: Path) -> None:
    commands = [
        f"curl -H 'Authorization: Bearer {SECRET}' http://h/",
        f"env PGPASSWORD={SECRET} psql",
        f"curl 'http://h/?access_token={SECRET}'",
        f"""curl -d '{{"password": "{SECRET}"}}' http://h/""",
        f"java -Dpassword={SECRET} -jar x.jar",
        f"sshpass -p {SECRET} ssh host",
    ]
    audit = tmp_path / "audit"
    with Gafferd(tmp_path, options=f"audit_log = {audit}").start().ready() as node:
        for number, command in enumerate(commands):
            job = json.dumps({"name": f"x{number}", "cmd": command, "start": False})
            connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
            connection.request("POST", "/jobs/default", job, {"Content-Type": "application/json"})
            assert connection.getresponse().status < 300
            connection.close()
        eventually(lambda: audit.exists() and all(f"x{number}" in audit.read_text() for number in range(len(commands))))
    assert SECRET not in audit.read_text() and SECRET not in node.log.read_text()


def test_problems_of_a_file_of_variables_show_no_value(tmp_path: Path) -> None:
    path = tmp_path / "a.env"
    path.write_text(f"PASSWORD: {SECRET}\nWEB 'x {SECRET}\nTOKEN=\"{SECRET}\n")
    problems = read_env_lines(str(path))[1]
    assert problems and SECRET not in repr(problems)


def test_exporters_name_a_variable_they_cannot_hold_without_its_value(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: sleep 1000\n")
    (tmp_path / ".env").write_text(f'TOKEN="{SECRET}\n{SECRET}"\n')
    gaffer = str(Path(sys.executable).with_name("gaffer"))
    run = subprocess.run(
        [gaffer, "export", "--format", "supervisord"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode and "TOKEN" in run.stderr and SECRET not in run.stdout + run.stderr
