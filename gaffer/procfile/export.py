"""Input and output of exporters: values only.

Formats come from plugins of the entry-point group ``gaffer.exporters``: modules or
objects with the function that :class:`ExporterPlugin` describes.
"""

from __future__ import annotations

import shlex
from typing import Callable, Iterable, Mapping, NamedTuple, Protocol

from ..config.jobconfig import JobConfig
from ..config.names import JobName
from ..errors import InvalidConfig

#: The group of entry points that bring formats.
ENTRY_POINTS = "gaffer.exporters"


class ExportJob(NamedTuple):
    """Type of process to export.

    :param config: the job as gafferd would load it.
    :param copies: the environment of each copy, from the first one on.
    """

    config: JobConfig
    copies: tuple[Mapping[str, str], ...]

    @property
    def name(self) -> str:
        """The type's name."""
        return self.config.job_name.job

    def argv(self, env: Mapping[str, str]) -> list[str]:
        """Return the words that a copy with this environment is started with, ``/bin/sh -c`` among them if need be."""
        template = self.config.template
        if template is None:
            return ["/bin/sh", "-c", self.config.shell_line]
        try:
            return template.expand({**dict.fromkeys(template.variables(), ""), **env})
        except ValueError as error:
            raise InvalidConfig(f"{self.name}: {error}") from None


class Application(NamedTuple):
    """Application to export.

    :param name: the application's name, which is that of its session.
    :param root: its folder, absolute.
    """

    name: str
    root: str
    jobs: tuple[ExportJob, ...]

    def processes(self) -> Iterable[tuple[str, ExportJob, Mapping[str, str]]]:
        """Yield every process: its name ``web-1``, its job and its environment."""
        for job in self.jobs:
            for number, env in enumerate(job.copies, 1):
                yield f"{job.name}-{number}", job, env


class File(NamedTuple):
    """File of an export.

    :param path: relative to the folder that is written to.
    :param mode: its permissions.
    """

    path: str
    text: str
    mode: int = 0o644


class Export(NamedTuple):
    """Result of an exporter.

    :param files: at least one.
    :param notes: sentences about what the format cannot express; they are shown.
    """

    files: list[File]
    notes: list[str] = []


class Exporter(NamedTuple):
    """Export format.

    :param name: what ``--format`` calls it.
    :param help: one line.
    :param export: makes the files.
    :param folder: whether it makes several files, which need ``--out`` to name a folder.
    """

    name: str
    help: str
    export: Callable[[Application], Export]
    folder: bool = False


class ExporterPlugin(Protocol):
    """Interface of the entry points of the group ``gaffer.exporters``."""

    def gaffer_exporters(self) -> Iterable[Exporter]:
        """[COLLECT] Bring formats for ``gaffer export``.

        When: ``gaffer export`` looks for the format it was asked for, or lists all of them.
        May: import what it needs; there is neither a manager nor a server.
        Returns: exporters.
        On exception: those formats are missing, and a warning names the plugin.

        Example::

            def gaffer_exporters():
                return [Exporter("names", "the names only", lambda app: Export([File("names", app.name)]))]
        """


def with_variables(argv: list[str], env: Mapping[str, str]) -> list[str]:
    """Return *argv* called by ``env`` with variables that the format itself cannot hold."""
    return ["/usr/bin/env", *(f"{key}={text}" for key, text in env.items()), *argv] if env else argv


def command_line(argv: Iterable[str]) -> str:
    """Return words as one line that gaffer and a shell split into the same words."""
    return shlex.join(argv)


def job_name(app: Application, job: ExportJob) -> JobName:
    """Return the name of a job on a gafferd."""
    return JobName(app.name, job.name)
