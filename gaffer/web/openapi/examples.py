"""Examples made from JSON Schemas, so that they cannot be wrong."""

from __future__ import annotations

from typing import Any, Mapping

from ...commands.schemas import PLACE, Schema

_PLAIN: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def example(schema: Schema, definitions: Mapping[str, Schema]) -> Any:
    """Return a value that *schema* allows: what it gives as an example, or one made from its parts.

    :param definitions: the schemas that it may refer to.
    """
    for key in ("examples", "enum"):
        if key in schema:
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "$ref" in schema:
        return example(definitions[schema["$ref"].removeprefix(PLACE)], definitions)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return example(schema[key][0], definitions)
    return _of_type(schema, definitions)


def _of_type(schema: Schema, definitions: Mapping[str, Schema]) -> Any:
    kind = schema.get("type", "object")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "object":
        return {name: example(part, definitions) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema["items"], definitions)] if "items" in schema else []
    return schema.get("minimum", _PLAIN[kind])
