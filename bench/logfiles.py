"""``python -m bench.logfiles``: output in log files, beside supervisor, in alternating runs.

How fast one process can write that writes as fast as it can, in pieces of 64 KiB and of 4 KiB, and how much of a
processor the supervisor needs for a process that writes 20,000 lines a second, each by itself.
"""

from __future__ import annotations

import argparse
import getpass
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from .http_flat import COMMAND
from .peers.supervisor import Supervisor
from .procfs import cpu_ns

SIZE = 1_000_000_000
LINES = 20_000
WRITER = Path(__file__).parent / "line_writer.py"
#: Seconds for which lines are written before they are measured, and for which they are.
BEFORE, MEASURED = 1.0, 5.0
PATIENCE = 120.0
_GAFFER = "[process:web]\ncmd = {command}\nrestart = never\nstdout_logfile = {log}\nlogfile_maxbytes = 0\n"
_SUPERVISOR = """\
[supervisord]
nodaemon = true
user = {user}
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid

[program:web]
command = {command}
autorestart = false
startsecs = 0
stdout_logfile = {log}
stdout_logfile_maxbytes = 0
"""


@contextmanager
def gaffer(command: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run *command* under gafferd; yields its process and the log file."""
    with tempfile.TemporaryDirectory() as folder:
        log, config = Path(folder) / "web.log", Path(folder) / "g.ini"
        config.write_text(_GAFFER.format(command=command, log=log))
        with _running([*COMMAND, "--bind", f"unix:{folder}/g.sock", str(config)], folder) as process:
            yield process, log


@contextmanager
def supervisor(command: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run *command* under supervisord, likewise."""
    with tempfile.TemporaryDirectory() as folder:
        log, config = Path(folder) / "web.log", Path(folder) / "s.conf"
        config.write_text(_SUPERVISOR.format(command=command, log=log, folder=folder, user=getpass.getuser()))
        python = [str(Supervisor.python), "-m", "supervisor.supervisord", "-c", str(config)]
        with _running(python, folder) as process:
            yield process, log


@contextmanager
def _running(command: list[str], folder: str) -> Iterator[subprocess.Popen[bytes]]:
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, **output) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


PEERS = {"gaffer": gaffer, "supervisor": supervisor}


def flood(peer: Callable[..., Any], piece: int) -> float:
    """Return the bytes a second of one process that writes as fast as it can."""
    count = SIZE // piece
    with peer(f"dd if=/dev/zero bs={piece} count={count} status=none") as (process, log):
        deadline = time.monotonic() + PATIENCE
        began, size = 0.0, 0
        while size < count * piece:
            assert process.poll() is None and time.monotonic() < deadline, "the log file never became complete"
            time.sleep(0.002)
            size = log.stat().st_size if log.exists() else 0
            if size and not began:
                began, first = time.monotonic(), size
        return (size - first) / (time.monotonic() - began)


def lines(peer: Callable[..., Any], _: int) -> float:
    """Return the share of a processor that lines cost the supervisor."""
    with peer(shlex.join([sys.executable, str(WRITER), str(LINES)])) as (process, log):
        deadline = time.monotonic() + PATIENCE
        while not log.exists() or not log.stat().st_size:
            assert process.poll() is None and time.monotonic() < deadline, "no line came"
            time.sleep(0.01)
        time.sleep(BEFORE)
        spent, began, size = cpu_ns([process.pid]), time.monotonic(), log.stat().st_size
        time.sleep(MEASURED)
        took = time.monotonic() - began
        written = (log.stat().st_size - size) / 100 / took
        assert written > LINES * 0.8, f"only {written:.0f} lines a second were written"
        return (cpu_ns([process.pid]) - spent) / 1e9 / took


class Figure(NamedTuple):
    """A figure, and what gaffer's may be beside supervisor's.

    :param limit: at least so much of it if *more* is better, else at most.
    """

    title: str
    unit: str
    scale: float
    measure: Callable[..., float]
    piece: int
    limit: float
    more: bool


FIGURES = (
    Figure("pieces of 64 KiB", "MB/s", 1e-6, flood, 65_536, 0.9, True),
    Figure("pieces of 4 KiB", "MB/s", 1e-6, flood, 4_096, 0.9, True),
    Figure(f"{LINES:,} lines a second", "% CPU", 100, lines, 0, 1.3, False),
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.logfiles", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", type=int, nargs="+", choices=range(len(FIGURES)), default=range(len(FIGURES)))
    options = parser.parse_args(argv)
    Supervisor.install(Path(__file__).parent / ".work")
    kept = True
    for figure in (FIGURES[number] for number in options.only):
        found: dict[str, list[float]] = {name: [] for name in PEERS}
        for _ in range(options.runs):
            for name, peer in PEERS.items():
                found[name].append(figure.measure(peer, figure.piece) * figure.scale)
        ours, theirs = (statistics.median(values) for values in found.values())
        ratio = ours / theirs
        good = ratio >= figure.limit if figure.more else ratio <= figure.limit
        kept = kept and good
        print(
            f"{figure.title:<24} gaffer {ours:8.1f}  supervisor {theirs:8.1f} {figure.unit:<6} ratio {ratio:.2f}"
            f" ({'≥' if figure.more else '≤'} {figure.limit}) {'kept' if good else 'BROKEN'}",
            flush=True,
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
