"""Run as ``python -I -S _guard.py NODE``: wait until whoever holds our input is gone, then kill what it left.

It is told the leaders of process groups as they come, ``+123``, and go, ``-123``; everybody else is found by the
mark of the node in the environment. Nothing is imported before it is needed.
"""

import os
import signal
import sys
import time

#: What KILL was sent to is looked for again after this many seconds …
PAUSE = 0.02
#: … this many times.
TRIES = 100


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for group in read_groups():
        kill(os.killpg, group)
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from gaffer.sweep import strays

    for _ in range(TRIES):
        found = strays(sys.argv[1])
        left = [os_pid for some in found.values() for os_pid in some]
        if not left and not found.unclear:
            return
        for os_pid in left:
            kill(os.kill, os_pid)
        time.sleep(PAUSE)


def read_groups() -> set[int]:
    """Return the groups that exist when the input ends."""
    groups: set[int] = set()
    with open(0, "rb", buffering=0) as pipe:
        rest = b""
        while data := pipe.read(4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    return groups


def kill(send, number) -> None:  # type: ignore[no-untyped-def]
    try:
        send(number, signal.SIGKILL)
    except OSError:
        pass  # it has gone, or is another user's


main()
