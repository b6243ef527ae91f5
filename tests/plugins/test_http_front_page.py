"""``GET /``: JSON for programs, a page with links for browsers."""

from __future__ import annotations

import pytest

import gaffer
from gaffer import Site
from gaffer_plugins.http.front_page import prefers_page
from gaffer_plugins.sites import SitesPlugin
from tests.kit.web import parse, talk

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


class Sites(gaffer.Plugin):
    @gaffer.hookimpl
    def gaffer_sites(self):
        return [Site("a<b", "/nowhere"), Site("secret", "/nowhere", True)]


def get(api, accept):
    head = f"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n\r\n"
    return parse(talk(api.address, head.encode()))


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (FIREFOX, True),
        ("text/html", True),
        ("TEXT/HTML ; q=0.5, */*", True),
        ("application/json;q=0.1, text/html", True),
        ("", False),
        ("*/*", False),
        ("application/json, text/plain, */*", False),
        ("text/html, application/json", False),
        ("text/html;q=0", False),
        ("text/html;q=x", False),
        ("," * 5000 + "text/html", False),
    ],
)
def test_only_a_client_that_names_html_before_json_prefers_a_page(accept, wanted):
    assert prefers_page(accept) is wanted


def test_a_browser_gets_a_page_that_links_what_there_is(start_api):
    api = start_api(SitesPlugin(), Sites())
    page = get(api, FIREFOX)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'none'") and page.headers["vary"] == "Accept"
    for link in ("docs", "openapi.json", "info", "health", "_plugin/a%3Cb/", "_plugin/secret/"):
        assert f'<a href="{link}">' in page.text
    assert "a<b" not in page.text and f"gaffer {gaffer.__version__}" in page.text


def test_without_the_plugin_sites_none_are_linked(start_api):
    assert "_plugin" not in get(start_api(Sites()), FIREFOX).text


def test_where_keys_are_required_private_sites_are_not_named(start_api):
    api = start_api(SitesPlugin(), Sites())
    api.manager.access.strict = True
    page = get(api, FIREFOX)
    assert page.status == 200 and "secret" not in page.text
    assert "_plugin/a%3Cb/" in page.text and "ticket" in page.text


def test_programs_get_json(start_api):
    api = start_api()
    for accept in ("*/*", "application/json, text/html;q=0.5"):
        answer = get(api, accept)
        assert answer.json == {"welcome": "gaffer", "version": gaffer.__version__}
        assert answer.headers["vary"] == "Accept"
    assert api.get("/") == {"welcome": "gaffer", "version": gaffer.__version__}
