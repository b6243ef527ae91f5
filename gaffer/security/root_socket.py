"""Root's own socket: where a gafferd that root starts without any address listens beside 127.0.0.1:5000.

Only root reaches it, whereas any account can take the port while gafferd is down. So root's command lines try it first.
"""

from __future__ import annotations

import os
import stat

from ..errors import GafferError

ROOT_SOCKET = "/run/gaffer/gafferd.sock"
#: How long a gafferd may take to accept a connection, in seconds; its backlog may be full.
_CONNECT_TIMEOUT = 2.0


def make_folder() -> None:
    """Make the socket's folder, if it is not there.

    :raises GafferError: it cannot be made, or others could put something of theirs into it.
    """
    folder = os.path.dirname(ROOT_SOCKET)
    try:
        try:
            os.mkdir(folder, 0o755)
        except FileExistsError:
            pass
        else:
            os.chmod(folder, 0o755)  # whatever the umask is: other sockets may have their place there
        found = os.lstat(folder)
    except OSError as error:
        raise GafferError(f"{folder} cannot be made: {error.strerror}") from error
    if not _is_roots(found, stat.S_IFDIR):
        raise GafferError(f"{folder} is no folder that only root can change: chown root {folder}, chmod 755 {folder}")


def answers() -> bool:
    """Tell whether a program of root's listens at the socket, and only root could have put it there."""
    import socket

    from .peer_credentials import unix_uid

    try:
        if not _is_roots(os.lstat(os.path.dirname(ROOT_SOCKET)), stat.S_IFDIR):
            return False
        if not _is_roots(os.lstat(ROOT_SOCKET), stat.S_IFSOCK):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_CONNECT_TIMEOUT)
            probe.connect(ROOT_SOCKET)
            return unix_uid(probe) == 0
    except OSError:
        return False


def _is_roots(found: os.stat_result, kind: int) -> bool:
    return stat.S_IFMT(found.st_mode) == kind and found.st_uid == 0 and not found.st_mode & 0o022
