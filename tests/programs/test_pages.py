"""A browser on a page of another site, which tries whatever a page can to command a gafferd without keys."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest

from ..kit.gafferd import Gafferd, eventually
from ..kit.needed_programs import needs

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; it is in the extra 'test'")

JOB = "[process:web]\ncmd = sleep 1000\nredirect_output = out\nredirect_input = true\n"

#: Each attempt tells ``refused`` or what it got.
ATTEMPTS = """
async ({node, socket, pid}) => {
  const found = {};
  const fetched = (url, options) => fetch(node + url, options).then(a => "got " + a.status, e => "refused");
  const body = '{"name": "evil", "cmd": "sleep 1000"}';
  const json = {"Content-Type": "application/json"};
  found["fetch: read"] = await fetched("/jobs");
  found["fetch: openapi"] = await fetched("/openapi.json");
  found["fetch: JSON"] = await fetched("/jobs/default", {method: "POST", body, headers: json});
  found["fetch: PUT"] = await fetched("/jobs/default/web", {method: "PUT", body, headers: json});
  found["fetch: DELETE"] = await fetched("/jobs/default/web", {method: "DELETE"});
  found["fetch: text"] = await fetched("/jobs/default", {method: "POST", body});
  found["fetch: key"] = await fetched("/jobs", {headers: {"X-Api-Key": "x"}});
  // What a page sends without asking: it cannot see the answer, so gafferd has to refuse it.
  for (const [url, sent] of [["/shutdown", ""], ["/jobs/default", body], ["/jobs/default/web/state", "0"],
                             ["/jobs/default/web/restart", ""], [`/streams/${pid}/stdin`, "x"]])
    await fetch(node + url, {method: "POST", mode: "no-cors", body: sent}).catch(() => null);
  navigator.sendBeacon(node + "/jobs/default/web/restart", "x");
  const opened = (made, message) => new Promise(done => {
    made.onopen = () => done("open");
    made.onmessage = () => done("message");
    made.onerror = () => done("refused");
  });
  for (const path of ["/channel/websocket", `/wstreams/${pid}`, `/${pid}/channel`])
    found["websocket: " + path.replace(pid, "PID")] = await opened(new WebSocket(socket + path));
  for (const path of ["/watch?feed=eventsource", `/streams/${pid}/out?feed=eventsource`])
    found["eventsource: " + path.replace(pid, "PID")] = await opened(new EventSource(node + path));
  const loaded = (tag, name, url) => new Promise(done => {
    const one = document.createElement(tag);
    one.onload = () => done("loaded");
    one.onerror = () => done("refused");
    one[name] = node + url;
    document.body.append(one);
  });
  found["script"] = await loaded("script", "src", "/jobs");
  found["image"] = await loaded("img", "src", "/watch");
  return found;
}
"""

#: Pages that open an address by a form or in a frame.
FORM = """<form id=f method=post action="{url}" enctype="{kind}"><input name='{{"name": "evil", "cmd": "x", "a": "'
value='"}}'></form><script>document.getElementById("f").submit()</script>"""
FRAME = '<iframe id=f src="{url}"></iframe>'


class Page(BaseHTTPRequestHandler):
    """Serves the page of another site."""

    pages: dict[str, str] = {}

    def do_GET(self) -> None:
        body = self.pages.get(self.path, "<h1>Kittens</h1>").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = needs("chromium")
    with playwright.sync_playwright() as started:
        # evil.example is a name that its owner lets point to this machine: DNS rebinding.
        flags = ["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
        browser = started.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """The address of the page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def gafferd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gafferd]:
    with Gafferd(tmp_path_factory.mktemp("gafferd"), JOB).start().ready() as gafferd:
        # It counts as starting for a second.
        eventually(lambda: gafferd.get("/jobs/default/web")["state"] == "running")
        yield gafferd


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    context.set_default_timeout(90_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def unchanged(gafferd: Gafferd) -> Iterator[None]:
    """Whatever the test does, gafferd is afterwards as it was."""
    eventually(lambda: gafferd.get("/jobs/default/web")["state"] == "running")
    before = state(gafferd)
    yield
    assert state(gafferd) == before


def state(gafferd: Gafferd) -> Any:
    job = {key: value for key, value in gafferd.get("/jobs/default/web").items() if not key.startswith("uptime")}
    return gafferd.get("/jobs"), gafferd.get("/sessions"), gafferd.get("/pids"), job


def targets(gafferd: Gafferd, host: str = "127.0.0.1") -> dict[str, Any]:
    (pid,) = gafferd.get("/pids")["pids"]
    return {"node": f"http://{host}:{gafferd.port}", "socket": f"ws://{host}:{gafferd.port}", "pid": pid}


@pytest.mark.usefixtures("unchanged")
def test_a_page_of_another_origin(page: Any, gafferd: Gafferd, elsewhere: str) -> None:
    page.goto(elsewhere)
    found = page.evaluate(ATTEMPTS, targets(gafferd))
    assert len(found) == 14 and set(found.values()) == {"refused"}, found


@pytest.mark.usefixtures("unchanged")
def test_a_page_whose_name_was_made_to_point_here(page: Any, gafferd: Gafferd) -> None:
    """To the browser it is the page's own server, so it asks for no permission and shows every answer."""
    evil = targets(gafferd, "evil.example")
    answer = page.goto(evil["node"] + "/jobs")
    assert answer.status == 421
    found = page.evaluate(ATTEMPTS, evil)
    assert len(found) == 14 and set(found.values()) <= {"refused", "got 421"}, found


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize("path", ["/jobs/default", "/shutdown", "/jobs/default/web/state"])
def test_a_form(path: str, kind: str, page: Any, gafferd: Gafferd, elsewhere: str) -> None:
    Page.pages["/form"] = FORM.format(url=targets(gafferd)["node"] + path, kind=kind)
    with page.expect_response(lambda answer: answer.url.endswith(path)) as found:
        page.goto(elsewhere + "/form", wait_until="commit")
    assert found.value.status == 403


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("path", ["/docs", "/jobs", "/"])
def test_a_frame_around_our_pages(path: str, page: Any, gafferd: Gafferd, elsewhere: str) -> None:
    """Another site could lay it under something that one would like to click."""
    Page.pages["/frame"] = FRAME.format(url=targets(gafferd)["node"] + path)
    page.goto(elsewhere + "/frame")
    (frame,) = page.main_frame.child_frames
    frame.wait_for_load_state()
    assert not frame.url.startswith("http"), frame.url


@pytest.fixture
def permissive(tmp_path: Path, elsewhere: str) -> Iterator[Gafferd]:
    """A gafferd that was told, while it ran, that the other page may."""
    with Gafferd(tmp_path, JOB).start().ready() as gafferd:
        gafferd.options = f"allowed_origins = {elsewhere}\n"
        gafferd.configure(JOB)
        gafferd.post("/reload")
        yield gafferd


def test_a_page_that_may(page: Any, permissive: Gafferd, elsewhere: str) -> None:
    """The attempts do work where they are allowed to, so what was refused was refused by gafferd."""
    ours = targets(permissive)  # before it is restarted
    page.goto(elsewhere)
    page.wait_for_function("node => fetch(node + '/jobs').then(a => a.ok, () => false)", arg=ours["node"])
    pages = "async node => (await fetch(node + '/jobs/default/web/restart', {method: 'POST'})).status"
    assert page.evaluate(pages, ours["node"]) == 202
    opened = """path => new Promise(done => {
        const made = new WebSocket(path); made.onopen = () => done("open"); made.onerror = () => done("refused")})"""
    assert page.evaluate(opened, ours["socket"] + "/channel/websocket") == "open"
    assert page.goto(ours["node"] + "/docs").status == 200
