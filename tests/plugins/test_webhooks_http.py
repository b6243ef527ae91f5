"""Webhooks over HTTP and in gafferctl: what is shown, what is hidden, and sending again."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import jsonschema
import pytest

import gaffer
from gaffer.cli.core.program import run
from gaffer.cli.ctl.gafferctl import make_program
from gaffer_plugins.webhooks import WebhooksPlugin
from gaffer_plugins.webhooks.routes import make_routes
from tests.kit.web import in_thread, wait_until

SLEEP = "sleep 1000"


class TestHttp:
    def test_what_is_shown(self, inbox, start_api):
        box = inbox(200, (404, {}))
        url = box.url.replace("http://", "http://user:pass@") + "?token=t0ken"
        api = start_api(WebhooksPlugin(hooks=[("create", url)]))
        for name in ("a", "b"):
            api.manager.load(gaffer.JobConfig(name, SLEEP, start=False))
        wait_until(lambda: api.get("/webhooks")["dead_letters"])
        shown = api.get("/webhooks")
        jsonschema.validate(shown, make_routes(lambda: None)[0].result)
        [hook], [letter] = shown["webhooks"], shown["dead_letters"]
        assert hook["url"] == letter["url"] == box.url.replace("http://", "http://***@") + "?token=***"
        assert [hook[key] for key in ("events", "sent", "failed", "pending")] == [["create"], 1, 1, 0]
        assert hook["last_error"]["reason"] == letter["reason"] == "answered 404"
        assert letter["message"]["name"] == "b"
        for secret in ("pass", "t0ken"):
            assert secret not in json.dumps(shown) + json.dumps(api.get("/health")) + json.dumps(api.get("/plugins"))

    def test_health(self, inbox, start_api):
        box = inbox(503, 404)
        api = start_api(WebhooksPlugin(hooks=[("create", box.url)]))
        api.manager.load(gaffer.JobConfig("a", SLEEP, start=False))
        wait_until(lambda: api.get("/health")["plugins"]["webhooks"]["failing"] == [box.url])
        health = api.get("/health")
        assert health["ok"] and health["plugins"]["webhooks"]["ok"]
        assert health["plugins"]["webhooks"]["pending"] == 1
        api.manager.plugins.pm.get_plugin("webhooks")._dispatcher.hurry()
        wait_until(lambda: api.get("/health")["plugins"]["webhooks"]["dead_letters"] == 1)
        assert api.get("/health")["plugins"]["webhooks"]["failing"] == [box.url]
        api.manager.load(gaffer.JobConfig("b", SLEEP, start=False))
        wait_until(lambda: not api.get("/health")["plugins"]["webhooks"]["failing"])

    def test_sending_again(self, inbox, start_api):
        box = inbox(404)
        api = start_api(WebhooksPlugin(hooks=[("create", box.url)]))
        api.manager.load(gaffer.JobConfig("a", SLEEP, start=False))
        wait_until(lambda: api.get("/webhooks")["dead_letters"])
        [letter] = api.get("/webhooks")["dead_letters"]
        answer = api("POST", f"/webhooks/dead_letters/{letter['id']}")
        assert (answer.status, answer.json) == (202, {"ok": True})
        box.wait(2)
        again = api("POST", f"/webhooks/dead_letters/{letter['id']}")
        assert again.assert_problem(404, "not_found") == f"there is no dead letter '{letter['id']}'"

    def test_without_a_hook(self, start_api):
        api = start_api(WebhooksPlugin())
        assert api.get("/webhooks") == {"webhooks": [], "dead_letters": []}
        reason = api("POST", "/webhooks/dead_letters/x").assert_problem(404, "not_found")
        assert reason == "there is no dead letter 'x': no webhook is configured"
        assert api("DELETE", "/webhooks").status == 405


class TestGafferctl:
    @pytest.fixture
    def ctl(self, start_api, inbox, capsys):
        self.box = inbox(200, 404, 404)
        api = start_api(WebhooksPlugin(hooks=[("create", self.box.url), ("exit", self.box.url)]))
        for name in ("a", "b", "c"):
            api.manager.load(gaffer.JobConfig(name, SLEEP, start=False))
        wait_until(lambda: len(api.get("/webhooks")["dead_letters"]) == 2)

        def call(*args):
            def program():
                try:
                    run(make_program(), ["--connect", api.http.urls[0], "webhooks", *args])
                except SystemExit as ended:
                    return ended.code

            code = in_thread(program)
            return code, *capsys.readouterr()

        return call

    def test_table(self, ctl):
        code, out, err = ctl()
        head, row = out.splitlines()
        assert (code, err) == (0, "")
        assert re.split("  +", head.strip())[:4] == ["ID", "URL", "EVENTS", "STATE"]
        assert re.split("  +", row.strip())[:4] == ["1", self.box.url, "create, exit", "idle"]
        assert re.split("  +", row.strip())[4:9] == ["0", "1", "0", "2", "0"]
        assert row.endswith(" answered 404")

    def test_names_and_json(self, ctl):
        assert ctl("-o", "name")[1] == f"{self.box.url}\n"
        assert json.loads(ctl("-o", "json")[1])[0]["failed"] == 2

    def test_dead_letters(self, ctl):
        first, second = ctl("--dead", "-o", "name")[1].split()
        rows = ctl("--dead")[1].splitlines()
        assert re.split("  +", rows[1])[2:] == [self.box.url, "create", "1", "answered 404"]
        assert ctl("--redeliver", first) == (0, f"{first}: queued again\n", "")
        assert ctl("--redeliver", "all") == (0, f"{second}: queued again\n", "")
        assert [post.json["name"] for post in self.box.wait(5)] == ["a", "b", "c", "b", "c"]
        assert ctl("--dead", "-o", "name")[1] == ""

    @pytest.mark.parametrize("wrong", ["nothing", "../../shutdown", "a/b", "ä", ""])
    def test_no_such_letter(self, ctl, wrong):
        code, out, err = ctl("--redeliver", wrong)
        assert code == 1
        assert out == ""
        assert err.count("\n") == 1 and "gafferctl: there is no" in err

    def test_its_program_needs_no_server_half(self):
        program = "import sys, gaffer_plugins.webhooks.cli; print('gevent' in sys.modules, 'bottle' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
        assert done.stdout == "False False\n"
