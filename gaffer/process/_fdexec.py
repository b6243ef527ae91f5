"""Run as ``python -I -S _fdexec.py FD 17,19 SOFT:HARD UID:GID:GROUPS CMD ARGS…``: become CMD, descriptors from 3 up.

A shell cannot do it (dash has no descriptor above 9) and subprocess cannot
renumber. It imports nothing that takes time, so it costs about ten milliseconds,
and only jobs with custom streams or channels pay for it.

The environment of CMD is read from the first descriptor, ``NAME=VALUE`` ended by
NUL each, so that nothing in it has a say here: what belongs to another user is
not trusted before that user is what we are. That user may not be able to read
this file or to run this interpreter, so the change of user comes last. The limit of open files comes after the
renumbering, which needs the higher numbers that gafferd may use. Both may be empty.
"""

import os
import sys
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal  # type: ignore[import-not-found]

FIRST = 3


def main() -> None:
    env = read_environment(int(sys.argv[1]))
    renumber([int(fd) for fd in sys.argv[2].split(",")])
    # Python ignores these from its start, and what is ignored stays so after exec (execve(2)).
    signal(SIGPIPE, SIG_DFL)
    signal(SIGXFSZ, SIG_DFL)
    argv = sys.argv[5:]
    try:
        if sys.argv[3]:
            limit(*sys.argv[3].split(":"))
        if sys.argv[4]:
            become(*sys.argv[4].split(":"))
        execute([os.fsencode(word) for word in argv], env)
    except OSError as error:
        os.write(2, f"cannot execute {argv[0]!r}: {error.strerror}\n".encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)


def execute(argv: list[bytes], env: dict[bytes, bytes]) -> None:
    """Do what os.execvpe does; that one imports, and the new user may not be able to read modules."""
    folders = env.get(b"PATH", os.fsencode(os.defpath)).split(b":") if b"/" not in argv[0] else [b""]
    refused: OSError | None = None
    for folder in folders:
        try:
            os.execve(os.path.join(folder, argv[0]), argv, env)
        except (FileNotFoundError, NotADirectoryError) as error:
            refused = refused or error
        except PermissionError as error:
            refused = error
    if refused is not None:
        raise refused


def read_environment(fd: int) -> dict[bytes, bytes]:
    with open(fd, "rb") as file:
        file.seek(0)
        entries = file.read().split(b"\0")[:-1]
    return dict(entry.split(b"=", 1) for entry in entries)


def renumber(sources: list[int]) -> None:
    above = FIRST + len(sources) + max(sources) + 1
    # Out of the way first, so that no target overwrites a source that is still needed.
    for place, source in enumerate(sources):
        os.dup2(source, above + place, inheritable=False)
    for source in set(sources):
        os.close(source)
    for place in range(len(sources)):
        os.dup2(above + place, FIRST + place, inheritable=True)


def limit(soft: str, hard: str) -> None:
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(soft), int(hard)))
    except (ValueError, OSError):
        pass  # gafferd's hard limit was lowered, and ours is the same


def become(uid: str, gid: str, groups: str) -> None:
    os.setgroups([int(group) for group in groups.split(",")])
    os.setgid(int(gid))
    os.setuid(int(uid))


main()
