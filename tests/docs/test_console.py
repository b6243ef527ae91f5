"""Every command that a page shows behind ``$`` is typed, in order, and prints what stands below it."""

from __future__ import annotations

import shutil

import pytest

from tests.kit.readme_tour import Step, steps

from ..kit.pages import PAGES, Terminal, code_blocks, tidied

#: Begins with gafferd's start; the others find one that runs.
FROM_THE_START = "getting-started.rst"

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="the pages use curl")


def page_steps(path):
    blocks = [block for block in code_blocks(path) if block.language == "console"]
    return [step for block in blocks for step in steps(iter(block.text.splitlines()))]


@pytest.fixture
def terminal(tmp_path):
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.end()


@pytest.mark.parametrize("page", [page for page in PAGES if page_steps(page)], ids=lambda page: page.stem)
def test_every_command_does_what_the_page_says(page, terminal):
    if page.name != FROM_THE_START:
        terminal.cwd = terminal.folder / "examples"
        terminal.start("gafferd -c gaffer.ini -p plugins")
    for step in page_steps(page):
        terminal.follow(step)


def test_the_tutorial_leaves_nothing_running(terminal):
    """Its last command ends gafferd."""
    assert page_steps(next(page for page in PAGES if page.name == FROM_THE_START))[-1].command == "gafferctl shutdown"


def test_the_spaces_of_json_do_not_matter():
    assert tidied('{"a": [1, 2], "b": "x: y"}') == tidied('{"a":[1,2],"b":"x: y"}')
    assert not Step("x", ['{"a": 1}']).matches('{"a": 2}')
