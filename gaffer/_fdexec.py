"""Run as ``python -I -S _fdexec.py 17,19 CMD ARGS…``: put descriptors on 3, 4, … and exec.

A shell cannot do it (dash has no descriptor above 9) and subprocess cannot
renumber. It imports nothing but os and sys, so it costs about ten milliseconds,
and only jobs with custom streams or channels pay for it.
"""

import os
import sys

FIRST = 3


def main() -> None:
    sources = [int(fd) for fd in sys.argv[1].split(",")]
    argv = sys.argv[2:]
    above = FIRST + len(sources) + max(sources) + 1
    # Out of the way first, so that no target overwrites a source that is still needed.
    for place, source in enumerate(sources):
        os.dup2(source, above + place, inheritable=False)
    for source in sources:
        os.close(source)
    for place in range(len(sources)):
        os.dup2(above + place, FIRST + place, inheritable=True)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"cannot execute {argv[0]!r}: {error.strerror}\n".encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)


main()
