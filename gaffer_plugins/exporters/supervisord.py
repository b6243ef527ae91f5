"""supervisord: a program for each process and a group for all of them.

supervisor reads a value three times: its ini parser cuts it at ``;`` and ``#`` behind a space, ``%`` names a variable,
and then a command is split by the shell's rules and ``environment`` by rules of its own. What those cannot hold is set
by ``env`` in the command.
"""

from __future__ import annotations

import re
from typing import Mapping

from gaffer.api import Application, Export, ExportJob, File, InvalidConfig, with_variables

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_/.+():-]+\Z")
#: Where the ini parser takes the rest of the line for a comment.
_COMMENT = re.compile(r"(?:^|\s)[;#]")
#: Replaced wherever it stands, doubled percent sign or not.
_HERE = "%(here)s"
_AUTORESTART = {"always": "true", "on-failure": "unexpected", "never": "false"}
#: gaffer tries again for ever; supervisor gives up after 3 times if it is not told otherwise.
_FOR_EVER = 1_000_000


def export(app: Application) -> Export:
    notes: list[str] = []
    programs = {f"{app.name}-{name}": (job, env) for name, job, env in app.processes()}
    parts = [_program(app, name, job, env, notes) for name, (job, env) in programs.items()]
    parts.append(f"[group:{app.name}]\nprograms={','.join(programs)}\n" if programs else "")
    return Export([File(f"{app.name}.conf", "\n".join(parts))], list(dict.fromkeys(notes)))


def _program(app: Application, name: str, job: ExportJob, env: Mapping[str, str], notes: list[str]) -> str:
    config = job.config
    simple = {key: text for key, text in env.items() if _fits(key, text)}
    awkward = {key: text for key, text in env.items() if key not in simple}
    broken = [key for key, text in awkward.items() if re.search(r"[\r\n]", text)]
    if broken:  # the value itself may be a secret
        raise InvalidConfig(
            f"{job.name}: a supervisord.conf cannot hold the line break in {broken[0]}; set it in a script"
        )
    command = with_variables(job.argv(env), awkward)
    items = {
        "command": " ".join(map(word, command)),
        "directory": _plain("directory", config.cwd or app.root),
        "environment": ",".join(f"{key}={_quoted(text)}" for key, text in simple.items()),
        "autostart": str(config.start).lower(),
        "autorestart": _AUTORESTART[config.restart],
        "exitcodes": ",".join(map(str, config.exit_codes)),
        "startsecs": str(int(config.min_uptime)),
        "startretries": str(_retries(job)),
        "stopsignal": config.stop_signal.name.removeprefix("SIG"),
        "stopwaitsecs": str(max(1, round(config.graceful_timeout))),
        "stopasgroup": "true",
        "killasgroup": "true",
        "user": _plain("user", str(config.uid)) if config.uid is not None else "",
        "umask": f"{config.umask:03o}" if config.umask is not None else "",
        "priority": str(config.priority) if config.priority is not None else "",
        "redirect_stderr": "true" if len(set(config.redirect_output)) < len(config.redirect_output) else "",
    }
    _tell(job, notes)
    return "\n".join([f"[program:{name}]", *(f"{key}={text}" for key, text in items.items() if text)]) + "\n"


def _retries(job: ExportJob) -> int:
    flapping = job.config.flapping
    return _FOR_EVER if flapping is None or flapping.max_retry < 0 else flapping.attempts * (flapping.max_retry + 1)


def _tell(job: ExportJob, notes: list[str]) -> None:
    missing = {
        "gid": job.config.gid is not None and "supervisor takes the group of the user",
        "flapping": job.config.flapping is not None and "supervisor counts failed starts only, and has no window",
        "depends_on": job.config.get("depends_on") and "supervisor has an order of starts only, priority",
        "env_file": job.config.env_file is not None and "supervisor reads no such file",
    }
    notes += [f"{job.name}: {key} is left out: {why}" for key, why in missing.items() if why]


def word(text: str) -> str:
    """Return one word of a command.

    It is cut into pieces in quotes where a whole would be taken for a comment or for ``%(here)s``.
    """
    if "\n" in text or "\r" in text:
        raise InvalidConfig("a supervisord.conf cannot hold a line break in a command; put it into a script")
    pieces = re.split(r"(?<=\s)(?=[;#])|(?<=%)(?=\()", text)
    return "".join(_single(piece) for piece in pieces).replace("%", "%%")


def _single(text: str) -> str:
    """Return text in single quotes for :func:`shlex.split`."""
    if text and re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _fits(key: str, text: str) -> bool:
    """Tell whether ``environment`` can hold a variable."""
    if not _PLAIN_NAME.match(key) or re.search(r"[\r\n]", text) or _COMMENT.search(text) or _HERE in text:
        return False
    return any(_quotable(text, quote) for quote in "\"'")


def _quotable(text: str, quote: str) -> bool:
    """Tell whether a value survives: whatever quotes are at its ends are cut off."""
    return quote not in text and text == text.strip("'\"")


def _quoted(text: str) -> str:
    quote = next(quote for quote in "\"'" if _quotable(text, quote))
    return quote + text.replace("%", "%%") + quote


def _plain(key: str, text: str) -> str:
    if text != text.strip() or re.search(r"[\r\n]", text) or _COMMENT.search(text) or _HERE in text:
        raise InvalidConfig(f"a supervisord.conf cannot hold the {key} {text!r}; use another one")
    return text.replace("%", "%%")
