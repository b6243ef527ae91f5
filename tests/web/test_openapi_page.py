"""The description as a page: complete, its links lead somewhere, nothing in it is taken for markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from gaffer.commands.command import Arg
from gaffer.commands.schemas import definitions
from gaffer.commands.table import COMMANDS
from gaffer.config.jobconfig import CORE
from gaffer.web.openapi.openapi import DescriptionContext, describe
from gaffer.web.openapi.page import page_reply, render
from gaffer.web.requests.routes import Route
from gaffer_plugins.http import gaffer04_routes, job_routes

SOURCE = DescriptionContext({command.name: command for command in COMMANDS}.__getitem__, definitions(CORE))
VOID = {"meta", "br"}


class Page(HTMLParser):
    """A page taken apart; what is not closed, or closed twice, is an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.tags, self.text = [], [], [], set(), ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        assert not {name for name in found if name.startswith("on")} and "style" not in found
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def html(document):
    """Return the page of a description."""
    return b"".join(page_reply(*render(document)).body).decode()


@pytest.fixture(scope="module")
def document():
    return describe([*job_routes.ROUTES, *gaffer04_routes.ROUTES], SOURCE)


@pytest.fixture(scope="module")
def page(document):
    return Page(html(document))


def test_every_operation_is_there(document, page):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert f"{method.upper()} {path}" in page.text and operation["operationId"] in page.ids
            assert operation["summary"] in page.text


def test_every_schema_and_every_error_is_there(document, page):
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= set(page.ids)
    assert {f"error-{code}" for code in document["components"]["responses"]} <= set(page.ids)


def test_links_lead_somewhere(page):
    assert len(set(page.ids)) == len(page.ids)
    inside = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}


def test_nothing_comes_from_elsewhere_and_nothing_runs(page):
    assert not page.tags & {"script", "img", "link", "iframe", "form", "object"}


def test_the_policy_allows_the_page_its_own_style_and_no_more(document):
    (style,) = re.findall("<style>(.*)</style>", html(document), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(page_reply(*render(document)).headers)["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy


def test_texts_of_plugins_are_escaped():
    evil = "<script>alert('x')</script>"
    route = Route(
        "POST",
        "/evil",
        handler=print,
        permission="read",
        summary=evil,
        tag=evil,
        parameters=(Arg("a", {"type": "string", "default": evil}, evil),),
        body={"type": "object", "properties": {evil: {"enum": [evil], "description": evil}}},
        result={"const": evil},
    )
    page = Page(html(describe([route], SOURCE)))
    assert "script" not in page.tags and page.text.count(evil) >= 6


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 9}, "integer, minimum 0, maximum 9"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/JobInfo"}}, "array of JobInfo"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "integer"}]}, "integer or string"),
        ({"enum": ["a", None]}, '"a", null'),
        ({"type": "string", "pattern": "x" * 200}, "string"),
        ({}, "anything"),
    ],
)
def test_types_in_words(schema, says):
    route = Route("GET", "/x", handler=print, permission="read", result=schema)
    text = Page(html(describe([route], SOURCE))).text
    assert f"application/json: {says}" in text and "xxxx" not in text
