"""The long form of probes: ``[probe:JOB:ready]`` and ``[probe:JOB:alive]`` of an ini file."""

from __future__ import annotations

from typing import Iterable, Iterator

from gaffer.api import BadRequest, Problem, Section, nearest, parse_job_name

from .service import QUESTIONS

#: What the keys are called in the section of the job, after ``ready`` and ``alive``.
_KEYS = {
    "probe": "",
    "start_timeout": "_timeout",
    "interval": "_interval",
    "timeout": "_check_timeout",
    "successes": "_successes",
    "failures": "_failures",
    "status": "_status",
    "header": "_header",
}


def merge(probes: Iterable[Section], jobs: Iterable[Section]) -> list[Problem]:
    """Write what the sections of probes say into those of their jobs, each value with its place; may be repeated.

    :returns: what is wrong.
    """
    by_name = {}
    for section in jobs:
        try:
            by_name[parse_job_name(section.name).short] = section
        except BadRequest:
            continue  # the reader of jobs says so
    return [problem for section in probes for problem in _merge(section, by_name)]


def _merge(section: Section, jobs: dict[str, Section]) -> Iterator[Problem]:
    name, _, word = section.name.rpartition(":")
    if word not in QUESTIONS or not name:
        close = nearest(word, QUESTIONS)
        yield section.problem(f"[{section.header}] has to end with a job and ready or alive: [probe:JOB:ready]{close}")
        return
    try:
        short = parse_job_name(name).short
    except BadRequest as error:
        yield section.problem(str(error))
        return
    job = jobs.get(short)
    if job is None:
        close = nearest(short, jobs)
        yield section.problem(f"there is no [process:{short}] that this could be the probe of{close}")
        return
    for key, value in section.items.items():
        setting = f"{word}{_KEYS.get(key, '')}"
        there = job.items.setdefault(setting, value) if key in _KEYS and setting != "alive_successes" else None
        if there is None:
            known = [one for one in _KEYS if f"{word}_{one}" != "alive_successes"]
            yield section.problem(f"unknown key '{key}' in [{section.header}]{nearest(key, known)}", key)
        elif there is not value:
            yield section.problem(f"{key}: set already at {there.file}:{there.line}, as {setting}", key)
    if word not in job.items:
        yield section.problem("probe: required, such as probe = http://127.0.0.1:$PORT/healthz")
