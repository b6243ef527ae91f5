"""gaffer against a real gafferd: an application's life there, exports that gafferd reads, bad input."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from typing import Any, Callable, Iterator, NamedTuple

import pytest

from ..kit.gafferd import PATIENCE, Gafferd, environment, eventually
from ..kit.gafferd import run as run_gafferd
from ..kit.ports import free_port

GAFFER = [sys.executable, "-c", "from gaffer.cli.app.gaffer import main; main()"]
PROCFILE = "dummy: sleep 1000\ndummy1: sleep 1001\n"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    with Gafferd(tmp_path_factory.mktemp("gafferd")).start() as gafferd:
        yield gafferd.ready()


@pytest.fixture
def app(tmp_path: Any) -> Any:
    """The application's folder."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "Procfile").write_text(PROCFILE)
    return folder


@pytest.fixture
def call(gafferd: Gafferd, app: Any) -> Iterator[Call]:
    def call(*args: str, endpoint: str = f"http://127.0.0.1:{gafferd.port}", **env: str) -> Ended:
        ended = subprocess.run(
            [*GAFFER, *args],
            cwd=app,
            env=environment(app, GAFFER_ENDPOINT=endpoint, **env),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    yield call
    call("unload")
    eventually(lambda: not gafferd.get("/pids")["pids"])


def good(ended: Ended) -> str:
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def test_an_applications_life(call: Call, app: Any, gafferd: Gafferd) -> None:
    assert good(call("load", "--dry-run")).splitlines()[0] == "shop.dummy: would be loaded, 1 process"
    assert "shop" not in gafferd.get("/sessions")["sessions"]
    assert good(call("load")) == "shop.dummy: loaded, 1 process\nshop.dummy1: loaded, 1 process\n"
    assert good(call("scale", "dummy=3", "dummy1+2")) == (
        "Scaling dummy processes... done, now running 3\nScaling dummy1 processes... done, now running 3\n"
    )
    eventually(lambda: gafferd.get("/jobs/shop/dummy1")["running"] == 3)
    lines = good(call("ps")).splitlines()
    assert (lines[0], lines[6]) == ("== dummy: `sleep 1000'", "== dummy1: `sleep 1001'")
    assert re.fullmatch(r"Total CPU: [0-9]+\.[0-9]{6} Total MEM: [0-9]+\.[0-9]{2}", lines[1])
    assert lines[2] == ""
    pids = gafferd.get("/jobs/shop/dummy")["processes"]
    assert [line.partition(":")[0] for line in lines[3:6]] == [f"dummy.{pid}" for pid in pids]
    assert all(re.fullmatch(r"dummy1?\.[0-9]+: up for 0:[0-9]{2}\.[0-9]{2}", line) for line in lines[3:6])
    assert good(call("apps", "-o", "name")) == "shop\n"
    assert good(call("scale", "shop", "dummy1-3")) == "Scaling dummy1 processes... done, now running 0\n"
    eventually(lambda: not gafferd.get("/jobs/shop/dummy1")["running"])

    (app / "Procfile").write_text("dummy: sleep 1000\nclock: sleep 1002\n")
    assert good(call("load")) == (
        "shop.dummy1: unloaded\nshop.dummy: unchanged, 3 processes\nshop.clock: loaded, 1 process\n"
    )
    assert gafferd.get("/jobs/shop/dummy")["processes"] == pids, "what did not change was not touched"
    (app / ".env").write_text("SECRET=x\n")
    updated = "shop.dummy: updated\n  env: SECRET set\nshop.clock: updated\n  env: SECRET set\n"
    assert good(call("load", "--dry-run")) == updated.replace("updated", "would be updated")
    assert good(call("load")) == updated
    eventually(lambda: gafferd.get("/jobs/shop/dummy")["running"] == 3)

    assert good(call("stop", "clock")) == "shop.clock: stopped\n"
    lines = good(call("ps")).splitlines()
    assert lines[:4] == ["== clock: `sleep 1002'", "Total CPU: 0.000000 Total MEM: 0.00", "", "clock: stopped"]
    assert sorted(good(call("stop")).splitlines()) == ["shop.clock: stopped", "shop.dummy: stopped"]
    assert sorted(good(call("unload", "shop")).splitlines()) == ["shop.clock: unloaded", "shop.dummy: unloaded"]
    assert call("ps").code == 1


def test_each_copy_has_a_port_of_its_own(call: Call, app: Any, gafferd: Gafferd) -> None:
    (app / "Procfile").write_text("first: sleep 1000\nweb: sh -c 'echo $PS $PORT > port.$PORT; exec sleep 1000'\n")
    good(call("load", "-c", "web=2"))
    eventually(lambda: (app / "port.5201").exists() and (app / "port.5201").read_text())
    assert (app / "port.5200").read_text() == "web.1 5200\n"
    assert (app / "port.5201").read_text() == "web.2 5201\n"


def test_signals_and_reload(call: Call, app: Any, gafferd: Gafferd) -> None:
    (app / "Procfile").write_text("web: sh -c 'trap \"echo told > told; exit 0\" USR1; while :; do sleep 0.05; done'\n")
    good(call("load"))
    (pid,) = gafferd.get("/jobs/shop/web")["processes"]
    assert call("kill", "web.999999", "TERM").code == 1
    eventually(lambda: gafferd.get("/jobs/shop/web")["state"] == "running")
    good(call("kill", f"web.{pid}", "usr1"))
    eventually(lambda: (app / "told").exists())
    assert re.fullmatch(r"shop\.web: running, 1 process \(pid [0-9]+\)\n", good(call("reload")))
    good(call("stop"))
    assert good(call("reload")) == "shop.web: stopped, and stays so; 'gafferctl start shop.web' starts it\n"


def test_load_refuses_ports_of_another_application(call: Call, app: Any, gafferd: Gafferd) -> None:
    good(call("load", "--nostart", "first"))
    sentence = "port 5100 of second.dummy is that of first.dummy; choose others with --port N"
    for option in (["--dry-run"], []):
        ended = call("load", *option, "second")
        assert (ended.code, ended.out) == (1, "")
        assert sentence in ended.err and ended.err.endswith("; nothing was changed\n")
    assert "second" not in gafferd.get("/sessions")["sessions"]
    good(call("load", "--nostart", "--port", "6000", "second"))
    good(call("load", "--nostart", "--no-port", "third"))
    for name in ("first", "second", "third"):
        good(call("unload", name))


def test_another_folder_another_name_another_file(call: Call, app: Any, gafferd: Gafferd) -> None:
    (app / "other").write_text("web: sleep 1000\n")
    assert good(call("load", "--nostart", "other")) == (
        "shop.web: loaded, stopped; 'gafferctl start shop.web' starts it\n"
    )
    assert good(call("-f", "other", "load")) == "shop.web: unchanged, stopped; 'gafferctl start shop.web' starts it\n"
    assert gafferd.get("/jobs/shop/web")["active"] is False
    assert good(call("scale", "web+1")) == "Scaling web processes... done, 2 wanted when it is started\n"
    assert good(call("load", "--port", "6000", "elsewhere")).startswith("elsewhere.dummy: loaded")
    assert good(call("load", "--dry-run", f"{app}/")).splitlines()[-1] == "shop.dummy1: would be loaded, 1 process"
    assert good(call("info", "elsewhere.dummy", "-o", "name")) == "elsewhere.dummy\n"
    found = json.loads(good(call("ps", "elsewhere", "-o", "json")))
    assert [one["type"] for one in found] == ["dummy", "dummy1"]
    assert good(call("stop", "elsewhere.*")) != ""
    good(call("unload", "elsewhere"))


@pytest.mark.parametrize(
    "args, code, sentence",
    [
        (["ps"], 1, "has no application 'shop'; load it with 'gaffer load', or see 'gaffer apps'"),
        (["unload", "shp"], 1, "has no application 'shp'"),
        (["scale", "web=3"], 1, "has no application 'shop'"),
        (["load", "gone/Procfile"], 2, "gone/Procfile: there is no such Procfile and no such folder; "),
        (["scale", "web"], 2, "nothing to scale; write TYPE=N"),
        (["load", "-c", "web"], 2, "-c takes TYPE=NUMBER,TYPE=NUMBER, such as web=2,worker=1, not 'web'"),
        (["load", "-c", "dumy=2"], 2, "did you mean 'dummy'?"),
        (["-f", "none", "load"], 2, "there is no such Procfile; name one with -f FILE"),
        (["-e", "none", "load"], 2, "there is no such environment file"),
        (["load", "a b"], 2, "application name 'a b' may hold letters"),
        (["export", "--format", "upstart"], 2, "there is no format 'upstart'; there are ini, json, systemd"),
        (["export", "--format", "runit"], 2, "runit makes several files; name a folder for them with --out DIR"),
        (["export", "--out", "/proc/none"], 2, "cannot write /proc/none"),
    ],
)
def test_bad_input(call: Call, args: list[str], code: int, sentence: str) -> None:
    ended = call(*args)
    assert (ended.code, ended.out) == (code, "")
    assert sentence in ended.err and "Traceback" not in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("words", ["load", "ps", "scale web=1", "apps", "unload", "stop", "kill web TERM", "info"])
def test_no_server_there(call: Call, words: str) -> None:
    ended = call(*words.split(), endpoint=f"http://127.0.0.1:{free_port()}")
    assert (ended.code, ended.out) == (3, "")
    assert re.fullmatch(
        r"gaffer: cannot reach gafferd at http://\S+: connection refused; is it running\?.*\n", ended.err
    )


def test_unknown_types_have_a_remedy(call: Call) -> None:
    good(call("load"))
    assert call("scale", "dummy=2", "dumy1=2") == (
        1,
        "",
        "gaffer: application 'shop' has no process type 'dumy1'; did you mean 'dummy1'?\n",
    )
    assert call("stop", "xyz").err == "gaffer: application 'shop' has no process type 'xyz'; it has dummy, dummy1\n"


def test_gafferd_reads_what_export_writes(call: Call, app: Any, tmp_path: Any) -> None:
    (app / "Procfile").write_text("web: echo 'a b' \"50% #;\" | cat\nclock: sleep 1000\n")
    (app / ".env").write_text("http_proxy='x y'\nA='#1'\n")
    assert good(call("export", "--out", "shop.ini", "-c", "web=2")) == "shop.ini: written\n"
    checked = run_gafferd(app, "--check", "shop.ini")
    assert (checked.returncode, checked.stdout) == (0, "shop.ini: no problems\n")
    jobs = json.loads(good(call("export", "--format", "json")))["jobs"]
    assert [(job["name"], job["numprocesses"], job["port"]) for job in jobs] == [
        ("shop.web", 1, 5100),
        ("shop.clock", 1, 5200),
    ]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_reads_what_export_writes(call: Call, app: Any) -> None:
    (app / "Procfile").write_text("web: ./web.py --share=50% '$HOME'\nclock: while true; do sleep $N; done\n")
    (app / ".env").write_text("N=5\nPATH=/bin:/usr/bin\n")
    good(call("export", "--format", "systemd", "--out", "units", "-c", "web=2"))
    units = sorted(path.name for path in (app / "units").iterdir())
    assert units == ["shop-clock-1.service", "shop-web-1.service", "shop-web-2.service", "shop.target"]
    words = ["systemd-analyze", "verify", "--man=no", "--generators=no", *(f"./{unit}" for unit in units)]
    ended = subprocess.run(words, cwd=app / "units", capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0
    assert [line for line in ended.stderr.splitlines() if "shop" in line and "world-inaccessible" not in line] == []


def test_neither_gevent_nor_bottle_is_imported(app: Any) -> None:
    """That is what makes ps and scale answer at once."""
    code = (
        "import sys, gaffer.cli.app.gaffer as program\n"
        "group = program.make_program()\n"
        "for section in program.SECTIONS.values():\n"
        "    for name in section:\n"
        "        group.get_command(None, name)\n"
        "print(sorted({'gevent', 'bottle', 'pluggy', 'configobj'} & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_gafferd_loads_a_procfile_and_reloads_what_changed(tmp_path: Any) -> None:
    procfile = tmp_path / "Procfile"
    procfile.write_text("web: sleep 1000\nclock: sleep 1001\n")
    with Gafferd(tmp_path, "[procfile:shop]\npath = Procfile\nconcurrency = web=2\n").start() as gafferd:
        gafferd.ready()
        eventually(lambda: gafferd.get("/jobs/shop/web")["running"] == 2)
        pids = gafferd.get("/jobs/shop/web")["processes"]
        procfile.write_text("web: sleep 1000\nclock: sleep 1002\nthis is no line\n")
        gafferd.signal(signal.SIGHUP)
        gafferd.logged(f"{procfile}:3: expected 'name: command', not 'this is no line'")
        procfile.write_text("web: sleep 1000\nclock: sleep 1002\n")
        gafferd.signal(signal.SIGHUP)
        eventually(lambda: gafferd.get("/jobs/shop/clock")["config"]["cmd"] == "sleep 1002")
        assert gafferd.get("/jobs/shop/web")["processes"] == pids


def test_ps_and_scale_import_little() -> None:
    code = "import sys, gaffer.cli.app.gaffer, gaffer.cli.app.status, gaffer.cli.app.scaling\n"
    code += "late = {'gaffer.config.jobconfig', 'gaffer.procfile.application', 'dotenv', 'configparser'}\n"
    code += "print(sorted(late & set(sys.modules)))\n"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
