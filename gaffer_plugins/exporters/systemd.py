"""systemd: one service for each process, and a target that starts and stops all of them.

Escapes as in systemd.syntax(7), systemd.service(5) and systemd.exec(5): words in double quotes with C escapes,
``%`` doubled everywhere, ``$`` doubled in commands.
"""

from __future__ import annotations

import os
from typing import Mapping

from gaffer.api import (
    CONTROL_CHARACTER,
    VARIABLE_NAME,
    Application,
    Export,
    ExportJob,
    File,
    InvalidConfig,
    parse_dependency,
)

_RESTART = {"always": "always", "on-failure": "on-failure", "never": "no"}


def export(app: Application) -> Export:
    notes: list[str] = []
    services = {unit_name(f"{app.name}-{name}.service"): (job, env) for name, job, env in app.processes()}
    target = unit_name(f"{app.name}.target")
    files = [File(target, _target(app, list(services)))]
    for unit, (job, env) in services.items():
        files.append(File(unit, _service(app, target, unit, job, env, notes)))
    return Export(files, list(dict.fromkeys(notes)))


def unit_name(text: str) -> str:
    """Return *text* as the name of a unit, which knows no ``+``."""
    return text.replace("+", "\\x2b")


def word(text: str, dollars: bool = True) -> str:
    """Return one word of a command, or with *dollars* off of ``Environment=``.

    It is always in quotes, so that spaces, ``;`` and the prefixes of commands mean nothing.
    """
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if dollars:
        text = text.replace("$", "$$")
    return '"' + CONTROL_CHARACTER.sub(lambda found: f"\\x{ord(found.group()):02x}", text) + '"'


def _target(app: Application, services: list[str]) -> str:
    lines = ["[Unit]", f"Description={_plain(app.name)}", *(f"Wants={name}" for name in services)]
    return "\n".join([*lines, "", "[Install]", "WantedBy=multi-user.target", ""])


def _service(app: Application, target: str, unit: str, job: ExportJob, env: Mapping[str, str], notes: list[str]) -> str:
    config = job.config
    lines = ["[Unit]", f"Description={_plain(unit.removesuffix('.service'))}", f"PartOf={target}"]
    lines += [*_needs(app, job, notes), *_limits(job, notes)]
    lines += ["", "[Service]", f"WorkingDirectory={_path(config.cwd or app.root)}"]
    known = {key: text for key, text in env.items() if VARIABLE_NAME.match(key)}
    lines += [f"Environment={word(f'{key}={text}', dollars=False)}" for key, text in known.items()]
    lines += [f"EnvironmentFile={_path(os.path.join(app.root, config.env_file))}"] if config.env_file else []
    # env looks for the program as a shell does, in PATH or from the working directory, and knows every variable.
    command = job.argv(env)
    strange = [f"{key}={text}" for key, text in env.items() if key not in known]
    if strange or config.template is not None:
        command = ["/usr/bin/env", *strange, *command]
    lines += [f"ExecStart={' '.join([command[0], *map(word, command[1:])])}"]
    lines += [f"Restart={_RESTART[config.restart]}", "RestartSec=100ms"]
    lines += [f"SuccessExitStatus={' '.join(map(str, config.exit_codes))}"] if config.exit_codes != (0,) else []
    lines += [f"KillSignal=SIG{config.stop_signal.name.removeprefix('SIG')}", "KillMode=control-group"]
    lines += [f"TimeoutStopSec={config.graceful_timeout:g}"]
    accounts = {"User": config.uid, "Group": config.gid}
    lines += [f"{key}={_plain(str(account))}" for key, account in accounts.items() if account is not None]
    lines += [f"UMask={config.umask:04o}"] if config.umask is not None else []
    if config.redirect_input:
        notes.append(f"{job.name}: systemd gives no service a stdin that can be written to")
    return "\n".join(lines) + "\n"


def _needs(app: Application, job: ExportJob, notes: list[str]) -> list[str]:
    """Return what a unit is started after."""
    units: list[str] = []
    for one in map(parse_dependency, job.config.get("depends_on") or ()):
        found = [f"{app.name}-{name}.service" for name, other, _ in app.processes() if other.name == one.job]
        if one.session not in ("", app.name) or one.condition == "stopped" or not found:
            notes.append(f"{job.name}: depends_on {one} is left out: only units of this application are known")
        else:
            units += map(unit_name, found)
            if one.condition != "started":
                kind = "Type=notify" if one.condition == "ready" else "Type=oneshot"
                notes.append(f"{job.name}: it starts after {one.job}; with {kind} there, when that is {one.condition}")
    units = list(dict.fromkeys(units))
    return [f"{key}={' '.join(units)}" for key in ("Wants", "After")] if units else []


def _limits(job: ExportJob, notes: list[str]) -> list[str]:
    flapping = job.config.flapping
    if flapping is None:
        return ["StartLimitIntervalSec=0"]
    notes.append(
        f"{job.name}: systemd gives up after {flapping.attempts} exits in {flapping.window:g} s, without a pause"
    )
    return [f"StartLimitIntervalSec={flapping.window:g}", f"StartLimitBurst={flapping.attempts}"]


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _path(path: str) -> str:
    """Return a path, for which systemd has no quotes.

    :raises InvalidConfig: it cannot be written.
    """
    if path != path.strip() or CONTROL_CHARACTER.search(path) or path.endswith("\\"):
        raise InvalidConfig(f"a systemd unit cannot hold the path {path!r}; use another folder")
    return _plain(path)
