"""gaffer.util: the documented small functions."""

from __future__ import annotations

import os
import pwd
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gaffer import util


def test_everything_documented_is_there() -> None:
    assert util.__all__ == sorted(util.__all__)
    assert all(callable(getattr(util, name)) for name in util.__all__)


@pytest.mark.parametrize(
    ("n", "shown"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.0K"), (10000, "9.8K"), (1536 * 1024**2, "1.5G"), (-2048, "-2.0K")],
)
def test_bytes2human(n: int, shown: str) -> None:
    assert util.bytes2human(n) == shown
    assert util.bytes2human(2**100).endswith("Y")


def test_check_uid_and_gid() -> None:
    me = pwd.getpwuid(os.getuid())
    assert util.check_uid(me.pw_name) == util.check_uid(str(me.pw_uid)) == util.check_uid(me.pw_uid) == me.pw_uid
    assert util.check_gid("root") == util.check_gid(0) == 0
    for wrong in ("no such user", 2**31 - 7, 2**40, -1, ""):
        with pytest.raises(ValueError):
            util.check_uid(wrong)
        with pytest.raises(ValueError):
            util.check_gid(wrong)


def test_getcwd_prefers_the_shells_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "link")
    monkeypatch.setenv("PWD", str(tmp_path / "link"))
    assert util.getcwd() == str(tmp_path / "link")
    for stale in (str(tmp_path), str(tmp_path / "gone"), "."):
        monkeypatch.setenv("PWD", stale)
        assert util.getcwd() == str(tmp_path / "real")


def test_names_of_this_machine_and_of_schemes() -> None:
    assert util.hostname() == socket.gethostname()
    assert util.is_ssl("https://x") and util.is_ssl("WSS://x")
    assert not util.is_ssl("http://x") and not util.is_ssl("unix:/https") and not util.is_ssl("")


def test_parse_job_name_puts_the_session_first() -> None:
    assert util.parse_job_name("web.worker") == ("web", "worker")
    assert util.parse_job_name("worker") == ("default", "worker")
    assert util.parse_job_name("worker", default="web") == ("web", "worker")


def test_parse_signal_value() -> None:
    assert {util.parse_signal_value(sig) for sig in (15, "15", "TERM", "sigterm", "Term")} == {signal.SIGTERM}
    with pytest.raises(ValueError, match="no signal 'NOPE'"):
        util.parse_signal_value("NOPE")


def test_parse_ssl_options() -> None:
    assert util.parse_ssl_options({"certfile": "c", "keyfile": "k", "cacert": ""}) == {"certfile": "c", "keyfile": "k"}
    assert util.parse_ssl_options(SimpleNamespace(cacert="ca")) == {"ca_certs": "ca", "cert_reqs": 2}
    assert util.parse_ssl_options({}) == {}


def test_substitute_env() -> None:
    env = {"PORT": "80", "X": "$PORT"}
    assert util.substitute_env("run $PORT ${X} $UNKNOWN $$PORT", env) == "run 80 $PORT $UNKNOWN $PORT"


def test_setproctitle() -> None:
    code = (
        "from gaffer.util import setproctitle_; setproctitle_('gaffer: test'); print(open('/proc/self/cmdline').read())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("gaffer: test")


def test_daemonize(tmp_path: Path) -> None:
    """The grandchild reports through a file: it has neither our terminal nor our descriptors."""
    code = """if True:
        import os, sys
        from gaffer.util import daemonize, open_descriptors
        done = sys.argv[1]
        extra = os.dup(0)
        kept = os.dup(0)
        daemonize(umask=0o027, keep=(kept,))
        null = os.stat(os.devnull)
        facts = {
            "leads a session": os.getpid() == os.getsid(0),
            "session is new": os.getsid(0) != int(sys.argv[2]),
            "null": [os.fstat(fd).st_rdev == null.st_rdev for fd in (0, 1, 2)],
            "open": open_descriptors() == [kept],
            "cwd": os.getcwd(),
            "umask": os.umask(0),
        }
        open(done, "w").write(repr(facts))
    """
    done = tmp_path / "done"
    os.mkfifo(done)
    reader = os.open(done, os.O_RDONLY | os.O_NONBLOCK)
    result = subprocess.run(
        [sys.executable, "-c", code, str(done), str(os.getsid(0))], cwd=tmp_path, capture_output=True, timeout=20
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert select.select([reader], [], [], 20)[0], "the daemon never reported"
    report = os.read(reader, 4096).decode()
    os.close(reader)
    assert eval(report) == {
        "leads a session": False,
        "session is new": True,
        "null": [True, True, True],
        "open": True,
        "cwd": str(tmp_path),
        "umask": 0o027,
    }
