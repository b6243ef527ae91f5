"""Run as ``python -I -S _guard.py``: wait for the end of the input, then kill the processes that gaffer left.

It is told the leaders of process groups as they come, ``+123``, and go, ``-123``, and the node, ``=1a2b``, by whose
mark in the environment everybody else is found. Nothing is imported before it is needed.
"""

import os
import signal
import sys
import time

#: What KILL was sent to is looked for again after this many seconds …
SCAN_INTERVAL = 0.02
#: … this many times.
MAX_SCANS = 100


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    node, groups = read_all()
    if not node:
        return  # nothing was ever started
    for group in groups:
        kill(os.killpg, group)
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from gaffer.process.proc_scan import find_node_survivors

    for _ in range(MAX_SCANS):
        found = find_node_survivors(node)
        left = [os_pid for some in found.values() for os_pid in some]
        if not left and not found.unclear:
            return
        for os_pid in left:
            kill(os.kill, os_pid)
        time.sleep(SCAN_INTERVAL)


def read_all() -> tuple[str, set[int]]:
    """Return the node, and the groups that exist when the input ends."""
    node = ""
    groups: set[int] = set()
    with open(0, "rb", buffering=0) as pipe:
        rest = b""
        while data := pipe.read(4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line[:1] == b"=":
                    node = line[1:].decode()
                else:
                    (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    return node, groups


def kill(send, number) -> None:  # type: ignore[no-untyped-def]
    try:
        send(number, signal.SIGKILL)
    except OSError:
        pass  # it has gone, or is another user's


main()
