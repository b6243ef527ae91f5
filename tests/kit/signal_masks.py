"""Signal sets as the kernel prints them in /proc/PID/status."""

from __future__ import annotations

#: The C library keeps these for its threads (nptl(7)). Its posix_spawn, which make uses, leaves them ignored, and
#: no process can change that: sigaction(2) refuses them.
_C_LIBRARY = {32, 33}


def signals(mask: str) -> set[int]:
    """Return the numbers of the signals in *mask*, which is hexadecimal, those left out that are not for programs."""
    bits = int(mask, 16)
    return {number for number in range(1, 65) if bits & 1 << number - 1} - _C_LIBRARY
