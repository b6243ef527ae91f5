"""Probes that run a command: as the job's user, in its working folder, with the environment of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping

import gevent
from gevent.event import AsyncResult

from gaffer.api import GafferError, ProcessConfig

from .network import ProbeFailed

if TYPE_CHECKING:
    from gaffer import JobConfig
    from gaffer.api import Process

_OUTPUT = "output"
#: Bytes of the output in which the last line is looked for.
_TAIL = 4096


class CommandCheck:
    """Runs a command and looks at its exit code.

    It is a process of its own, which no job counts; what it started ends with it.

    :param config: the job's settings.
    :param index: number of the copy that is asked about.
    :param env: the environment of that process.
    """

    def __init__(self, command: str, config: JobConfig, index: int, env: Mapping[str, str], cwd: str | None) -> None:
        self._index = index
        self._config = ProcessConfig(
            config.name,
            command,
            env=dict(env),
            os_env=False,
            uid=config.uid,
            gid=config.gid,
            umask=config.umask,
            cwd=cwd,
            redirect_output=(_OUTPUT, _OUTPUT),
            graceful_timeout=0.0,
        )

    def __call__(self) -> str:
        """Run it; ended early, it is killed with everything it started.

        :raises ProbeFailed: it exits with another code than 0, or cannot be started.
        """
        ended: AsyncResult = AsyncResult()
        loop = gevent.get_hub().loop
        process = self._config.make_process(
            loop, 0, self._config.name, on_exit=lambda process, code, signum: ended.set((code, signum))
        )
        try:
            process.spawn(index=self._index)
        except GafferError as error:
            raise ProbeFailed(str(error)) from None
        try:
            code, signum = ended.get()
        finally:
            process.stop()  # nothing, if it has exited
        line = _last_line(process)
        if code:
            how = f"ended by signal {signum}" if signum else f"exit code {code}"
            raise ProbeFailed(f"{how}: {line}" if line else how)
        return line or "exit code 0"


def _last_line(process: Process) -> str:
    data = process.reader(_OUTPUT).ring.read()[1][-_TAIL:]
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return "".join(char for char in lines[-1] if char.isprintable()) if lines else ""
