"""Inherited descriptors and the limit of open files, with a share of them for each need.

Processes do not take those of the API, nor clients those of processes. The kernel gives the lowest free number, so a
high one tells that few are left: no counting is needed.
"""

from __future__ import annotations

import os
import resource

#: So many numbers below the limit are left to connections, logs and stores; of a small limit an eighth.
RESERVE = 24
#: More descriptors than any program needs; some systems allow a milliard, and programs that close them all would try.
MOST_FILES = 1_048_576


def hold_standard_streams() -> None:
    """Open what is closed of 0, 1 and 2: else a socket of ours would get the number, and print() would write to it."""
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 2:
        os.set_inheritable(null, True)
        null = os.dup(null)
    os.close(null)


def inherit_nothing() -> None:
    """Keep inherited descriptors above 2 from reaching our children."""
    from ..util import open_descriptors  # late: it imports much that raising a limit does not need

    for descriptor in open_descriptors():
        os.set_inheritable(descriptor, False)


def raise_file_limit() -> tuple[int, int]:
    """Raise our soft limit of open files to the hard one; returns the limits that children get back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return soft, hard


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
