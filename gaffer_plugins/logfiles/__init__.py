"""Output of processes in files: appended, rotated, compressed, and never in the way of a process.

Jobs say where with ``stdout_logfile`` and ``stderr_logfile``. The bytes wait in bounded queues for native threads; a
disk that is full or slow costs output, which is counted, and never holds up gafferd or a process for long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaffer import Plugin, __version__, hookimpl
from gaffer.api import Bool, Int, expand_home

from .kinds import FileName, OptionalSize, Size

if TYPE_CHECKING:
    from gaffer import JobConfig, Manager
    from gaffer.api import Job, JobFields, Options, SpawnPlan

    from .files import LogFiles

__all__ = ["LogfilesPlugin"]

_MIB = 1 << 20
#: How large a file becomes unless a job says otherwise, in bytes.
MAXBYTES = 50 * _MIB
#: How many old files are kept unless a job says otherwise.
BACKUPS = 10
#: Bytes that may wait to be written, for all files together.
WAITING = 64 * _MIB


class LogfilesPlugin(Plugin):
    """Writes the output of jobs to files."""

    name = "logfiles"
    version = __version__
    description = "output of jobs in files that are rotated: stdout_logfile, stderr_logfile"

    def __init__(self) -> None:
        self._manager: Manager | None = None
        self._files: LogFiles | None = None
        self._wanted = False
        self._asked = False

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare where files are, and how much memory they may take."""
        options.add(
            "logfile_dir",
            FileName(),
            None,
            "folder that relative names of log files begin in; by default gafferd's working folder",
            needs_restart=False,
        )
        options.add(
            "logfile_waiting",
            Size(_MIB, 16 * 1024 * _MIB),
            WAITING,
            "bytes that may wait to be written, for all log files together",
        )

    @hookimpl
    def gaffer_job_settings(self, fields: JobFields) -> None:
        """Declare what a job may say; all but the names may change while processes go on."""
        fields.add("stdout_logfile", FileName(template=True), None, "file that standard output is appended to")
        fields.add("stderr_logfile", FileName(template=True), None, "file that standard error is appended to")
        more: list[tuple[str, Any, Any, str]] = [
            ("logfile_maxbytes", Size(), MAXBYTES, "size at which a new log file is begun; 0 for none"),
            ("logfile_backups", Int(0, 10_000), BACKUPS, "old log files that are kept, FILE.1 the newest"),
            ("logfile_total", OptionalSize(), None, "size that a log file and its backups may have together"),
            ("logfile_compress", Bool(), False, "compress backups with gzip"),
            ("logfile_timestamps", Bool(), False, "begin each line with the time when it was read"),
        ]
        for name, kind, default, help in more:
            fields.add(name, kind, default, help, needs_restart=False)

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Remember who is asked for the options."""
        self._manager = manager
        self._ask()

    @hookimpl
    def gaffer_before_load(self, draft: dict[str, Any]) -> None:
        """Take part in starts from the first job with a file on."""
        if draft.get("stdout_logfile") or draft.get("stderr_logfile"):
            self._wanted = True
            self._ask()

    def _ask(self) -> None:
        if self._wanted and not self._asked and self._manager is not None:
            self._asked = True
            self._manager.plugins.add(_Sinks(self), name="logfiles.sinks", origin="logfiles")

    def sink(self, job: Job, process: SpawnPlan, label: str) -> Any:
        """Return what takes the output of one stream; None if it has no file."""
        name = logfile(job.config, label)
        if not name:
            return None
        path = path_of(name, job, process, label, self._option("logfile_dir"))
        shared = job.wanted > 1 and "%(index)" not in name and "%(pid)" not in name
        return self._opened().sink(path, job, label, process, shared)

    def _opened(self) -> LogFiles:
        if self._files is None:
            from .files import LogFiles

            self._files = LogFiles(self._option("logfile_waiting") or WAITING)
        return self._files

    def _option(self, name: str) -> Any:
        return None if self._manager is None else self._manager.option(name)

    @hookimpl
    def gaffer_job_updated(self, job: Job, previous: JobConfig) -> None:
        """Rotate as the job says now."""
        if self._files is not None:
            self._files.adopt(job)

    @hookimpl
    def gaffer_reopen_logs(self) -> None:
        """Open the files again: they were moved."""
        if self._files is not None:
            self._files.reopen()

    @hookimpl
    def gaffer_health(self) -> dict[str, Any] | None:
        """Say what was written, what was not, and why."""
        return None if self._files is None else self._files.report()

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """Write what waits."""
        if self._files is not None:
            self._files.finish()


class _Sinks:
    """Registered once there is a job with a file: being asked costs a little at every start of a process."""

    description = "writes output to files"

    def __init__(self, plugin: LogfilesPlugin) -> None:
        self._plugin = plugin

    @hookimpl
    def gaffer_open_sinks(self, job: Job, process: SpawnPlan, label: str) -> Any:
        return self._plugin.sink(job, process, label)


def logfile(config: JobConfig, label: str) -> str | None:
    """Return what a job says of the file for the stream *label*; None if it has none."""
    labels = list(config.redirect_output)
    streams = labels + ["stdout", "stderr"][len(labels) :]
    field = ("stdout_logfile", "stderr_logfile")
    found = next((field[place] for place, one in enumerate(streams) if one == label), None)
    value: str | None = None if found is None else getattr(config, found, None)
    return value


def path_of(name: str, job: Job, process: SpawnPlan, label: str, folder: str | None) -> str:
    """Return the file's path: the name with what it stands for filled in; ``~`` is the home of gafferd's user."""
    import os

    about = {
        "name": job.name.short,
        "session": job.name.session,
        "job": job.name.job,
        "index": max(process.index, 0),
        "pid": process.pid,
        "label": label,
    }
    return os.path.abspath(os.path.join(folder or "", expand_home(name % about)))
