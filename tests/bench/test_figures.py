"""The bench's arithmetic, and that its harness measures a real supervisor."""

import json
import shutil

import pytest

from bench import run
from bench.figures import Figure, figures, number, p99, verdicts
from bench.table import render

SIZES = {"crowd": 500, "many": 1000}


def kept(found, word):
    """The verdicts on the promises that speak of *word*."""
    return [verdict.kept for verdict in verdicts(found, SIZES) if word in verdict.promise]


def one(value):
    return Figure(value, value, value, value)


def test_figure_is_the_median_of_the_runs_medians():
    found = figures({"bare": [{"restart_1_ms": [1, 2, 90]}, {"restart_1_ms": [3]}, {"restart_1_ms": [7, 9]}]})
    assert found["bare"]["restart_1_ms"] == Figure(median=3, least=2, most=8, p99=90)


def test_a_run_without_a_metric_does_not_count_for_it():
    assert figures({"bare": [{}, {"stop_crowd_s": [2]}]}) == {"bare": {"stop_crowd_s": one(2)}}


def test_p99_of_few_samples_is_the_largest():
    assert p99([3, 1, 2]) == 3
    assert p99(range(1, 1001)) == 991


@pytest.mark.parametrize(("milliseconds", "expected"), [(2.5, [True]), (2.6, [False])])
def test_limit_is_the_most_that_is_kept(milliseconds, expected):
    assert kept({"gaffer": {"restart_1_ms": one(milliseconds)}}, "restart, 1 child") == expected


def test_pace_is_compared_with_the_bare_loop_and_every_peer():
    found = {"bare": {"start_crowd_s": one(0.5)}, "runit": {"start_crowd_s": one(0.9)}}
    assert kept(found | {"gaffer": {"start_crowd_s": one(0.8)}}, "starts a crowd") == [True, True]
    assert kept(found | {"gaffer": {"start_crowd_s": one(0.95)}}, "starts a crowd") == [False, False]


def test_return_of_a_crowd_is_compared_with_the_bare_loops_start():
    found = {"bare": {"start_crowd_s": one(0.2)}, "gaffer": {"mass_restart_s": one(0.5)}}
    assert kept(found, "brings a crowd back") == [True]
    assert kept(found | {"gaffer": {"mass_restart_s": one(0.51)}}, "brings a crowd back") == [False]


def test_table_shows_ratios_and_leaves_holes_open():
    found = {"bare": {}, "runit": {"stop_crowd_s": one(0.5)}, "gaffer": {"stop_crowd_s": one(0.2)}}
    line = render(found, SIZES).splitlines()[1]
    assert line.split() == ["graceful", "stop", "of", "500,", "s", "-", "0.50", "(2.50x)", "0.20"]


def test_numbers_keep_three_digits():
    assert [number(value) for value in (1031.4, 42.23, 3.456, 0.0123)] == ["1,031", "42.2", "3.46", "0.012"]


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_harness_measures_the_bare_loop(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "WORK", tmp_path)
    output = tmp_path / "figures.json"
    assert run.main(["--peers", "bare", "--scenarios", "first-child", "--runs", "1", "-o", str(output)]) == 0
    assert "exec to first child" in capsys.readouterr().out
    samples = json.loads(output.read_text())["samples"]["bare"][0]["first_child_s"]
    assert len(samples) == 5 and all(0 < seconds < 10 for seconds in samples)


def test_a_missing_supervisor_is_named_and_has_no_column(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "WORK", tmp_path)
    monkeypatch.setattr(run, "build_child", lambda work: tmp_path / "child")
    monkeypatch.setattr("bench.peers.runit.shutil.which", lambda program: None)
    assert run.main(["--peers", "runit", "--runs", "1"]) == 0
    said = capsys.readouterr().out
    assert "runit is missing: runsvdir, runsv, sv not found" in said
    assert "restart" not in said
