"""Output and input of real processes: always drained, never lost, never waited for."""

import os

import gevent
import pytest
from gevent.event import Event

import gaffer
from gaffer.errors import Conflict, Forbidden, InvalidConfig, NotFound, Unavailable

from ..kit.manager import alive, eventually, output, pass_deadlines, proc, run, said, settle
from ..kit.signal_masks import signals

MEGABYTE = 1_048_576
#: Writes ten megabytes as fast as it can, then a word on its other output.
FLOOD = "head -c 10485760 /dev/zero"


def load(manager, cmd, **settings):
    manager.load(gaffer.JobConfig("web", cmd, restart="never", **settings))


def process(manager, name="web"):
    return eventually(lambda: manager.list(name))[0]


def exited(watch, pid=1):
    return eventually(lambda: watch.statuses.get(pid), what="it never exited")


class Sinks:
    """A plugin that keeps every byte, by label."""

    def __init__(self):
        self.got, self.closed = {}, []

    def __getitem__(self, label):
        return b"".join(self.got.get(label, ()))

    @gaffer.hookimpl
    def gaffer_open_sinks(self, label):
        return Sink(self.got.setdefault(label, []), self.closed, label)


class Sink:
    def __init__(self, got, closed, label):
        self.write, self.closed, self.label = got.append, closed, label

    def close(self):
        self.closed.append(self.label)


# -- never blocking ----------------------------------------------------------------------
@pytest.mark.parametrize("labels", [["out"], ["out", "err"], ["both", "both"]])
def test_child_whose_output_is_not_read_never_blocks(manager, watch, labels):
    load(manager, f"sh -c '{FLOOD}; {FLOOD} >&2'", redirect_output=labels)
    assert exited(watch).code == 0
    ring = watch.processes[0].reader(labels[0]).ring
    assert ring.end == 10 * MEGABYTE * (2 if labels == ["both", "both"] else 1)
    assert len(ring.read()[1]) <= 2 * 65_536


def test_child_without_redirected_output_never_blocks(manager, watch):
    load(manager, f"sh -c '{FLOOD}; {FLOOD} >&2'")
    assert exited(watch).code == 0


def test_unlisted_output_goes_to_null(manager, watch):
    load(manager, "sleep 1000")
    found = process(manager)
    assert os.readlink(f"/proc/{found.os_pid}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{found.os_pid}/fd/1") == "/dev/null"


def test_flooding_child_does_not_delay_others(manager, watch):
    """One floods without end; meanwhile another is started, talks, and is stopped."""
    manager.load(gaffer.JobConfig("flood", "sh -c 'cat /dev/zero & cat /dev/zero >&2'", redirect_output=["out", "err"]))
    process(manager, "flood")
    for name in ("a", "b", "c"):
        manager.load(gaffer.JobConfig(name, "sh -c 'echo ready; sleep 1000'", redirect_output=["out"]))
        said(process(manager, name))
        manager.unload(name)
    eventually(lambda: watch.count("unloaded") == 3)


# -- labels ----------------------------------------------------------------------------------
def test_labels_only_name_the_streams_in_order(manager, watch):
    ran = run(manager, watch, "sh -c 'echo one; echo two >&2'", redirect_output=["out", "err"])
    assert (ran.out, ran.err) == (b"one\n", b"two\n")


def test_swapped_labels_are_names_only(manager, watch):
    load(manager, "sh -c 'echo one; echo two >&2'", redirect_output=["stderr", "stdout"])
    exited(watch)
    found = watch.processes[0]
    assert (output(found, "stderr"), output(found, "stdout")) == (b"one\n", b"two\n")


def test_same_label_twice_merges_in_order(manager, watch):
    lines = "; ".join(f"echo out {n}; echo err {n} >&2" for n in range(50))
    load(manager, f"sh -c '{lines}'", redirect_output=["both", "both"])
    exited(watch)
    expected = [f"{which} {n}" for n in range(50) for which in ("out", "err")]
    assert output(watch.processes[0], "both").decode().splitlines() == expected


def test_every_byte_arrives_exactly(make_manager, watch, tmp_path):
    sinks = Sinks()
    manager = make_manager(watch, sinks)
    every = bytes(range(256)) * 16
    (tmp_path / "bytes").write_bytes(every)
    load(manager, "sh -c 'cat bytes; cat bytes >&2'", cwd=str(tmp_path), redirect_output=["out", "err"])
    exited(watch)
    assert output(watch.processes[0], "out") == every == sinks["out"]
    assert output(watch.processes[0], "err") == every == sinks["err"]


def test_exit_is_published_after_the_last_byte(make_manager, watch):
    """However large the pipe is: the exit event comes after the last byte."""
    sinks, sizes = Sinks(), []

    class Late:
        @gaffer.hookimpl
        def gaffer_exited(self):
            sizes.append(len(sinks["out"]))

    manager = make_manager(watch, sinks, Late())
    load(manager, "sh -c 'head -c 600000 /dev/zero; echo end'", redirect_output=["out"])
    exited(watch)
    settle(manager)
    assert sizes == [600_004] and sinks["out"].endswith(b"\0end\n")


# -- sinks -------------------------------------------------------------------------------------
def test_sink_gets_everything_even_what_is_not_redirected(make_manager, watch):
    sinks = Sinks()
    manager = make_manager(watch, sinks)
    load(manager, "sh -c 'echo one; echo two >&2; head -c 3000000 /dev/zero'")
    exited(watch)
    assert sinks["stdout"] == b"one\n" + bytes(3_000_000) and sinks["stderr"] == b"two\n"
    eventually(lambda: sorted(sinks.closed) == ["stderr", "stdout"])


@pytest.mark.parametrize("error", [ValueError, SystemExit], ids=lambda error: error.__name__)
def test_failing_sink_is_dropped_alone(make_manager, watch, error):
    class Bad:
        closed = 0

        @gaffer.hookimpl
        def gaffer_open_sinks(self, label):
            return self if label == "out" else None

        def write(self, data):
            raise error("disk full")

        def close(self):
            self.closed += 1
            raise error("still full")

    bad, sinks = Bad(), Sinks()
    manager = make_manager(watch, bad, sinks)
    load(manager, "sh -c 'echo one; read a; echo two'", redirect_output=["out"], redirect_input=True)
    said(process(manager), b"one\n")
    manager.send(1, "go\n")
    assert exited(watch).code == 0
    assert sinks["out"] == b"one\ntwo\n" and bad.closed == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit], ids=lambda error: error.__name__)
def test_sink_that_cannot_be_opened_affects_no_other(make_manager, watch, error):
    class Bad:
        @gaffer.hookimpl
        def gaffer_open_sinks(self):
            raise error("no such disk")

    sinks = Sinks()
    manager = make_manager(watch, Bad(), sinks)
    load(manager, "echo one", redirect_output=["out"])
    assert exited(watch).code == 0 and sinks["out"] == b"one\n"


class Slow:
    """A sink that says that it is full."""

    full, size = True, 0

    @gaffer.hookimpl
    def gaffer_open_sinks(self, label):
        return self if label == "out" else None

    def write(self, data):
        self.size += len(data)

    def close(self):
        pass


def test_stream_with_a_full_sink_is_read_later(make_manager, watch):
    slow = Slow()
    manager = make_manager(watch, slow)
    load(manager, f"sh -c '{FLOOD}; echo done >&2'", redirect_output=["out", "err"])
    eventually(lambda: slow.size)
    assert slow.size <= 65_536 and not watch.statuses
    slow.full = False
    assert exited(watch).code == 0 and slow.size == 10 * MEGABYTE


def test_sink_that_stays_full_pauses_for_a_bounded_time(make_manager, watch, monkeypatch):
    monkeypatch.setattr("gaffer.process.streams.MAX_FULL_SINK_PAUSE", 0.001)
    slow = Slow()
    manager = make_manager(watch, slow)
    load(manager, f"sh -c '{FLOOD}'", redirect_output=["out"])
    assert exited(watch).code == 0 and slow.size == 10 * MEGABYTE


def test_sink_whose_full_property_fails_is_not_full(make_manager, watch):
    class Odd(Slow):
        @property
        def full(self):
            raise ValueError("odd")

    odd = Odd()
    manager = make_manager(watch, odd)
    load(manager, f"sh -c '{FLOOD}'", redirect_output=["out"])
    assert exited(watch).code == 0 and odd.size == 10 * MEGABYTE


def test_sinks_of_a_cancelled_start_are_closed(make_manager, watch):
    sinks, asked, go_on = Sinks(), Event(), Event()

    class Slow:
        @gaffer.hookimpl
        def gaffer_open_sinks(self):
            asked.set()
            go_on.wait()

    manager = make_manager(watch, Slow(), sinks)
    load(manager, "sleep 1000", redirect_output=["out"])
    asked.wait()
    manager.stop_job("web")
    go_on.set()
    eventually(lambda: sorted(sinks.closed) == ["out", "stderr"])
    assert watch.count("spawned") == 0


def test_sinks_of_a_start_that_failed_are_closed(make_manager, watch):
    sinks = Sinks()
    manager = make_manager(watch, sinks)
    load(manager, "/nowhere/at/all", redirect_output=["out"])
    eventually(lambda: sorted(sinks.closed) == ["out", "stderr"])


class Flushing(Sinks):
    """A plugin whose sinks take their time to close, or fail to attach or to close."""

    def __init__(self, attach=None, close=None):
        super().__init__()
        self.attach, self.close = attach, close

    @gaffer.hookimpl
    def gaffer_open_sinks(self, label):
        if label != "out":
            return None
        sink = Sink(self.got.setdefault(label, []), self.closed, label)
        closed = sink.close
        if self.attach:
            sink.attach = self.attach
        if self.close:
            sink.close = lambda: (self.close(), closed())
        return sink


def test_sink_that_flushes_for_long_at_the_end_holds_up_only_itself(make_manager, watch):
    go_on = Event()
    flushing = Flushing(close=go_on.wait)
    manager = make_manager(watch, flushing)
    manager.load(gaffer.JobConfig("web", "echo one", redirect_output=["out"], restart="never"))
    assert exited(watch).code == 0
    manager.load(gaffer.JobConfig("next", "echo two", redirect_output=["out"], restart="never"))
    assert exited(watch, 2).code == 0
    assert flushing["out"] == b"one\ntwo\n" and flushing.closed == []
    go_on.set()
    eventually(lambda: flushing.closed == ["out", "out"])


def test_manager_waits_for_sinks_that_are_closing_before_it_has_stopped(make_manager, watch):
    flushing = Flushing(close=lambda: gevent.sleep(0.1))
    closed = []

    class Last:
        @gaffer.hookimpl
        def gaffer_manager_stopped(self):
            closed.extend(flushing.closed)

    manager = make_manager(watch, flushing, Last())
    load(manager, "sleep 1000", redirect_output=["out"])
    process(manager)
    manager.stop()
    eventually(lambda: manager.state == "stopped")
    assert closed == ["out"]


def test_sink_that_cannot_be_attached_costs_the_sink_and_not_the_process(make_manager, watch):
    def attach(reader):
        raise ValueError("no")

    flushing, sinks = Flushing(attach=attach), Sinks()
    manager = make_manager(watch, flushing, sinks)
    load(manager, "sh -c 'echo one; exec sleep 1000'", redirect_output=["out"])
    eventually(lambda: sinks["out"] == b"one\n")
    assert watch.count("spawned") == 1 and watch.count("spawn_failed") == 0
    assert flushing["out"] == b"" and flushing.closed == ["out"]
    assert [found.pid for found in manager.list("web")] == [1]


# -- grandchildren that hold the pipe ------------------------------------------------------------
def test_grandchild_that_holds_the_pipe_does_not_delay_the_exit(manager, watch):
    load(
        manager,
        "sh -c 'setsid sh -c \"echo held; exec sleep 1000\" & sleep 0.1; echo bye; exit 3'",
        redirect_output=["out", "err"],
    )
    assert exited(watch).code == 3
    assert sorted(output(watch.processes[0]).split()) == [b"bye", b"held"]


def test_grandchild_that_floods_the_pipe_does_not_delay_the_exit(manager, watch):
    load(
        manager,
        "sh -c 'setsid cat /dev/zero & setsid cat /dev/zero >&2 & sleep 0.1; exit 3'",
        redirect_output=["out", "err"],
    )
    assert exited(watch).code == 3


# -- stdin ------------------------------------------------------------------------------------------
def test_stdin_can_be_written(manager, watch):
    load(manager, "cat", redirect_output=["out"], redirect_input=True)
    found = process(manager)
    manager.send(found.pid, "text é\n")
    manager.send(found.pid, b"\x00\xff\n")
    manager.send(found.pid, ["a\n", b"b\n"])
    expected = "text é\n".encode() + b"\x00\xff\na\nb\n"
    eventually(lambda: output(found) == expected, what=f"{output(found)}")


def test_stdin_without_redirect_input_is_empty_and_cannot_be_written(manager, watch):
    load(manager, "sh -c 'cat; echo end; exec sleep 1000'", redirect_output=["out"])
    found = process(manager)
    eventually(lambda: output(found) == b"end\n")
    with pytest.raises(Forbidden, match="redirect_input"):
        manager.send(found.pid, "x")
    with pytest.raises(Forbidden):
        manager.send(found.pid, "x", "out")
    with pytest.raises(NotFound):
        manager.send(found.pid, "x", "nothing")
    with pytest.raises(NotFound):
        manager.send(999, "x")


def test_much_written_to_a_slow_reader_arrives_whole(manager, watch):
    load(manager, "sh -c 'sleep 0.2; exec md5sum'", redirect_output=["out"], redirect_input=True)
    found = process(manager)
    for _ in range(10):
        manager.send(found.pid, bytes(100_000))
    found.stdin.finish()
    exited(watch)
    assert output(found).startswith(b"bd25e5bd0d9e0ea5c4b5a4e3") or len(output(found).split()[0]) == 32


def test_input_of_a_process_that_does_not_read_is_bounded(manager, watch):
    load(manager, "sleep 1000", redirect_input=True)
    found = process(manager)
    with pytest.raises(Unavailable, match="full"):
        for _ in range(100):
            manager.send(found.pid, bytes(100_000))
    manager.stop_job("web")
    exited(watch)


def test_writing_to_a_process_that_closed_its_stdin_is_an_error(manager, watch):
    load(manager, "sh -c 'exec <&-; echo ready; exec sleep 1000'", redirect_output=["out"], redirect_input=True)
    found = process(manager)
    said(found)
    with pytest.raises(Conflict, match="closed"):
        for _ in range(2):
            manager.send(found.pid, "x")
    assert alive(found.os_pid)


# -- the tail of stderr -----------------------------------------------------------------------------
@pytest.mark.parametrize("labels", [[], ["out"], ["out", "err"], ["both", "both"], ["stderr"]])
def test_last_lines_of_a_failure_are_shown(manager, watch, labels):
    load(manager, "sh -c 'for i in $(seq 50); do echo line $i >&2; done; exit 3'", redirect_output=labels)
    exited(watch)
    eventually(lambda: manager.info("web")["state"] == "stopped")
    assert manager.info("web")["stderr"] == [f"line {n}" for n in range(31, 51)]


def test_stderr_tail_of_bytes_that_are_no_text(manager, watch, tmp_path):
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 100 + b"\nlast \xff\n")
    load(manager, "sh -c 'cat bytes >&2; exit 3'", cwd=str(tmp_path))
    exited(watch)
    eventually(lambda: manager.info("web")["state"] == "stopped")
    tail = manager.info("web")["stderr"]
    assert tail[-1] == "last \ufffd" and len(tail) <= 20


def test_success_has_no_stderr_tail(manager, watch):
    load(manager, "sh -c 'echo fine >&2'")
    exited(watch)
    settle(manager)
    assert manager.info("web")["stderr"] == []


def test_stop_has_no_stderr_tail(manager, watch):
    load(manager, "sh -c 'echo fine >&2; exec sleep 1000'")
    process(manager)
    manager.stop_job("web")
    exited(watch)
    assert manager.info("web")["stderr"] == []


def test_stderr_tail_is_that_of_the_latest_failure(manager, watch, tmp_path):
    (tmp_path / "script").write_text(
        "echo >> starts; n=$(wc -l < starts); [ $n -gt 2 ] && sleep 1000; echo fail $n >&2; exit 1"
    )
    manager.load(gaffer.JobConfig("web", "sh script", cwd=str(tmp_path), min_uptime=0.0))
    eventually(lambda: watch.count("spawned") == 3)
    assert manager.info("web")["stderr"] == ["fail 2"]


# -- custom streams -----------------------------------------------------------------------------------
TALK = "sh -c 'while read line <&3; do echo got $line >&3; echo other $line >&4; done'"


def heard(found, label, what):
    eventually(lambda: what in output(found, label), what=f"{label}: {output(found, label)}")


def test_custom_streams_go_both_ways(manager, watch):
    load(manager, TALK, custom_streams=["control", "data"])
    found = process(manager)
    manager.send(found.pid, "one\n", "control")
    heard(found, "control", b"got one\n")
    heard(found, "data", b"other one\n")
    manager.send(found.pid, b"two\n", "control")
    heard(found, "control", b"got two\n")
    assert found.info["custom_streams"] == ["control", "data"]


def test_custom_streams_beside_all_others(manager, watch, tmp_path):
    cmd = "sh -c 'read a; read b <&3; pwd; echo $a $b; echo err >&2; echo x >&4; umask; exec sleep 1000'"
    load(
        manager,
        cmd,
        custom_streams=["three", "four"],
        redirect_output=["out", "err"],
        redirect_input=True,
        cwd=str(tmp_path),
        umask="027",
    )
    found = process(manager)
    manager.send(found.pid, "in\n")
    manager.send(found.pid, "three\n", "three")
    expected = f"{tmp_path}\nin three\n0027\n".encode()
    eventually(lambda: output(found) == expected, what=f"{output(found)} {output(found, 'err')}")
    heard(found, "err", b"err\n")
    heard(found, "four", b"x\n")


def test_custom_stream_that_is_not_read_never_blocks(manager, watch):
    load(manager, f"sh -c '{FLOOD} >&3; {FLOOD} >&4'", custom_streams=["a", "b"])
    assert exited(watch).code == 0
    assert watch.processes[0].reader("b").ring.end == 10 * MEGABYTE


def test_descriptors_with_large_numbers(manager, watch):
    """More than select(2) could watch."""
    fillers = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        load(manager, TALK, custom_streams=["control", "data"], redirect_output=["out", "err"], redirect_input=True)
        found = process(manager)
        manager.send(found.pid, "one\n", "control")
        heard(found, "data", b"other one\n")
        manager.stop_job("web")
        exited(watch)
    finally:
        for fd in fillers:
            os.close(fd)


def test_many_custom_streams(manager, watch):
    """More than shells can name: descriptors above 9."""
    labels = [f"s{n}" for n in range(3, 20)]
    load(manager, "bash -c 'for i in {3..19}; do echo $i >&$i; done; exec sleep 1000'", custom_streams=labels)
    found = process(manager)
    for number in range(3, 20):
        heard(found, f"s{number}", f"{number}\n".encode())


def test_child_with_custom_streams_has_exactly_its_environment(manager, watch):
    """Whatever renumbers the descriptors leaves no trace."""
    settings = {"os_env": False, "env": {"PATH": os.environ["PATH"], "ONLY": "this"}}
    plain = run(manager, watch, "env", **settings)
    custom = run(manager, watch, "env", custom_streams=["a"], **settings)
    strip = lambda ran: sorted(line for line in ran.lines if not line.startswith("GAFFER_ID"))  # noqa: E731
    assert (
        strip(custom)
        == strip(plain)
        == sorted(["GAFFER_INDEX=0", "GAFFER_JOB=once", "PS=once.1", "ONLY=this", f"PATH={os.environ['PATH']}"])
    )


def test_child_with_custom_streams_ignores_no_signal(manager, watch):
    load(manager, "sleep 1000", custom_streams=["a"])
    found = process(manager)
    eventually(lambda: proc(found, "cmdline") == b"sleep\x001000\x00")
    fields = dict(line.split(":\t") for line in proc(found, "status").decode().splitlines() if ":\t" in line)
    assert signals(fields["SigIgn"]) == signals(fields["SigBlk"]) == set()


def test_missing_command_with_custom_streams_is_an_error(manager, watch):
    load(manager, "/nowhere/at/all", custom_streams=["a"])
    eventually(lambda: watch.count("spawn_failed"))
    assert "/nowhere/at/all" in watch.details("spawn_failed")[0]


def test_custom_stream_closes_with_its_process(manager, watch):
    load(manager, "sh -c 'echo bye >&3; exit 0'", custom_streams=["a"])
    exited(watch)
    found = watch.processes[0]
    assert output(found, "a") == b"bye\n"
    with pytest.raises(NotFound):
        manager.send(found.pid, "x", "a")


def test_custom_channels_are_inherited(manager, watch, tmp_path):
    ours, theirs = os.pipe()
    with open(tmp_path / "file", "wb") as file:
        load(
            manager,
            "sh -c 'echo three >&3; echo four >&4; echo five >&5'",
            custom_streams=["s"],
            custom_channels=[theirs, file],
        )
        assert exited(watch).code == 0
    try:
        assert output(watch.processes[0], "s") == b"three\n"
        assert os.read(ours, 100) == b"four\n"
        assert (tmp_path / "file").read_bytes() == b"five\n"
    finally:
        os.close(ours)
        os.close(theirs)


def test_same_custom_channel_twice(manager, watch):
    ours, theirs = os.pipe()
    try:
        load(manager, "sh -c 'echo three >&3; echo four >&4'", custom_channels=[theirs, theirs])
        assert exited(watch).code == 0, manager.info("web")["stderr"]
        assert os.read(ours, 100) == b"three\nfour\n"
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    "settings",
    [
        {"redirect_output": ["a"], "custom_streams": ["b", "a"]},
        {"redirect_output": ["out"], "custom_streams": ["stderr"]},
        {"custom_streams": ["stdout"]},
    ],
)
def test_one_label_cannot_name_two_streams(manager, settings):
    with pytest.raises(InvalidConfig, match="label"):
        load(manager, "sleep 1000", **settings)


@pytest.mark.parametrize("channel", [999, "closed"])
def test_closed_custom_channel_is_an_error(manager, watch, tmp_path, channel):
    if channel == "closed":
        with open(tmp_path / "file", "wb") as channel:
            pass
    load(manager, "sleep 1000", custom_channels=[channel], redirect_output=["out"])
    eventually(lambda: watch.count("spawn_failed"))
    assert manager.info("web")["state"] == "failed" and manager.info("web")["reason"]
    pass_deadlines(manager)
