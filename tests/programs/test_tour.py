"""The README's tour, line by line, as a reader would type it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..kit.ports import free_port
from ..kit.readme_tour import README, Step, blocks

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the tour needs curl")


class Reader:
    """A user with two terminals in a copy of the project, where gafferd listens on another port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.gafferd: subprocess.Popen[bytes] | None = None
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        shutil.copytree(ROOT / "examples", folder / "examples")
        shutil.copytree(ROOT / "examples" / "plugins", folder / ".run" / "plugins")
        ini = folder / "examples" / "gaffer.ini"
        ini.write_text(self._here(ini.read_text()))

    def _here(self, text: str) -> str:
        # Other gaffers may run the same examples on this machine.
        return text.replace("127.0.0.1:5000", f"127.0.0.1:{self.port}").replace(
            "pgrep -f", f"pgrep -P {self.gafferd.pid if self.gafferd else 0} -f"
        )

    def make_run(self) -> None:
        """Do what ``make run`` does once everything is installed."""
        self.gafferd = subprocess.Popen(
            [sys.executable, "-m", "gaffer.daemon.main", "-c", "gaffer.ini", "-p", "../.run/plugins", "-v"],
            cwd=self.folder / "examples",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 20
        while self.type(".venv/bin/gafferctl ping")[0]:
            assert self.gafferd.poll() is None, self.gafferd.communicate()[0].decode()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # A user who changes to a second terminal takes as long.
        for name in ("dummy", "echo"):
            assert self.type(f".venv/bin/gafferctl wait {name} --for ready")[0] == 0

    def press_ctrl_c(self) -> str:
        """End gafferd; return what it said."""
        if self.gafferd is None:
            return ""
        self.gafferd.send_signal(signal.SIGINT)
        said, _ = self.gafferd.communicate(timeout=60)
        assert self.gafferd.returncode == 0
        self.gafferd = None
        return said.decode()

    def type(self, command: str) -> tuple[int, str]:
        environment = {**os.environ, "GAFFERCTL_CONNECT": f"http://127.0.0.1:{self.port}"}
        done = subprocess.run(
            ["bash", "-c", self._here(command)], cwd=self.folder, env=environment, capture_output=True, timeout=60
        )
        return done.returncode, done.stdout.decode()

    def follow(self, step: Step) -> None:
        code, output = self.type(step.command)
        assert code == 0, f"{step.command}: exit code {code}"
        assert step.matches(output), f"{step.command} prints\n{output}"


@pytest.fixture
def reader(tmp_path):
    reader = Reader(tmp_path)
    yield reader
    if reader.gafferd is not None:
        reader.gafferd.kill()
        reader.gafferd.communicate()


def test_every_line_of_the_tour_does_what_it_says(reader):
    reader.make_run()
    *before, after_restart = blocks(README.read_text("utf-8"))
    for step in sum(before, []):
        reader.follow(step)
    reader.press_ctrl_c()
    reader.make_run()
    for step in after_restart:
        reader.follow(step)
    assert "hello dummy, your number is" in reader.press_ctrl_c()


def test_a_wrong_output_is_noticed():
    step = Step("x", ["NAME  STATE", "dummy  ...", "..."])
    assert step.matches("NAME  STATE\ndummy  running\nmore\n")
    assert not step.matches("NAME  STATE\necho  running\nmore\n")
