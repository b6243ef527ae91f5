"""Files and folders that another account of the machine has a hand in."""

from __future__ import annotations

import os
import py_compile
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Callable, Iterator

import pytest

from gaffer.config import addresses
from gaffer.config.addresses import BindError, SocketAccess, bind_sockets
from gaffer.pidfile import Pidfile
from gaffer.security import trusted_files
from gaffer.security.trusted_files import SharedFile, check_read
from tests.kit.gafferd import PATIENCE, run
from tests.kit.stranger import STRANGER, as_root, as_stranger
from tests.security import attack

pytestmark = as_root

_LOCK = f"""
import fcntl, os, sys
os.setgid({STRANGER}); os.setuid({STRANGER})
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX if len(sys.argv) > 2 else fcntl.LOCK_SH)
print("locked", flush=True)
input()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other accounts can reach, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="gaffer-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def theirs(folder: Path) -> Path:
    """A folder of the stranger's."""
    home = folder / "theirs"
    home.mkdir()
    os.chown(home, STRANGER, STRANGER)
    return home


@pytest.fixture
def lock_as_stranger() -> Iterator[Callable[..., None]]:
    """Return a function that has another account hold a lock until the end of the test."""
    holders = []

    def hold(path: Path, *more: str) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", _LOCK, str(path), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        holders.append(holder)
        assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"

    yield hold
    for holder in holders:
        holder.communicate(b"\n", timeout=PATIENCE)


def check(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "--check", "--bind", "127.0.0.1:0", *args, **env)


@attack(
    "another account of the machine",
    "a line added to a configuration file, or to one it includes, that is writable by all",
    "root's gafferd does not start and names the chmod; ``--check`` ends with status 2",
)
@pytest.mark.parametrize("name", ["g.ini", "more.ini", "d/a.ini"])
def test_writable_configuration_is_refused(folder: Path, name: str) -> None:
    (folder / "d").mkdir()
    (folder / "g.ini").write_text("[gaffer]\ninclude = more.ini\ninclude_dir = d\n")
    (folder / "more.ini").touch()
    (folder / "d" / "a.ini").touch()
    (folder / name).chmod(0o666)
    with as_stranger(), (folder / name).open("a") as file:
        file.write("\n[process:x]\ncmd = id\n")
    done = check(folder, "g.ini")
    assert done.returncode == 2 and f"chmod go-w {folder / name}" in done.stderr
    assert check(folder, "--allow-shared-files", "g.ini").returncode == 0
    assert check(folder, "g.ini", GAFFERD_ALLOW_SHARED_FILES="1").returncode == 0


@attack(
    "another account of the machine",
    "a file dropped into ``include_dir``, or a configuration of their own in their own folder",
    "root's gafferd does not start and names the chmod or chown",
)
def test_configuration_in_a_folder_of_others_is_refused(folder: Path, theirs: Path) -> None:
    shared = folder / "d"
    shared.mkdir()
    shared.chmod(0o777)
    (folder / "g.ini").write_text("[gaffer]\ninclude_dir = d\n")
    with as_stranger():
        (shared / "a.ini").write_text("[process:x]\ncmd = id\n")
    done = check(folder, "g.ini")
    assert done.returncode == 2 and f"chmod go-w {shared}" in done.stderr
    with as_stranger():
        (theirs / "g.ini").write_text("[process:x]\ncmd = id\n")
    done = check(folder, str(theirs / "g.ini"))
    assert done.returncode == 2 and f"{theirs} belongs to user {STRANGER}" in done.stderr


@attack(
    "another account of the machine",
    "the option that allows shared files, written into the shared file itself",
    "an unknown key: only the command line and the environment can allow them",
)
def test_no_file_allows_itself(folder: Path) -> None:
    (folder / "g.ini").write_text("[gaffer]\nallow_shared_files = true\n")
    (folder / "g.ini").chmod(0o666)
    done = check(folder, "g.ini")
    assert done.returncode == 2 and "chmod go-w" in done.stderr


@attack(
    "another account of the machine",
    "``LD_PRELOAD`` in an ``env_file`` that is writable by all",
    "``--check`` ends with status 2 and names the chmod",
)
def test_writable_env_file_is_refused(folder: Path) -> None:
    (folder / "g.ini").write_text(f"[process:x]\ncmd = echo $A\nenv_file = {folder}/x.env\n")
    (folder / "x.env").write_text("A=1\n")
    assert check(folder, "g.ini").returncode == 0
    (folder / "x.env").chmod(0o666)
    with as_stranger(), (folder / "x.env").open("a") as file:
        file.write("LD_PRELOAD=/tmp/x.so\n")
    done = check(folder, "g.ini")
    assert done.returncode == 2 and f"chmod go-w {folder}/x.env" in done.stderr


@attack(
    "another account of the machine",
    "a line added to a Procfile, or to its ``.env``, that is writable by all and named by root's configuration",
    "``--check`` ends with status 2 and names the chmod",
)
@pytest.mark.parametrize("name", ["Procfile", ".env"])
def test_writable_procfile_is_refused(folder: Path, name: str) -> None:
    (folder / "g.ini").write_text("[procfile:app]\npath = Procfile\n")
    (folder / "Procfile").write_text("web: sleep 9\n")
    (folder / ".env").write_text("A=1\n")
    assert check(folder, "g.ini").returncode == 0
    (folder / name).chmod(0o666)
    done = check(folder, "g.ini")
    assert done.returncode == 2 and f"chmod go-w {folder / name}" in done.stderr


def test_the_user_of_a_job_may_own_its_env_file(theirs: Path) -> None:
    (theirs / "x.env").write_text("A=1\n")
    os.chown(theirs / "x.env", STRANGER, STRANGER)
    check_read(str(theirs / "x.env"), STRANGER)
    with pytest.raises(SharedFile, match="belongs to user"):
        check_read(str(theirs / "x.env"))


@attack(
    "another account of the machine",
    "a certificate's key that they own",
    "``--check`` ends with status 2 and names the chown",
)
def test_foreign_key_of_a_certificate_is_refused(folder: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (folder / name).touch()
    os.chown(folder / "key.pem", STRANGER, STRANGER)
    (folder / "g.ini").write_text(f"[gaffer]\ncertfile = {folder}/cert.pem\nkeyfile = {folder}/key.pem\n")
    done = check(folder, "g.ini")
    assert done.returncode == 2 and f"try: chown -h 0 {folder}/key.pem" in done.stderr


@attack(
    "another account of the machine",
    "compiled Python planted in the ``__pycache__`` of a plugin folder that was writable by all and no longer is",
    "root's gafferd does not start and names the file and its owner; nothing of it runs",
)
def test_planted_bytecode_does_not_run(folder: Path) -> None:
    plugin = folder / "plugins" / "one" / "plugin"
    plugin.mkdir(parents=True)
    source = plugin / "__init__.py"
    source.write_text("import gaffer\n\n@gaffer.hookimpl\ndef gaffer_started(manager): pass\n")
    plugin.chmod(0o777)
    real = source.read_text()

    with as_stranger():
        cache = plugin / "__pycache__"
        cache.mkdir()
        evil = cache / "evil.py"
        evil.write_text(f"open({str(folder / 'theirs')!r}, 'w')\n".ljust(len(real)))
        info = source.stat()
        os.utime(evil, (info.st_mtime, info.st_mtime))
        py_compile.compile(str(evil), cfile=str(cache / f"__init__.{sys.implementation.cache_tag}.pyc"))

    plugin.chmod(0o755)  # as the advice says
    done = check(folder, "-p", "plugins")
    assert done.returncode == 2 and f"belongs to user {STRANGER}" in done.stderr
    assert not (folder / "theirs").exists()


@attack(
    "another account of the machine",
    "Python behind a link in a plugin folder, in a folder that is writable by all",
    "root's gafferd does not start and names the chmod",
)
def test_linked_package_that_others_write_is_refused(folder: Path) -> None:
    package = folder / "elsewhere"
    package.mkdir()
    (package / "app.py").write_text("")
    (package / "app.py").chmod(0o666)
    (folder / "plugins" / "one").mkdir(parents=True)
    (folder / "plugins" / "one" / "plugin").symlink_to(package)
    done = check(folder, "-p", "plugins")
    assert done.returncode == 2 and "app.py" in done.stderr and "chmod go-w" in done.stderr


@attack(
    "another account of the machine",
    "a unix socket in their folder, exchanged for a link to a file of root's before it gets its owner and mode",
    "owner and mode of the file stay as they are; gafferd does not listen",
)
def test_swapped_socket_gives_nothing_away(folder: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = folder / "shadow"
    victim.touch(mode=0o600)
    path = theirs / "g.sock"

    class Swapped(addresses.UnixListener):
        def bind(self, address: str) -> None:  # type: ignore[override]
            super().bind(address)
            with as_stranger():
                path.unlink()
                path.symlink_to(victim)

    monkeypatch.setattr(addresses, "UnixListener", Swapped)
    with pytest.raises(BindError):
        bind_sockets(f"unix:{path}", access=SocketAccess(STRANGER, STRANGER, 0o666), allows_unix_socket=True)
    found = victim.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)


@attack(
    "another account of the machine",
    "a lock on the pidfile, which every account may read",
    "nothing: the lock that counts is in a file that no other account can open",
)
def test_lock_on_the_pidfile_does_not_hold_up_gafferd(folder: Path, lock_as_stranger: Callable[..., None]) -> None:
    path = folder / "g.pid"
    path.write_text("1\n")
    lock_as_stranger(path)
    pidfile = Pidfile(str(path))
    pidfile.create(os.getpid())
    pidfile.unlink()
    assert sorted(os.listdir(folder)) == []


@attack(
    "another account of the machine",
    "a lock on the folder of a unix socket",
    "nothing: the lock that counts is in a file that no other account can open",
)
def test_lock_on_the_folder_of_a_socket_does_not_hold_up_gafferd(
    folder: Path, lock_as_stranger: Callable[..., None]
) -> None:
    lock_as_stranger(folder, "exclusive")
    found: list[socket.socket] = []
    thread = threading.Thread(
        target=lambda: found.extend(bind_sockets(f"unix:{folder}/g.sock", allows_unix_socket=True)), daemon=True
    )
    thread.start()
    thread.join(PATIENCE)
    assert found
    found[0].close()
    assert os.listdir(folder) == []


def test_lock_that_is_held_is_told_in_time(folder: Path) -> None:
    lock = trusted_files.open_lock(f"{folder}/g.sock.lock")
    try:
        with pytest.raises(BindError, match="another process holds the lock"):
            bind_sockets(f"unix:{folder}/g.sock", allows_unix_socket=True)
    finally:
        trusted_files.close_lock(lock, f"{folder}/g.sock.lock")


@attack(
    "another account of the machine",
    "a link in place of the folder of ``error_log``, ``audit_log`` or ``auth_database``",
    "gafferd does not start, with status 1 or 2; the folder it leads to stays as it is",
)
@pytest.mark.parametrize("option", ["error_log", "audit_log", "auth_database", "pidfile"])
def test_foreign_link_on_the_way_is_not_followed(folder: Path, theirs: Path, option: str) -> None:
    victim = folder / "cron.d"
    victim.mkdir()
    with as_stranger():
        (theirs / "logs").symlink_to(victim)
    (folder / "g.ini").write_text(f"[gaffer]\nbind = 127.0.0.1:0\n{option} = {theirs}/logs/x\n")
    # The database is opened as soon as it is needed.
    more = ["--create-admin-user", "--username", "u", "--password", "correct horse"] if "auth" in option else []
    done = run(folder, *more, "-c", "g.ini")
    assert done.returncode in (1, 2) and str(theirs) in done.stderr, done.stderr
    assert os.listdir(victim) == []


def test_an_ordinary_account_may_share_with_its_group(folder: Path, theirs: Path) -> None:
    """A checkout with mode 0775 works; what every account may write is refused for others than root, too."""
    ini = theirs / "g.ini"
    ini.touch()
    theirs.chmod(0o775)
    ini.chmod(0o664)
    with as_stranger():
        check_read(str(ini))
    ini.chmod(0o666)
    with as_stranger(), pytest.raises(SharedFile, match="run programs as you through gafferd"):
        check_read(str(ini))
    ini.chmod(0o664)
    theirs.chmod(0o777)
    with as_stranger(), pytest.raises(SharedFile, match=f"{theirs} can be written"):
        check_read(str(ini))
