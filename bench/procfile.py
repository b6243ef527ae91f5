"""``python -m bench.procfile``: gaffer start beside honcho and node-foreman, on the same Procfiles.

The time to the first child's first instruction and to the first line of output, of five processes, and how fast
100 MB of a child's output go into a pipe. All take turns in every round; the table shows medians.

honcho comes from PyPI and node-foreman from npm, both into ``bench/.work``; what cannot be had has no column.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

from .stamps import BenchError, Stamps, build_child, kill_strays

WORK = Path(__file__).resolve().parent / ".work"
#: How many processes the Procfile has.
PROCESSES = 5
#: A line of the flood, as ``yes`` repeats it.
LINE = "x" * 99
#: How long anything may take, in seconds.
PATIENCE = 60.0
#: How long a runner may take to end before it is killed, in seconds.
END = 2.0
FIGURES = ("first child, ms", "first line, ms", "output, MB/s")


class Runner(NamedTuple):
    """A program that runs Procfiles.

    :param command: how it is started in the Procfile's folder.
    :param flood: megabytes that it prints; fewer for those that would take minutes.
    """

    name: str
    command: list[str]
    flood: int


def gaffer() -> Runner:
    return Runner("gaffer", [str(Path(sys.executable).with_name("gaffer")), "start"], 100)


def honcho() -> Runner:
    folder = WORK / "honcho"
    program = folder / "bin" / "honcho"
    if not program.exists():
        venv.create(folder, with_pip=True)
        _install([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "honcho"])
    return Runner("honcho", [str(program), "start"], 10)


def foreman() -> Runner:
    program = WORK / "foreman" / "node_modules" / ".bin" / "nf"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise BenchError("npm is not installed")
        _install([npm, "install", "--silent", "--prefix", str(WORK / "foreman"), "foreman"])
    return Runner("foreman", [str(program), "start"], 100)


def _install(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"it cannot be installed: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")


class Running:
    """A runner while it runs the Procfile of *folder*; stopped with the block."""

    def __init__(self, runner: Runner, folder: Path, child: Path) -> None:
        self._child = child
        # Bytecode is kept, as an installation has it.
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environ.pop("PYTHONUNBUFFERED", None)
        self.began = time.monotonic_ns()
        self.process = subprocess.Popen(
            runner.command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._fd = self.process.stdout.fileno()

    def chunks(self, patience: float = PATIENCE) -> Iterator[bytes]:
        """Yield output as it comes, until the end or for *patience* seconds."""
        deadline = time.monotonic() + patience
        while select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            data = os.read(self._fd, 1_048_576)
            if not data:
                return
            yield data

    def alive(self) -> None:
        if self.process.poll() is not None:
            raise BenchError(f"it ended with {self.process.returncode}")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        for _ in self.chunks(END):
            pass
        try:  # honcho may hang when it is told to end while it starts
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        kill_strays(self._child)
        assert self.process.stdout is not None
        self.process.stdout.close()


def first_child(runner: Runner, folder: Path, child: Path) -> float:
    """Return milliseconds from exec to the first child's first instruction."""
    stamps = Stamps(folder / "stamps")
    _write(folder, f"{child} {stamps.path}")
    with Running(runner, folder, child) as running:
        found = stamps.wait(PROCESSES, running.alive)
    return (min(stamp.ns for stamp in found) - running.began) / 1e6


def first_line(runner: Runner, folder: Path, child: Path) -> float:
    """Return milliseconds from exec to the first line of a child's output."""
    _write(folder, f"echo it-is-up; exec {child} /dev/null")
    with Running(runner, folder, child) as running:
        seen = b""
        for data in running.chunks():
            now = time.monotonic_ns()
            seen += data
            if b"it-is-up" in seen:
                return (now - running.began) / 1e6
    raise BenchError("it printed no line")


def output(runner: Runner, folder: Path, child: Path) -> float:
    """Return megabytes of a child's lines that come through in a second."""
    size = runner.flood * 1_000_000
    (folder / "Procfile").write_text(f"flood: yes {LINE} | head -c {size}; echo the-end; exec {child} /dev/null\n")
    with Running(runner, folder, child) as running:
        began, got, last = 0, 0, b""
        for data in running.chunks():
            began = began or time.monotonic_ns()
            got, last = got + len(data), (last + data)[-100:]
            if b"the-end" in last:
                if got < size:
                    raise BenchError(f"only {got} of {size} bytes came through")
                return size / 1e6 / ((time.monotonic_ns() - began) / 1e9)
    raise BenchError("it ended in the middle")


def _write(folder: Path, command: str) -> None:
    (folder / "Procfile").write_text("".join(f"p{number}: {command}\n" for number in range(PROCESSES)))


MEASURES: tuple[Callable[[Runner, Path, Path], float], ...] = (first_child, first_line, output)


def measure(runners: list[Runner], rounds: int) -> dict[str, list[float]]:
    """Return medians by runner, in the order of :data:`FIGURES`."""
    child = build_child(WORK)
    folder = WORK / "procfile"
    folder.mkdir(exist_ok=True)
    samples: dict[str, list[list[float]]] = {runner.name: [[] for _ in MEASURES] for runner in runners}
    for runner in runners:
        first_line(runner, folder, child)  # everything is read from disk, and compiled, once
    for _ in range(rounds):
        for place, figure in enumerate(MEASURES):
            for runner in runners:
                samples[runner.name][place].append(figure(runner, folder, child))
    return {name: [statistics.median(values) for values in found] for name, found in samples.items()}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.procfile", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--gaffer", metavar="PROGRAM", help="another gaffer than the one beside this Python")
    given = parser.parse_args(argv)
    WORK.mkdir(exist_ok=True)
    runners = []
    for make in (gaffer, honcho, foreman):
        try:
            runners.append(make())
        except BenchError as error:
            print(f"{make.__name__} is missing: {error}", file=sys.stderr)
    if given.gaffer:
        runners[0] = runners[0]._replace(command=[given.gaffer, *runners[0].command[1:]])
    found = measure(runners, given.rounds)
    print(f"{'':18}" + "".join(f"{name:>10}" for name in found))
    for place, title in enumerate(FIGURES):
        print(f"{title:18}" + "".join(f"{values[place]:>10.0f}" for values in found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
