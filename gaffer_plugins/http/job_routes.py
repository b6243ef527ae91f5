"""The jobs API of docs/http-api.rst: which URL is which command, with which arguments and which status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaffer.api import BadRequest, Bool, check_name, parse_job_name
from gaffer.api.web import BOOLEAN, LIVE, PLAIN_NAME, TEXT_MEDIA, Arg, Route

if TYPE_CHECKING:
    from gaffer.api.web import Reply, Request

TAG = "Jobs"
NODE = "Node"
JOB = "/jobs/<session>/<job>"
PROCESS = "/<pid:int>"
#: What the state looks like as text.
STATE = {"type": "string", "enum": ["0", "1"], "examples": ["1"]}
SESSION = Arg("sessionid", PLAIN_NAME, "only the jobs of this session", required=False)
FORCE = Arg("force", BOOLEAN, "also if more than half of the jobs are unloaded", required=False)
_STATES = {b"0": 0, b"1": 1, b"2": 2}


def named(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the argument that names the path's job; gaffer 0.5's clients write ``/jobs/S/S.J``, too."""
    session = parameters["session"]
    return {"name": f"{session}.{parameters['job'].removeprefix(f'{session}.')}"}


def in_session(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The query may name a session."""
    return {"sessionid": request.query.get("sessionid")}


def in_slices(found: dict[str, Any]) -> Reply:
    """Return the jobs as JSON, each made when it is its turn: thousands of them must not keep others waiting."""
    from gaffer.api.web import TimeSlice, encode_json, reply

    parts, turn = [], TimeSlice()
    for one in found["jobs"]:
        parts.append(encode_json(one))
        turn.give_way()
    return reply(b'{"jobs": [' + b", ".join(parts) + b"]}", "application/json")


def new_job(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body is a job of the path's session."""
    config = job_settings(request)
    return {"config": config, "sessionid": placed(config, parameters["session"])}


def changed_job(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body is the path's job; its name may be left out."""
    config = {"name": parameters["job"], **job_settings(request)}
    session = placed(config, parameters["session"], parameters["job"])
    return {"config": config, "sessionid": session, **started(config)}


def started(config: dict[str, Any]) -> dict[str, Any]:
    """Return the argument ``start`` of an update: without it, the job stays up or down as it is."""
    # Another kind of value is reported with whatever else is wrong with the settings.
    return {"start": config["start"]} if isinstance(config.get("start"), bool) else {}


def job_settings(request: Request) -> dict[str, Any]:
    """Return the job in the body."""
    config = request.json
    if not isinstance(config, dict):
        raise BadRequest("the body must be a JSON object with the job's settings: at least name and cmd")
    return config


def placed(config: dict[str, Any], session: str, job: str | None = None) -> str:
    """Return the path's *session*, once the name in the body does not say another one, or another *job*.

    :raises BadRequest: it does, or the path's session has no valid name.
    """
    check_name(session, "session name")
    try:
        name = parse_job_name(config.get("name", ""), session)
    except BadRequest:
        return session  # told together with whatever else is wrong with the settings
    if name.session != session:
        raise BadRequest(f"the URL is session {session!r}, but the job is called {config['name']!r}")
    if job is not None and name.job != job:
        raise BadRequest(f"the URL is job {job!r}, but the job is called {config['name']!r}; jobs cannot be renamed")
    return session


def scaling(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body says ``{"scale": 2 | "+1" | "-1" | "=3"}``."""
    return {**named(parameters), **request.fields(["scale"])}


def signalling(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body says ``{"signal": 15 | "SIGTERM" | "term"}``, and maybe ``"group": true``."""
    target = {"pid": parameters["pid"]} if "pid" in parameters else named(parameters)
    return {**target, **request.fields(["signal"], ["group"])}


def wanted_state(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body is ``0``, ``1`` or ``2``, whatever it is declared as."""
    body = request.read().strip()
    if body not in _STATES:
        raise BadRequest(f"the body must be 1 (start), 0 (stop) or 2 (reload), not {body[:20].decode('latin-1')!r}")
    return {**named(parameters), "state": _STATES[body]}


def committing(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body may say ``{"env": {…}, "graceful_timeout": seconds}``."""
    return {**named(parameters), **request.fields(optional=["env", "graceful_timeout"])}


def restarting(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body may say ``{"rolling": true}``."""
    return {**named(parameters), **request.fields(optional=["rolling"])}


def reloading(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The query may say ``force=true``."""
    said = request.query.get("force")
    try:
        return {} if said is None else {"force": Bool().parse(said)}
    except ValueError as error:
        raise BadRequest(f"force: {error}") from error


SIGNAL = ("signal", "group")

ROUTES = (
    Route("GET", "/ping", command="ping", tag=NODE, media=TEXT_MEDIA),
    Route("GET", "/version", command="version", tag=NODE),
    Route("GET", "/sessions", command="sessions", tag=TAG),
    Route("GET", "/jobs", command="jobs", tag=TAG),
    Route("GET", "/pids", command="pids", tag=TAG),
    Route("GET", "/jobs/<session>", command="session_jobs", tag=TAG),
    Route("GET", "/info", "infos", arguments=in_session, reply=in_slices, parameters=(SESSION,), tag=TAG),
    Route("POST", "/jobs/<session>", command="load", arguments=new_job, body="config", tag=TAG),
    Route("GET", JOB, command="info", tag=TAG),
    Route("PUT", JOB, command="update", arguments=changed_job, status=201, body="config", tag=TAG),
    Route("DELETE", JOB, command="unload", tag=TAG),
    Route("GET", f"{JOB}/stats", command="stats", tag=TAG, live="stats", parameters=LIVE),
    Route("GET", f"{JOB}/numprocesses", command="numprocesses", tag=TAG),
    Route("POST", f"{JOB}/numprocesses", command="scale", arguments=scaling, body=("scale",), tag=TAG),
    Route("POST", f"{JOB}/signal", command="killall", arguments=signalling, status=202, body=SIGNAL, tag=TAG),
    Route("GET", f"{JOB}/state", command="state", reply=str, media=TEXT_MEDIA, result=STATE, tag=TAG),
    Route("POST", f"{JOB}/state", "set_state", arguments=wanted_state, status=202, raw=True, body="state", tag=TAG),
    Route("GET", f"{JOB}/pids", command="job_pids", tag=TAG),
    Route("POST", f"{JOB}/commit", "commit", arguments=committing, body=("graceful_timeout", "env"), tag=TAG),
    Route("POST", f"{JOB}/restart", "restart_job", arguments=restarting, status=202, body=("rolling",), tag=TAG),
    Route("GET", f"{JOB}/why", command="why", tag=TAG),
    Route("GET", PROCESS, command="process_info", tag=TAG),
    Route("DELETE", PROCESS, command="stop_process", status=202, tag=TAG),
    Route("GET", f"{PROCESS}/stats", command="process_stats", tag=TAG, live="stats", parameters=LIVE),
    Route("POST", f"{PROCESS}/signal", command="kill", arguments=signalling, status=202, body=SIGNAL, tag=TAG),
    Route("GET", "/plugins", command="plugins", tag=NODE),
    Route("GET", "/health", command="health", tag=NODE),
    Route("GET", "/stop_order", command="stop_order", tag=TAG),
    Route("GET", "/strays", command="strays", tag=NODE),
    Route("DELETE", "/strays", command="kill_strays", tag=NODE),
    Route("POST", "/reload", command="reload_config", arguments=reloading, parameters=(FORCE,), tag=NODE),
    Route("POST", "/shutdown", command="shutdown", status=202, tag=NODE),
)
