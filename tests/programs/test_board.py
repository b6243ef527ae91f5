"""The board in examples/plugins: a page that shows and commands the jobs of a real gafferd, in a real browser."""

from __future__ import annotations

import base64
import shlex
import shutil
from contextlib import contextmanager

import pytest

from tests.kit.pages import ROOT

from ..kit.gafferd import Gafferd
from . import browser as chromium
from .test_auth import PASSWORD, ask
from .test_auth import gafferd as run_gafferd

EXAMPLES = shlex.quote(str(ROOT / "examples"))
JOBS = f"""
[process:count]
cmd = {EXAMPLES}/dummy.py
redirect_output = stdout, stderr
[process:shop:echo]
cmd = {EXAMPLES}/echo.py
redirect_output = stdout
redirect_input = true
"""


@pytest.fixture
def gafferd(tmp_path):
    shutil.copytree(ROOT / "examples" / "plugins" / "board", tmp_path / "plugins" / "board")
    with Gafferd(tmp_path, JOBS).start("-p", str(tmp_path / "plugins")).ready() as started:
        yield started


@pytest.fixture
def locked(tmp_path):
    """One that wants keys, with one that only allows to look."""
    shutil.copytree(ROOT / "examples" / "plugins" / "board", tmp_path / "plugins" / "board")
    run_gafferd(tmp_path, "--create-admin-user", "--username", "ann", said=f"{PASSWORD}\n")
    node = Gafferd(tmp_path, JOBS, "require_key = true\n")
    with node.start("-p", str(tmp_path / "plugins")).ready() as started:
        basic = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
        admin = ask(started, "POST", "/auth", Authorization=basic)[1]["api_key"]
        wanted = {"label": "look", "permissions": {"read": ["shop"]}}
        yield started, ask(started, "POST", "/keys", wanted, X_Api_Key=admin)[1]["api_key"]


@contextmanager
def opened(gafferd, *keys):
    """Open the board; *keys* are what is typed, one after the other, when it asks for one."""
    with chromium.browser() as started:
        page = started.new_page()
        typed = list(keys)
        page.on("dialog", lambda dialog: dialog.accept(typed.pop(0)))
        page.set_default_timeout(20_000)
        said = []
        page.on("pageerror", lambda error: said.append(error))
        page.goto(f"http://127.0.0.1:{gafferd.port}/_plugin/board/")
        yield page
        assert said == [] and typed == []


@pytest.fixture
def page(gafferd):
    with opened(gafferd) as page:
        yield page


def test_the_board_asks_for_a_key(locked):
    gafferd, key = locked
    with opened(gafferd, "wrong", key) as page:
        page.wait_for_selector("#line.up")
        page.wait_for_selector('tr[data-job="shop.echo"] .running')
        assert page.locator("#jobs tr").count() == 1
        page.click('tr[data-job="shop.echo"] button:text("stop")')
        page.wait_for_selector('#trouble:has-text("permission")')


def test_the_board(page, gafferd):
    page.wait_for_selector("#line.up")
    assert page.text_content("#line") == "live by websocket"
    count, echo = 'tr[data-job="default.count"]', 'tr[data-job="shop.echo"]'
    page.wait_for_selector(f"{count} .running")
    assert page.locator("#jobs tr").evaluate_all("rows => rows.map(row => row.dataset.job)") == [
        "default.count",
        "shop.echo",
    ]

    page.click(f'{count} button:text("+")')
    page.wait_for_selector(f"{count} button.pid >> nth=1")
    page.click(f'{count} button:text("stop")')
    page.wait_for_selector(f"{count} .stopped")
    page.wait_for_selector('#events li:has-text("default.count  stop")')
    assert gafferd.get("/jobs/default/count")["active"] is False
    page.click(f'{count} button:text("start")')
    page.wait_for_selector(f"{count} .running")
    page.wait_for_selector(f'{count} td:nth-child(5):has-text("%")')

    page.click(f"{echo} button.pid")
    page.fill("#input input", "né <b>bold</b> 😀")
    page.press("#input input", "Enter")
    page.wait_for_selector('#output:has-text("né <b>bold</b> 😀")')
    page.click(f"{count} button.pid >> nth=0")
    page.wait_for_selector('#output:has-text("STDOUT 1")')
    assert not page.is_visible("#input")

    gafferd.delete("/jobs/shop/echo")
    page.wait_for_selector(echo, state="detached")


def test_the_board_waits_for_a_gafferd_that_comes_back(page, gafferd):
    page.wait_for_selector("#line.up")
    gafferd.signal(15)
    assert gafferd.wait() == 0
    page.wait_for_selector("#line.down")
    gafferd.start("-p", str(gafferd.folder / "plugins")).ready()
    page.wait_for_selector("#line.up")
    page.wait_for_selector('tr[data-job="shop.echo"] .running')


def test_figures_come_again_after_the_connection_was_lost(page):
    page.wait_for_selector('tr[data-job="shop.echo"]:has-text("%")')
    page.evaluate("() => { jobs.forEach((job) => { job.stats = null; }); channel.close(); }")
    page.wait_for_function("() => jobs.get('shop.echo')?.stats")
