"""JSON Schemas (2020-12) of what commands take and return.

Commands refer to the larger ones by name, so that one description of the API holds each of them once, with the job
settings that a manager's plugins have declared.
"""

from __future__ import annotations

from typing import Any, Iterable

from ..config.fields import Field
from ..config.jobconfig import JobFields
from ..config.names import MAX_NAME

#: The type of a JSON Schema.
Schema = dict[str, Any]

#: Where :func:`refer` points to, as in OpenAPI documents.
PLACE = "#/components/schemas/"
#: Settings that JSON cannot carry.
_PYTHON_ONLY = ("custom_channels",)
#: A name that is not digits only: those would be pids.
_NAME = "[0-9]*([A-Za-z_]|[0-9][+-])[A-Za-z0-9_+-]*"

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
SECONDS: Schema = {"type": "number", "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
TIME: Schema = {"type": "number", "description": "seconds since 1970", "examples": [1767225600.25]}
PLAIN_NAME: Schema = {"type": "string", "pattern": f"^{_NAME}$", "maxLength": MAX_NAME, "examples": ["web"]}
JOB_NAME: Schema = {"type": "string", "pattern": f"^({_NAME}[.:/])?{_NAME}$", "examples": ["web"]}
FULL_NAME: Schema = {"type": "string", "examples": ["default.web"], "description": "session.job"}
SHORT_NAME: Schema = {"type": "string", "examples": ["web"], "description": "default. is left out"}
NAMES: Schema = {"type": "array", "items": FULL_NAME}
PID: Schema = {"type": "integer", "minimum": 1, "examples": [7], "description": "gaffer's own number"}
OS_PID: Schema = {"type": "integer", "minimum": 1, "examples": [4711], "description": "the kernel's number"}
PIDS: Schema = {"type": "array", "items": PID}
LABEL: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$", "examples": ["stdout"]}
LABELS: Schema = {"type": "array", "items": STRING}
BYTES: Schema = {"type": "integer", "minimum": 0, "examples": [9_437_184], "description": "bytes"}
PER_CENT: Schema = {"type": "number", "minimum": 0, "examples": [0.5], "description": "per cent"}
OK: Schema = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"]}


def refer(name: str) -> Schema:
    """Return the schema that refers to one of :func:`definitions`."""
    return {"$ref": PLACE + name}


def returns(**properties: Schema) -> Schema:
    """Return the schema of an object that has exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def listed(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """Return *schema* with null allowed."""
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def definitions(fields: JobFields) -> dict[str, Schema]:
    """Return the schemas that commands refer to, by name.

    :param fields: the manager's job settings, those of its plugins among them.
    """
    shown = _shown_settings(fields)
    return {
        "Job": _taken_settings(fields, required=("name", "cmd")),
        "JobUpdate": _taken_settings(fields, required=("cmd",)),
        "JobConfig": returns(**shown),
        "JobInfo": _job_info(),
        "LastExit": _LAST_EXIT,
        "Cause": _CAUSE,
        "Stopping": _STOPPING,
        "JobStats": _JOB_STATS,
        "ProcessInfo": returns(**_PROCESS),
        "ProcessTemplate": returns(**{**shown, **_PROCESS}),
        "ProcessStats": _PROCESS_STATS,
        "Plugin": _PLUGIN,
        "Health": _HEALTH,
        "Stray": _STRAY,
        "Reloaded": _RELOADED,
    }


# -- a job's settings -----------------------------------------------------------


def _settings(fields: Iterable[Field]) -> list[Field]:
    return [field for field in fields if field.name not in _PYTHON_ONLY]


def _taken_settings(fields: JobFields, required: tuple[str, ...]) -> Schema:
    """Return what may be sent."""
    properties = {field.name: _described(field, field.kind.schema) for field in _settings(fields)}
    properties["name"] = {**JOB_NAME, "description": "the job's name: job or session.job"}
    example = {"name": "web", "cmd": "python -m http.server", "numprocesses": 2, "env": {"LANG": "C.UTF-8"}}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        "examples": [{key: value for key, value in example.items() if key in required or key != "name"}],
    }


def _shown_settings(fields: JobFields) -> dict[str, Schema]:
    """Return what is sent back: every setting, null where nothing is set."""
    shown = {}
    for field in _settings(fields):
        schema = field.kind.schema if field.default is not None else or_null(field.kind.schema)
        shown[field.name] = _described(field, schema)
        if field.default is None:
            shown[field.name] |= {"examples": [None]}
    # The jobs API shows full names and the classic routes short ones.
    shown["name"] = {**FULL_NAME, "description": "the job's name"}
    shown["cmd"] = {**shown["cmd"], "type": "string", "examples": ["python -m http.server"]}
    return shown


def _described(field: Field, schema: Schema) -> Schema:
    described = {"description": field.help, **schema}
    if field.default is not None:
        described["default"] = field.kind.to_json(field.default)
    return described


# -- what is shown --------------------------------------------------------------

_STOPPING = returns(
    since={**TIME, "description": "when the first process was told to stop, in seconds since 1970"},
    until={
        **or_null(TIME),
        "description": "when the last gets KILL, in seconds since 1970; null once it was sent",
    },
)

_LAST_EXIT = returns(
    pid=PID,
    os_pid=OS_PID,
    exit_status={"type": ["integer", "null"], "examples": [1]},
    exit_code={"type": ["integer", "null"], "examples": [1], "description": "null after a signal"},
    term_signal={"type": "integer", "minimum": 0, "examples": [0], "description": "0 without one"},
    note={"type": ["string", "null"], "examples": [None], "description": "core dumped, or killed for memory (OOM)"},
    time=TIME,
)

_PROCESS: dict[str, Schema] = {
    "pid": PID,
    "os_pid": OS_PID,
    "name": {**FULL_NAME, "description": "of its job"},
    "cmd": {"type": "string", "examples": ["python -m http.server"]},
    "args": {"anyOf": [LABELS, STRING], "examples": [[]]},
    "env": {"type": "object", "additionalProperties": STRING, "examples": [{"LANG": "C.UTF-8"}]},
    "uid": {"type": ["integer", "string", "null"], "examples": [None]},
    "gid": {"type": ["integer", "string", "null"], "examples": [None]},
    "create_time": TIME,
    "committed": {**BOOLEAN, "examples": [False], "description": "an extra one, not counted and not replaced"},
    "redirect_output": LABELS,
    "redirect_input": {**BOOLEAN, "examples": [False]},
    "custom_streams": LABELS,
    "active": {**BOOLEAN, "examples": [True], "description": "it has not exited"},
    "index": {"type": "integer", "description": "its place among its job's processes; below 0 if it was committed"},
    "uptime": {**SECONDS, "examples": [12.5], "description": "seconds"},
}

_PROCESS_STATS: Schema = returns(
    pid={"type": ["integer", "null"], "examples": [7], "description": "gaffer's own number; null for children"},
    os_pid=OS_PID,
    mem_info1={**BYTES, "description": "resident memory, bytes"},
    mem_info2={**BYTES, "description": "virtual memory, bytes"},
    cpu={**PER_CENT, "description": "per cent of one CPU since the last look"},
    mem={**PER_CENT, "description": "per cent of the machine's memory"},
    ctime={**SECONDS, "examples": [0.25], "description": "seconds of CPU used so far"},
    username={**STRING, "examples": ["www-data"]},
    nice={"type": "integer", "examples": [0]},
    cmdline={"type": "string", "examples": ["python -m http.server"]},
    children={**listed(refer("ProcessStats")), "examples": [[]]},
)

_JOB_STATS: Schema = returns(
    name=FULL_NAME,
    stats=listed(refer("ProcessStats")),
    **{
        f"{which}{what}": {**PER_CENT, "description": "of processes with all their descendants"}
        for what in ("cpu", "mem")
        for which in ("", "max_", "min_")
    },
)

_PLUGIN: Schema = returns(
    name={**STRING, "examples": ["stats"]},
    version={**STRING, "examples": ["1.0"]},
    origin={**STRING, "examples": ["gaffer"], "description": "distribution, folder or file, or embedder"},
    description=STRING,
    kind={"type": "string", "enum": ["plugin", "hooks", "app", "site"]},
    hooks={**LABELS, "examples": [["gaffer_sample"]]},
    state={"type": "string", "enum": ["loaded", "disabled", "failed", "muted"]},
)

_HEALTH: Schema = returns(
    ok={**BOOLEAN, "examples": [True]},
    state={"type": "string", "enum": ["running", "new", "starting", "stopping", "stopped"]},
    uptime={**SECONDS, "examples": [3600.5]},
    jobs={**COUNT, "examples": [2]},
    processes={**COUNT, "examples": [3]},
    troubled={**NAMES, "description": "jobs in state failed, flapping, backoff or unready", "examples": [[]]},
    strays={**COUNT, "examples": [0], "description": "descendants of processes that have exited"},
    plugins={
        "type": "object",
        "description": "what each plugin says of itself",
        "additionalProperties": {"type": "object", "properties": {"ok": BOOLEAN}, "required": ["ok"]},
        "examples": [{"http": {"ok": True, "urls": ["http://127.0.0.1:5000"], "connections": 1}}],
    },
)

_CAUSE: Schema = returns(
    text={"type": "string", "examples": ["web is stopped"]},
    since={**or_null(TIME), "examples": [None]},
    do={"type": ["string", "null"], "examples": ["gafferctl start web"], "description": "what helps"},
    job={"type": ["string", "null"], "examples": ["default.web"], "description": "the job it is about"},
    state={"type": ["string", "null"], "examples": ["stopped"], "description": "that job's, if it is told here"},
    causes={"type": "array", "items": refer("Cause"), "examples": [[]]},
)

_STRAY: Schema = returns(
    os_pid={**PID, "description": "the kernel's id of it"},
    pid={**PID, "description": "of the process that it descends from"},
    job={"type": "string", "examples": ["web"], "description": "the job of that process"},
)

_RELOADED: Schema = returns(
    ok={"const": True},
    **{what: {**NAMES, "examples": [[]]} for what in ("loaded", "unloaded", "updated", "unchanged")},
    needs_restart={
        "type": "array",
        "items": {"type": "string"},
        "examples": [[]],
        "description": "changed options that take effect when gafferd is started again",
    },
)


def _job_info() -> Schema:
    return returns(
        name=FULL_NAME,
        active={**BOOLEAN, "examples": [True], "description": "it is wanted up"},
        running={**COUNT, "examples": [1], "description": "live processes, committed ones too"},
        ready={**COUNT, "examples": [1], "description": "processes that can be used, without committed ones"},
        running_out={**COUNT, "examples": [0], "description": "committed ones"},
        max_processes={**COUNT, "examples": [1], "description": "the wanted number"},
        processes=PIDS,
        state={
            "type": "string",
            "enum": [
                "running",
                "starting",
                "waiting",
                "stopping",
                "stopped",
                "unready",
                "backoff",
                "flapping",
                "failed",
            ],
        },
        config=refer("JobConfig"),
        restarts={**COUNT, "examples": [0], "description": "processes that died and were replaced"},
        replacements={**COUNT, "examples": [0], "description": "processes replaced on request"},
        uptime={**SECONDS, "examples": [12.5], "description": "seconds, of the oldest process; 0 without one"},
        uptimes={"type": "array", "items": SECONDS, "examples": [[12.5]], "description": "seconds, of each process"},
        last_exit={"anyOf": [refer("LastExit"), {"type": "null"}]},
        retry_in={**or_null(SECONDS), "examples": [None], "description": "seconds until the next retry"},
        stopping={
            "anyOf": [refer("Stopping"), {"type": "null"}],
            "examples": [None],
            "description": "if processes are being stopped",
        },
        reason={"type": ["string", "null"], "examples": [None], "description": "why it waits or is in trouble"},
        stderr={**listed(STRING), "examples": [[]], "description": "the last lines of a process that failed"},
        readiness=listed(
            returns(
                pid=PID,
                ready=BOOLEAN,
                reason={"type": ["string", "null"], "examples": [None], "description": "why it is, or is not"},
                since={**SECONDS, "examples": [1795305600.25], "description": "since when, in seconds since 1970"},
            )
        ),
        rolling={
            "anyOf": [
                returns(
                    replaced={**COUNT, "examples": [1]},
                    processes={**COUNT, "examples": [3], "description": "how many are to be replaced"},
                    text=STRING,
                    error={"type": ["string", "null"], "examples": [None]},
                    done=BOOLEAN,
                ),
                {"type": "null"},
            ],
            "examples": [None],
            "description": "the latest rolling reload",
        },
        plugins={
            "type": "object",
            "additionalProperties": {"type": "object"},
            "examples": [{}],
            "description": "what plugins know of it, by their names",
        },
    )
