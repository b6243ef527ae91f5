"""Output of real processes in files: what jobs say, full disks, slow disks, several streams, and the end."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shlex
import subprocess
import sys
import threading
import time

import gevent
import pytest

import gaffer
from gaffer.api import SpawnPlan
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer.errors import InvalidConfig
from gaffer_plugins.logfiles import LogfilesPlugin, files
from gaffer_plugins.logfiles import file as file_module
from tests.kit.web import wait_until

PYTHON = shlex.quote(sys.executable)

LINE = b"x" * 99 + b"\n"
#: Writes so many bytes in lines of a hundred, then a word on stderr.
FLOOD = """
import os, sys
size = int(sys.argv[1])
block = memoryview((b"x" * 99 + b"\\n") * 1000)
while size:
    size -= os.write(1, block[: min(size, len(block))])
os.write(2, b"done\\n")
sys.stdin.read()
"""


@pytest.fixture
def logs(start_api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "RETRY", 0.02)
    return start_api(LogfilesPlugin())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB that is really full when it is full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def load(api, cmd, name="web", restart="never", **settings):
    api.manager.load(
        gaffer.JobConfig.from_dict({"name": name, "cmd": cmd, "restart": restart, **settings}, api.manager.job_fields)
    )


def ended(api, name="web"):
    wait_until(lambda: api.manager.info(name)["state"] in ("stopped", "failed"))


def holds(path, lost):
    """Tell whether a file has all bytes of FLOOD but those that are lost, and says where that is.

    :return: the bytes that FLOOD must have written; a line that was torn by a notice has got an end.
    """
    *parts, last = re.split(rb"gaffer: (\d+) bytes of out of process 1 are missing here\n", path.read_bytes())
    assert sum(map(int, parts[1::2])) == lost > 0
    output = [*parts[::2], last]
    assert set(b"".join(output)) <= set(LINE)
    size = sum(map(len, output)) + lost
    return range(size - len(output) + 1, size + 1)


def said_done(api):
    return any(process.reader("err").ring.end == 5 for process in api.manager.list("web"))


def health(api):
    return api.get("/health")["plugins"]["logfiles"]


def written(path, data):
    wait_until(lambda: path.exists() and path.read_bytes() == data)


# -- what goes where ----------------------------------------------------------------------------


@pytest.mark.parametrize("redirect", [[], ["out"], ["out", "err"]], ids=len)
def test_both_streams_whether_redirected_or_not(logs, tmp_path, redirect):
    cmd = "sh -c 'echo one; echo two >&2'"
    load(logs, cmd, redirect_output=redirect, stdout_logfile="a/%(name)s.log", stderr_logfile="b.log")
    written(tmp_path / "a" / "web.log", b"one\n")
    written(tmp_path / "b.log", b"two\n")
    assert (tmp_path / "b.log").stat().st_mode & 0o137 == 0


def test_merged_streams_are_standard_output(logs, tmp_path):
    load(logs, "sh -c 'echo one; echo two >&2'", redirect_output=["all", "all"], stdout_logfile="%(label)s.log")
    written(tmp_path / "all.log", b"one\ntwo\n")


def test_every_byte_value_arrives(logs, tmp_path):
    every = bytes(range(256)) * 40
    (tmp_path / "in").write_bytes(every)
    load(logs, "cat in", stdout_logfile="out")
    written(tmp_path / "out", every)


def test_a_file_for_each_process(logs, tmp_path):
    cmd = "sh -c 'echo $GAFFER_INDEX'"
    load(logs, cmd, name="shop.web", numprocesses=2, stdout_logfile="%(session)s-%(job)s-%(index)02d-%(pid)d.log")
    written(tmp_path / "shop-web-00-1.log", b"0\n")
    written(tmp_path / "shop-web-01-2.log", b"1\n")


def test_processes_that_share_a_file_keep_their_lines_whole(logs, tmp_path):
    program = "import os\nfor part in (b'on', b'e\\n') * 300: os.write(1, part)"
    (tmp_path / "talk.py").write_text(program)
    load(logs, f"{PYTHON} talk.py", numprocesses=4, stdout_logfile="all.log")
    ended(logs)
    wait_until(lambda: health(logs)["written"] == 4 * 300 * 4)
    assert set((tmp_path / "all.log").read_bytes().split(b"\n")) == {b"one", b""}


def test_the_first_process_of_several_keeps_its_lines_whole_before_there_are_others(logs, tmp_path):
    load(logs, "cat", numprocesses=2, stdout_logfile="all.log", start=False)
    plugin = LogfilesPlugin()
    first, second = (SpawnPlan([], {}, None, index, index + 1) for index in range(2))
    one = plugin.sink(logs.manager.job("web"), first, "stdout")
    one.write(b"o")
    wait_until(lambda: not plugin.gaffer_health()["waiting"])
    two = plugin.sink(logs.manager.job("web"), second, "stdout")
    two.write(b"two\n")
    one.write(b"ne\n")
    for sink in (one, two):
        sink.close()
    plugin.gaffer_manager_stopped()
    assert (tmp_path / "all.log").read_bytes() == b"two\none\n"


def test_a_replacement_goes_on_in_the_same_file(logs, tmp_path):
    load(logs, "sh -c 'echo one; printf two'", restart="always", min_uptime=0, stdout_logfile="web.log")
    wait_until(lambda: (tmp_path / "web.log").exists() and (tmp_path / "web.log").read_bytes().count(b"one") >= 3)
    logs.manager.stop_job("web")
    assert (tmp_path / "web.log").read_bytes().startswith(b"one\ntwo\none\ntwo\n")


def test_a_job_without_files_gets_no_pipes(logs):
    load(logs, "sleep 1000")
    wait_until(lambda: logs.manager.pids("web"))
    assert list(logs.manager.get_process(1).readers) == ["stderr"]
    assert "logfiles" not in logs.get("/health")["plugins"]


def test_times_of_lines(logs, tmp_path):
    load(logs, "printf 'one\\ntwo\\n'", stdout_logfile="t.log", logfile_timestamps=True)
    wait_until(lambda: (tmp_path / "t.log").exists() and (tmp_path / "t.log").read_bytes().endswith(b"two\n"))
    first, second = (tmp_path / "t.log").read_text().splitlines()
    assert first.endswith(" one") and second.endswith(" two")
    assert first.startswith(time.strftime("%Y-")) and len(first) == len("2026-11-22T06:05:51.123+00:00 one")


# -- settings -----------------------------------------------------------------------------------


def test_json_and_ini_take_the_same(logs, tmp_path):
    settings = {"stdout_logfile": "web.log", "logfile_maxbytes": "10MB", "logfile_backups": 3, "logfile_total": "20MB"}
    assert logs("POST", "/jobs/default", {"name": "web", "cmd": "sleep 9", "start": False, **settings}).status == 200
    shown = logs.get("/jobs/default/web")["config"]
    assert (shown["logfile_maxbytes"], shown["logfile_total"], shown["logfile_compress"]) == (10 << 20, 20 << 20, False)
    logs("POST", "/jobs/default", {"name": "bad", "cmd": "x", "stdout_logfile": "%(x)s"}).assert_problem(
        422, "invalid_config"
    )
    with pytest.raises(InvalidConfig, match="did you mean 'logfile_maxbytes'"):
        load(logs, "x", name="bad", logfile_maxbyte="1")


def test_a_new_size_needs_no_new_process(logs, tmp_path):
    load(logs, "sh -c 'while read line; do echo $line; done'", redirect_input=True, stdout_logfile="web.log")
    for word, size in (("one", "50MB"), ("two", 4), ("three", 4)):
        logs.manager.update({**logs.get("/jobs/default/web")["config"], "logfile_maxbytes": size})
        logs.manager.send(1, f"{word}\n")
        written(tmp_path / "web.log", f"{word}\n".encode())
    assert logs.manager.pids("web") == [1]
    assert [(tmp_path / f"web.log.{number}").read_bytes() for number in (1, 2)] == [b"two\n", b"one\n"]


def test_relative_names_begin_in_the_folder_of_the_option(start_api, tmp_path):
    plugin = LogfilesPlugin()
    manager = gaffer.Manager(plugins=[plugin])
    options = Options()
    plugin.gaffer_add_options(options)
    (tmp_path / "g.ini").write_text(f"[gaffer]\nlogfile_dir = {tmp_path}/var/log\nlogfile_waiting = 2MB\n")
    manager.settings = read_settings(str(tmp_path / "g.ini"), options, environ={})
    assert manager.settings.problems == []
    with manager:
        manager.load(
            gaffer.JobConfig.from_dict({"name": "web", "cmd": "echo x", "stdout_logfile": "w"}, manager.job_fields)
        )
        written(tmp_path / "var" / "log" / "w", b"x\n")
        assert plugin._files.limit == 2 << 20


# -- disks --------------------------------------------------------------------------------------


def test_a_full_disk_is_counted_and_tried_again_and_holds_no_job_up(logs, tmp_path, small_disk, caplog):
    size = 40_000_000
    load(
        logs,
        f"{PYTHON} -c '{FLOOD}' {size}",
        redirect_output=["out", "err"],
        redirect_input=True,
        stdout_logfile="disk/web.log",
    )
    # The process has written everything, though the disk took a fortieth.
    wait_until(lambda: said_done(logs))
    wait_until(lambda: health(logs)["lost"] > 0)
    report = health(logs)
    assert not report["ok"] and report["errors"] > 0 and report["waiting"] <= files.LIMIT
    assert report["reason"] == "log file web.log cannot be written: No space left on device"
    assert logs.get("/health")["ok"] is False
    on_disk = (small_disk / "web.log").stat().st_size
    assert on_disk <= 1 << 20
    # Now there is room.
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    wait_until(lambda: health(logs)["ok"] and not health(logs)["waiting"])
    logs.manager.send(1, "")
    logs.manager.get_process(1).stdin.finish()
    ended(logs)
    wait_until(lambda: health(logs)["files"] == 0)
    report = health(logs)
    assert size in holds(small_disk / "web.log", report["lost"])
    said = [record.getMessage() for record in caplog.records if record.name == "gaffer.logfiles"]
    assert [("No space left" in one, "can be written again" in one) for one in said] == [(True, False), (False, True)]


def test_a_folder_that_cannot_be_made_is_told_once(logs, tmp_path, caplog):
    (tmp_path / "file").touch()
    load(logs, "sh -c 'echo one; read x'", redirect_input=True, stdout_logfile="file/web.log")
    wait_until(lambda: not health(logs)["ok"])
    (tmp_path / "file").unlink()
    written(tmp_path / "file" / "web.log", b"one\n")
    wait_until(lambda: health(logs)["ok"])
    assert len([record for record in caplog.records if "cannot be written" in record.getMessage()]) == 1


def test_a_disk_that_is_slower_than_the_process_loses_nothing(logs, tmp_path, monkeypatch):
    really = os.writev

    def slow(fd, parts):
        time.sleep(0.01)
        return really(fd, parts)

    monkeypatch.setattr(file_module.os, "writev", slow)
    load(logs, f"{PYTHON} -c '{FLOOD}' 20000000", redirect_input=True, stdout_logfile="web.log")
    wait_until(lambda: (tmp_path / "web.log").exists() and (tmp_path / "web.log").stat().st_size == 20_000_000)
    assert health(logs)["lost"] == 0


def test_a_disk_that_hangs_holds_neither_gaffer_nor_the_process_up(logs, tmp_path, monkeypatch):
    really, go_on = os.writev, threading.Event()
    monkeypatch.setattr(file_module.os, "writev", lambda fd, parts: go_on.wait(60) and really(fd, parts))
    try:
        load(
            logs,
            f"{PYTHON} -c '{FLOOD}' 20000000",
            redirect_output=["out", "err"],
            redirect_input=True,
            stdout_logfile="w",
        )
        wait_until(lambda: said_done(logs))
        assert logs("GET", "/ping").text == "OK"
        assert health(logs)["lost"] > 10_000_000 and health(logs)["waiting"] <= files.LIMIT
    finally:
        go_on.set()
    wait_until(lambda: health(logs)["waiting"] == 0)
    logs.manager.stop_job("web")
    wait_until(lambda: health(logs)["files"] == 0)
    assert 20_000_000 in holds(tmp_path / "w", health(logs)["lost"])


def test_a_pipe_that_is_read_slowly_loses_nothing(logs, tmp_path):
    """As in a container, whose standard output is one."""
    os.mkfifo(tmp_path / "pipe")
    os.symlink("pipe", tmp_path / "link")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    load(logs, f"{PYTHON} -c '{FLOOD}' 3000000", redirect_input=True, stdout_logfile="link")
    got = 0
    deadline = time.monotonic() + 20
    while got < 3_000_000 and time.monotonic() < deadline:
        gevent.sleep(0.005)
        with contextlib.suppress(BlockingIOError):
            got += len(os.read(reader, 65536))
    assert (got, health(logs)["lost"], health(logs)["errors"]) == (3_000_000, 0, 0)
    os.close(reader)


def test_what_cannot_be_written_for_long_after_its_process_is_lost(logs, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(files, "GIVE_UP", 0.1)
    os.symlink("/dev/full", tmp_path / "web.log")
    load(logs, "echo 123456789", stdout_logfile="web.log")
    wait_until(lambda: "10 bytes for log file" in caplog.text)
    report = health(logs)
    assert (report["ok"], report["files"], report["lost"], report["waiting"]) == (True, 0, 10, 0)


def test_a_file_that_cannot_be_written_holds_up_no_stop(start_api, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    os.symlink("/dev/full", tmp_path / "web.log")
    api = start_api(LogfilesPlugin())
    load(api, "echo 123456789", stdout_logfile="web.log")
    wait_until(lambda: not health(api)["ok"])
    began = time.monotonic()
    api.manager.stop()
    assert time.monotonic() - began < files.DISK_TIMEOUT
    assert "10 bytes of output could not be written" in caplog.text


def test_many_files_share_what_may_wait(logs, tmp_path):
    os.symlink("/dev/full", tmp_path / "0")
    os.symlink("/dev/full", tmp_path / "1")
    load(logs, "cat /dev/zero", numprocesses=2, stdout_logfile="%(index)s")
    wait_until(lambda: health(logs)["lost"] > 50_000_000)
    logs.manager.stop_job("web")
    assert health(logs)["waiting"] <= 2 * files.LIMIT
    collection = next(
        plugin for plugin in logs.manager.plugins.pm.get_plugins() if isinstance(plugin, LogfilesPlugin)
    )._files
    assert collection.put - collection._done == sum(one.waiting for one in collection._open.values())
    os.unlink(tmp_path / "0")
    os.unlink(tmp_path / "1")
    wait_until(lambda: health(logs)["files"] == 0)
    assert collection.waiting == 0


def test_compression_and_the_rest_with_real_output(logs, tmp_path):
    load(logs, "seq 20000", stdout_logfile="s.log", logfile_maxbytes="32k", logfile_backups=20, logfile_compress=True)
    wait_until(lambda: len(list(tmp_path.glob("s.log.*.gz"))) == 3 and not list(tmp_path.glob("*-part")))
    old = [gzip.decompress((tmp_path / f"s.log.{number}.gz").read_bytes()) for number in (3, 2, 1)]
    assert b"".join([*old, (tmp_path / "s.log").read_bytes()]) == b"".join(b"%d\n" % n for n in range(1, 20001))


def test_files_are_opened_again_when_gaffer_is_told(logs, tmp_path):
    load(logs, "sh -c 'echo one; read x'", redirect_input=True, stdout_logfile="web.log")
    written(tmp_path / "web.log", b"one\n")
    os.rename(tmp_path / "web.log", tmp_path / "old")
    logs.manager.hooks.tell("gaffer_reopen_logs", manager=logs.manager)
    written(tmp_path / "web.log", b"")
    assert (tmp_path / "old").read_bytes() == b"one\n"


def test_everything_is_written_before_the_end(start_api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    api = start_api(LogfilesPlugin())
    load(api, f"{PYTHON} -c '{FLOOD}' 5000000", redirect_input=True, stdout_logfile="w", stderr_logfile="e")
    wait_until(lambda: (tmp_path / "e").exists())
    threads = len(os.listdir("/proc/self/task"))
    api.manager.stop()
    assert (tmp_path / "w").stat().st_size == 5_000_000
    wait_until(lambda: len(os.listdir("/proc/self/task")) < threads)
