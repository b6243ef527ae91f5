"""Reading the pages: their code blocks, by language, and a user who types what stands behind ``$``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, NamedTuple

from tests.kit.readme_tour import Step

from .ports import free_port

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.rst"))
PATIENCE = 60.0

_DIRECTIVE = re.compile(r"(?P<indent> *)\.\. code-block::(?: (?P<language>[\w-]+))?\s*\Z")


class Block(NamedTuple):
    """A code block of a page.

    :param line: of its first line of code.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def code_blocks(path: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, in order; those made by ``literalinclude`` are files, and so not here."""
    lines = path.read_text("utf-8").splitlines()
    number = 0
    while number < len(lines):
        found = _DIRECTIVE.match(lines[number])
        number += 1
        if found is None:
            continue
        inner = len(found["indent"]) + 3
        start = number
        while number < len(lines) and (not lines[number].strip() or lines[number].startswith(" " * inner)):
            number += 1
        body = [line for line in lines[start:number] if not re.match(r" +:[\w-]+:", line)]
        margin = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
        text = "\n".join(line[margin:] for line in body).strip("\n")
        yield Block(path.name, start + 1, found["language"] or "", text + "\n")


def all_blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages that are in one of *languages*."""
    return [block for page in PAGES for block in code_blocks(page) if block.language in languages]


def tidied(text: str) -> str:
    """Return *text* without the spaces that JSON may or may not have, and with columns of any width."""
    text = text.replace("\r\n", "\n")  # server-sent events, as a terminal shows them
    return re.sub(r" {2,}", "  ", re.sub(r'([:,]) (?=["\[{\d-]|true|false|null|\.\.\.)', r"\1", text))


def without_slowness(text: str) -> str:
    """Return *text* without what gaffer tells of plugins that a busy machine made slow."""
    return re.sub(r".*plugin \S+: gaffer_\w+ took \d+ ms\n", "", text)


class Terminal:
    """A user who types commands in a copy of the examples; gafferd listens on a port of its own there."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = self.cwd = folder
        self.gafferd: subprocess.Popen[bytes] | None = None
        self._log = folder / "gafferd.log"
        shutil.copytree(ROOT / "examples", folder / "examples")
        shutil.copytree(DOCS / "examples", folder / "docs" / "examples")
        ini = folder / "examples" / "gaffer.ini"
        ini.write_text(self._here(ini.read_text()))
        # On a terminal curl shows no progress for answers as short as these.
        (folder / ".curlrc").write_text("silent\nshow-error\n")
        own = {key: value for key, value in os.environ.items() if not key.startswith("GAFFER")}
        self._environ = {
            **own,
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{own['PATH']}",
            "GAFFERCTL_CONNECT": f"http://127.0.0.1:{self.port}",
            "GAFFER_ENDPOINT": f"http://127.0.0.1:{self.port}",
        }

    def _here(self, text: str) -> str:
        return text.replace("127.0.0.1:5000", f"127.0.0.1:{self.port}")

    def follow(self, step: Step) -> None:
        """Type a command and look whether it prints what the page says."""
        if step.command.startswith("cd "):
            self.cwd = self.cwd / step.command[3:]
            assert self.cwd.is_dir(), step.command
        elif re.match(r"gafferd (?!.*--(check|plugins|help|version))", step.command):
            self.start(step.command)
            self._must_match(step, self._log.read_text())
        elif re.match(r"gaffer start(?!.*--on-exit)", step.command):
            self._watch(step)
        else:
            self._must_match(step, self.type(step.command))

    def type(self, command: str) -> str:
        """Run a command to its end and return what it printed, errors included."""
        done = subprocess.run(
            ["bash", "-c", self._here(command)],
            cwd=self.cwd,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )
        output = without_slowness(done.stdout.decode()).replace(str(self.port), "5000")
        assert done.returncode == 0, f"$ {command}\n{output}exit code {done.returncode}"
        return output

    def _watch(self, step: Step) -> None:
        """Run a program that goes on until Ctrl-C, which is pressed when it has printed what the page says."""
        log = self.folder / "start.log"
        with log.open("wb") as out:
            program = subprocess.Popen(
                ["bash", "-c", f"exec {step.command}"], cwd=self.cwd, env=self._environ, stdout=out, stderr=out
            )
        try:
            deadline = time.monotonic() + PATIENCE
            while not step.matches(log.read_text()) and time.monotonic() < deadline:
                assert program.poll() is None, log.read_text()
                time.sleep(0.05)
            self._must_match(step, log.read_text())
            program.send_signal(signal.SIGINT)
            assert program.wait(PATIENCE) == 0
        finally:
            program.kill()
            program.wait()

    def _must_match(self, step: Step, output: str) -> None:
        tidy = Step(step.command, [tidied(line) for line in step.expected])
        # Jobs that are stopped together end in any order.
        same = sorted(tidy.expected) == sorted(tidied(output).splitlines())
        assert same or tidy.matches(tidied(output)), f"$ {step.command}\nprints:\n{output}\ninstead of:\n" + "\n".join(
            step.expected
        )

    def start(self, command: str) -> None:
        """Start gafferd in a terminal of its own and wait until it serves."""
        with self._log.open("wb") as log:
            self.gafferd = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.cwd, env=self._environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self.gafferd.poll() is None and time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)
        # A user who changes to a second terminal takes as long.
        self.type("gafferctl wait dummy echo --for ready")

    def _answers(self) -> bool:
        return not subprocess.run(["gafferctl", "ping"], env=self._environ, capture_output=True).returncode

    def end(self) -> str:
        """End gafferd, if it still runs, and return what it said."""
        if self.gafferd is not None:
            if self._answers():  # else it is on its way out already
                self.gafferd.send_signal(signal.SIGTERM)
            try:
                assert self.gafferd.wait(PATIENCE) == 0, self._log.read_text()
            finally:
                self.gafferd.kill()
                self.gafferd.wait()
            self.gafferd = None
        return self._log.read_text() if self._log.exists() else ""
