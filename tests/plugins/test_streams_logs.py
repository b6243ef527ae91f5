"""Stored output of a job: lines of all its processes in order, those that follow, and what cannot be wanted."""

from __future__ import annotations

import json
import math
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gaffer
from gaffer.api import OptionalText
from gaffer.errors import BadRequest
from gaffer_plugins.streams import StreamsPlugin
from gaffer_plugins.streams.logs import MAX_LINE_BYTES, Line, LineSplitter, as_json, as_text, read_since
from tests.kit.feed_client import Reader
from tests.kit.web import wait_until

LOGS = "/jobs/default/web/logs"


@pytest.fixture
def live(start_api):
    return start_api(StreamsPlugin())


def load(live, cmd, name="web", **settings):
    settings = {"restart": "never", "redirect_output": ["out", "err"], "redirect_input": True, **settings}
    live.manager.load(gaffer.JobConfig(name, cmd, **settings))
    wait_until(lambda: live.manager.list(name) or live.manager.info(name)["state"] in ("stopped", "failed"))


def said(live, size, label="out", name="web"):
    """Wait until every process of the job has said *size* bytes."""
    wait_until(lambda: all(process.reader(label).ring.end >= size for process in live.manager.list(name)))


def ended(live, name="web"):
    wait_until(lambda: not live.manager.list(name))


# -- what is stored -------------------------------------------------------------------------------


def test_stored_lines(live):
    load(live, "sh -c 'seq 5; echo no end | tr -d \"\\n\"; exec cat'")
    said(live, 16)
    assert live("GET", LOGS).text == "1\n2\n3\n4\n5\nno end\n"
    assert live("GET", f"{LOGS}?n=2").text == "5\nno end\n"
    assert live("GET", f"{LOGS}?n=0").text == ""


class FileSink:
    """Stands for the plugin that writes log files: declares the settings, and takes what a job names."""

    @gaffer.hookimpl
    def gaffer_job_settings(self, fields):
        for label in ("stdout", "stderr"):
            fields.add(f"{label}_logfile", OptionalText(), None, "a file")

    @gaffer.hookimpl
    def gaffer_open_sinks(self, job, label):
        return self if getattr(job.config, f"{label}_logfile", None) else None

    def write(self, data):
        pass

    def close(self):
        pass


@pytest.mark.parametrize("redirected, labels", [([], ["stdout", "stderr"]), (["out"], ["out", "stderr"])])
def test_output_that_goes_to_a_log_file_is_stored_as_redirected_output_is(live, redirected, labels):
    live.manager.plugins.add(FileSink(), name="files")
    files = {"stdout_logfile": "a", "stderr_logfile": "b"}
    load(live, "sh -c 'seq 10000; echo no >&2; exec cat'", redirect_output=redirected, **files)
    said(live, 48_894, labels[0])
    said(live, 3, "stderr")
    assert len(live("GET", f"{LOGS}?label={labels[0]}&n=10000").text) == 48_894
    assert live("GET", f"{LOGS}?label=stderr").text == live("GET", "/1/logs?label=stderr").text == "no\n"


def test_lines_of_several_processes_are_in_the_order_of_their_times(live):
    load(live, "sh -c 'while read a; do echo $GAFFER_INDEX $a; done'", numprocesses=3)
    wait_until(lambda: len(live.manager.pids("web")) == 3)
    for number in range(4):
        for process in live.manager.list("web"):
            end = process.reader("out").ring.end
            live.manager.send(process.pid, f"{number}\n")
            wait_until(lambda process=process, end=end: process.reader("out").ring.end == end + 4)
    found = [json.loads(line) for line in live("GET", f"{LOGS}?format=json").body.splitlines()]
    assert sorted(line["time"] for line in found) == [line["time"] for line in found]
    by_pid = {}
    for line in found:
        by_pid.setdefault(line["pid"], []).append(line["line"].split()[1])
        assert line["label"] == "out" and set(line) == {"pid", "label", "time", "line"}
    assert by_pid == {pid: ["0", "1", "2", "3"] for pid in (1, 2, 3)}


def test_processes_that_ended_are_remembered(live):
    load(live, "sh -c 'echo out $GAFFER_ID; echo err >&2; exec cat'")
    said(live, 1, "err")
    live.manager.restart_job("web")
    wait_until(lambda: live.manager.pids("web") == [2])
    said(live, 1, "err")
    found = [json.loads(line) for line in live("GET", f"{LOGS}?format=json").body.splitlines()]
    assert sorted((line["pid"], line["label"]) for line in found) == [(1, "err"), (1, "out"), (2, "err"), (2, "out")]
    assert found[0]["pid"] == 1 and found[-1]["pid"] == 2


def test_logs_select_one_process_or_stream(live):
    load(live, "sh -c 'echo out; echo err >&2; exec cat'", restart="always")
    said(live, 1, "err")
    said(live, 1)
    live.manager.get_process(1).stdin.finish()
    wait_until(lambda: live.manager.pids("web") == [2])
    said(live, 1)
    assert live("GET", f"{LOGS}?label=out").text == "out\nout\n"
    assert live("GET", f"{LOGS}?label=out&n=1").text == "out\n"
    assert sorted(live("GET", "/1/logs").text.split()) == ["err", "out"]  # though it has ended
    assert live("GET", "/2/logs?label=out").text == "out\n"
    with Reader(live.address, "/1/logs?follow=true&label=err") as reader:
        assert reader.until(b"err\n") == b"err\n" and reader.chunk() == b""
    with Reader(live.address, "/2/logs?follow=true&n=0") as reader:
        wait_until(lambda: live.manager.events._followers)
        live.manager.send(2, "more\n")
        assert reader.until(b"more\n") == b"more\n"


def test_the_rest_of_a_line_is_as_old_as_its_beginning(live):
    load(live, "sh -c 'printf old; exec cat'")
    said(live, 3)
    live.manager.get_process(1).stdin.finish()
    ended(live)
    assert live("GET", LOGS).text == "old\n"
    assert live("GET", f"{LOGS}?since=4102444800").text == ""


def test_bytes_stay_bytes_in_text_and_become_characters_in_json(live):
    load(live, "printf 'n\\303\\244 \\377\\n'")
    ended(live)
    assert live("GET", LOGS).body == b"n\xc3\xa4 \xff\n"
    assert json.loads(live("GET", f"{LOGS}?format=json").body)["line"] == "nä \ufffd"


def test_lines_since_then(live):
    load(live, "sh -c 'echo old; read a; echo new; exec cat'")
    said(live, 4)
    moment = live.manager.list("web")[0].reader("out").ring.chunks[0].time + 0.0001
    live.manager.send(1, "go\n")
    said(live, 8)
    assert live("GET", f"{LOGS}?since={moment}").text in ("new\n", "")  # both may have come in one moment
    assert live("GET", f"{LOGS}?since=1h").text == "old\nnew\n"
    assert live("GET", f"{LOGS}?since=2001-01-01T00:00:00Z").text == "old\nnew\n"
    assert live("GET", f"{LOGS}?since=4102444800").text == ""


def test_a_thousand_lines_unless_it_is_said(live):
    load(live, "seq 2000")
    ended(live)
    assert live("GET", LOGS).text.split() == [str(number) for number in range(1001, 2001)]
    assert len(live("GET", f"{LOGS}?n=99999999").text.split()) == 2000


# -- what follows -----------------------------------------------------------------------------------


def test_following_goes_on_over_restarts_and_new_copies(live):
    load(live, "sh -c 'echo start $GAFFER_INDEX; while read a; do echo $a; done'")
    said(live, 8)
    with Reader(live.address, f"{LOGS}?follow=true") as reader:
        assert reader.until(b"start 0\n") == b"start 0\n"
        live.manager.send(1, "hello\n")
        reader.until(b"hello\n")
        live.manager.restart_job("web")
        reader.until(b"hello\nstart 0\n")
        live.manager.scale("web", 1)
        reader.until(b"start 0\nstart 1\n")
        live.manager.stop_job("web")
        ended(live)
        live.manager.start_job("web")
        wait_until(lambda: reader.chunk() and reader.body.count(b"start 1\n") == 2 or reader.body.count(b"start") == 5)
        live.manager.unload("web")
        reader.rest()
        assert reader.complete and reader.body.count(b"start") == 5
    assert not live.manager.events._followers


def test_following_begins_with_the_last_lines_and_finishes_the_one_that_was_begun(live):
    load(live, "sh -c 'seq 5; cat'")
    said(live, 10)
    live.manager.send(1, "half a ")
    said(live, 17)
    with Reader(live.address, f"{LOGS}?follow=true&n=2&format=json") as reader:
        reader.chunk()
        live.manager.send(1, "line\n")
        while reader.body.count(b"\n") < 2:
            reader.chunk()
        assert [json.loads(line)["line"] for line in reader.body.splitlines()] == ["5", "half a line"]


def test_lines_without_end_of_processes_that_ended_are_stored_ones_for_who_follows_too(live):
    load(live, "sh -c 'echo begin; printf end'")
    for runs in (1, 2):
        wait_until(lambda runs=runs: live("GET", LOGS).text == "begin\nend\n" * runs)
        ended(live)
        live.manager.start_job("web")
    wait_until(lambda: live("GET", LOGS).text == "begin\nend\n" * 3)
    ended(live)
    later = f"since={time.time() + 600}"
    for query, lines in (("n=9", b"begin\nend\n" * 3), ("n=3", b"end\nbegin\nend\n"), ("n=0", b""), (later, b"")):
        with Reader(live.address, f"{LOGS}?follow=true&heartbeat=0.2&{query}") as reader:
            # An empty line is a sign of life: nothing more was stored.
            assert reader.until(b"\n\n" if lines else b"\n") == lines + b"\n"


def test_gap_of_a_slow_reader_is_a_line(live):
    live.manager.rings.most = 100_000
    load(live, f"sh -c 'read a; yes {'x' * 99} | head -c 30000000; exec cat'")
    with Reader(live.address, f"{LOGS}?follow=true") as reader:
        ring = live.manager.list("web")[0].reader("out").ring
        wait_until(lambda: ring.readers)
        live.manager.send(1, "go\n")
        wait_until(lambda: ring.end == 30_000_000)
        live.manager.unload("web")
        reader.rest()
        found = reader.body.splitlines()
        gaps = [line for line in found if line.startswith(b"gaffer: ")]
        lost = sum(int(line.split()[1]) for line in gaps)
        assert gaps[0].endswith(b" bytes of out of process 1 are missing here")
        # Beside a gap there may be half a line, whose newline is missing or among the lost bytes.
        got = sum(len(line) + 1 for line in found) - sum(len(gap) + 1 for gap in gaps)
        assert 0 <= lost + got - 30_000_000 <= len(gaps)


def test_the_heart_beats(live):
    load(live, "cat")
    with Reader(live.address, f"{LOGS}?follow=true&heartbeat=0.1") as reader:
        assert reader.chunk() == b"\n"


def test_following_a_job_that_is_down(live):
    live.manager.load(gaffer.JobConfig("web", "echo up", redirect_output=["out"], start=False, restart="never"))
    with Reader(live.address, f"{LOGS}?follow=true") as reader:
        wait_until(lambda: live.manager.events._followers)
        live.manager.start_job("web")
        assert reader.until(b"up\n") == b"up\n"


# -- wrong wishes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/jobs/default/nothing/logs", 404, "not_found"),
        ("/jobs/no+session/web/logs", 404, "not_found"),
        ("/jobs/default/mute/logs", 400, "io_not_redirected"),
        (f"{LOGS}?label=nope", 404, "not_found"),
        ("/1/logs?label=nope", 404, "not_found"),
        ("/99/logs", 404, "not_found"),
        ("/2/logs", 400, "io_not_redirected"),
        (f"{LOGS}?n=x", 400, "bad_request"),
        (f"{LOGS}?n=-1", 400, "bad_request"),
        (f"{LOGS}?since=yesterday", 400, "bad_request"),
        (f"{LOGS}?follow=maybe", 400, "bad_request"),
        (f"{LOGS}?format=xml", 400, "bad_request"),
        (f"{LOGS}?follow=true&heartbeat=x", 400, "bad_request"),
    ],
)
def test_what_cannot_be(live, path, status, code):
    load(live, "cat")
    load(live, "sleep 1000", "mute", redirect_output=[])
    live("GET", path).assert_problem(status, code)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, -math.inf),
        ("0", 0.0),
        ("1700000000.5", 1_700_000_000.5),
        ("30s", 999_970.0),
        ("1.5m", 999_910.0),
        ("2h", 992_800.0),
        ("1d", 913_600.0),
        ("2026-11-22T10:00:00Z", datetime.fromisoformat("2026-11-22T10:00:00+00:00").timestamp()),
        ("2026-11-22T10:00:00 02:00", datetime.fromisoformat("2026-11-22T08:00:00+00:00").timestamp()),
        ("2026-11-22 10:00", datetime(2026, 11, 22, 10).timestamp()),
        ("2026-11-22", datetime(2026, 11, 22).timestamp()),
    ],
)
def test_times(text, seconds):
    assert read_since(text, 1_000_000.0) == seconds


@pytest.mark.parametrize("text", ["nan", "inf", "1w", "-1h", "10 m", "²s", "soon", "2026-13-01", "1e999", "x" * 999])
def test_invalid_since_gets_400(text):
    with pytest.raises(BadRequest, match="since must be"):
        read_since(text, 0.0)


# -- lines ------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n\n", b"\r\n", b"\xff"]), max_size=20))
def test_lines_are_those_of_split(parts):
    lines, found = LineSplitter(7, "out"), []
    for number, part in enumerate(parts):
        found += lines.feed(part, float(number))
    found += lines.end()
    expected = b"".join(parts).split(b"\n")
    assert [line.data for line in found] == (expected if expected[-1] else expected[:-1])
    assert [line.time for line in found] == sorted(line.time for line in found)


def test_a_line_has_the_time_of_its_first_byte():
    lines = LineSplitter(7, "out")
    assert list(lines.feed(b"one\ntw", 1.0)) == [Line(1.0, 7, "out", b"one")]
    assert list(lines.feed(b"o\nthree\n", 2.0)) == [Line(1.0, 7, "out", b"two"), Line(2.0, 7, "out", b"three")]


def test_a_line_without_end_comes_in_pieces():
    lines = LineSplitter(7, "out")
    found = list(lines.feed(b"x" * (2 * MAX_LINE_BYTES + 1), 1.0))
    assert [len(line.data) for line in found] == [MAX_LINE_BYTES, MAX_LINE_BYTES] and len(
        list(lines.end())[0].data
    ) == 1


def test_a_gap_comes_after_what_was_begun():
    lines = LineSplitter(7, "out")
    list(lines.feed(b"half", 1.0))
    half, gap = lines.gap(5, 2.0)
    assert half.data == b"half"
    assert as_text(gap) == b"gaffer: 5 bytes of out of process 7 are missing here"
    assert json.loads(as_json(gap)) == {"pid": 7, "label": "out", "time": 2.0, "lost": 5}
