"""The environment of a child, assembled here for every kind of start."""

from __future__ import annotations

import os
import pwd
from typing import Mapping

from ..config.dotenv import read_env_file
from ..config.fields import Account
from ..config.jobconfig import JobConfig
from ..config.paths import expand_home
from ..errors import InvalidConfig, SpawnError
from ..security.inherited_environment import inherited
from .proc_scan import ID_VARIABLE

#: In the environment of processes that are meant to outlive gafferd.
DETACHED = "GAFFER_DETACHED"
#: Set at every start, so a command may use them though no environment has them before.
OWN_VARIABLES = frozenset((ID_VARIABLE, "GAFFER_JOB", "GAFFER_INDEX", "GAFFER_COMMIT", DETACHED, "PS"))
MAX_PORT = 65_535


def job_environment(config: JobConfig) -> dict[str, str]:
    """Return the environment of a job's processes, before gaffer's own variables.

    Later wins: gafferd's (``os_env``) without the secrets of its own, the user's HOME, USER and LOGNAME when
    ``uid`` is set (reason 12), ``env_file``, ``env``.

    :raises SpawnError: ``env_file`` cannot be read.
    """
    env = inherited() if config.os_env else {}
    env.pop(ID_VARIABLE, None)
    env.pop("GAFFER_COMMIT", None)
    if config.uid is not None:
        env.update(_account_variables(config.uid))
    if config.env_file:
        env.update(_env_file(config))
    env.update(config.env)
    env.pop(ID_VARIABLE, None)
    return env


def process_environment(
    config: JobConfig,
    index: int,
    gaffer_id: str | None,
    job_env: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
    committed: bool = False,
) -> dict[str, str]:
    """Return the whole environment of one process.

    :param index: number of the copy; of a committed process one that no other has at the moment.
    :param committed: whether it is a committed process; its environment says so.
    :param gaffer_id: by which its descendants are found; None for a process whose descendants are not looked for.
    :param job_env: what :func:`job_environment` returned, where many processes share it.
    :param extra: variables of this process; they win over those of its job.
    :raises SpawnError: ``env_file`` cannot be read, or so many copies have no ports.
    """
    own = {} if gaffer_id is None else {ID_VARIABLE: gaffer_id}
    env = dict(own)  # first of all, where a walk through /proc finds it soonest
    env.update(job_environment(config) if job_env is None else job_env)
    number = max(index, 0)
    env.update(_copy_variables(config, number))
    if extra:
        env.update(extra)
        env.update(own)  # and its descendants could not be found with another one
    env["GAFFER_JOB"] = config.job_name.short
    env["GAFFER_INDEX"] = str(number)
    if committed:
        env["GAFFER_COMMIT"] = "1"
    if config.detach:
        env[DETACHED] = "1"
    return env


def _copy_variables(config: JobConfig, number: int) -> dict[str, str]:
    """Return the variables that differ from copy to copy: ``PORT`` and ``PS``; ``env`` wins over them."""
    found = {"PS": f"{config.job_name.job}.{number + 1}"}
    if config.port is not None:
        port = config.port + number
        if port > MAX_PORT:
            raise SpawnError(
                f"copy {number + 1} would get PORT {port}, and {MAX_PORT} is the last; choose a lower port"
            )
        found["PORT"] = str(port)
    return {name: value for name, value in found.items() if name not in config.env}


def _env_file(config: JobConfig) -> dict[str, str]:
    try:
        # What its own user may write into it, runs as that user.
        users = () if config.uid is None else (Account().lookup(config.uid),)
        name = expand_home(config.env_file, config.uid)
        return read_env_file(os.path.join(working_folder(config) or "", name), *users)
    except InvalidConfig as error:
        raise SpawnError(str(error)) from error


def working_folder(config: JobConfig) -> str | None:
    """Return the folder that the job's processes begin in, None for gafferd's; ``~`` is the home of the job's user."""
    return None if config.cwd is None else expand_home(config.cwd, config.uid)


def _account_variables(uid: int | str) -> dict[str, str]:
    account = pwd.getpwuid(Account().lookup(uid))
    return {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
