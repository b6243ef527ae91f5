from __future__ import annotations

import pytest

from gaffer.web.openapi.examples import example

KNOWN = {"Pid": {"type": "integer", "examples": [7]}}


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"examples": [3, 4], "const": 5}, 3),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": "OK"}, "OK"),
        ({"type": "integer", "default": 12}, 12),
        ({"$ref": "#/components/schemas/Pid"}, 7),
        ({"anyOf": [{"const": 1}, {"const": 2}]}, 1),
        ({"allOf": [{"const": 1}]}, 1),
        ({"type": "string"}, "text"),
        ({"type": ["null", "string"]}, None),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "boolean"}, True),
        ({"type": "array"}, []),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Pid"}}, [7]),
        ({"type": "object"}, {}),
        ({}, {}),
        ({"type": "object", "properties": {"a": {"const": 1}, "b": {"type": "number"}}}, {"a": 1, "b": 1.5}),
    ],
)
def test_examples(schema, made):
    assert example(schema, KNOWN) == made
