"""gaffer's own formats: an ini file that gafferd includes, and JSON as the HTTP API takes it."""

from __future__ import annotations

import json
from typing import Any

from gaffer.api import (
    Application,
    Export,
    ExportJob,
    File,
    can_name_variable,
    command_line,
    ini_command,
    ini_section,
    ini_value,
    job_name,
    with_variables,
)

#: Written first, in this order.
_FIRST = ("cmd", "args", "cwd", "numprocesses")


def settings_of(job: ExportJob) -> dict[str, Any]:
    """Return the settings in which a job differs from the defaults, as JSON shows them."""
    shown = job.config.to_dict()
    defaults = {field.name: field.kind.to_json(field.default) for field in job.config.fields}
    found = {key: value for key, value in shown.items() if key not in defaults or value != defaults[key]}
    del found["name"]
    found.setdefault("numprocesses", 1)
    return {key: found[key] for key in sorted(found, key=_order)}


def _order(key: str) -> tuple[int, str]:
    return (_FIRST.index(key), "") if key in _FIRST else (len(_FIRST), key)


def export_json(app: Application) -> Export:
    jobs = [{"name": job_name(app, job).full, **settings_of(job)} for job in app.jobs]
    return Export([File(f"{app.name}.json", json.dumps({"jobs": jobs}, indent=2, ensure_ascii=False) + "\n")])


def export_ini(app: Application) -> Export:
    sections = []
    for job in app.jobs:
        settings = settings_of(job)
        name = f"{app.name}:{job.name}"
        env = settings.pop("env", {})
        _move_awkward(job, settings, env)
        sections.append(ini_section(f"process:{name}", {key: _text(key, settings[key]) for key in settings}))
        if env:
            texts = {key: ini_value(key, text) for key, text in env.items()}
            sections.append(ini_section(f"env:{name}", texts))
    return Export([File(f"{app.name}.ini", "\n".join(sections))])


def _move_awkward(job: ExportJob, settings: dict[str, Any], env: dict[str, str]) -> None:
    """Let ``env`` set the variables whose names an ini file cannot hold."""
    awkward = {key: env.pop(key) for key in list(env) if not can_name_variable(key)}
    if awkward:
        settings["cmd"] = command_line(with_variables(job.argv(env), awkward))
        settings.pop("args", None)
        settings.pop("shell", None)


def _text(key: str, value: Any) -> str:
    if key in ("cmd", "args"):
        return ini_command(key, value if isinstance(value, str) else command_line(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(map(str, value.values()))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return ini_value(key, str(value))
