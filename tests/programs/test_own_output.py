"""Output of jobs on what gafferd got as its own output: a socket, a file, a pipe."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from ..kit.gafferd import COMMAND, PATIENCE, Gafferd, environment, eventually

JOB = """
[process:web]
cmd = sh -c 'echo one; echo two; exec sleep 1000'
stdout_logfile = {name}
logfile_maxbytes = 4096
"""


def start(folder: Path, name: str, descriptor: int, *args: str) -> Gafferd:
    """Start a gafferd whose standard output, or error where *name* is that, is *descriptor*."""
    gafferd = Gafferd(folder, JOB.format(name=name))
    other = os.open(folder / "other", os.O_WRONLY | os.O_CREAT)
    outputs = (
        {"stdout": other, "stderr": descriptor} if name == "/dev/stderr" else {"stdout": descriptor, "stderr": other}
    )
    gafferd.process = subprocess.Popen(
        [*COMMAND, *args, str(gafferd.ini)],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        **outputs,
    )
    os.close(other)
    return gafferd


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/stderr"])
def test_output_goes_to_the_socket_that_gafferd_got(tmp_path, name):
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with ours, theirs, start(tmp_path, name, theirs.fileno()):
        seen = b""
        while b"one\ntwo\n" not in seen:
            data = ours.recv(4096)
            assert data
            seen += data
        assert os.get_blocking(theirs.fileno())


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_output_goes_to_the_file_that_gafferd_got_which_is_not_rotated(tmp_path, name):
    path = tmp_path / "nohup.out"
    path.write_bytes(b"before\n" * 1000)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    with start(tmp_path, name, descriptor):
        os.close(descriptor)
        eventually(lambda: path.read_bytes().endswith(b"one\ntwo\n"))
    assert path.read_bytes().startswith(b"before\n" * 1000)
    assert not list(tmp_path.glob("nohup.out.*"))


def test_output_goes_to_the_pipe_that_gafferd_got(tmp_path):
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as lines, start(tmp_path, "/dev/stdout", writer):
        os.close(writer)
        assert [lines.readline(), lines.readline()] == [b"one\n", b"two\n"]


def test_the_log_of_gafferd_itself_goes_to_the_socket(tmp_path):
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with ours, theirs, start(tmp_path, "web.log", theirs.fileno(), "--error-log", "/dev/stdout"):
        assert ours.recv(4096)
