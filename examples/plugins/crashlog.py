"""A plugin in one file: writes a line to the log whenever a process fails.

    gafferd -c gaffer.ini -p plugins/

``--no-plugin crashlog`` leaves it out.
"""

import logging
import signal

import gaffer

log = logging.getLogger("crashlog")

# Others, such as TERM, are how a process is asked to end.
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


@gaffer.hookimpl
def gaffer_exited(job, process, status):
    if status.code or status.signal in CRASHES:
        log.warning("%s: process %d failed with %s", job.name, process.os_pid, status)
