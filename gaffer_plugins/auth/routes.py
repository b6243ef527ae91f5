"""The URLs of keys and users. No answer ever holds a hash, and a key only the answer that makes it."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Callable

from gaffer import Identity
from gaffer.api import LOCAL, MOST_TARGETS, BadRequest, TooLarge, Unauthorized
from gaffer.api.web import (
    BOOLEAN,
    INVISIBLE_CHARACTERS,
    OBJECT,
    OK,
    PLAIN_NAME,
    SECONDS,
    STRING,
    TIME,
    Arg,
    Route,
    Schema,
    listed,
    or_null,
    returns,
)

from .passwords import LONGEST, SHORTEST
from .service import LONGEST_LABEL, LONGEST_LIFE

if TYPE_CHECKING:
    from gaffer.api.web import Request

    from .service import AuthService

TAG = "Keys and users"
#: Of the notes about a user: lists of users show all of them.
LONGEST_EXTRA = 4096
_PLAIN_NAME = PLAIN_NAME["pattern"][1:-1]
_TARGET: Schema = {"type": "string", "pattern": rf"^(\*|{_PLAIN_NAME}(\.{_PLAIN_NAME})?)$"}
_TARGETS: Schema = {
    "type": "array",
    "items": _TARGET,
    "maxItems": MOST_TARGETS,
    "examples": [["default", "shop.web"]],
    "description": "`*`, `session` or `session.job`",
}
_FLAG_SCHEMAS = {"admin": BOOLEAN, "create_key": BOOLEAN, "create_user": BOOLEAN}
_ALLOWED: Schema = returns(**_FLAG_SCHEMAS, manage=listed(STRING), write=listed(STRING), read=listed(STRING))
PERMISSIONS: Schema = {
    "type": "object",
    "properties": {**_FLAG_SCHEMAS, "manage": _TARGETS, "write": _TARGETS, "read": _TARGETS},
    "additionalProperties": False,
    "examples": [{"manage": ["shop"], "read": ["*"]}],
}
_ID: Schema = {"type": "string", "examples": ["60b725f10c9c"]}
_PATH_ID: Schema = {"type": "string", "pattern": "^([0-9a-f]{12}|self)$", "examples": ["60b725f10c9c"]}
_LABEL_PATTERN = f"^[^{INVISIBLE_CHARACTERS}]*$"
_LABEL: Schema = {"type": "string", "maxLength": LONGEST_LABEL, "pattern": _LABEL_PATTERN, "examples": ["deploy"]}
_USERNAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,127}$", "examples": ["ann"]}
_PASSWORD: Schema = {"type": "string", "minLength": SHORTEST, "maxLength": LONGEST, "examples": ["a long phrase"]}
_TYPE: Schema = {"type": "integer", "enum": [0, 1], "description": "0 is an admin, 1 an application"}
_EXPIRES: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_LIFE, "examples": [86_400]}
_KEY: Schema = returns(
    id=_ID,
    label=STRING,
    permissions=_ALLOWED,
    parent=or_null(_ID),
    user=or_null(STRING),
    created=TIME,
    expires=or_null(TIME),
    last_used=or_null(TIME),
)
_USER: Schema = returns(username=STRING, user_type=_TYPE, permissions=_ALLOWED, extra=OBJECT, created=TIME)
_NEW_KEY: Schema = returns(ok={"const": True}, id=_ID, api_key={**STRING, "examples": ["gk_…"]}, expires=or_null(TIME))


def _body(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """Return the schema of a body; without required keys it may be left out."""
    shown = {name: schema if name in required else or_null(schema) for name, schema in properties.items()}
    return {"type": "object", "properties": shown, "required": list(required), "additionalProperties": False}


_LOGIN = _body(label=_LABEL, expires_in=_EXPIRES)
_CREATE_KEY = _body(("permissions",), label=_LABEL, permissions=PERMISSIONS, expires_in=_EXPIRES)
_CREATE_USER = _body(
    ("username", "password"),
    username=_USERNAME,
    password=_PASSWORD,
    user_type=_TYPE,
    permissions=PERMISSIONS,
    extra={**OBJECT, "description": f"anything, up to {LONGEST_EXTRA} characters of JSON"},
)
_PUT_PASSWORD = _body(("password",), password=_PASSWORD, old_password=STRING)
_PUT_KEY = _body(("permissions",), permissions=PERMISSIONS)


class BasicNeeded(Unauthorized):
    """Sent with what makes a client ask for a name and a password."""

    headers = (("WWW-Authenticate", 'Basic realm="gaffer", charset="UTF-8"'),)


def given(request: Request, schema: Schema) -> dict[str, Any]:
    """Return what the body says of the keys that *schema* knows; those that are null are left out."""
    required = schema["required"]
    fields = request.fields(required, [name for name in schema["properties"] if name not in required])
    for name in required:
        if fields[name] is None:
            raise BadRequest(f"the key '{name}' must not be null")
    return {name: value for name, value in fields.items() if value is not None}


def basic(header: str) -> tuple[str, str]:
    """Return name and password of an ``Authorization: Basic`` header (RFC 7617).

    :raises BasicNeeded: there is none.
    """
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        raise BasicNeeded("log in with a user name and a password: Authorization: Basic") from None
    if not colon:
        raise BasicNeeded("a user name and a password have a colon between them")
    return name, password


class Handlers:
    """The handlers of the routes that read a body or note what they did."""

    def __init__(self, service: AuthService) -> None:
        self._service = service

    def login(self, request: Request) -> dict[str, Any]:
        """``POST /auth``."""
        said = given(request, _LOGIN)
        from gaffer.api.web import client_of

        name, password = basic(request.environ.get("HTTP_AUTHORIZATION", ""))
        request.note(username=name)
        try:
            made = self._service.login(name, password, client_of(request.environ), **said)
        except Unauthorized as error:
            raise BasicNeeded(str(error)) from None
        request.note(made=made["id"])
        return made

    def create_key(self, request: Request) -> dict[str, Any]:
        made = self._service.create_key(_who(request), **given(request, _CREATE_KEY))
        request.note(made=made["id"])
        return made

    def delete_key(self, request: Request, id: str) -> dict[str, Any]:
        done = self._service.delete_key(_who(request), id)
        request.note(deleted=done["deleted"])
        return done

    def create_user(self, request: Request) -> dict[str, Any]:
        said = given(request, _CREATE_USER)
        _check_user(said)
        return self._service.create_user(_who(request), **said)

    def set_password(self, request: Request, username: str) -> dict[str, Any]:
        said = given(request, _PUT_PASSWORD)
        old = said.get("old_password")
        if old is not None and not isinstance(old, str):
            raise BadRequest("old_password must be text")
        return self._service.set_password(_who(request), username, said["password"], old)

    def set_permissions(self, request: Request, username: str) -> dict[str, Any]:
        return self._service.set_permissions(_who(request), username, given(request, _PUT_KEY)["permissions"])


def _who(request: Request) -> Identity:
    # Without a plugin that decides, as in an embedded application, a caller may do everything.
    return request.identity or LOCAL


def _check_user(said: dict[str, Any]) -> None:
    kind, extra = said.get("user_type", 1), said.get("extra", {})
    if isinstance(kind, bool) or kind not in (0, 1):
        raise BadRequest(f"user_type must be 0 (admin) or 1 (application), not {kind!r}")
    if not isinstance(extra, dict):
        raise BadRequest("extra must be an object")
    if len(json.dumps(extra)) > LONGEST_EXTRA:
        raise TooLarge(f"extra may have {LONGEST_EXTRA} characters of JSON")


def make_routes(find: Callable[[], AuthService]) -> list[Route]:
    """Return the routes of keys and users."""
    service = find()
    handlers = Handlers(service)
    user = (Arg("username", _USERNAME, "the user"),)
    key = (Arg("id", _PATH_ID, "the key's id, or `self` for the key that asks"),)

    def ask(method: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        return lambda request, **path: method(_who(request), *path.values())

    def route(method: str, path: str, handler: Any, summary: str, result: Schema, **more: Any) -> Route:
        # Everybody with a key may ask; what of it they get is the service's business.
        more = {"permission": "read", "target": "visible", **more}
        return Route(method, path, handler=handler, summary=summary, result=result, tag=TAG, **more)

    return [
        route(
            "POST",
            "/auth",
            handlers.login,
            "log in with `Authorization: Basic`: a fresh key that expires",
            _NEW_KEY,
            body=_LOGIN,
            permission=None,
            also=(401, 409, 429, 503),
        ),
        route(
            "POST",
            "/auth/ticket",
            ask(service.ticket),
            "a ticket for one request with `?ticket=`, for what cannot send a header",
            returns(ok={"const": True}, ticket=STRING, expires_in=SECONDS),
            also=(409,),
        ),
        route(
            "GET",
            "/keys",
            ask(service.keys),
            "the keys that one may see: an admin all, others their own and those made with it",
            returns(keys=listed(_KEY)),
        ),
        route(
            "POST",
            "/keys",
            handlers.create_key,
            "make a key, no stronger than the one that asks",
            _NEW_KEY,
            body=_CREATE_KEY,
            status=201,
            also=(403, 404, 409, 503),
        ),
        route("GET", "/keys/<id>", ask(service.key), "one key", _KEY, parameters=key, also=(404,)),
        route(
            "DELETE",
            "/keys/<id>",
            handlers.delete_key,
            "delete a key, and all that were made with it",
            returns(ok={"const": True}, deleted=listed(_ID)),
            parameters=key,
            also=(404,),
        ),
        route("GET", "/users", ask(service.users), "all users", returns(users=listed(_USER)), also=(403,)),
        route(
            "POST",
            "/users",
            handlers.create_user,
            "make a user",
            OK,
            body=_CREATE_USER,
            status=201,
            also=(403, 409, 503),
        ),
        route("GET", "/users/<username>", ask(service.user), "one user", _USER, parameters=user, also=(403, 404)),
        route(
            "DELETE",
            "/users/<username>",
            ask(service.delete_user),
            "delete a user, and all keys of theirs",
            OK,
            parameters=user,
            also=(403, 404, 409),
        ),
        route(
            "PUT",
            "/users/<username>/password",
            handlers.set_password,
            "change a password; other logins of the user end",
            OK,
            parameters=user,
            body=_PUT_PASSWORD,
            also=(403, 404, 409, 429, 503),
        ),
        route(
            "GET",
            "/users/<username>/key",
            ask(service.permissions),
            "what the keys of a user allow",
            returns(permissions=_ALLOWED),
            parameters=user,
            also=(403, 404),
        ),
        route(
            "PUT",
            "/users/<username>/key",
            handlers.set_permissions,
            "change what the keys of a user allow; the logins that there are end",
            OK,
            parameters=user,
            body=_PUT_KEY,
            also=(403, 404, 409),
        ),
    ]
