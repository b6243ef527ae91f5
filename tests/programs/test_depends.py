"""Dependencies with real programs: gafferd from start to stop, gafferctl graph and blame, Procfile applications."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..kit.gafferd import PATIENCE, Gafferd, environment, eventually, run

GAFFERCTL = [sys.executable, "-c", "from gaffer.cli.ctl.gafferctl import main; main()"]
GAFFER = [sys.executable, "-c", "from gaffer.cli.entry import main; main()"]

#: Writes down when it starts and when it is told to stop.
SERVER = """\
import signal, sys, time
def note(what):
    with open("order", "a") as file:
        file.write(what + " " + sys.argv[1] + "\\n")
def stop(*args):
    note("stop")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
note("start")
while sys.argv[1] != "migrate":
    time.sleep(60)
"""
JOBS = """
[process:web]
cmd = {python} server.py web
min_uptime = 0.1
depends_on = db, migrate:completed

[process:migrate]
cmd = {python} server.py migrate
restart = on-failure
depends_on = db

[process:db]
cmd = {python} server.py db
min_uptime = 0.1
"""


def order(folder: Path) -> list[str]:
    path = folder / "order"
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    return tmp_path


def call(folder: Path, program: list[str], *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *words], cwd=folder, env=environment(folder, **env), capture_output=True, text=True, timeout=PATIENCE
    )


def test_gafferd_starts_and_stops_in_order_and_shows_why(folder):
    with Gafferd(folder, JOBS.format(python=shlex.quote(sys.executable))).start().ready() as node:
        connect = ("--connect", f"http://127.0.0.1:{node.port}")
        eventually(lambda: node.get("/jobs/default/web")["ready"] == 1)
        assert order(folder) == ["start db", "start migrate", "start web"]
        assert call(folder, GAFFERCTL, *connect, "graph").stdout.splitlines() == [
            "web  running",
            "├─ db:ready  running",
            "└─ migrate:completed  stopped",
            "   └─ db:ready  running",
        ]
        mermaid = call(folder, GAFFERCTL, *connect, "graph", "-o", "mermaid", "migrate").stdout.splitlines()
        assert mermaid == [
            "flowchart LR",
            '    n0["migrate: stopped"]',
            '    n1["db: running"]',
            "    n0 -->|ready| n1",
        ]
        lines = call(folder, GAFFERCTL, *connect, "blame").stdout.splitlines()
        assert lines[0].split() == ["TOTAL", "WAITED", "STARTING", "NAME", "STATE", "WAITED", "FOR"]
        assert [line.split()[3] for line in lines[1:4]] == ["web", "migrate", "db"]
        assert [line.split()[0] for line in lines[6:]] == ["web", "└─", "└─"]
        ended = call(folder, GAFFERCTL, *connect, "graph", "wbe")
        assert (ended.returncode, ended.stderr) == (1, "gafferctl: no job 'wbe'; did you mean 'web'?\n")
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
    assert order(folder)[3:] == ["stop web", "stop db"]


def test_check_and_start_name_file_and_line(folder):
    jobs = (
        JOBS.format(python=shlex.quote(sys.executable))
        .replace("= db, migrate", "= bd, migrate")
        .replace("on-failure", "always")
    )
    node = Gafferd(folder, jobs)
    sentences = [
        f"{node.ini}:8: depends_on: bd:ready: there is no job 'bd'",
        f"{node.ini}:8: depends_on: migrate:completed: migrate never completes, because of restart = always; "
        "give it restart = on-failure, or never",
    ]
    for words in (["--check"], []):
        ended = run(folder, *words, "-c", str(node.ini))
        assert ended.returncode != 0 and all(sentence in ended.stdout + ended.stderr for sentence in sentences)
    assert order(folder) == []


PROCFILE = "web: {python} server.py web\nmigrate: {python} server.py migrate\ndb: {python} server.py db\n"
NEEDS = "[depends]\nweb = migrate:completed\nmigrate = db\n"


@pytest.fixture
def shop(folder):
    (folder / "Procfile").write_text(PROCFILE.format(python=shlex.quote(sys.executable)))
    (folder / ".gaffer.ini").write_text(NEEDS)
    return folder


def test_gaffer_start_runs_a_procfile_in_order(shop):
    with open(shop / "out", "wb") as out:
        process = subprocess.Popen([*GAFFER, "start"], cwd=shop, env=environment(shop), stdout=out, stderr=out)
    try:
        eventually(lambda: len(order(shop)) == 3 or process.poll() is not None)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    assert order(shop) == ["start db", "start migrate", "start web", "stop web", "stop db"], (shop / "out").read_text()


def test_gaffer_load_brings_dependencies_along_and_unload_stops_in_order(shop):
    with Gafferd(shop).start().ready() as node:
        env = {"GAFFER_ENDPOINT": f"http://127.0.0.1:{node.port}"}
        ended = call(shop, GAFFER, "load", "shop", **env)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert order(shop) == ["start db", "start migrate", "start web"]
        ended = call(shop, GAFFER, "load", "shop", **env)
        assert [line.partition(", ")[0] for line in ended.stdout.splitlines()] == [
            f"shop.{name}: unchanged" for name in ("db", "migrate", "web")
        ]
        assert call(shop, GAFFER, "unload", "shop", **env).returncode == 0
        assert order(shop)[3:] == ["stop web", "stop db"]


def test_a_start_waits_for_a_probe(folder):
    jobs = "[process:db]\ncmd = sleep 1000\nready = exec test -e flag\nready_interval = 0.1\n"
    jobs += "[process:web]\ncmd = sleep 1000\ndepends_on = db\n"
    with Gafferd(folder, jobs).start().ready() as node:
        info = eventually(lambda: (found := node.get("/jobs/default/web"))["state"] == "waiting" and found)
        assert info["reason"].startswith("waits for db to be ready: it is starting")
        (folder / "flag").touch()
        eventually(lambda: node.get("/jobs/default/web")["running"] == 1)
