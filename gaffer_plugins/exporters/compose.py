"""docker compose: a service for each type of process. Strings are written as YAML's double-quoted ones."""

from __future__ import annotations

import json
import re
from typing import Any

from gaffer.api import EVERY, Application, Export, ExportJob, File, parse_dependency

_RESTART = {"always": "always", "on-failure": "on-failure", "never": "no"}
#: What JSON leaves as it is and YAML does not allow, or takes for a line break.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
#: Words that some YAML parsers take for something else.
_NOT_PLAIN = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_HEAD = """\
# Made by 'gaffer export'. The image is built from the Dockerfile in the application's folder; publish ports as needed:
# every container has its own, so all copies of a type listen on the same one. Compose 1 wants the line 'name' removed.
"""


def export(app: Application) -> Export:
    notes: list[str] = []
    services = {job.name.replace("+", "_"): _service(app, job, notes) for job in app.jobs}
    document = {"name": project_name(app.name), "services": services}
    return Export([File("docker-compose.yml", _HEAD + "\n".join(_yaml(document)) + "\n")], notes)


def project_name(name: str) -> str:
    """Return a name as compose allows it: lower case, beginning with a letter or a digit."""
    return re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("_-") or "app"


def _service(app: Application, job: ExportJob, notes: list[str]) -> dict[str, Any]:
    config = job.config
    env = dict(job.copies[0]) if job.copies else dict(config.env)
    service: dict[str, Any] = {"build": _escaped(app.root), "command": [_escaped(word) for word in job.argv(env)]}
    if env:
        service["environment"] = {key: _escaped(text) for key, text in env.items()}
    service |= {"env_file": [_escaped(config.env_file)]} if config.env_file else {}
    # The first process of a container gets no default action for signals, and all orphans: init takes its place.
    service |= {"init": True, "restart": _RESTART[config.restart]}
    service |= {"stop_signal": config.stop_signal.name, "stop_grace_period": _duration(config.graceful_timeout)}
    if len(job.copies) != 1:
        service["deploy"] = {"replicas": len(job.copies)}
    if config.uid is not None:
        service["user"] = _escaped(str(config.uid) + (f":{config.gid}" if config.gid is not None else ""))
    service |= {"stdin_open": True} if config.redirect_input else {}
    needs = _needs(app, job, notes)
    service |= {"depends_on": needs} if needs else {}
    _tell(job, notes)
    return service


def _needs(app: Application, job: ExportJob, notes: list[str]) -> dict[str, Any]:
    """Return what a service waits for; without a health check Docker knows started ones only."""
    found: dict[str, Any] = {}
    for one in map(parse_dependency, job.config.get("depends_on") or ()):
        if one.session not in ("", app.name) or one.job == EVERY or one.condition == "stopped":
            notes.append(f"{job.name}: depends_on {one} is left out: compose waits for services of this file to run")
            continue
        if one.condition == "ready":
            notes.append(f"{job.name}: {one} is service_started: add a healthcheck and say service_healthy")
        completed = one.condition == "completed"
        condition = "service_completed_successfully" if completed else "service_started"
        found[one.job.replace("+", "_")] = {"condition": condition}
    return found


def _tell(job: ExportJob, notes: list[str]) -> None:
    config = job.config
    missing = {
        "gid": config.gid is not None and config.uid is None and "compose has no group without a user",
        "umask": config.umask is not None and "the container's is used",
        "flapping": config.flapping is not None and "Docker waits longer after each failure",
        "exit_codes": config.exit_codes != (0,) and "Docker takes 0 alone for success",
        "priority": config.priority is not None and "say depends_on instead",
    }
    notes += [f"{job.name}: {key} is left out: {why}" for key, why in missing.items() if why]


def _duration(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def _escaped(text: str) -> str:
    """Return text in which compose replaces nothing."""
    return text.replace("$", "$$")


def _yaml(value: dict[str, Any], indent: int = 0) -> list[str]:
    lines: list[str] = []
    space = " " * indent
    for key, item in value.items():
        if isinstance(item, dict):
            lines += [f"{space}{_key(key)}:", *_yaml(item, indent + 2)]
        elif isinstance(item, list):
            lines += [f"{space}{_key(key)}:", *(f"{space}  - {scalar(one)}" for one in item)]
        else:
            lines.append(f"{space}{_key(key)}: {scalar(item)}")
    return lines


def _key(text: str) -> str:
    return text if _PLAIN_KEY.match(text) and text.lower() not in _NOT_PLAIN else scalar(text)


def scalar(value: Any) -> str:
    """Return a string, number or bool as YAML 1.1 and 1.2 read it."""
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
