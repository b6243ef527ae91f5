"""Exit statuses of daemons, with sentences on standard error instead of tracebacks."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any, Callable

from ..errors import ConfigError, GafferError, described

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def status_of(name: str, do: Callable[[], int]) -> int:
    """Return the exit status that *do* returns, or that which belongs to what it raises.

    :param name: the program's, for what is said of it.
    """
    try:
        return do()
    except ConfigError as error:
        return _say(USAGE, *error.problems)
    except GafferError as error:
        return _say(FAILED, *(f"{name}: {line}" for line in str(error).splitlines()))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # one more would be a traceback of whatever Python does at its end
        return _say(INTERRUPTED, f"{name}: interrupted")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else FAILED
    except Exception as error:
        logging.getLogger(name).debug("unexpected failure", exc_info=error)
        return _say(FAILED, f"{name}: unexpected {described(error)}; --log-level debug shows where")


def _say(status: int, *sentences: Any) -> int:
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return status
