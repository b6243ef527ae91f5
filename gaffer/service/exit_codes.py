"""Exit codes of all programs; for daemons, sentences on standard error instead of tracebacks.

0 done, 1 the operation failed, 2 wrong usage or configuration, 130 interrupted, 141 nothing reads the output any more;
of command lines, 3 gafferd cannot be reached and 4 not allowed too.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Any, Callable

from ..errors import ConfigError, GafferError, described

DONE, FAILED, USAGE, UNREACHABLE, NOT_ALLOWED, INTERRUPTED = 0, 1, 2, 3, 4, 130
#: What a shell reports after SIGPIPE.
BROKEN_PIPE = 141


def status_of(name: str, do: Callable[[], int]) -> int:
    """Return the exit status that *do* returns, or that which belongs to what it raises.

    :param name: the program's, for what is said of it.
    """
    status = _status_of(name, do)
    return BROKEN_PIPE if _nothing_reads() else status


def _status_of(name: str, do: Callable[[], int]) -> int:
    try:
        return do()
    except ConfigError as error:
        return _say(USAGE, *error.problems)
    except GafferError as error:
        return _say(FAILED, *(f"{name}: {line}" for line in str(error).splitlines()))
    except KeyboardInterrupt:
        import signal  # late, as logging below: command lines need the numbers only

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # one more would be a traceback of whatever Python does at its end
        return _say(INTERRUPTED, f"{name}: interrupted")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else FAILED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nothing_reads(error):
            return BROKEN_PIPE
        import logging

        logging.getLogger(name).debug("unexpected failure", exc_info=error)
        return _say(FAILED, f"{name}: unexpected {described(error)}; --log-level debug shows where")


def _say(status: int, *sentences: Any) -> int:
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return status


def _nothing_reads(error: BrokenPipeError | None = None) -> bool:
    """Write what is left on standard output; true if its reader has gone, as after ``| head``.

    :param error: what was raised already: without a buffer, nothing is left to try again.
    """
    try:
        sys.stdout.flush()
        if error is None or not stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            return False
    except BrokenPipeError:
        pass
    except (AttributeError, OSError, ValueError):  # there is no standard output, or it is no file
        return False
    # What is left in the buffer must not raise again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
