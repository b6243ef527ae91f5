"""Parsing of the texts of probes, statuses and headers; imported with the first job that has a probe."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from gaffer import JobConfig
from gaffer.api import InvalidConfig, nearest

#: The kinds of probes that are built in, as they begin in a setting.
BUILT_IN = ("http", "https", "tcp", "unix", "exec", "log", "notify")
#: Longer ones are no address, command or expression.
_MAX_TEXT = 4096
#: Bytes in the path of a unix socket (unix(7)).
_MAX_UNIX_PATH = 107

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,63}")
_VARIABLE = r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})"
_HOST = rf"(?:\[[0-9A-Fa-f:.%]+\]|(?:[A-Za-z0-9._-]|{_VARIABLE})+)"
_PORT = rf"(?:[0-9]|{_VARIABLE})+"
_HTTP = re.compile(rf"(https?)://({_HOST})(?::({_PORT}))?([/?][^\s#]*)?\Z")
_TCP = re.compile(rf"tcp://({_HOST}):({_PORT})/?\Z")
_DOLLAR = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_STATUSES = re.compile(r"[1-5][0-9]{2}(?:-[1-5][0-9]{2})?(?: *, *[1-5][0-9]{2}(?:-[1-5][0-9]{2})?)*\Z")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\x00]*\Z")
#: Headers that belong to the probe itself.
_OWN_HEADERS = frozenset(("connection", "content-length", "transfer-encoding"))


class Probe(NamedTuple):
    """A probe's text, parsed: its kind, and the rest."""

    kind: str
    rest: str


class ProbeAddress(NamedTuple):
    """Where an http, https or tcp probe connects to; *path* begins with a slash."""

    host: str
    port: int
    path: str = "/"


def check_statuses(text: str) -> None:
    """Check what ``ready_status`` says.

    :raises ValueError: it lists no statuses.
    """
    if not _STATUSES.match(text) or any(low > high for low, high in ranges(text)):
        raise ValueError(f"expected statuses from 100 to 599, such as 200-299,401, not {text!r}")


def check_header(text: str) -> None:
    """Check one header of a request.

    :raises ValueError: it is none, or one that a probe sets itself.
    """
    if not _HEADER.match(text) or not text.isascii() or len(text) > _MAX_TEXT:
        raise ValueError(f"expected 'Name: value' in ASCII, not {text!r}")
    name = text.partition(":")[0]
    if name.lower() in _OWN_HEADERS:
        raise ValueError(f"{name} belongs to the probe itself; leave it out")


def ranges(text: str) -> list[tuple[int, int]]:
    """Return the ranges that *text* lists, both ends included."""
    parts = [part.strip().partition("-") for part in text.split(",")]
    return [(int(low), int(high or low)) for low, _, high in parts]


def read_probe(text: str, further: Callable[[], Iterable[str]] = tuple) -> Probe:
    """Return what a probe's text says.

    :raises ValueError: one sentence, with the nearest spelling.
    """
    if len(text) > _MAX_TEXT or not text.isprintable():
        raise ValueError(f"a probe is one line of at most {_MAX_TEXT} printable characters")
    found = _WORD.match(text)
    word = found.group() if found else ""
    after = text[len(word) :]
    if word in _CHECKS:
        return Probe(word, _CHECKS[word](text, after))
    known = list(further()) if found else []
    if word in known and (not after or after[0] in " \t:"):
        return Probe(word, after.lstrip(": \t"))
    close = nearest(word, [*BUILT_IN, *known]) or ", ".join(["; there are http://", *BUILT_IN[1:], *known])
    raise ValueError(f"{text!r} is no probe{close}")


def _http(text: str, after: str) -> str:
    found = _HTTP.match(text)
    if found is None or not _is_port(found.group(3)):
        if "@" in text.partition("//")[2].partition("/")[0]:
            raise ValueError("a probe's URL has no user and password; write an Authorization header")
        raise ValueError(f"expected http://HOST:PORT/PATH, such as http://127.0.0.1:$PORT/healthz, not {text!r}")
    return text


def _tcp(text: str, after: str) -> str:
    found = _TCP.match(text)
    if found is None or not _is_port(found.group(2)):
        raise ValueError(f"expected tcp://HOST:PORT, such as tcp://127.0.0.1:$PORT, not {text!r}")
    return text


def _is_port(text: str | None) -> bool:
    return text is None or "$" in text or 0 < int(text) < 65_536


def _unix(text: str, after: str) -> str:
    path = after.removeprefix(":")
    if not after.startswith(":") or not path.strip() or len(path.encode()) > _MAX_UNIX_PATH:
        raise ValueError(
            f"expected unix:PATH with at most {_MAX_UNIX_PATH} bytes, such as unix:/run/app.sock, not {text!r}"
        )
    return path


def _exec(text: str, after: str) -> str:
    if not after[:1].isspace():
        raise ValueError(f"expected exec COMMAND, such as exec ./check --quick, not {text!r}")
    try:
        JobConfig("probe", after.strip())
    except InvalidConfig as error:
        raise ValueError(f"exec: {error.problems[0].removeprefix('cmd: ')}") from None
    return after.strip()


def _log(text: str, after: str) -> str:
    if not after[:1].isspace():
        raise ValueError(f"expected log REGEX, such as log listening on, not {text!r}")
    expression = after.strip()
    try:
        re.compile(expression.encode())
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"log: {expression!r} is no regular expression: {error}") from None
    if nests(expression):
        raise ValueError(
            f"log: {expression!r} repeats what is repeated already, which may take forever to match; "
            "write one repetition, such as [a-z ]+"
        )
    return expression


def _notify(text: str, after: str) -> str:
    if after:
        raise ValueError(f"notify stands alone, not {text!r}; what is ready says READY=1 to $NOTIFY_SOCKET")
    import socket

    if not hasattr(socket, "SO_PASSCRED"):
        raise ValueError("notify needs Linux")
    return ""


_CHECKS: dict[str, Callable[[str, str], str]] = {
    "http": _http,
    "https": _http,
    "tcp": _tcp,
    "unix": _unix,
    "exec": _exec,
    "log": _log,
    "notify": _notify,
}


def nests(expression: str) -> bool:
    """Tell whether a regular expression repeats a group without a limit that holds such a repetition.

    Such a one can take longer than anybody waits, on a line of fifty characters already.
    """
    try:
        from re import _parser as parser  # type: ignore[attr-defined]
    except ImportError:  # Python 3.10
        import sre_parse as parser
    unlimited = parser.MAXREPEAT

    def walk(part: Any, inside: bool) -> bool:
        if isinstance(part, parser.SubPattern):
            return any(walk(one, inside) for one in part)
        if isinstance(part, tuple):
            repeats = len(part) == 2 and isinstance(part[1], tuple) and str(part[0]).endswith("_REPEAT")
            if repeats and part[1][1] == unlimited and str(part[0]) != "POSSESSIVE_REPEAT":
                return inside or walk(part[1][2], True)
            return any(walk(one, inside) for one in part)
        return isinstance(part, list) and any(walk(one, inside) for one in part)

    return walk(parser.parse(expression), False)


def variables(text: str) -> set[str]:
    """Return the names of the environment variables in *text*."""
    return {name for match in _DOLLAR.finditer(text) for name in match.group(2, 3) if name}


def variables_of(probe: Probe) -> set[str]:
    """Return the variables that a probe uses; a regular expression has none."""
    if probe.kind == "exec":
        template = JobConfig("probe", probe.rest).template
        return template.variables() if template is not None else set()
    return set() if probe.kind == "log" else variables(probe.rest)


def expand(text: str, env: Mapping[str, str]) -> str:
    """Return *text* with the variables' values, ``$$`` for a dollar.

    :raises ValueError: a variable is not set.
    """
    missing = sorted(variables(text) - env.keys())
    if missing:
        raise ValueError(f"unknown variable ${missing[0]}; set it in env, or write $$ for a dollar")
    return _DOLLAR.sub(lambda match: "$" if match.group(1) else env[match.group(2) or match.group(3)], text)


def http_address(text: str) -> ProbeAddress:
    """Return where a URL leads to, once its variables are replaced.

    :raises ValueError: it is none.
    """
    found = _HTTP.match(text)
    if found is None or "$" in found.group(2) or not (found.group(3) or "80").isdigit():
        raise ValueError(f"{text!r} is no URL of a host and a port")
    path = found.group(4) or "/"
    default = 443 if found.group(1) == "https" else 80
    host = found.group(2).strip("[]")
    return ProbeAddress(host, _port(found.group(3) or str(default), text), path if path.startswith("/") else f"/{path}")


def tcp_address(text: str) -> ProbeAddress:
    """Return where a tcp probe connects to, once its variables are replaced.

    :raises ValueError: it is no address.
    """
    found = _TCP.match(text)
    if found is None or "$" in found.group(1) or not found.group(2).isdigit():
        raise ValueError(f"{text!r} has no host and port")
    return ProbeAddress(found.group(1).strip("[]"), _port(found.group(2), text))


def _port(text: str, where: str) -> int:
    port = int(text)
    if not 0 < port < 65_536:
        raise ValueError(f"{where!r}: {port} is no port")
    return port
