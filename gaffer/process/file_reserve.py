"""A share of the open files for each need: processes do not take those of the API, nor clients those of processes.

The kernel gives the lowest free number, so a high one tells that few are left: no counting is needed.
"""

from __future__ import annotations

import resource

#: So many numbers below the limit are left to connections, logs and stores; of a small limit an eighth.
RESERVE = 24


def file_limit() -> int:
    """Return how many files this program may open (setrlimit(2), RLIMIT_NOFILE)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 62


def is_scarce(descriptor: int, shares: int = 1) -> bool:
    """Return True if *descriptor* is so high that no more than *shares* times the reserve is left above it."""
    limit = file_limit()
    return descriptor >= limit - shares * min(RESERVE, limit // 8)


def exhausted() -> str:
    """Return the sentence for a refusal."""
    return f"too many open files: gafferd may have {file_limit()}; raise the limit (ulimit -n, LimitNOFILE)"
