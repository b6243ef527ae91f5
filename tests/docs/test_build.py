"""The pages are built without a warning, and every link inside them leads somewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ..kit.pages import PAGES

#: The only places outside that pages may lead to; it is not checked whether they are there.
OUTSIDE = {"www.gevent.org", "pluggy.readthedocs.io"}
#: What Sphinx's theme adds by itself.
THEME = {"www.sphinx-doc.org", "github.com", "alabaster.readthedocs.io"}


class Links(HTMLParser):
    """Collects where a page leads, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places.update(filter(None, (given.get("id"), given.get("name"))))
        target = given.get("href") or given.get("src")
        if target:
            self.targets.append(target)


def broken_links(folder: Path) -> list[str]:
    """Return the links of the pages in *folder* that lead nowhere."""
    pages = {path.relative_to(folder).as_posix(): Links(path.read_text("utf-8")) for path in folder.rglob("*.html")}
    broken = []
    for name, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if parts.netloc not in OUTSIDE | THEME:
                    broken.append(f"{name}: {target} is outside")
                continue
            path = (Path(name).parent / unquote(parts.path)).as_posix() if parts.path else name
            if not (folder / path).exists():
                broken.append(f"{name}: {target}")
            elif path in pages and unquote(parts.fragment) not in pages[path].places:
                broken.append(f"{name}: {target} has no such place")
    return broken


def test_the_pages_are_built_without_a_warning(built):
    assert (built.code, built.said) == (0, "")


def test_every_page_was_built(built):
    for page in PAGES:
        assert f"<title>{page.read_text('utf-8').splitlines()[0]} &#8212;" in built.page(page.stem)


def test_every_link_leads_somewhere(built):
    assert broken_links(built.folder) == []


@pytest.mark.parametrize("target", ["none.html", "#none", "b.html#none", "https://example.org/"])
def test_a_link_that_leads_nowhere_is_found(tmp_path, target):
    (tmp_path / "b.html").write_text("<p id='there'>")
    (tmp_path / "a.html").write_text("<a href='b.html#there'>good</a>")
    assert broken_links(tmp_path) == []
    (tmp_path / "a.html").write_text(f"<a href='{target}'>bad</a>")
    assert len(broken_links(tmp_path)) == 1


def test_readers_see_no_words_of_our_own(built):
    """They have neither the contract nor the old documents that docstrings refer to."""
    for path in built.folder.glob("*.html"):
        found = re.findall(r"CONTRACT|DESIGN §|\bthe seeds?\b|\bseeds'", path.read_text("utf-8"))
        assert not found, f"{path.name}: {found}"
