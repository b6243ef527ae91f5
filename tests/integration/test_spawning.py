"""How processes are started: who they are, what they find, and what is said when it does not work."""

import errno
import os
import pwd
import resource
import signal
import socket
import stat
import tempfile
from pathlib import Path

import gevent
import pytest

import gaffer
from gaffer.errors import InvalidConfig
from gaffer.process import posix_spawn
from gaffer.process.spawn import failure as spawn_failure
from gaffer.process.spawn import make_plan

from ..kit.manager import alive, eventually, output, pass_deadlines, proc, run, said, settle
from ..kit.signal_masks import signals


@pytest.fixture(params=["popen", "posix_spawn"], autouse=True)
def way(request, monkeypatch):
    """Everything here is so whichever way a process is started."""
    monkeypatch.setattr(posix_spawn, "_close_range", None)
    if request.param == "posix_spawn" and not posix_spawn.allow():
        pytest.skip("this system cannot mark all descriptors at once (close_range(2))")
    return request.param


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another account")


def load(manager, cmd, name="web", **settings):
    manager.load(gaffer.JobConfig(name, cmd, **settings))


def process(manager, name="web"):
    return eventually(lambda: manager.list(name))[0]


def failure(manager, watch, name="web"):
    """Wait for a failed start of *name*; returns its reason, which has to be the same wherever it is shown."""
    eventually(lambda: watch.count("spawn_failed", name), what="the start did not fail")
    (reason,) = {told.detail for told in watch.log if told.what == "spawn_failed" and told.job == name}
    assert manager.info(name)["reason"] == reason
    assert [event["reason"] for event in watch.events if event["event"] == "spawn_failed"][0] == reason
    return reason


# -- the two ways ----------------------------------------------------------------------------
def test_posix_spawn_is_used_where_possible(manager, watch, way, monkeypatch, tmp_path):
    taken, start = [], posix_spawn.start

    def counting(program, *args):
        taken.append(start(program, *args))
        return taken[-1]

    monkeypatch.setattr(posix_spawn, "start", counting)
    fast = way == "posix_spawn"
    load(manager, "sleep 1000", "by-path")
    assert taken == ([process(manager, "by-path").os_pid] if fast else [])
    load(manager, "sleep 1001", "by-directory", cwd=str(tmp_path))
    load(manager, "sleep 1002", "by-mask", umask=0o027)
    load(manager, "sleep 1003", "by-streams", custom_streams=["a"])
    for name in ("by-directory", "by-mask", "by-streams"):
        process(manager, name)
    assert len(taken) == fast
    load(manager, "/no/such/program", "missing")
    assert failure(manager, watch, "missing") == "cannot execute '/no/such/program': No such file or directory"
    assert taken[fast:] == ([None] * len(taken[fast:]))


def test_descriptors_are_marked_only_if_the_program_allows_it(manager, way):
    ours = os.open("/dev/null", os.O_RDWR)
    os.set_inheritable(ours, True)
    try:
        load(manager, "sleep 1000")
        process(manager)
        assert os.get_inheritable(ours) == (way == "popen")
    finally:
        os.close(ours)


class Changing:
    """Has something else started."""

    def __init__(self, *argv):
        self.argv = list(argv)

    @gaffer.hookimpl
    def gaffer_before_spawn(self, job, plan):
        plan.argv = self.argv


@pytest.mark.parametrize("program", [Path("/bin/sleep"), b"sleep", "sleep"], ids=repr)
def test_plugin_may_change_the_command_to_paths_and_bytes(make_manager, watch, program):
    manager = make_manager(watch, Changing(program, b"1000"))
    load(manager, "true")
    found = process(manager)
    eventually(lambda: proc(found, "cmdline").split(b"\0")[-2:] == [b"1000", b""])


def test_plugin_cannot_change_the_command_to_other_types(make_manager, watch):
    load(make_manager(watch, Changing("sleep", 1000)), "true")
    eventually(lambda: watch.count("spawn_failed"))
    assert watch.processes == []


# -- another user -----------------------------------------------------------------------
def status(text):
    return dict(line.split(":\t") for line in text.decode().splitlines() if ":\t" in line)


@as_root
@pytest.mark.parametrize("streams", [[], ["a", "b"]], ids=["plain", "custom streams"])
@pytest.mark.parametrize("uid", ["nobody", pwd.getpwnam("nobody").pw_uid])
def test_another_user_has_none_of_our_groups(manager, watch, uid, streams):
    account = pwd.getpwnam("nobody")
    ran = run(manager, watch, "cat /proc/self/status", uid=uid, custom_streams=streams)
    found = status(ran.out)
    assert found["Uid"].split() == [str(account.pw_uid)] * 4
    assert found["Gid"].split() == [str(account.pw_gid)] * 4
    assert {int(group) for group in found["Groups"].split()} == set(os.getgrouplist("nobody", account.pw_gid))
    assert 0 not in [int(group) for group in found["Groups"].split()]
    assert int(found["CapEff"], 16) == 0


@as_root
@pytest.mark.parametrize("streams", [[], ["a"]], ids=["plain", "custom streams"])
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_program_of_root_cannot_be_started_as_another_user(manager, watch, closed, streams):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o700 if closed == "folder" else 0o755)
        program = Path(folder) / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700 if closed == "file" else 0o755)
        load(manager, str(program), uid="nobody", custom_streams=streams)
        assert failure(manager, watch) == f"cannot execute '{program}': Permission denied"


@as_root
@pytest.mark.parametrize("streams", [[], ["a"]], ids=["plain", "custom streams"])
def test_gid_sets_the_group(manager, watch, streams):
    found = status(run(manager, watch, "cat /proc/self/status", uid="nobody", gid="daemon", custom_streams=streams).out)
    assert found["Gid"].split() == ["1"] * 4
    assert "0" not in found["Groups"].split() and "1" in found["Groups"].split()
    found = status(run(manager, watch, "cat /proc/self/status", gid=1, custom_streams=streams).out)
    assert found["Uid"].split() == ["0"] * 4 and found["Gid"].split() == ["1"] * 4


@as_root
def test_another_user_has_a_home_of_its_own(manager, watch):
    ran = run(manager, watch, "env", uid="daemon")
    account = pwd.getpwnam("daemon")
    assert f"HOME={account.pw_dir}" in ran.lines and "USER=daemon" in ran.lines and "LOGNAME=daemon" in ran.lines
    ran = run(manager, watch, "env", uid="daemon", env={"HOME": "/elsewhere"})
    assert "HOME=/elsewhere" in ran.lines


@as_root
def test_processes_of_another_user_can_be_stopped_with_their_daemons(manager, watch):
    load(
        manager,
        "sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" & exec sleep 1000'",
        uid="nobody",
        redirect_output=["out"],
    )
    found = process(manager)
    eventually(lambda: output(found).endswith(b"\n"))
    daemon = int(output(found))
    manager.stop_job("web")
    eventually(lambda: watch.count("stopped"))
    assert not alive(daemon)


@as_root
def test_custom_streams_as_another_user_in_a_directory(manager, watch, tmp_path):
    """The other user can neither read gaffer's files nor run its interpreter."""
    tmp_path.chmod(0o755)
    os.chown(tmp_path, pwd.getpwnam("nobody").pw_uid, -1)
    load(
        manager,
        "sh -c 'read a <&3; echo $a $(id -un) $(pwd) >&4; exec sleep 1000'",
        uid="nobody",
        cwd="/tmp",
        custom_streams=["in", "out"],
    )
    found = process(manager)
    manager.send(found.pid, "hello\n", "in")
    eventually(lambda: output(found) == b"hello nobody /tmp\n", what=f"{output(found)}")


@as_root
def test_environment_of_another_user_does_not_affect_the_change_of_user(manager, watch, tmp_path):
    """An env_file in that user's hands must not run code as root on the way."""
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "os.py").write_text("raise SystemExit('python was misled')")
    (tmp_path / ".env").write_text(
        f"LD_PRELOAD={tmp_path}/evil.so\nPYTHONPATH={tmp_path}/python\nPYTHONHOME={tmp_path}\n"
    )
    ran = run(
        manager, watch, "cat /proc/self/environ", uid="nobody", env_file=str(tmp_path / ".env"), custom_streams=["a"]
    )
    # The loader complains once, about what the user's own process was told, and nothing else happens.
    assert f"LD_PRELOAD={tmp_path}/evil.so".encode() in ran.out
    assert ran.err.count(b"cannot be preloaded") == 1 and ran.status.code == 0


# -- environment ----------------------------------------------------------------------------
def test_order_of_environment_sources(manager, watch, tmp_path, monkeypatch):
    for name in ("A", "B", "C"):
        monkeypatch.setenv(name, "system")
    (tmp_path / ".env").write_text("B=file\nC=file\nexport D='file d' # comment\n")
    ran = run(manager, watch, "env", env_file=".env", cwd=str(tmp_path), env={"C": "job"})
    found = dict(line.split("=", 1) for line in ran.lines)
    assert (found["A"], found["B"], found["C"], found["D"]) == ("system", "file", "job", "file d")


def test_without_os_env_only_given_variables_are_set(manager, watch, monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    ran = run(manager, watch, "/usr/bin/env", os_env=False, env={"ONLY": "this"})
    assert sorted(line.split("=")[0] for line in ran.lines) == ["GAFFER_ID", "GAFFER_INDEX", "GAFFER_JOB", "ONLY", "PS"]


def test_environment_file_is_read_at_every_start(manager, watch, tmp_path):
    file = tmp_path / ".env"
    file.write_text("WHAT=first\n")
    load(manager, "sh -c 'echo $WHAT; exec sleep 1000'", env_file=str(file), redirect_output=["out"], min_uptime=0.0)
    said(process(manager), b"first\n")
    file.write_text("WHAT=second\n")
    manager.restart_job("web")
    eventually(lambda: len(watch.processes) == 2)
    said(watch.processes[1], b"second\n")


def test_environment_of_a_job_does_not_reach_another(manager, watch):
    load(manager, "sleep 1000", "a", env={"OF_A": "1"})
    load(manager, "sleep 1000", "b", env={"OF_B": "1"})
    manager.commit("a", env={"OF_COMMIT": "1"})
    load(manager, "sleep 1000", "c", numprocesses=3)
    manager.scale("a", 2)
    eventually(lambda: len(manager.pids()) == 8)
    for found in manager.list():
        environment = proc(found, "environ").decode()
        assert ("OF_A" in environment) == (found.name.job == "a")
        assert ("OF_B" in environment) == (found.name.job == "b")
        assert ("OF_COMMIT" in environment) == found.committed


def test_environment_given_with_load_is_added(manager, watch):
    manager.load(gaffer.JobConfig("web", "sleep 1000", env={"A": "1", "B": "1"}), env={"B": "2"})
    environment = proc(process(manager), "environ").split(b"\0")
    assert b"A=1" in environment and b"B=2" in environment
    assert manager.get("web").env == {"A": "1", "B": "2"}


def test_changed_environment_reaches_the_next_start(manager, watch):
    """A commit and an update are taken in one go; what the update starts has the new environment."""
    load(manager, "sleep 1000", env={"WHAT": "old"})
    process(manager)
    committing = gevent.spawn(manager.commit, "web")
    updating = gevent.spawn(manager.update, gaffer.JobConfig("web", "sleep 1000", env={"WHAT": "new"}, numprocesses=2))
    gevent.joinall([committing, updating], raise_error=True)
    eventually(lambda: watch.count("spawned") == 4 and manager.info("web")["running"] == 3)
    for found in manager.list("web"):
        assert (b"WHAT=old" in proc(found, "environ")) == found.committed


@pytest.mark.parametrize(
    "text", [None, "A=\xff".encode("latin-1"), b"A=" + b"x" * 2_000_000], ids=["missing", "latin", "large"]
)
def test_unreadable_env_file_is_an_error(manager, watch, tmp_path, text):
    if text is not None:
        (tmp_path / ".env").write_bytes(text)
    with pytest.raises(InvalidConfig, match="env_file"):
        load(manager, "sleep 1000", env_file=str(tmp_path / ".env"))


@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_env_file_that_is_no_file_is_an_error_at_once(manager, watch, tmp_path, kind):
    path = {"fifo": tmp_path / "fifo", "device": "/dev/zero", "directory": tmp_path}[kind]
    if kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(InvalidConfig, match="env_file"):
        load(manager, "sleep 1000", env_file=str(path))


def test_removed_env_file_is_a_failed_start(manager, watch, tmp_path):
    (tmp_path / ".env").write_text("A=1\n")
    load(manager, "sleep $A", env_file=str(tmp_path / ".env"), min_uptime=0.0)
    process(manager)
    (tmp_path / ".env").unlink()
    manager.restart_job("web")
    assert "env_file" in failure(manager, watch)
    (tmp_path / ".env").write_text("B=1\n")
    eventually(lambda: any("unknown variable $A" in told.detail for told in watch.log if told.what == "spawn_failed"))
    (tmp_path / ".env").write_text("A=1000\n")
    eventually(lambda: watch.count("spawned") == 2)
    assert proc(watch.processes[1], "cmdline") == b"sleep\x001000\x00"


# -- variables in commands -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("cmd", "args", "words"),
    [
        ("printf %s| $A ${A}x", [], ["a b", "a bx"]),
        ("printf %s| '$A' \"$A\"", [], ["$A", "a b"]),
        ("printf %s| $$A $$ a$", [], ["$A", "$", "a$"]),
        ("printf %s| one", ["$A", "two three", "$$", "*"], ["one", "a b", "two three", "$", "*"]),
        ("printf %s| one", "$A 'two three' \"$A\"", ["one", "a b", "two three", "a b"]),
        ("printf %s| a,b #c 100% ;d", [], ["a,b", "#c", "100%", ";d"]),
        ("printf %s| \\$A \"\" ''", [], ["$A", "", ""]),
        ("printf %s| $GAFFER_JOB $GAFFER_INDEX", [], ["once", "0"]),
    ],
)
def test_command_words_and_variables(manager, watch, cmd, args, words):
    ran = run(manager, watch, cmd, args=args, env={"A": "a b"})
    assert ran.out.decode().split("|")[:-1] == words


def test_unknown_variable_is_an_error_at_load(manager, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    for settings in ({"cmd": "sleep $NOWHERE"}, {"cmd": "sleep", "args": ["${NOWHERE}"]}, {"cmd": 'sh -c "$NOWHERE"'}):
        with pytest.raises(InvalidConfig, match=r"\$NOWHERE"):
            manager.load({"name": "web", **settings})
    monkeypatch.setenv("NOWHERE", "1000")
    load(manager, "sleep $NOWHERE")
    with pytest.raises(InvalidConfig, match=r"\$NOWHERE"):
        load(manager, "sleep $NOWHERE", "other", os_env=False)


def test_shell_setting_runs_the_line_in_a_shell(manager, watch):
    ran = run(manager, watch, "echo $A '$A' \"$A\" $$A | cat; echo two", env={"A": "a  b"}, shell=True)
    first, second = ran.lines
    assert first.startswith("a b $A a  b ") and first.endswith("A") and second == "two"


def test_arguments_of_a_shell_line_arrive_whole(manager, watch):
    ran = run(manager, watch, "printf '%s|'", args=["one", "two three", "$A", "'", "*"], shell=True, env={"A": "x"})
    assert ran.out == b"one|two three|$A|'|*|"
    ran = run(manager, watch, "printf '%s|'", args='one "two three" $A', shell=True, env={"A": "x"})
    assert ran.out == b"one|two three|x|"


def test_shell_and_all_it_runs_end_together(manager, watch, tmp_path):
    load(manager, "sleep 1001 | sleep 1002; echo never", shell=True, redirect_output=["out"])
    found = process(manager)
    eventually(lambda: len(proc(found, f"task/{found.os_pid}/children").split()) == 2)
    children = [int(pid) for pid in proc(found, f"task/{found.os_pid}/children").split()]
    manager.stop_job("web")
    eventually(lambda: watch.count("stopped"))
    assert not any(alive(child) for child in children) and output(found) == b""


# -- mask, directory, limits ------------------------------------------------------------------------
@pytest.mark.parametrize(("mask", "mode"), [("027", 0o640), (0o077, 0o600), ("0", 0o666), (None, None)])
def test_umask_setting_is_applied(manager, watch, tmp_path, mask, mode):
    if mask is None:
        mask = os.umask(0o022)
        os.umask(mask)
        mask, mode = None, 0o666 & ~mask
    run(manager, watch, "sh -c '> file'", umask=mask, cwd=str(tmp_path))
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_command_beside_the_directory_it_runs_in(manager, watch, tmp_path):
    (tmp_path / "program").write_text("#!/bin/sh\npwd\n")
    (tmp_path / "program").chmod(0o755)
    assert run(manager, watch, "./program", cwd=str(tmp_path)).lines == [str(tmp_path)]


@pytest.mark.parametrize("streams", [[], ["a"]], ids=["plain", "custom streams"])
def test_children_get_the_original_limit_of_open_files(manager, watch, streams):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    manager.engine.file_limit = (512, hard)
    load(manager, "sleep 1000", custom_streams=streams)
    found = process(manager)
    eventually(lambda: proc(found, "cmdline") == b"sleep\x001000\x00")
    assert resource.prlimit(found.os_pid, resource.RLIMIT_NOFILE) == (512, hard)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


@pytest.mark.parametrize("streams", [[], ["a"]], ids=["plain", "custom streams"])
def test_child_sees_its_own_limit_from_its_start(manager, watch, streams, monkeypatch):
    """It is not set from outside, which is too late for one in five."""
    monkeypatch.setattr("gaffer.process.spawn.limit_files", lambda *args: None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Far above what this program has open: a lower limit is set from outside.
    manager.engine.file_limit = (hard // 2, hard)
    assert run(manager, watch, "sh -c 'ulimit -Sn'", custom_streams=streams).lines == [str(hard // 2)]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


@pytest.mark.parametrize("streams", [[], ["a"]], ids=["plain", "custom streams"])
def test_limit_that_cannot_be_set_does_not_prevent_a_start(manager, watch, streams):
    """An administrator may lower gafferd's own from outside."""
    manager.engine.file_limit = (1024, 512)
    assert run(manager, watch, "echo started", custom_streams=streams).lines == ["started"]


@pytest.mark.parametrize("streams", [[], ["a"]], ids=["plain", "custom streams"])
def test_child_gets_its_limit_if_more_descriptors_are_open(manager, watch, streams):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    manager.engine.file_limit = (64, hard)
    ours = [os.open("/dev/null", os.O_RDWR) for _ in range(150)]
    try:
        load(manager, "sleep 1000", custom_streams=streams)
        found = process(manager)
        eventually(lambda: proc(found, "cmdline") == b"sleep\x001000\x00")
        assert resource.prlimit(found.os_pid, resource.RLIMIT_NOFILE) == (64, hard)
    finally:
        for fd in ours:
            os.close(fd)


# -- descriptors ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"redirect_output": ["a", "b"], "redirect_input": True}, [0, 1, 2]),
        ({"custom_streams": ["a", "b"]}, [0, 1, 2, 3, 4]),
    ],
)
def test_children_have_only_their_own_descriptors(manager, watch, settings, expected):
    """Even in a program that made some inheritable."""
    ours = [os.open("/dev/null", os.O_RDWR) for _ in range(5)]
    server = socket.socket()
    for fd in (*ours, server.fileno()):
        os.set_inheritable(fd, True)
    try:
        load(manager, "sleep 999", "other", **settings)
        process(manager, "other")
        load(manager, "sleep 1000", **settings)
        found = process(manager)
        eventually(lambda: proc(found, "cmdline") == b"sleep\x001000\x00")
        # The loader opens libraries for a moment; what was inherited stays.
        opened = lambda: sorted(int(fd) for fd in os.listdir(f"/proc/{found.os_pid}/fd"))  # noqa: E731
        eventually(lambda: opened() == expected, what=f"open are {opened()}, not {expected}")
    finally:
        server.close()
        for fd in ours:
            os.close(fd)


# -- signals ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("streams", [[], ["a"]], ids=["plain", "custom streams"])
def test_children_ignore_no_signal_even_if_the_program_does(manager, watch, streams):
    """As a program does that nohup or a shell put into the background."""
    ignored = [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
    before = [signal.signal(signum, signal.SIG_IGN) for signum in ignored]
    try:
        found = status(run(manager, watch, "cat /proc/self/status", custom_streams=streams).out)
        assert all(signal.getsignal(signum) is signal.SIG_IGN for signum in ignored)
    finally:
        for signum, handler in zip(ignored, before):
            signal.signal(signum, handler)
    assert signals(found["SigIgn"]) == signals(found["SigBlk"]) == set()


# -- starts that fail -----------------------------------------------------------------------------------
def test_missing_directory_is_named(manager, watch, tmp_path):
    missing = tmp_path / "missing"
    load(manager, "sleep 1000", cwd=str(missing))
    assert failure(manager, watch) == f"cannot enter directory '{missing}': No such file or directory"
    info = eventually(lambda: manager.info("web")["state"] == "backoff" and manager.info("web"))
    assert info["retry_in"] > 0 and info["active"]
    missing.mkdir()
    process(manager)
    assert manager.info("web")["reason"] is None


def test_missing_command_is_named(manager, watch):
    load(manager, "no-such-command --at all")
    assert failure(manager, watch) == "cannot execute 'no-such-command': No such file or directory"


@pytest.mark.parametrize("streams", [[], ["ctl"]])
def test_sentence_about_a_missing_command_hides_values_of_the_environment(manager, watch, streams):
    """All callers that may read the job hear why; its environment is only for those who may manage it."""
    load(manager, '"${PLACE}/no such" $PLACE', env={"PLACE": "/sesame-4711"}, custom_streams=streams)
    assert failure(manager, watch).startswith("cannot execute '$PLACE/no such': ")
    assert "sesame" not in manager.info("web")["reason"]


def test_command_without_permission_is_named(manager, watch, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    load(manager, str(program))
    assert failure(manager, watch) == f"cannot execute '{program}': it is not executable; chmod +x {program}"


def test_line_ends_of_a_script_are_named(manager, watch, tmp_path):
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\r\necho\r\n")
    program.chmod(0o755)
    load(manager, str(program))
    assert f"the first line of {program} ends with a carriage return; save it" in failure(manager, watch)


def test_directory_that_may_not_be_entered_is_named(tmp_path):
    config = gaffer.JobConfig("web", "sleep 1", cwd=str(tmp_path))
    plan = make_plan(config, {"PATH": "/bin"}, 0, 1)
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    sentence = f"cannot enter directory '{tmp_path}': Permission denied; let the job's user enter it"
    assert spawn_failure(plan, config, error).startswith(sentence)


def test_missing_interpreter_is_named(manager, watch, tmp_path):
    (tmp_path / "program").write_text("#!/no/such/interpreter\n")
    (tmp_path / "program").chmod(0o755)
    load(manager, str(tmp_path / "program"))
    assert "interpreter" in failure(manager, watch)


def test_command_that_is_no_program_is_named(manager, watch, tmp_path):
    (tmp_path / "program").write_bytes(b"\x7fnothing that can be executed")
    (tmp_path / "program").chmod(0o755)
    load(manager, str(tmp_path / "program"))
    assert "Exec format error" in failure(manager, watch)


def test_command_that_is_a_directory_is_named(manager, watch):
    load(manager, "/tmp")
    assert failure(manager, watch) == "cannot execute '/tmp': /tmp is a directory"


def test_directory_that_is_a_file_is_named(manager, watch, tmp_path):
    (tmp_path / "file").touch()
    load(manager, "sleep 1000", cwd=str(tmp_path / "file"))
    assert failure(manager, watch) == f"cannot enter directory '{tmp_path / 'file'}': Not a directory"


def test_too_long_arguments_are_a_failed_start(manager, watch):
    load(manager, "true", args=["x" * 200_000])
    assert "Argument list too long" in failure(manager, watch)


@pytest.mark.parametrize("settings", [{"cmd": "a\0b"}, {"args": ["a\0b"]}, {"env": {"A": "a\0b"}}, {"cwd": "a\0b"}])
def test_nul_byte_is_an_error_at_load(manager, settings):
    with pytest.raises(InvalidConfig, match="NUL"):
        manager.load({"name": "web", "cmd": "sleep", **settings})


def test_failed_starts_are_retried_with_growing_delays_and_end_with_a_stop(manager, watch):
    load(manager, "no-such-command")
    eventually(lambda: watch.count("spawn_failed") >= 4)
    times = [event["time"] for event in watch.events if event["event"] == "spawn_failed"]
    assert times[3] - times[2] > times[1] - times[0]
    manager.stop_job("web")
    seen = watch.count("spawn_failed")
    pass_deadlines(manager)
    assert watch.count("spawn_failed") == seen and manager.info("web")["state"] == "stopped"


def test_failed_starts_obey_flapping(manager, watch):
    load(manager, "no-such-command", flapping=[2, 30.0, 0.05, 1])
    eventually(lambda: manager.info("web")["state"] == "failed")
    assert watch.count("spawn_failed") == 4 and watch.count("flapping") == 1


def test_failed_start_is_not_retried_with_restart_never(manager, watch):
    load(manager, "no-such-command", restart="never")
    info = eventually(lambda: manager.info("web")["state"] == "failed" and manager.info("web"))
    assert info["reason"] and not info["active"]
    settle(manager)
    assert watch.count("spawn_failed") == 1


# -- when descriptors run out --------------------------------------------------------------------------------
def test_process_that_cannot_be_watched_is_not_left_running(manager, watch, monkeypatch):
    def refuse(os_pid):
        monkeypatch.undo()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    load(manager, "sleep 1000", redirect_output=["out", "err"], custom_streams=["a"])
    assert "Too many open files" in failure(manager, watch)
    process(manager)
    assert watch.count("spawned") == 1


def test_supervision_survives_a_lack_of_descriptors(manager, watch):
    """More processes than descriptors: some starts fail and are retried, the others run, and all are stopped."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, limit[1]))
    try:
        load(manager, "sleep 1000", numprocesses=40, redirect_output=["out", "err"])
        eventually(lambda: watch.count("spawned") and watch.count("spawn_failed"))
        assert "raise the limit (ulimit -n" in failure(manager, watch)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    eventually(lambda: manager.info("web")["running"] == 40)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, "/dev/null"),
        ({"stdin": "null"}, "/dev/null"),
        ({"stdin": "open"}, "pipe:"),
        ({"tty": True}, "pipe:"),
        ({"tty": True, "stdin": "null"}, "/dev/null"),
        ({"redirect_input": True, "stdin": "null"}, "pipe:"),
    ],
)
def test_stdin_is_the_null_device_or_a_pipe_that_stays_open(manager, watch, settings, kind):
    load(manager, "cat" if kind == "pipe:" else "sleep 1000", **settings)
    found = process(manager)
    eventually(lambda: os.readlink(f"/proc/{found.os_pid}/fd/0").startswith(kind))
    held = found.silent_stdin
    assert (held >= 0) == (kind == "pipe:" and "redirect_input" not in settings)
    assert found.stdin is None or "redirect_input" in settings
    assert found.active
    manager.stop_job("web")
    if held >= 0:
        eventually(lambda: found.silent_stdin == -1)
