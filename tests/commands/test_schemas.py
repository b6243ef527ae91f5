"""Schemas of what commands take and return; the answers themselves are held against them where they are made."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.commands.schemas import JOB_NAME, PLAIN_NAME, definitions, or_null, refer, returns
from gaffer.config.fields import Choice, Int, Text
from gaffer.config.jobconfig import CORE, JobConfig, JobFields
from gaffer.config.names import check_name, parse_job_name
from gaffer.errors import GafferError
from gaffer.web.openapi.examples import example

DEFINITIONS = definitions(CORE)
EVERY = pytest.mark.parametrize("name", DEFINITIONS)


def valid(value, schema, known=DEFINITIONS):
    return jsonschema.Draft202012Validator({**schema, "components": {"schemas": known}}).is_valid(value)


@EVERY
def test_definitions_are_schemas(name):
    jsonschema.Draft202012Validator.check_schema(DEFINITIONS[name])


@EVERY
def test_examples_are_valid(name):
    assert valid(example(DEFINITIONS[name], DEFINITIONS), DEFINITIONS[name])


@EVERY
def test_answers_are_described_to_the_last_key(name):
    """So that a key which is added, renamed or forgotten is noticed."""
    schema = DEFINITIONS[name]
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    if not name.startswith("Job") or name in ("JobInfo", "JobConfig", "JobStats"):
        assert set(schema["required"]) == set(schema["properties"])


# -- settings -----------------------------------------------------------------------------------


def test_every_setting_of_json_can_be_sent_and_is_shown():
    settings = set(CORE.names()) - {"custom_channels"}
    assert set(DEFINITIONS["Job"]["properties"]) == set(DEFINITIONS["JobConfig"]["properties"]) == settings
    assert DEFINITIONS["Job"]["required"] == ["name", "cmd"] and DEFINITIONS["JobUpdate"]["required"] == ["cmd"]


def test_settings_of_plugins_are_described():
    fields = JobFields()
    fields.add("mailer_to", Text(), help="who is told")
    fields.add("mailer_level", Choice("low", "high"), "low")
    known = definitions(fields)
    for value in ({}, {"mailer_to": "root"}, {"mailer_level": "high"}):
        job = {"name": "web", "cmd": "serve", **value}
        assert valid(job, known["Job"], known)
        assert valid(JobConfig.from_dict(job, fields).to_dict(), known["JobConfig"], known)
    assert known["Job"]["properties"]["mailer_to"]["description"] == "who is told"
    assert not valid({"name": "web", "cmd": "serve", "mailer_level": "middle"}, known["Job"], known)
    assert not valid({"name": "web", "cmd": "serve", "mailer_to": None}, known["Job"], known)
    assert not valid({"name": "web", "cmd": "serve", "mailer_to": "root"}, DEFINITIONS["Job"])


def test_defaults_can_be_sent():
    for name, schema in DEFINITIONS["Job"]["properties"].items():
        if "default" in schema:
            assert valid(schema["default"], schema), name


#: Without 1.0, which JSON Schema takes for 1 and we do not.
NUMBERS = st.floats(-9, 1e9).filter(lambda number: not number.is_integer())
VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(-2, 9), NUMBERS, st.text(max_size=4)),
    *(st.sampled_from(["TERM", "022", "on-failure", "a b"]), st.lists(st.integers(-1, 300) | st.text(max_size=3))),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)),
    st.sampled_from([{"attempts": 2, "window": 0.5, "retry_in": 7, "max_retry": -1}, [2, 0.5, 7, 5]]),
)
#: Accounts have to exist, and labels to differ from each other: no schema can say that.
SETTINGS = sorted(set(CORE.names()) - {"name", "cmd", "custom_channels", "uid", "gid", "redirect_output", "start"})


@given(st.sampled_from(SETTINGS), VALUES)
def test_what_fits_the_schema_is_accepted_and_what_is_shown_fits(setting, value):
    job = {"name": "web", "cmd": "serve", setting: value}
    try:
        config = JobConfig.from_dict(job)
    except GafferError:
        # Open quotes, a label that is there twice: no schema can say that.
        assert not valid(job, DEFINITIONS["Job"]) or setting in ("args", "custom_streams")
        return
    assert valid(config.to_dict(), DEFINITIONS["JobConfig"])
    assert valid(config.to_dict(), {**DEFINITIONS["Job"]}), "what is shown can be sent again"


# -- names --------------------------------------------------------------------------------------

NAMES = st.text("aZ09_+-.:/ é\n", max_size=6)


@given(NAMES)
def test_names_of_sessions_and_jobs(name):
    try:
        check_name(name)
    except GafferError:
        assert not valid(name, PLAIN_NAME) or name.endswith("\n")
    else:
        assert valid(name, PLAIN_NAME)


@given(NAMES)
def test_names_in_every_spelling(name):
    try:
        parse_job_name(name)
    except GafferError:
        assert not valid(name, JOB_NAME) or name.endswith("\n")
    else:
        assert valid(name, JOB_NAME)


# -- the vocabulary -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema", [{"type": "string"}, {"type": ["integer", "string"]}, {"enum": [1]}, Int().schema, refer("LastExit")]
)
def test_null_can_be_allowed(schema):
    assert valid(None, or_null(schema)) and not valid(None, schema)
    assert not valid([], or_null(schema))


def test_an_object_has_all_its_keys_and_no_others():
    schema = returns(a={"type": "integer"}, b={})
    assert valid({"a": 1, "b": None}, schema)
    assert not valid({"a": 1}, schema) and not valid({"a": 1, "b": 2, "c": 3}, schema)
