"""Small things that gaffer has always offered to programs that embed it."""

from __future__ import annotations

import os
import socket
import string
from typing import Any, Callable, Iterator, Mapping

from .config.addresses import bind_sockets, is_ipv6, parse_address
from .config.fields import Account, parse_signal
from .config.names import parse_job_name

__all__ = [
    "bind_sockets",
    "bytes2human",
    "check_gid",
    "check_uid",
    "daemonize",
    "getcwd",
    "hostname",
    "is_ipv6",
    "is_ssl",
    "parse_address",
    "parse_job_name",
    "parse_signal_value",
    "parse_ssl_options",
    "process_tree",
    "setproctitle_",
    "substitute_env",
]

_UNITS = "KMGTPEZY"


def bytes2human(n: int | float) -> str:
    """Return *n* bytes for people: ``"512B"``, ``"9.8K"``, ``"1.5G"``."""
    value, unit = float(n), "B"
    for larger in _UNITS:
        if abs(value) < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f}{unit}" if unit == "B" else f"{value:.1f}{unit}"


def process_tree(figures: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the statistics of a process and those of all its descendants, as ``children`` in them says."""
    yield figures
    for child in figures.get("children") or ():
        yield from process_tree(child)


def check_uid(val: int | str) -> int:
    """Return the uid of a user given by id or name.

    :raises ValueError: if this machine has no such user.
    """
    return _account(val, Account())


def check_gid(val: int | str) -> int:
    """Return the gid of a group given by id or name.

    :raises ValueError: if this machine has no such group.
    """
    return _account(val, Account(group=True))


def _account(val: int | str, kind: Account) -> int:
    known = kind.check(val)
    if known is None:
        raise ValueError(f"expected a {kind.label}")
    return kind.lookup(known)


def getcwd() -> str:
    """Return the working folder, by the name the shell knows it under if that is still true."""
    cwd, named = os.getcwd(), os.environ.get("PWD", "")
    try:
        return named if os.path.isabs(named) and os.path.samefile(named, cwd) else cwd
    except OSError:
        return cwd


def hostname() -> str:
    """Return this machine's name, without asking the network."""
    return socket.gethostname()


def is_ssl(url: str) -> bool:
    """Tell whether *url* is to be reached over TLS."""
    return url.partition(":")[0].lower() in ("https", "wss", "ssl")


def parse_signal_value(sig: int | str) -> int:
    """Return the number of a signal: ``15``, ``"15"``, ``"TERM"``, ``"sigterm"``.

    :raises ValueError: if this machine has no such signal.
    """
    return int(parse_signal(sig))


def parse_ssl_options(client_options: Any) -> dict[str, Any]:
    """Return the TLS options of a client or an endpoint as the module ``ssl`` names them.

    :param client_options: a mapping or an object with ``certfile``, ``keyfile`` and
        ``cacert`` (or ``ca_certs``), each of which may be missing or empty.
    :returns: those that are set; with a CA, ``cert_reqs`` asks for the peer's certificate.
    """

    def option(name: str) -> Any:
        if isinstance(client_options, Mapping):
            return client_options.get(name)
        return getattr(client_options, name, None)

    found = {name: option(name) for name in ("certfile", "keyfile")}
    found["ca_certs"] = option("cacert") or option("ca_certs")
    if found["ca_certs"]:
        # Imported late: gafferd patches the module only if TLS is used, which has to come first.
        import ssl

        found["cert_reqs"] = ssl.CERT_REQUIRED
    return {name: value for name, value in found.items() if value}


def setproctitle_(title: str) -> None:
    """Set what ``ps`` shows for this process."""
    from setproctitle import setproctitle

    setproctitle(title)


def substitute_env(s: str, env: Mapping[str, str]) -> str:
    """Replace ``$VAR`` and ``${VAR}`` in *s* by their values in *env*; unknown ones stay, ``$$`` is a dollar."""
    return string.Template(s).safe_substitute(env)


def daemonize(umask: int = 0o022, in_parent: Callable[[], None] | None = None, keep: tuple[int, ...] = ()) -> None:
    """Go on in a background process: own session, no terminal, no inherited descriptors.

    The working folder is kept, so that relative paths in a configuration mean the
    same as in the foreground. Call it before threads or an event loop exist.

    :param umask: the file mode mask from now on.
    :param in_parent: called in the process that called us, which exits with status 0
        when it returns; by default it exits at once.
    :param keep: descriptors above 2 that stay open. Standard input is ``/dev/null``
        from now on; so are output and error, unless 1 and 2 are kept.
    """
    if os.fork():
        _leave(in_parent)
    os.setsid()
    # A session leader that opens a terminal gets it for its own; its child does not.
    if os.fork():
        os._exit(0)
    os.umask(umask)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        if standard == 0 or standard not in keep:
            os.dup2(null, standard)
    close_descriptors(keep)


def _leave(in_parent: Callable[[], None] | None) -> None:
    try:
        if in_parent is not None:
            in_parent()
    finally:
        os._exit(0)


def open_descriptors() -> list[int]:
    """Return the descriptors above 2 that this process has open."""
    try:
        listed = [int(name) for name in os.listdir("/proc/self/fd")]
    except FileNotFoundError:
        listed = list(range(min(os.sysconf("SC_OPEN_MAX"), 65536)))
    return sorted(fd for fd in listed if fd > 2 and _is_open(fd))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def close_descriptors(keep: tuple[int, ...] = ()) -> None:
    """Close every descriptor above 2 but those in *keep*."""
    for descriptor in open_descriptors():
        if descriptor not in keep:
            os.close(descriptor)
