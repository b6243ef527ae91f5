"""What schemathesis is told about our API beyond its description; it loads this file, pytest does not."""

from __future__ import annotations

import json
import os
import random
import re
from typing import Any

import schemathesis

#: Jobs of the gafferd that is asked.
JOBS = 40
#: Keys and users, where keys are needed.
_KNOWN: dict[str, Any] = {}
if "GAFFER_KNOWN" in os.environ:
    with open(os.environ["GAFFER_KNOWN"]) as found:
        _KNOWN.update(json.load(found))
_RANDOM = random.Random(1)
#: Names of events, by how many parts they have, that happened.
_EVENTS = [(), ("spawn",), ("proc", "job0"), ("job", "default", "job0"), ("job", "default", "job0", "spawn")]
_POSITION = re.compile(r"([0-9a-z]{1,16}-)?[0-9]{1,18}\Z")
_NAME = re.compile(r"[0-9]*([A-Za-z_]|[0-9][+-])[A-Za-z0-9_+-]{,100}\Z")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Aim at what is there, where the case does not build on another one."""
    if case.meta is not None and case.meta.phase.name != "stateful":
        _aim(case.path_parameters)
    if _KNOWN:
        _spare(case)
    _end(case)
    case.body = _whole(case.body)
    if isinstance(case.body, dict) and isinstance(case.body.get("name"), str):
        _agree(case)


def _aim(places: dict[str, Any]) -> None:
    """Put names and pids that exist into most paths; what cannot be a name or a pid stays."""
    for key, value in places.items():
        if _RANDOM.random() < 0.3:
            continue
        if key in ("session", "job", "name") and isinstance(value, str) and _NAME.match(value):
            places[key] = "default" if key == "session" else f"job{_RANDOM.randrange(JOBS)}"
        elif key == "label" and value in ("stdout", "stderr"):
            places[key] = "out"
        elif key == "pid" and isinstance(value, int) and value > 0:
            places[key] = _RANDOM.randrange(1, 2 * JOBS)


def _spare(case: Any) -> None:
    """Change and delete keys and users that are there for that, and not those of the test."""
    places = case.path_parameters
    if case.path.startswith("/keys") and "id" in places:
        if case.method == "DELETE" and places["id"] in ("self", *_KNOWN["own"]):
            places["id"] = _RANDOM.choice(_KNOWN["keys"])
        elif re.fullmatch("[0-9a-f]{12}", str(places["id"])) and _RANDOM.random() < 0.7:
            places["id"] = _RANDOM.choice(_KNOWN["keys"])
    if (
        case.path.startswith("/users")
        and "username" in places
        and _RANDOM.random() < 0.7
        or places.get("username") == "ann"
    ):
        places["username"] = _RANDOM.choice(_KNOWN["users"])
    if case.path != "/auth":
        # It is made up, and would say another key than the one that is sent anyway.
        case.headers.pop("Authorization", None)
    elif _RANDOM.random() < 0.7:
        case.headers["Authorization"] = _KNOWN["login"]


def _end(case: Any) -> None:
    """Keep answers from going on for ever, as feeds and longpolls do while nothing happens; what is no wish stays."""
    query = case.query
    if str(query.get("feed")) in ("continuous", "eventsource"):
        query["feed"] = "longpoll"
    if str(query.get("follow")).lower() in ("true", "yes", "on", "1"):
        query["follow"] = "false"
    if not case.path.startswith(("/streams", "/watch")) or case.method == "POST":
        return
    # From the beginning on, so that the first item is there already.
    case.headers.pop("Last-Event-ID", None)
    if str(query.get("tail", "0")).isdigit():
        query.pop("tail", None)
    if _POSITION.match(str(query.get("since") or "0")):
        query["since"] = "0"
    if case.path.startswith("/watch"):
        case.path_parameters.update(zip(sorted(case.path_parameters), _EVENTS[len(case.path_parameters)]))


def _whole(value: Any) -> Any:
    """Write 5.0 as 5: an integer to JSON Schema, but none to us."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return {key: _whole(one) for key, one in value.items()} if isinstance(value, dict) else value


def _agree(case: Any) -> None:
    """Keep URL and body from naming two jobs, which no schema can say; what is no name stays."""
    last = re.split("[.:/]", case.body["name"])[-1]
    if _NAME.match(last):
        if case.method == "PUT":
            del case.body["name"]
        elif case.path.startswith("/jobs"):
            case.body["name"] = last
