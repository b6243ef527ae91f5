"""Settings that are allowed and probably not meant: ``gafferd --check`` tells it and still succeeds."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import Iterator

from ..config.ini_section import Section
from ..config.paths import expand_home
from ..config.settings import Settings
from ..errors import Problem

#: Words that mean something to a shell only.
_SHELL_WORDS = ("&&", "||", "|", ">", ">>", "<", "2>&1", "&")
_TRUE = ("true", "yes", "on", "1")


def find_warnings(settings: Settings) -> list[Problem]:
    """Return what the jobs of the configuration files are warned of, by file and line."""
    sections = settings.sections("process", "job")
    return sorted({warning for section in sections for warning in _of_job(section)})


def _of_job(section: Section) -> Iterator[Problem]:
    values = {key: value.text.strip() for key, value in section.items.items()}
    cmd, cwd = values.get("cmd", ""), values.get("cwd", "")
    try:
        words = shlex.split(cmd)
    except ValueError:
        return  # a quote is open, which is a problem and told elsewhere
    shell = values.get("shell", "").lower() in _TRUE
    for mark in (";", "#"):
        if mark in words[1:] and not shell:
            sentence = f"cmd: '{mark}' and what follows are arguments; a comment needs a line of its own"
            yield section.problem(sentence, "cmd")
    special = next((word for word in words if word in _SHELL_WORDS), "")
    if special and not shell:
        yield section.problem(f"cmd: '{special}' is an argument, since no shell runs this; set shell = true", "cmd")
    try:
        folder = os.path.abspath(expand_home(cwd, values.get("uid") or None))
    except (KeyError, ValueError):
        return  # there is no such account, which is a problem and told elsewhere
    if cwd and "$" not in cwd and not os.path.isdir(folder):
        yield section.problem(f"cwd: there is no folder {cwd}", "cwd")
    elif words and not shell and "PATH" not in values.get("env", "") and not _is_found(words[0], folder):
        yield section.problem(f"cmd: there is no program {words[0]} now", "cmd")


def _is_found(program: str, folder: str) -> bool:
    """Tell whether a program is there, as far as that can be seen without the environment of the job."""
    if "$" in program or not program:
        return True
    if os.sep in program:
        return os.access(os.path.join(folder, program), os.X_OK)
    return shutil.which(program) is not None
