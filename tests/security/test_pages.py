"""Pages of other origins that try to get hold of gafferd's own pages."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from ..kit.gafferd import Gafferd
from . import attack

#: Every kind of answer of type text/html.
PAGES = (
    "/",
    "/docs",
    "/channel/iframe.html",
    "/channel/iframe-1.6.1.html",
    "/channel/000/session/htmlfile?c=callback",
    "/_plugin/hello/",
    "/_plugin/hello/other.html",
)


def head(node: Gafferd, path: str) -> dict[str, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{node.port}{path}", headers={"Accept": "text/html"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}


@pytest.fixture
def node(tmp_path: Path):
    site = tmp_path / "plugins" / "hello" / "_site"
    site.mkdir(parents=True)
    (site / "index.html").write_text("<h1>hello</h1>")
    (site / "other.html").write_text("<h1>other</h1>")
    options = f"plugin_dir = {tmp_path / 'plugins'}"
    with Gafferd(tmp_path, "[process:web]\ncmd = sleep 1000\n", options).start().ready() as node:
        yield node


@attack(
    "a web page",
    "a page of gafferd opened as a window by a page of another port of the same host",
    "neither page reaches the other: ``Cross-Origin-Opener-Policy`` and ``Origin-Agent-Cluster`` on every page",
)
def test_every_page_is_kept_from_those_of_other_ports(node: Gafferd) -> None:
    for path in PAGES:
        headers = head(node, path)
        assert headers["content-type"].lower().startswith("text/html"), path
        assert headers["cross-origin-opener-policy"] == "same-origin", path
        assert headers["origin-agent-cluster"] == "?1", path


@attack(
    "a web page",
    "``document.domain``, which takes the port out of an origin, in a frame of SockJS and in a page of another port",
    "the pages of SockJS do not set it, and ``Origin-Agent-Cluster`` has browsers ignore it",
)
def test_no_page_gives_up_its_port(node: Gafferd) -> None:
    for path in ("/channel/iframe.html", "/channel/000/session/htmlfile?c=callback"):
        with urllib.request.urlopen(f"http://127.0.0.1:{node.port}{path}", timeout=60) as answer:
            assert b"document.domain" not in answer.read(1000), path


def test_answers_that_are_no_pages_stay_as_they_are(node: Gafferd) -> None:
    for path in ("/ping", "/jobs"):
        assert "cross-origin-opener-policy" not in head(node, path)
