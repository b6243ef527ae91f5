"""The pages of gafferd, of which the description of the HTTP API is one: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any, Iterable

from ...commands.schemas import PLACE, Schema
from ..requests.replies import Reply, reply

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a6b8a; }
@media (prefers-color-scheme: dark) { :root { --accent: #6cc5e0; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
a { color: var(--accent); }
code, pre { font: .875em/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; border-radius: .3rem; }
nav ul { columns: 24rem; list-style: none; padding: 0; }
nav code { white-space: nowrap; }
details { border: 1px solid var(--line); border-radius: .3rem; margin: .5rem 0; }
summary { padding: .5rem .75rem; cursor: pointer; }
summary b { display: inline-block; min-width: 4rem; font: 600 .8em ui-monospace, monospace; }
summary span { opacity: .75; margin-left: .5rem; }
details > div { scroll-margin-top: 3rem; padding: 0 .75rem .75rem; border-top: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }
"""
#: The page may show itself, and no more: injected code could neither run nor send a request.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_METHODS = ("get", "post", "put", "patch", "delete", "head")
#: What of a schema is said in words beside its type.
_LIMITS = ("minimum", "maximum", "minLength", "maxLength", "pattern", "maxItems", "default")
#: Longer patterns are cut.
_LONG = 80


def page_reply(title: str, body: str, extra: Iterable[tuple[str, str]] = ()) -> Reply:
    """Return a page as an answer: it may show itself, and no more.

    :param title: as text. :param body: as HTML. :param extra: more headers.
    """
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">'
    text = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'
    policy = (("Content-Security-Policy", _CONTENT_SECURITY_POLICY), ("Referrer-Policy", "no-referrer"))
    return reply(text.encode(), "text/html; charset=utf-8", extra=(*policy, *extra))


def render(document: dict[str, Any]) -> tuple[str, str]:
    """Return the title and the body of an OpenAPI *document* as a page."""
    info = document["info"]
    title = f"{info['title']} {info['version']}: the HTTP API"
    chapters = [(tag["name"], _operations(document, tag["name"])) for tag in document["tags"]]
    body = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{_words(text)}</p>" for text in info["description"].split("\n\n")),
        '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>',
        _contents(chapters),
        *(_chapter(name, operations, document) for name, operations in chapters),
        '<h2 id="errors">Errors</h2>',
        *(_error(code, one) for code, one in document["components"]["responses"].items()),
        '<h2 id="schemas">Schemas</h2>',
        *(_definition(name, schema) for name, schema in document["components"]["schemas"].items()),
    ]
    return title, "".join(body)


def _operations(document: dict[str, Any], tag: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item and tag in item[method]["tags"]
    ]


def _contents(chapters: list[tuple[str, list[tuple[str, str, dict[str, Any]]]]]) -> str:
    parts = []
    for name, operations in chapters:
        links = (
            f'<li><a href="#{one["operationId"]}"><code>{method.upper()} {escape(path)}</code></a></li>'
            for method, path, one in operations
        )
        parts.append(f'<p><a href="#{_anchor(name)}">{escape(name)}</a></p><ul>{"".join(links)}</ul>')
    return f"<nav>{''.join(parts)}</nav>"


def _chapter(name: str, operations: list[tuple[str, str, dict[str, Any]]], document: dict[str, Any]) -> str:
    shown = "".join(_operation(method, path, one) for method, path, one in operations)
    return f'<h2 id="{_anchor(name)}">{escape(name)}</h2>{shown}'


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    permission = escape(operation["x-permission"])
    parts = [f"<p>Permission: <code>{permission}</code></p>"]
    if operation["parameters"]:
        rows = (
            (f"<code>{escape(one['name'])}</code>", one["in"], _type(one["schema"]), _words(one["description"]))
            for one in operation["parameters"]
        )
        parts.append(_table(("parameter", "in", "type", "meaning"), rows))
    if "requestBody" in operation:
        parts.append(f"<h3>Body</h3>{_contents_of(operation['requestBody'])}")
    parts.append(f"<h3>Answers</h3>{_answers(operation['responses'])}")
    line = f"<b>{method.upper()}</b> <code>{escape(path)}</code> <span>{_words(operation['summary'])}</span>"
    # Inside, because a link to what is inside opens it.
    inside = f'<div id="{operation["operationId"]}">{"".join(parts)}</div>'
    return f"<details><summary>{line}</summary>{inside}</details>"


def _answers(responses: dict[str, Any]) -> str:
    """Return what is special to the operation, then the errors in one line."""
    own, errors = [], []
    for status, answer in responses.items():
        if "$ref" in answer:
            code = answer["$ref"].rpartition("/")[2]
            errors.append(f'<code>{status}</code> <a href="#error-{code}">{code}</a>')
        else:
            own.append(f"<p><code>{status}</code> {escape(answer['description'])}</p>{_contents_of(answer)}")
    return f"{''.join(own)}<p>{', '.join(errors)}</p>"


def _contents_of(holder: dict[str, Any]) -> str:
    return "".join(_media(media, shown) for media, shown in holder.get("content", {}).items())


def _media(media: str, shown: dict[str, Any]) -> str:
    schema = shown["schema"]
    text = f"<p><code>{escape(media)}</code>: {_type(schema)}</p>{_properties(schema)}"
    if "example" not in shown:
        return text
    example = shown["example"]
    plain = not media.startswith("application/json")
    return f"{text}<pre>{escape(str(example) if plain else json.dumps(example, indent=1, ensure_ascii=False))}</pre>"


def _error(code: str, answer: dict[str, Any]) -> str:
    example = answer["content"]["application/json"]["example"]
    shown = escape(json.dumps(example, ensure_ascii=False))
    return (
        f'<h3 id="error-{code}">{example["errno"]} {code}</h3><p>{_words(answer["description"])}</p><pre>{shown}</pre>'
    )


def _definition(name: str, schema: Schema) -> str:
    return f'<h3 id="schema-{escape(name)}">{escape(name)}</h3>{_properties(schema) or _type(schema)}'


def _properties(schema: Schema) -> str:
    if "properties" not in schema or "$ref" in schema:
        return ""
    required = schema.get("required", ())
    rows = (
        (
            f"<code>{escape(name)}</code>" + ("" if name in required else " <small>optional</small>"),
            _type(one),
            _words(one.get("description", "")),
        )
        for name, one in schema["properties"].items()
    )
    return _table(("key", "type", "meaning"), rows)


def _type(schema: Schema) -> str:
    """Return what *schema* says of a value, in a few words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(PLACE))
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return ", ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)
    kind = schema.get("type", "anything")
    words = kind if isinstance(kind, str) else " or ".join(kind)
    if kind == "array" and "items" in schema:
        words = f"array of {_type(schema['items'])}"
    return words + _limits(schema)


def _limits(schema: Schema) -> str:
    said = [
        f"{key} <code>{escape(json.dumps(schema[key], ensure_ascii=False))}</code>" for key in _LIMITS if key in schema
    ]
    return "".join(f", {text}" for text in said if len(text) < _LONG)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _words(text: str) -> str:
    """Return *text* with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _anchor(name: str) -> str:
    return "tag-" + "".join(letter if letter.isalnum() else "-" for letter in name.lower())
