"""The real SockJS clients, 1.6.1 and 0.3.4, in a real browser, against a real gafferd."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..kit.gafferd import Gafferd, gafferd_with_key
from . import browser as chromium

#: What the clients can do in this browser; XDR is old Internet Explorer's.
TRANSPORTS = (
    *("websocket", "xhr-streaming", "xhr-polling", "eventsource", "htmlfile", "jsonp-polling"),
    *("iframe-eventsource", "iframe-htmlfile", "iframe-xhr-polling"),
)
TRANSPORTS_0_3 = tuple(name for name in TRANSPORTS if name not in ("eventsource", "htmlfile"))
#: Without what a browser's own rules keep to one origin.
ACROSS = ["websocket", "xhr-streaming", "xhr-polling", "eventsource", "iframe-eventsource", "iframe-xhr-polling"]
TEXT = 'né \u2028 "<b>" </script> 😀 ' + "x" * 3000 + "\n"


@pytest.fixture(scope="module")
def page():
    with chromium.browser() as started:
        page = started.new_page()
        page.set_default_timeout(30_000)
        yield page


@pytest.fixture(scope="module")
def other():
    with chromium.site(chromium.HERE) as port:
        yield port


DOCS = Path(__file__).parents[2] / "docs"


#: Streamed answers end soon here, so that the client has to ask for the next ones.
SOON = "\nsockjs_response_limit = 2048\n"


def install(folder):
    shutil.copytree(chromium.HERE, folder / "plugins" / "tests" / "_site")
    shutil.copytree(DOCS / "examples" / "live", folder / "plugins" / "live")


@contextmanager
def node(folder, options):
    install(folder)
    options += SOON
    with Gafferd(folder, options=options).start("-p", str(folder / "plugins")).ready() as started:
        yield started


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory, other):
    with node(tmp_path_factory.mktemp("node"), f"allowed_origins = http://127.0.0.1:{other}") as started:
        yield started


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """One whose iframes are for pages with the older client."""
    with node(tmp_path_factory.mktemp("older"), "sockjs_client = /_plugin/tests/sockjs-0.3.4.js") as started:
        yield started


@pytest.fixture(scope="module")
def locked(tmp_path_factory, other):
    """One that wants keys, and one."""
    folder = tmp_path_factory.mktemp("locked")
    install(folder)
    options = f"plugin_dir = {folder / 'plugins'}\nallowed_origins = http://127.0.0.1:{other}{SOON}"
    with gafferd_with_key(folder, options) as started:
        yield started


def load(page, url, library):
    page.goto(url)
    for script in (library, "talk.js"):
        page.add_script_tag(url=script)


def talk(page, gafferd, transport, job, key=None):
    return page.evaluate(
        "([url, transport, job, text, key]) => talk(url, transport, job, text, key)",
        [f"http://127.0.0.1:{gafferd.port}/channel", transport, job, TEXT, key],
    )


def assert_whole(heard, transport, job):
    assert heard["problem"] is None and heard["transport"] == transport, heard
    assert heard["output"] == TEXT
    assert f"job.default.{job}.spawn" in heard["events"]
    assert set(heard["commands"]) == {"load", "send", "unload"}
    assert heard["closed"] == [4000, "done"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_whole_conversation(page, gafferd, transport):
    load(page, f"http://127.0.0.1:{gafferd.port}/_plugin/tests/index.html", "/channel/sockjs.min.js")
    assert_whole(talk(page, gafferd, transport, transport), transport, transport)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_key_may_be_the_first_message_over_every_transport(page, locked, transport):
    gafferd, key = locked
    load(page, f"http://127.0.0.1:{gafferd.port}/_plugin/tests/index.html", "/channel/sockjs.min.js")
    assert_whole(talk(page, gafferd, transport, transport, key), transport, transport)


# The client's EventSource takes no cookies from another origin; the other transports do.
@pytest.mark.parametrize("transport", [name for name in ACROSS if name != "eventsource"])
def test_key_may_be_the_first_message_from_an_allowed_origin(page, locked, other, transport):
    gafferd, key = locked
    load(page, f"http://127.0.0.1:{other}/index.html", f"http://127.0.0.1:{gafferd.port}/channel/sockjs.min.js")
    job = f"{transport}-across"
    assert_whole(talk(page, gafferd, transport, job, key), transport, job)


# Its iframes would need a gafferd that serves the older client.
@pytest.mark.parametrize("transport", [name for name in TRANSPORTS_0_3 if not name.startswith("iframe")])
def test_key_may_be_the_first_message_of_the_older_client(page, locked, transport):
    gafferd, key = locked
    load(page, f"http://127.0.0.1:{gafferd.port}/_plugin/tests/index.html", "sockjs-0.3.4.js")
    job = f"{transport}-older"
    assert_whole(talk(page, gafferd, transport, job, key), transport, job)


@pytest.mark.parametrize("transport", TRANSPORTS_0_3)
def test_a_whole_conversation_with_the_older_client(page, older, transport):
    load(page, f"http://127.0.0.1:{older.port}/_plugin/tests/index.html", "sockjs-0.3.4.js")
    assert_whole(talk(page, older, transport, transport), transport, transport)


@pytest.mark.parametrize("transport", ACROSS)
def test_pages_of_an_allowed_origin_may(page, gafferd, other, transport):
    load(page, f"http://127.0.0.1:{other}/index.html", f"http://127.0.0.1:{gafferd.port}/channel/sockjs.min.js")
    job = f"{transport}-across"
    assert_whole(talk(page, gafferd, transport, job), transport, job)


@pytest.mark.parametrize("transport", [*ACROSS, "jsonp-polling", "iframe-htmlfile"])
def test_pages_of_strangers_may_not(page, gafferd, other, transport):
    """``localhost`` is another origin than ``127.0.0.1``; not even by an iframe of gafferd's does it get in."""
    load(page, f"http://localhost:{other}/index.html", f"http://127.0.0.1:{gafferd.port}/channel/sockjs.min.js")
    # The client asks /info first, which is refused; skip that, so that the transport itself is tried.
    page.evaluate("""() => {
        const real = XMLHttpRequest.prototype.open;
        XMLHttpRequest.prototype.open = function (method, url) {
            const info = URL.createObjectURL(new Blob(['{"websocket": true}']));
            return real.call(this, method, /\\/info/.test(url) ? info : url, true);
        };
    }""")
    heard = talk(page, gafferd, transport, "stranger")
    assert heard["transport"] is None and heard["closed"] and not heard["commands"]
    assert "default.stranger" not in gafferd.get("/jobs")["jobs"]


def test_the_page_in_the_documentation(page, gafferd):
    """``docs/examples/live``, as its page tells to install it."""
    problems = []
    page.on("pageerror", lambda problem: problems.append(problem.message))
    page.goto(f"http://127.0.0.1:{gafferd.port}/_plugin/live/")
    page.wait_for_selector('#said:has-text("jobs:")')
    page.evaluate("() => { tell('CMD', {name: 'load', args: [{name: 'new', cmd: 'sleep 1000'}]}); }")
    page.wait_for_selector('#said:has-text("job.default.new.spawn")')
    page.wait_for_selector('#said:has-text("done")')
    assert problems == []  # one would take the messages with it that came in the same frame
