"""The info of a job as ``status`` and ``info`` show it."""

from __future__ import annotations

import time
from typing import Any, Iterator

from ...config.names import parse_job_name
from ...httpclient import Job, Process
from ..core.output import TextBlock, View, details_lines, duration, printable, state_color
from .wait import Info, exit_text

STDERR_TITLE = "last lines of stderr"


def with_short_name(info: dict[str, Any]) -> dict[str, Any]:
    """Return *info* with the job's short name."""
    return {**info, "name": parse_job_name(info["name"]).short}


def summary(info: Info) -> dict[str, object]:
    """Return what people read first about a job, by the titles of its details."""
    return {
        "name": info["name"],
        "state": info["state"],
        "processes": processes_text(info),
        "pids": " ".join(map(str, info["processes"])),
        "uptime": duration(info["uptime"] if info["running"] else None),
        "restarts": info.get("restarts"),
        "last exit": exit_text(info.get("last_exit")),
        "next retry": duration(info.get("retry_in")),
    }


def processes_text(info: Info) -> str:
    """Return how many processes there are of those wanted, and how many can be used if probes say that not all can."""
    return f"{info['running']}/{info['max_processes']}" + (f", {info['ready']} ready" if has_unready(info) else "")


def has_unready(info: Info) -> bool:
    """Tell whether there is a process that cannot be used for another reason than its age."""
    return any(not one["ready"] and one["reason"] for one in info.get("readiness") or ())


def stopping_text(info: Info) -> str | None:
    """Return since when and until when processes of a job are stopped; None if they are not."""
    stopping = info.get("stopping")
    if not stopping:
        return None
    until = stopping["until"]
    ending = "KILL was sent" if until is None else f"until {_clock(until)}, then KILL"
    return f"since {_clock(stopping['since'])}, {ending}"


def _clock(seconds: float) -> str:
    when = time.localtime(seconds)
    return time.strftime("%H:%M:%S" if when[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M:%S", when)


def details(info: Info, settings: bool = False) -> list[tuple[str, object]]:
    """Return the details of a job, line by line.

    :param settings: with the job's settings.
    """
    trouble = (
        ("stopping", stopping_text(info)),
        ("replacements", info.get("replacements")),
        ("reason", info.get("reason")),
        (STDERR_TITLE, TextBlock(info.get("stderr") or ())),
    )
    config = (info.get("config") or {}) if settings else {}
    return [
        *summary(info).items(),
        *((key, value) for key, value in trouble if value),
        *((key, value) for key, value in config.items() if key not in ("name", "start")),
    ]


def info_view(target: Job | Process) -> View:
    """Return everything about a job or a process.

    :raises NotFound: there is no such job or process.
    """
    info = with_short_name(target.info())
    if isinstance(target, Process):
        return View(info, [target.pid], text=[*details_lines(info.items(), {"state": state_color})])
    return View(info, [info["name"]], text=[*details_lines(details(info, settings=True), {"state": state_color})])


def why_view(target: Job) -> View:
    """Return the causes of a job's state, each below what it explains.

    :raises NotFound: there is no such job.
    """
    found = target.why()
    return View(found, [cause["text"] for cause in found["causes"]], text=[*_cause_lines(found)])


def _cause_lines(cause: dict[str, Any], depth: int = 0) -> Iterator[str]:
    indent = "  " * depth
    at = cause["since"] or 0.0
    since = f" (since {time.strftime('%H:%M:%S', time.localtime(at))}, for {duration(time.time() - at)})"
    yield indent + printable(cause["text"]) + (since if cause["since"] else "")
    for one in cause["causes"]:
        yield from _cause_lines(one, depth + 1)
    if cause["do"]:
        yield f"{indent}  -> {printable(cause['do'])}"
