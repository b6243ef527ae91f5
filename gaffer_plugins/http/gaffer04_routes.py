"""The routes of gaffer 0.4 (docs/http-api.rst), answered by the same commands as the jobs API; names are short here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from gaffer.api import BadRequest, Bool, parse_job_name
from gaffer.api.web import BOOLEAN, COUNT, LIVE, PIDS, SHORT_NAME, STRING, Arg, Route, listed, refer, returns
from gaffer.api.web import JOB as NAME

from .job_routes import SESSION, in_session, job_settings, started

if TYPE_CHECKING:
    from gaffer.api.web import Request

TAG = "Classic"
JOBS = "/processes"
JOB = "/processes/<name>"
PROCESS = "/processes/<pid:int>"
GROUP = "/groups/<session>"

RUNNING = Arg("running", BOOLEAN, "true lists the pids of live processes instead of the names", required=False)
NUMBER = Arg("count", {**COUNT, "maximum": 999_999_999}, "how many")
#: In 0.4 an operation that went well said so, whatever else it said.
SCALED = returns(ok={"const": True}, numprocesses={**COUNT, "examples": [2]})
_NAMES = listed(SHORT_NAME)
_ID = {**COUNT, "examples": [7], "description": "the pid, as 0.4 called it"}
#: ``JobStats``, whose processes have an ``id``.
_STATS = {
    "type": "object",
    "properties": {
        "name": SHORT_NAME,
        "stats": listed({"type": "object", "properties": {"id": _ID}, "required": ["id"]}),
    },
    "required": ["name", "stats"],
}


# -- arguments ----------------------------------------------------------------------------------


def listing(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The query may say ``running=true``."""
    said = request.query.get("running")
    if said is None:
        return {}
    try:
        return {"running": Bool().parse(said)}
    except ValueError as error:
        raise BadRequest(f"running: {error}") from error


def new_job(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body is a job; its name says which session."""
    return {"config": job_settings(request)}


def changed_job(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body is the path's job; its name may be left out."""
    name = parse_job_name(parameters["name"])
    config = {"name": name.full, **job_settings(request)}
    if not _says(config["name"], name):
        raise BadRequest(f"the URL is job '{name}', but the job is called {config['name']!r}; jobs cannot be renamed")
    return {"config": {**config, "name": name.full}, **started(config)}


def changed_job_of_process(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The body is the job of the path's process; its name may be left out."""
    config = job_settings(request)
    return {"pid": parameters["pid"], "config": config, **started(config)}


def _says(said: Any, name: Any) -> bool:
    try:
        return bool(parse_job_name(said) == name)
    except BadRequest:
        return False


def adding(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The path may say how many."""
    return {"name": parameters["name"], "scale": f"+{_count(parameters)}"}


def removing(request: Request, parameters: dict[str, Any]) -> dict[str, Any]:
    """The path may say how many."""
    return {"name": parameters["name"], "scale": f"-{_count(parameters)}"}


def _count(parameters: dict[str, Any]) -> int:
    count = int(parameters.get("count", 1))
    if count < 0:
        raise BadRequest(f"a number of processes is 0 or more, not {count}")
    return count


# -- answers ------------------------------------------------------------------------------------


def short(name: str) -> str:
    """Return the short form of a full name."""
    return parse_job_name(name).short


def shortened(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what is shown with a short name."""
    return {**shown, "name": short(shown["name"])}


def template(info: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a job."""
    return {**info["config"], "name": short(info["name"])}


def stats(found: dict[str, Any]) -> dict[str, Any]:
    """Return the statistics of a job, in which 0.4 called the pid ``id``."""
    return {**shortened(found), "stats": [{"id": one["pid"], **one} for one in found["stats"]]}


def all_stats(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statistics of all jobs."""
    from gaffer.api.web import TimeSlice

    shown, turn = [], TimeSlice()
    for one in found["jobs"]:
        shown.append(stats(one))
        turn.give_way()
    return shown


def names(found: dict[str, Any]) -> list[str]:
    """Return the short names in a list of jobs."""
    return [short(name) for name in found["jobs"]]


def well(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result that says that all went well."""
    return {"ok": True, **result}


def _route(method: str, path: str, command: str, summary: str = "", **more: Any) -> Route:
    return Route(method, path, command, summary=summary, tag=TAG, **more)


def _post(path: str, command: str, **more: Any) -> Route:
    return _route("POST", path, command, **more)


def _scaling(path: str, arguments: Callable[..., dict[str, Any]], summary: str, **more: Any) -> Route:
    return _post(path, "scale", arguments=arguments, reply=well, result=SCALED, summary=summary, **more)


ROUTES = (
    _route("GET", JOBS, "processes", arguments=listing, parameters=(RUNNING,)),
    _post(JOBS, "load", arguments=new_job, body="config"),
    # Names are not digits only, so what is a number is a pid: those come first.
    _route("GET", PROCESS, "process_template", reply=shortened),
    _route("PUT", PROCESS, "update_of_process", arguments=changed_job_of_process, body="config"),
    _route("DELETE", PROCESS, "stop_process"),
    _post(f"{PROCESS}/_stop", "stop_process"),
    _post(f"{PROCESS}/_signal/<signal>", "kill"),
    _route("GET", JOB, "info", "the settings of a job", reply=template, result=refer("JobConfig")),
    _route("PUT", JOB, "update", arguments=changed_job, body="config", parameters=(NAME,)),
    _route("DELETE", JOB, "unload"),
    _route("GET", f"{JOB}/_pids", "job_pids", reply=well, result=returns(ok={"const": True}, pids=PIDS)),
    _post(f"{JOB}/_start", "start_job"),
    _post(f"{JOB}/_stop", "stop_job"),
    _post(f"{JOB}/_restart", "restart_job"),
    _scaling(f"{JOB}/_add", adding, "add one process"),
    _scaling(f"{JOB}/_add/<count:int>", adding, "add processes", parameters=(NUMBER,)),
    _scaling(f"{JOB}/_sub", removing, "remove one process"),
    _scaling(f"{JOB}/_sub/<count:int>", removing, "remove processes", parameters=(NUMBER,)),
    _post(f"{JOB}/_signal/<signal>", "killall"),
    _route("GET", "/status/<name>", "status"),
    _route("GET", "/groups", "sessions", reply=lambda found: found["sessions"], result=listed(STRING)),
    _route("GET", GROUP, "session_jobs", reply=names, result=_NAMES),
    _route("DELETE", GROUP, "unload_session"),
    _post(f"{GROUP}/_start", "start_session"),
    _post(f"{GROUP}/_stop", "stop_session"),
    _post(f"{GROUP}/_restart", "restart_session"),
    _route(
        "GET",
        "/stats",
        "all_stats",
        arguments=in_session,
        reply=all_stats,
        result=listed(_STATS),
        live="stats",
        parameters=(SESSION, *LIVE),
    ),
    _route("GET", "/stats/<name>", "stats", reply=stats, result=_STATS, live="stats", parameters=LIVE),
    _route(
        "GET",
        "/stats/<name>/<pid:int>",
        "process_stats",
        reply=lambda one: one["stats"],
        result=refer("ProcessStats"),
        live="stats",
        parameters=LIVE,
    ),
)
