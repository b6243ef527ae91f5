"""gaffer.pidfile: the lock decides, not the number."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

from gaffer.pidfile import AlreadyRunning, Pidfile, PidfileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pid"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the pidfile until its input ends."""
    code = (
        "import sys; from gaffer.pidfile import Pidfile; "
        "held = Pidfile(sys.argv[1]); held.create(4711); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "\n"
        yield process
        process.kill()


def test_create_and_unlink(path: Path) -> None:
    old = os.umask(0o077)
    try:
        pidfile = Pidfile(str(path))
        pidfile.create(1234)
    finally:
        os.umask(old)
    assert path.read_text() == "1234\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert pidfile.validate() == 1234
    pidfile.unlink()
    assert not path.exists()
    assert pidfile.validate() is None
    pidfile.unlink()


def test_a_live_one_is_refused(path: Path, holder: subprocess.Popen[str]) -> None:
    assert Pidfile(str(path)).validate() == 4711
    with pytest.raises(AlreadyRunning) as caught:
        Pidfile(str(path)).create(1)
    assert str(caught.value) == f"another gafferd is running, with process id 4711: it holds the pidfile {path}"
    assert path.read_text() == "4711\n"


def test_one_whose_process_died_is_replaced(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert path.read_text() == "4711\n"
    assert Pidfile(str(path)).validate() is None
    pidfile = Pidfile(str(path))
    pidfile.create(2)
    assert path.read_text() == "2\n"
    pidfile.unlink()


def test_the_number_of_a_living_process_means_nothing(path: Path) -> None:
    path.write_text(f"{os.getpid()}\n")
    pidfile = Pidfile(str(path))
    assert pidfile.validate() is None
    pidfile.create(3)
    assert path.read_text() == "3\n"
    pidfile.unlink()


def test_children_do_not_keep_the_lock(path: Path) -> None:
    pidfile = Pidfile(str(path))
    pidfile.create(4)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        pidfile.close()
        assert Pidfile(str(path)).validate() is None
        assert child.poll() is None


def test_rename(path: Path, tmp_path: Path) -> None:
    pidfile = Pidfile(str(path))
    pidfile.create(5)
    other = tmp_path / "y.pid"
    pidfile.rename(str(other))
    assert not path.exists()
    assert other.read_text() == "5\n"
    with pytest.raises(AlreadyRunning):
        Pidfile(str(other)).create(6)
    with pytest.raises(PidfileError, match="cannot move pidfile"):
        pidfile.rename(str(tmp_path / "no/such.pid"))
    pidfile.unlink()
    assert not other.exists()


def test_rename_does_not_replace_a_live_one(path: Path, holder: subprocess.Popen[str], tmp_path: Path) -> None:
    pidfile = Pidfile(str(tmp_path / "own.pid"))
    pidfile.create(7)
    with pytest.raises(AlreadyRunning):
        pidfile.rename(str(path))
    pidfile.unlink()


def test_unlink_leaves_a_successors_file(path: Path) -> None:
    pidfile = Pidfile(str(path))
    pidfile.create(8)
    path.unlink()
    path.write_text("9\n")
    pidfile.unlink()
    assert path.read_text() == "9\n"


def test_without_a_name() -> None:
    pidfile = Pidfile(None)
    assert pidfile.validate() is None
    pidfile.create(10)
    assert pidfile.fname and Path(pidfile.fname).read_text() == "10\n"
    pidfile.unlink()
    assert not Path(pidfile.fname).exists()


class TestTricks:
    def refuses(self, path: Path, reason: str) -> None:
        with pytest.raises(PidfileError) as caught:
            Pidfile(str(path)).create(1)
        assert str(caught.value) == f"cannot use pidfile {path}: {reason}; remove it, or give another name"

    def test_symbolic_links(self, path: Path, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        path.symlink_to(victim)
        self.refuses(path, "it is a symbolic link")
        victim.write_text("1")
        self.refuses(path, "it is a symbolic link")
        assert victim.read_text() == "1"

    def test_hard_links(self, path: Path, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("1")
        path.hardlink_to(victim)
        self.refuses(path, "it has another name too (a hard link)")
        assert victim.read_text() == "1"

    def test_files_that_hold_something_else(self, path: Path) -> None:
        path.write_text("root:x:0:0\n")
        self.refuses(path, "it holds something else than a process id")
        assert path.read_text() == "root:x:0:0\n"

    def test_pipes(self, path: Path) -> None:
        os.mkfifo(path)
        self.refuses(path, "it is no regular file")

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_other_peoples_files(self, path: Path) -> None:
        path.touch()
        os.chown(path, 65534, 65534)
        self.refuses(path, "it belongs to another user")

    def test_folders_that_do_not_exist(self, tmp_path: Path) -> None:
        path = tmp_path / "no/x.pid"
        with pytest.raises(PidfileError, match=f"^cannot write pidfile {path}: No such file or directory$"):
            Pidfile(str(path)).create(1)
        assert Pidfile(str(path)).validate() is None
