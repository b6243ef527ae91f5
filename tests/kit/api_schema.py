"""Holding answers against the description of the API, so that neither says what the other does not."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import jsonschema

from tests.kit.web import Answer


class Described:
    """An OpenAPI document.

    :param text: its JSON.
    """

    def __init__(self, text: bytes) -> None:
        self.document: dict[str, Any] = json.loads(text)
        paths = sorted(self.document["paths"], key=lambda path: (path.count("{"), path))
        self._paths = [(re.compile(re.sub(r"\{path\}", ".+", re.sub(r"\{(?!path)\w+\}", "[^/]+", path)) + r"\Z"), path)
                       for path in paths]  # fmt: skip

    @property
    def operations(self) -> set[tuple[str, str]]:
        """Every method and path."""
        return {(method.upper(), path) for path, item in self.document["paths"].items() for method in item}

    def path_of(self, url: str) -> str | None:
        """Return the path that *url* is one of."""
        plain = url.partition("?")[0]
        return next((path for pattern, path in self._paths if pattern.match(plain)), None)

    def resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        """Return *part*, or what it refers to."""
        if "$ref" not in part:
            return part
        found = self.document
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return found

    def validate(self, value: Any, schema: dict[str, Any]) -> None:
        """Check *value* against a schema of the document."""
        whole = {**schema, "components": self.document["components"]}
        jsonschema.Draft202012Validator(whole).validate(value)

    def check(self, method: str, url: str, answer: Answer) -> None:
        """Check an answer: its status, its type and its body."""
        path = self.path_of(url)
        if path is None:
            return
        item = self.document["paths"][path]
        known = item.get("get" if method == "HEAD" else method.lower())
        if known is None:
            assert answer.status in (204, 400, 403, 404, 405, 421), answer
            return
        described = known["responses"].get(str(answer.status))
        assert described is not None, f"{method} {path} is not said to answer {answer.status}: {answer.body[:500]!r}"
        if method != "HEAD":
            self._check_body(self.resolved(described).get("content"), answer)

    def _check_body(self, content: dict[str, Any] | None, answer: Answer) -> None:
        if content is None:
            assert answer.body == b"", answer
            return
        kind = answer.headers["content-type"]
        assert kind in content or "*/*" in content, f"{kind} is none of {list(content)}"
        schema = content.get(kind, {}).get("schema", {})
        self.validate(answer.json if kind == "application/json" else answer.body.decode("utf-8", "replace"), schema)


@lru_cache(16)
def described(text: bytes) -> Described:
    """Return a document, read once."""
    return Described(text)
