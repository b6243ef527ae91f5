"""Search for survivors: one walk through ``/proc`` for many processes at once (reason 4).

Every child carries ``GAFFER_ID=<node>.<pid>`` in its environment and so do its
descendants, whatever session they moved to. A gaffer under a gaffer appends its
own, ``outer/inner``, so that either finds its own. What empties its environment
and leaves the group as well is not found; ``docs/design.rst`` says so.
"""

from __future__ import annotations

import math
import os
import signal
import time
from contextlib import suppress
from typing import Callable, Container, Iterable, Iterator, Mapping

ID_VARIABLE = "GAFFER_ID"
_KEY = b"\0" + ID_VARIABLE.encode() + b"="
#: Once all were looked at, those that came meanwhile, or just execute a program, are waited for this long, in seconds.
MAX_EXEC_WAIT = 0.005
#: Place of the end of the environment among the words of /proc/PID/stat after the name.
_ENV_END = 48
#: Place of the flags there, and the flag of a process that ends.
_FLAGS, _PF_EXITING = 6, 0x4


class Survivors(dict[int, list[int]]):
    """``{pid: [os_pid, …]}``: the processes alive that belong to gaffer's *pid*.

    :ivar unclear: if true, a process was still executing a program, so that it is worth to look again.
    """

    unclear = False


def chain_id(inherited: str | None, own: str) -> str:
    """Return the value for a child: *own* behind what gaffer itself inherited."""
    return f"{inherited}/{own}" if inherited else own


def find_survivors(ids: Mapping[str, int], groups: Mapping[int, int] | None = None) -> Survivors:
    """Return the processes alive that belong to any of *ids*, of all on the machine.

    :param ids: ``{"node.pid": pid}``, what to look for in environments.
    :param groups: ``{process group: pid}``, also looked for where given.
    """
    return _belonging(all_pids, ids, groups)


class SubreaperScan:
    """A search for survivors by a subreaper, which need not look at the whole machine.

    The kernel makes it the parent of orphaned descendants (prctl(2),
    PR_SET_CHILD_SUBREAPER), so survivors are its children, or below one, and as
    a rule there are none.

    :param known: os_pids of children that are no survivors.
    :param unreaped: the number of them whose status was not collected, all of which are children.
    """

    def __init__(self, known: Callable[[], Container[int]], unreaped: Callable[[], int]) -> None:
        self._known = known
        self._unreaped = unreaped

    def find_survivors(self, ids: Mapping[str, int], groups: Mapping[int, int] | None = None) -> Survivors:
        """As :func:`find_survivors`."""
        return _belonging(self.strangers, ids, groups)

    def find_node_survivors(self, node_id: str) -> Survivors:
        """As :func:`find_node_survivors`, without what descends from children that are known."""
        return _of_node(self.strangers, node_id)

    def strangers(self) -> Iterator[int]:
        """Yield the os_pids of what may be a survivor, as it is looked at, the youngest orphan first.

        One that forks itself anew all the time comes behind what it was before and is gone a moment later.
        """
        # Orphans become children of our main thread (exit(2)); our other threads have none that matter here.
        listed = _listed_children("self", os.getpid())
        if listed.count(b" ") == self._unreaped():  # a space follows each; every restart comes by here
            return
        known = self._known()
        for orphan in map(int, reversed(listed.split())):
            if orphan not in known:
                found = [orphan]
                for os_pid in found:  # grows while it is walked
                    yield os_pid
                    found += () if is_dead(os_pid) else children(os_pid)


def find_node_survivors(node_id: str) -> Survivors:
    """Return every process alive that descends from node *node_id*."""
    return _of_node(all_pids, node_id)


def _of_node(listing: Callable[[], Iterable[int]], node_id: str) -> Survivors:
    found = Survivors()
    for os_pid, chain in _walk(listing):
        found.unclear |= chain is None
        for pid in _pids_of_node(node_id, chain or ()):
            found.setdefault(pid, []).append(os_pid)
    return found


def _pids_of_node(node_id: str, chain: Iterable[bytes]) -> Iterator[int]:
    prefix = node_id.encode() + b"."
    for part in chain:
        if part.startswith(prefix) and part[len(prefix) :].isdigit():
            yield int(part[len(prefix) :])


def _belonging(
    listing: Callable[[], Iterable[int]], ids: Mapping[str, int], groups: Mapping[int, int] | None
) -> Survivors:
    found = Survivors()
    wanted = {text.encode(): pid for text, pid in ids.items()}
    for os_pid, chain in _walk(listing):
        pid = next((wanted[part] for part in chain or () if part in wanted), None)
        if pid is None and groups:
            pid = groups.get(_group(os_pid))
        if pid is not None:
            found.setdefault(pid, []).append(os_pid)
        else:
            found.unclear |= chain is None
    return found


def _walk(listing: Callable[[], Iterable[int]]) -> Iterator[tuple[int, list[bytes] | None]]:
    """Yield every process with the ids it carries, those too that come into being meanwhile; None if they are unclear.

    A process may fork after it was listed and be gone before it is looked at; so the walk goes on
    until a listing brings no new process.
    """
    seen: set[int] = set()
    end = math.inf
    while True:
        fresh, late = False, time.monotonic() > end
        for os_pid in listing():
            if os_pid in seen:
                continue
            fresh = True
            if is_dead(os_pid):
                seen.add(os_pid)
                if late:  # what it forked may be another one by now
                    yield os_pid, None
                continue
            environment = environment_of(os_pid)
            unclear = not environment and _between_programs(os_pid)
            if late or not unclear:
                seen.add(os_pid)
                yield os_pid, None if unclear else _chain(environment)
        if late or not fresh:
            return
        end = min(end, time.monotonic() + MAX_EXEC_WAIT)


def children(os_pid: int | None = None) -> list[int]:
    """Return the os_pids of the children of a process, by default this one (proc(5), task/TID/children)."""
    found: list[int] = []
    owner = "self" if os_pid is None else os_pid
    with suppress(OSError):  # the process has ended
        for task in os.listdir(f"/proc/{owner}/task"):
            found += map(int, _listed_children(owner, task).split())
    return found


def is_dead(os_pid: int) -> bool:
    """Tell whether a child has ended; its status stays where it is. Others are not looked at."""
    try:
        return os.waitid(os.P_PID, os_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _listed_children(owner: str | int, task: str | int) -> bytes:
    """Return the children of a thread as the kernel writes them: ``b"7 8 "``."""
    return _contents(f"/proc/{owner}/task/{task}/children")


def all_pids() -> Iterable[int]:
    """Return the os_pids of all other processes, as a rule the youngest first."""
    me = os.getpid()
    try:
        names = os.listdir("/proc")
    except OSError:
        return []  # no /proc: groups are all that can be signalled
    return [int(name) for name in reversed(names) if name.isdigit() and int(name) != me]


def environment_of(os_pid: int) -> bytes:
    """Return the environment a process was started with; nothing if it is dead or not ours to look at."""
    return _contents(f"/proc/{os_pid}/environ")


def _contents(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return _read_all(fd)
    finally:
        os.close(fd)


def read_environment(os_pid: int) -> dict[bytes, bytes]:
    """Return the variables a process was started with; none if it is dead or not ours to look at."""
    return parse_environment(environment_of(os_pid))


def parse_environment(environment: bytes) -> dict[bytes, bytes]:
    """Return the variables in an environment as the kernel shows it."""
    pairs = (word.partition(b"=") for word in environment.split(b"\0"))
    return {name: value for name, _, value in pairs if name}


def signal_checked(os_pid: int, signum: int, is_it: Callable[[int], bool]) -> None:
    """Send a signal to a process if *is_it* is still true of it once its number cannot be reused (pidfd_open(2)).

    :raises OSError: it may not be signalled.
    """
    try:
        descriptor = os.pidfd_open(os_pid)
    except OSError:
        return  # it has gone meanwhile
    try:
        if is_it(os_pid):
            signal.pidfd_send_signal(descriptor, signum)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def belongs_to(ids: Iterable[str]) -> Callable[[bytes], bool]:
    """Return a function that tells of an environment whether it carries one of *ids*."""
    wanted = {text.encode() for text in ids}
    return lambda environment: not wanted.isdisjoint(_chain(environment))


def belongs_to_node(node_id: str, but: Container[int] = ()) -> Callable[[bytes], bool]:
    """Return a function that tells of an environment whether it is of a node's process, those in *but* left out."""
    return lambda environment: any(pid not in but for pid in pids_in(environment, node_id))


def pids_in(environment: bytes, node_id: str) -> Iterator[int]:
    """Yield the pids that a node gave, of those that an environment carries."""
    return _pids_of_node(node_id, _chain(environment))


def _chain(environment: bytes) -> list[bytes]:
    """Return the ids in an environment."""
    data = b"\0" + environment + b"\0"
    at = data.find(_KEY)
    if at < 0:
        return []
    at += len(_KEY)
    return data[at : data.index(b"\0", at)].split(b"/")


def _between_programs(os_pid: int) -> bool:
    """Return True while a process executes a program, or ends, so that its environment is not there (proc(5), stat).

    One that ends may still have a child that becomes ours. Others without an environment are dead, or
    threads of the kernel: those have no program; or have really none.
    """
    try:
        with open(f"/proc/{os_pid}/stat", "rb") as file:
            fields = file.read(1024).rpartition(b")")[2].split()
        if fields[0] not in (b"Z", b"X") and int(fields[_FLAGS]) & _PF_EXITING:
            return True
        os.readlink(f"/proc/{os_pid}/exe")
        return fields[_ENV_END] == b"0"
    except (OSError, IndexError):
        return False


def _read_all(fd: int) -> bytes:
    try:
        data = part = os.read(fd, 65_536)
        while part and len(data) < 4_194_304:  # the kernel gives lists of children a page at a time
            part = os.read(fd, 65_536)
            data += part
    except OSError:
        return b""
    return data


def _group(os_pid: int) -> int:
    """Return the process group, 0 for a zombie or a process that is gone (proc(5), stat)."""
    try:
        with open(f"/proc/{os_pid}/stat", "rb") as file:
            fields = file.read(1024).rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[:1] in ([b"Z"], [b"X"]) or len(fields) < 3 else int(fields[2])


def group_left(group: int, thorough: bool = False) -> bool:
    """Return True if a group, whose leader was our child and is collected, has members left.

    Those that are dead already and were left to us are collected; no other process can wait
    for members of that group, since only our children can join it (setpgid(2)).

    :param thorough: leave dead ones out that were left to others; takes a walk through ``/proc``.
    """
    try:
        while os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG) is not None:
            pass
    except ChildProcessError:
        pass  # none of them is our child
    return group_alive(group) and not (thorough and all(_group(os_pid) != group for os_pid in all_pids()))


def group_alive(group: int) -> bool:
    """Return True if a process group has members, zombies included (kill(2))."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
