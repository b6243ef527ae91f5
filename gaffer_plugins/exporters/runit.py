"""runit: a directory for each process, with a log service; link them into the one that runsvdir watches."""

from __future__ import annotations

import os
import shlex
from typing import Mapping

from gaffer.api import VARIABLE_NAME, Application, Export, ExportJob, File

_LOG = """\
#!/bin/sh
mkdir -p ./main
exec svlogd -tt ./main
"""


def export(app: Application) -> Export:
    files: list[File] = []
    notes: list[str] = []
    for name, job, env in app.processes():
        folder = f"{app.name}-{name}"
        files += [File(f"{folder}/run", _run(app, job, env), 0o755), File(f"{folder}/log/run", _LOG, 0o755)]
        files += [File(f"{folder}/finish", _finish(job), 0o755)] if job.config.restart != "always" else []
        files += _controls(folder, job)
        files += [File(f"{folder}/down", "")] if not job.config.start else []
        _tell(job, notes)
    return Export(files, list(dict.fromkeys(notes)))


def _run(app: Application, job: ExportJob, env: Mapping[str, str]) -> str:
    config = job.config
    lines = ["#!/bin/sh", "exec 2>&1", f"cd {shlex.quote(config.cwd or app.root)} || exit 111"]
    if config.env_file:
        lines += ["set -a", f". {shlex.quote(os.path.join(app.root, config.env_file))}", "set +a"]
    lines += [f"export {key}={shlex.quote(text)}" for key, text in env.items() if VARIABLE_NAME.match(key)]
    lines += [f"umask {config.umask:04o}"] if config.umask is not None else []
    strange = [f"{key}={text}" for key, text in env.items() if not VARIABLE_NAME.match(key)]
    words = [*_as_user(job), *(["env", *strange] if strange else []), *job.argv(env)]
    # A session of its own lets a stop reach every process of the service.
    return "\n".join([*lines, f"exec chpst -P {shlex.join(words)}", ""])


def _as_user(job: ExportJob) -> list[str]:
    """Return chpst's option for the account; a leading colon means numbers."""
    uid, gid = job.config.uid, job.config.gid
    if uid is None:
        return []
    parts = [str(part) for part in (uid, gid) if part is not None]
    return ["-u", ":" * all(part.isdigit() for part in parts) + ":".join(parts)]


def _finish(job: ExportJob) -> str:
    """Return the script that is run when the process has ended: it wants no other one, where gaffer would not."""
    if job.config.restart == "never":
        return "#!/bin/sh\nexec sv down .\n"
    codes = "|".join(map(str, job.config.exit_codes))
    return f'#!/bin/sh\ncase "$1" in\n{codes}) exec sv down . ;;\nesac\n'


def _controls(folder: str, job: ExportJob) -> list[File]:
    """Return what ``sv down`` does in place of TERM: the right signal, for the whole group."""
    name = job.config.stop_signal.name.removeprefix("SIG")
    script = f'#!/bin/sh\n# The process leads a group: all of it is told.\nkill -s {name} -- "-$(cat supervise/pid)"\n'
    return [File(f"{folder}/control/t", script, 0o755)]


def _tell(job: ExportJob, notes: list[str]) -> None:
    config = job.config
    missing = {
        "gid": config.gid is not None and config.uid is None and "chpst has no group without a user",
        "flapping": config.flapping is not None and "runit starts again after a second, for ever",
        "graceful_timeout": config.graceful_timeout != 7 and "give it to sv: sv -w SECONDS force-stop",
        "redirect_input": config.redirect_input and "runit gives no service a stdin that can be written to",
        "priority": config.priority is not None and "runit starts all services at once",
        "depends_on": config.get("depends_on")
        and "runit starts all services at once; say 'sv check' in the run script",
    }
    notes += [f"{job.name}: {key} is left out: {why}" for key, why in missing.items() if why]
