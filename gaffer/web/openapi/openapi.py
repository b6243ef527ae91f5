"""The description of the HTTP API, OpenAPI 3.1, made from the routes and the commands behind them."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from ...commands.command import Arg, Command
from ...commands.schemas import INTEGER, PLAIN_NAME, STRING, Schema, or_null, returns
from ...version import __version__
from ..live.feed_parameters import EVENT_STREAM, LINES
from ..requests.error_table import ERROR_CODES, ERRORS
from ..requests.replies import STATUS_LINES
from ..requests.routes import INVISIBLE_CHARACTERS, UNDECLARED, Route
from .examples import example

JSON = "application/json"
_ABOUT = """\
JSON in and out, UTF-8; a body has to be declared as `application/json`. An error is JSON, too: a word for programs, a
sentence for people and the status. HEAD works wherever GET does, and OPTIONS everywhere; none of them changes anything.
A method that does not work gets 405 and the header `Allow`. Jobs are named `job` or `session.job`.
"""
_KEYS = {
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
#: What a path may hold where nothing else is said.
_PATH_TEXT: Schema = {"type": "string", "minLength": 1, "pattern": f"^[^{INVISIBLE_CHARACTERS}]+$"}
_PLACES = {"session": PLAIN_NAME, "job": PLAIN_NAME}
_KINDS = {"int": INTEGER}
_PLACE = re.compile(r"<([a-z_]+)(?::[a-z]+)?>")


class DescriptionContext(NamedTuple):
    """Commands and schemas that the description of routes refers to.

    :param commands: finds a command by its name.
    :param definitions: the schemas that commands refer to, see :func:`gaffer.commands.schemas.definitions`.
    :param keys: whether keys are needed.
    """

    commands: Callable[[str], Command]
    definitions: Mapping[str, Schema]
    keys: bool = False


def describe(routes: Iterable[Route], context: DescriptionContext, title: str = "gaffer") -> dict[str, Any]:
    """Return the description of *routes* as an OpenAPI document."""
    routes = list(routes)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag or "other" for route in routes)],
        "paths": _paths(routes, context),
        "components": {"schemas": {"Error": _ERROR, **context.definitions}, "responses": _error_responses()},
    }
    if context.keys:
        document["components"]["securitySchemes"] = _KEYS
    return document


# -- paths --------------------------------------------------------------------------------------


def _paths(routes: list[Route], context: DescriptionContext) -> dict[str, Any]:
    named = _names_of_places(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        names = named[_PLACE.sub("{}", route.path)]
        url, method = _url(route.path, names), route.method.lower()
        item = paths.setdefault(url, {})
        operation = {"operationId": _identifier(method, url), **_operation(route, names, context)}
        item[method] = _merged(item[method], operation) if method in item else operation
    return paths


def _url(path: str, names: list[str]) -> str:
    parts = _PLACE.split(path)[::2]
    return parts[0] + "".join(f"{{{name}}}{part}" for name, part in zip(names, parts[1:]))


def _names_of_places(routes: list[Route]) -> dict[str, list[str]]:
    """Return the names of parameters by the path without them.

    ``/x/<name>`` and ``/x/<pid:int>`` are one path in OpenAPI: the name counts, which is the wider of the two.
    """
    names: dict[str, list[str]] = {}
    for route in sorted(routes, key=lambda route: -sum(kind == "int" for _, kind in route.places)):
        names[_PLACE.sub("{}", route.path)] = [name for name, _ in route.places]
    return names


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return two operations that differ only in the kind of their path's parameters as one."""
    both = {**second, **first, "summary": f"{first['summary']}; or {second['summary']}"}
    both["parameters"] = _merged_parameters(first["parameters"], second["parameters"])
    both["responses"] = {**first["responses"], **second["responses"]}
    for status in first["responses"].keys() & second["responses"].keys():
        both["responses"][status] = _either_answer(first["responses"][status], second["responses"][status])
    return both


def _merged_parameters(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = {parameter["name"]: parameter for parameter in first}
    for parameter in second:
        name = parameter["name"]
        found[name] = _either(found[name], parameter) if name in found else parameter
    return list(found.values())


def _either(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    if one == other:
        return one
    description = f"{one['description']}; or {other['description']}"
    return {**one, "description": description, "schema": {"anyOf": [one["schema"], other["schema"]]}}


def _either_answer(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    if one == other or "$ref" in one:
        return one
    content = dict(one.get("content", {}))
    for media, shown in other.get("content", {}).items():
        first = content.get(media)
        if first is not None and first["schema"] != shown["schema"]:
            shown = {**first, "schema": {"anyOf": [first["schema"], shown["schema"]]}}
        content[media] = shown
    return {**one, "content": content}


# -- one operation ------------------------------------------------------------------------------


def _operation(route: Route, names: list[str], context: DescriptionContext) -> dict[str, Any]:
    command = context.commands(route.command) if route.command is not None else None
    permission = command.permission if command is not None else route.permission
    arguments = {arg.name: arg for arg in (*(command.args if command else ()), *route.parameters)}
    operation: dict[str, Any] = {
        "summary": route.summary or (command.help if command else str(route)),
        "tags": [route.tag or "other"],
        "parameters": _parameters(route, names, arguments),
        "responses": _responses(route, command, permission, context),
        "x-permission": permission if permission not in (None, UNDECLARED) else "everybody",
    }
    body = _body(route, arguments, context)
    if body is not None:
        operation["requestBody"] = body
    if context.keys:
        operation["security"] = [{name: []} for name in _KEYS] if permission is not None else [{}]
    return operation


def _identifier(method: str, url: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", url.lower()).strip("_")
    # A folder beside a file of the same name.
    return f"{method}_{words}_" if words and url.endswith("/") else f"{method}_{words or 'root'}"


def _parameters(route: Route, names: list[str], arguments: Mapping[str, Arg]) -> list[dict[str, Any]]:
    found = []
    for (own, kind), name in zip(route.places, names):
        arg = arguments.get(own)
        schema = arg.schema if arg is not None else _PLACES.get(own, _KINDS.get(kind, _PATH_TEXT))
        described = {"name": name, "in": "path", "required": True, "schema": _seen(schema)}
        found.append({**described, "description": arg.help if arg else f"the {own}"})
    for arg in route.parameters:
        if arg.name not in dict(route.places):
            query = {"name": arg.name, "in": "query", "required": arg.required, "schema": arg.schema}
            found.append({**query, "description": arg.help})
    return found


def _seen(schema: Schema) -> Schema:
    """Return the schema of a part of the path; what is refused in every path is no part of one."""
    if schema.get("type") != "string" or "pattern" in schema or "enum" in schema:
        return schema
    return {**_PATH_TEXT, **schema}


def _body(route: Route, arguments: Mapping[str, Arg], context: DescriptionContext) -> dict[str, Any] | None:
    if route.body is None:
        return None
    required = True
    if isinstance(route.body, str):
        schema = arguments[route.body].schema
    elif isinstance(route.body, tuple):
        keys = [arguments[name] for name in route.body]
        schema = returns(**{arg.name: {"description": arg.help, **_given(arg)} for arg in keys})
        schema["required"] = [arg.name for arg in keys if arg.required]
        required = bool(schema["required"])
    else:
        schema = route.body
    content = {JSON: _content(schema, context)}
    if route.raw:
        content["text/plain"] = _content(_as_text(schema), context)
    return {"required": required, "content": content}


def _given(arg: Arg) -> Schema:
    """Return the schema of an argument; null is the same as leaving it out."""
    return arg.schema if arg.required else or_null(arg.schema)


def _as_text(schema: Schema) -> Schema:
    return {"type": "string", "enum": [str(value) for value in schema["enum"]]} if "enum" in schema else STRING


def _content(schema: Schema, context: DescriptionContext) -> dict[str, Any]:
    return {"schema": schema, "example": example(schema, context.definitions)} if schema else {"schema": schema}


# -- answers ------------------------------------------------------------------------------------


def _responses(
    route: Route, command: Command | None, permission: str | None, context: DescriptionContext
) -> dict[str, Any]:
    schema = route.result if route.result is not None else command.result if command is not None else {}
    success: dict[str, Any] = {"description": _phrase(route.status)}
    if route.status != 204 and not 300 <= route.status < 400:
        success["content"] = {**_media(route), _types(route)[0]: _content(schema, context)}
    found = {str(route.status): success}
    for status in sorted(_statuses(route, command, context.keys and permission is not None)):
        if status in ERROR_CODES:
            found[str(status)] = {"$ref": f"#/components/responses/{ERROR_CODES[status]}"}
        else:
            found[str(status)] = {"description": _phrase(status)}
    return found


def _types(route: Route) -> tuple[str, ...]:
    return (route.media,) if isinstance(route.media, str) else route.media


def _media(route: Route) -> dict[str, Any]:
    """Return the content of the types that an answer has only if that is asked for."""
    types = [*_types(route), *((LINES, EVENT_STREAM) if route.live else ())]
    return {kind: {"schema": STRING} for kind in types[1:]}


def _statuses(route: Route, command: Command | None, locked: bool) -> set[int]:
    """Return the statuses beside that of success."""
    found = {400, 403, 414, 421, 431, 503, *route.also, *(command.errors if command is not None else ())}
    if locked:
        found.add(401)
    if route.places:
        found.add(404)
    if route.body is not None:
        found.add(413)
    if route.method != "GET" and not route.raw:
        found.add(415)
    return found


def _phrase(status: int) -> str:
    return STATUS_LINES[status].split(" ", 1)[1]


_ERROR: Schema = {
    **returns(
        error={"type": "string", "description": "a word for programs"},
        reason={"type": "string", "description": "a sentence for people: what is wrong and what to do"},
        errno={"type": "integer", "minimum": 400, "maximum": 599, "description": "the status"},
    ),
    "examples": [{"error": "not_found", "reason": ERRORS[3][2], "errno": 404}],
}


def _error_responses() -> dict[str, Any]:
    found = {}
    for kind, description, sentence in ERRORS:
        schema = {"$ref": "#/components/schemas/Error", "properties": {"errno": {"const": kind.status}}}
        shown = {"error": kind.code, "reason": sentence, "errno": kind.status}
        content = {JSON: {"schema": schema, "example": shown}}
        found[kind.code] = {"description": description, "content": content}
    return found
