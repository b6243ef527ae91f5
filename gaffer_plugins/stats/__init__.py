"""CPU, memory and children of processes, measured on request and never otherwise.

There is no timer and no greenlet: a question reads ``/proc`` once for all
processes it is about, and questions within a tenth of a second share the answer.
"""

from __future__ import annotations

from typing import Any

from gaffer import Plugin, hookimpl

from .meter import ProcessMeter

__all__ = ["StatsPlugin"]


class StatsPlugin(Plugin):
    """Answers ``gaffer_sample`` for one manager."""

    name = "stats"
    description = "CPU, memory and children of processes"

    def __init__(self) -> None:
        self._meter: ProcessMeter | None = None

    @hookimpl
    def gaffer_sample(self, processes: list[Any]) -> dict[int, dict[str, Any]]:
        if self._meter is None:
            self._meter = ProcessMeter()
        return self._meter.sample(processes)
