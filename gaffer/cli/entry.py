"""Entry points of ``gaffer`` and ``gafferctl``; a plain ``gaffer start`` skips parsing a command line.

Parsing takes a quarter of the time to the first process. With any argument or environment variable of
gaffer, and after any problem, the command line takes over.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any, NoReturn


def main() -> NoReturn:
    """Run gaffer and end the process."""
    interrupt = _end_by_interrupts()
    if sys.argv[1:] == ["start"] and not any(name.startswith("GAFFER_") for name in os.environ):
        _start()
    from .app.gaffer import main as parse_and_run

    signal.signal(signal.SIGINT, interrupt)
    parse_and_run()


def gafferctl() -> NoReturn:
    """Run gafferctl and end the process."""
    interrupt = _end_by_interrupts()
    from .ctl.gafferctl import main as parse_and_run

    signal.signal(signal.SIGINT, interrupt)
    parse_and_run()


def _end_by_interrupts() -> Any:
    """Let Ctrl-C end the program by signal while modules are imported: Python's handler shows a traceback.

    Returns what handles it otherwise.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return interrupt


def _start() -> None:
    """Run the Procfile of this folder and end the process; return after a problem, which the command line reports."""
    from ..errors import GafferError
    from ..foreground.ports import first_taken
    from ..procfile.application import read_application

    try:
        application = read_application()
        configs = application.configs()
        if first_taken(application.ports()) is not None:
            return
    except (GafferError, FileNotFoundError):  # the latter of a current folder that is gone
        return
    gc.disable()  # until everything runs: what is imported stays, and the first process waits for each look at it
    from ..foreground.guard import Guard

    try:
        with Guard() as guard:
            from ..foreground.application import ApplicationRun, RunOptions

            code = ApplicationRun(configs, application.root, RunOptions(), guard).run()
    except GafferError as error:
        print(f"gaffer: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
