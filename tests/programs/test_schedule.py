"""A scheduled job of a real gafferd: its runs, on the command line."""

import subprocess
import sys

from tests.kit.gafferd import Gafferd, environment, eventually

GAFFERCTL = [sys.executable, "-c", "from gaffer.cli.ctl.gafferctl import main; main()"]
JOBS = """
[process:tick]
cmd = sh -c 'echo tick; exit 3'
redirect_output = out
every = 1s
"""


def gafferctl(folder, gafferd, *args):
    command = [*GAFFERCTL, "--connect", f"http://127.0.0.1:{gafferd.port}", *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment(folder)).stdout


def test_runs_of_an_interval(tmp_path):
    with Gafferd(tmp_path, JOBS).start() as gafferd:
        gafferd.ready()
        found = eventually(lambda: [one for one in gafferd.get("/jobs/default/tick/runs")["runs"] if one["status"]][:2])
        assert {(one["status"], *one["lines"]) for one in found} == {("code 3", "tick")}
        shown = gafferctl(tmp_path, gafferd, "runs", "tick")
        assert "code 3" in shown and "next run: " in shown
        gafferctl(tmp_path, gafferd, "stop", "tick")
        pid = gafferctl(tmp_path, gafferd, "run-now", "tick").strip()
        eventually(lambda: any(str(one["pid"]) == pid for one in gafferd.get("/jobs/default/tick/runs")["runs"]))
        assert gafferd.get("/jobs/default/tick")["plugins"]["schedule"]["next"] is None
