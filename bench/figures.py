"""From samples to figures: medians over the runs, ratios, and whether gaffer keeps what it promises."""

from __future__ import annotations

import statistics
from typing import Iterable, Mapping, NamedTuple

#: The samples of one life of a supervisor, by metric.
Samples = Mapping[str, list[float]]


class Metric(NamedTuple):
    """A row of the table. Less is better in all of them."""

    title: str
    #: The most that gaffer may need; None where only the comparison counts.
    limit: float | None = None
    #: Whether the 99th percentile is shown beside the median.
    spread: bool = False


METRICS = {
    "first_child_s": Metric("exec to first child, s", 0.35),
    "restart_1_ms": Metric("restart, 1 child, ms", 2.5, spread=True),
    "restart_crowd_ms": Metric("restart, 1 of {crowd}, ms", 2.5, spread=True),
    "start_crowd_s": Metric("start {crowd}, s"),
    "mass_restart_s": Metric("{crowd} killed at once, all back, s"),
    "stop_crowd_s": Metric("graceful stop of {crowd}, s", 0.25),
    "running_many_s": Metric("exec to {many} children, s"),
    "stop_many_s": Metric("graceful stop of {many}, s"),
    "pss_copies_mb": Metric("PSS, {many} of one job, MB", 46),
    "pss_jobs_mb": Metric("PSS, {many} jobs, MB", 56),
    "idle_cpu_ms": Metric("idle, {many} children, CPU ms per 30 s", 3),
    "ping_start_ms": Metric("slowest /ping, {crowd} start, ms", 100),
    "ping_mass_restart_ms": Metric("slowest /ping, {crowd} killed, ms", 100),
    "ping_scale_ms": Metric("slowest /ping, {crowd} to {many}, ms", 100),
    "ping_stop_ms": Metric("slowest /ping, {many} stop, ms", 100),
}

#: How much of the bare loop's pace gaffer keeps when it starts a crowd.
START_SHARE = 0.55
#: How many times the bare loop's start of a crowd gaffer needs to bring a killed crowd back.
RETURN_FACTOR = 2.5


class Figure(NamedTuple):
    """What is left of a metric's samples: medians of each run, and of these the median and the extremes."""

    median: float
    least: float
    most: float
    p99: float


#: {peer: {metric: Figure}}
Figures = Mapping[str, Mapping[str, Figure]]


class Verdict(NamedTuple):
    promise: str
    kept: bool


def p99(samples: Iterable[float]) -> float:
    """Return the 99th percentile; of fewer than a hundred samples that is the largest."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def figure(runs: list[list[float]]) -> Figure:
    """Return the figure of one metric from its samples, one list for each run."""
    medians = [statistics.median(run) for run in runs]
    return Figure(statistics.median(medians), min(medians), max(medians), p99(sample for run in runs for sample in run))


def figures(results: Mapping[str, list[Samples]]) -> Figures:
    """Return the figures of all peers' runs; a run that lacks a metric is left out of that metric."""
    return {
        peer: {
            metric: figure(samples)
            for metric in METRICS
            if (samples := [run[metric] for run in runs if run.get(metric)])
        }
        for peer, runs in results.items()
    }


def number(value: float) -> str:
    """Write *value* with about three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def verdicts(found: Figures, sizes: Mapping[str, int]) -> list[Verdict]:
    """Return gaffer's promises as far as *found* can tell, with the figures that decide them."""
    own = found.get("gaffer", {})
    answers = []
    for name, metric in METRICS.items():
        if name in own and metric.limit is not None:
            value, title = own[name].median, metric.title.format(**sizes)
            answers.append(Verdict(f"{title}: {number(value)}, at most {number(metric.limit)}", value <= metric.limit))
    return answers + _comparisons(found)


def _comparisons(found: Figures) -> list[Verdict]:
    """The promises that hold against the others of the same run."""
    own, bare = found.get("gaffer", {}), found.get("bare", {})
    answers = []
    if "start_crowd_s" in own and "start_crowd_s" in bare:
        share = bare["start_crowd_s"].median / own["start_crowd_s"].median
        promise = f"starts a crowd at {share:.2f} of the bare loop's pace, at least {START_SHARE}"
        answers.append(Verdict(promise, share >= START_SHARE))
    if "mass_restart_s" in own and "start_crowd_s" in bare:
        factor = own["mass_restart_s"].median / bare["start_crowd_s"].median
        promise = f"brings a crowd back in {factor:.2f} times what the bare loop's start takes, at most {RETURN_FACTOR}"
        answers.append(Verdict(promise, factor <= RETURN_FACTOR))
    for metric, promise in (("start_crowd_s", "starts a crowd"), ("restart_crowd_ms", "restarts one of a crowd")):
        for peer, theirs in found.items():
            if peer not in ("gaffer", "bare") and metric in own and metric in theirs:
                ratio = theirs[metric].median / own[metric].median
                answers.append(Verdict(f"{promise} {number(ratio)} times as fast as {peer}", ratio > 1))
    return answers
