"""``gaffer.webhooks.WebHooks``: gaffer 0.5's application, in programs that are not monkey-patched."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gaffer
from gaffer.errors import BadRequest
from gaffer.manager.manager import Manager
from gaffer.webhooks import WebHooks
from tests.kit.web import in_thread, wait_until

from ..kit.ports import free_port
from ..kit.webhook_receiver import CLOSE, HANG, complaints

SLEEP = "sleep 1000"


@pytest.fixture
def start():
    managers = []

    def start(*apps):
        managers.append(Manager())
        managers[-1].start(apps=apps)
        return managers[-1]

    yield start
    for manager in managers:
        manager.stop()


def load(manager, *names):
    for name in names:
        manager.load(gaffer.JobConfig(name, SLEEP, start=False))


def names(box):
    return [post.json["name"] for post in box.posts]


class TestLife:
    def test_as_the_seeds_write_it(self, inbox, start):
        box = inbox()
        webhooks = WebHooks(hooks=[("create", f"{box.url} you")])
        manager = start(webhooks)
        load(manager, "a")
        [post] = box.wait(1)
        assert (post.path, post.event) == ("/hook%20you", "create")
        wait_until(lambda: manager.health()["plugins"]["WebHooks"]["sent"] == 1)

    def test_the_managers_stop_sends_what_happened(self, inbox, start):
        box = inbox()
        manager = start(WebHooks(hooks=[(".", box.url)]))
        manager.load(gaffer.JobConfig("web", SLEEP, numprocesses=2))
        wait_until(lambda: len(manager.pids()) == 2)
        manager.stop()
        assert box.events.count("exit") == 2
        assert box.events[-1] == "proc.web.stop"

    def test_what_happened_just_before_a_stop_is_sent(self, inbox, start):
        box = inbox()
        webhooks = WebHooks(hooks=[("create", box.url)])
        manager = start(webhooks)
        load(manager, "a", "b")
        webhooks.stop()
        load(manager, "c")
        assert names(box) == ["a", "b"]
        assert not manager.events

    def test_a_stop_ends_the_waiting(self, inbox, start, caplog):
        box = inbox(HANG)
        webhooks = WebHooks(hooks=[("create", box.url)], flush_timeout=0.05)
        manager = start(webhooks)
        load(manager, "a", "b")
        box.wait(1)
        webhooks.stop()
        assert f"2 events were not delivered (gaffer stops): 2 for {box.url}" in caplog.text
        [hook] = webhooks.status()["webhooks"]
        assert (hook["lost"], hook["pending"], hook["state"]) == (2, 0, "idle")
        webhooks.stop()
        assert caplog.text.count("not delivered") == 1

    def test_started_again(self, inbox, start):
        box = inbox()
        webhooks = WebHooks(hooks=[("create", box.url)])
        manager = start(webhooks)
        webhooks.stop()
        webhooks.start(manager.loop, manager)
        load(manager, "a")
        box.wait(1)

    def test_restart_tries_at_once_and_forgets_nothing(self, inbox, start):
        box = inbox(503, 200)
        webhooks = WebHooks(hooks=[("create", box.url)], backoff=600, max_backoff=600)
        manager = start(webhooks)
        load(manager, "a")
        wait_until(lambda: webhooks.status()["webhooks"][0]["state"] == "waiting")
        load(manager, "b")
        manager.restart()
        box.wait(3)
        assert names(box) == ["a", "a", "b"]

    def test_close_forgets(self, inbox, start):
        box = inbox()
        webhooks = WebHooks(hooks=[("create", box.url)])
        manager = start(webhooks)
        webhooks.incref()
        webhooks.close()
        assert webhooks.refcount == 0
        webhooks.start(manager.loop, manager)
        load(manager, "a")
        assert not manager.events
        assert webhooks.status()["webhooks"] == box.posts == []

    def test_before_a_start(self):
        webhooks = WebHooks()
        webhooks.stop()
        webhooks.restart()
        webhooks.maybe_start_monitor()
        webhooks.maybe_stop_monitor()
        webhooks.close()
        assert webhooks.refcount == 0


class TestHooks:
    def test_registered_while_it_runs(self, inbox, start):
        first, second = inbox(), inbox()
        webhooks = WebHooks(hooks=[("create", first.url)])
        manager = start(webhooks)
        load(manager, "a")
        first.wait(1)
        webhooks.register_hook("create", second.url)
        load(manager, "b")
        first.wait(2), second.wait(1)
        webhooks.unregister_hook("create", first.url)
        load(manager, "c")
        second.wait(2)
        assert (names(first), names(second)) == (["a", "b"], ["b", "c"])

    def test_two_patterns_of_one_url(self, inbox, start):
        box = inbox()
        webhooks = WebHooks(hooks=[("create", box.url), (".", box.url)])
        manager = start(webhooks)
        load(manager, "a")
        box.wait(2)
        webhooks.unregister_hook(".", box.url)
        load(manager, "b")
        box.wait(3)
        assert box.events == ["create", "job.default.a.create", "create"]

    def test_wrong(self):
        with pytest.raises(BadRequest, match="^webhook for 'create': 'nonsense' does not begin with http"):
            WebHooks(hooks=[("create", "nonsense")])
        with pytest.raises(BadRequest, match="^secrte: unknown option; did you mean 'secret'"):
            WebHooks(secrte="x")
        with pytest.raises(BadRequest, match="names no host"):
            WebHooks().register_hook("create", "http://")


class TestReferences:
    def test_each_hook_counts_once(self):
        webhooks = WebHooks(hooks=[("create", "http://a/"), ("exit", "http://a/"), ("load", "http://a")])
        assert webhooks.refcount == 2
        webhooks.register_hook("proc(web)", "http://b/")
        webhooks.register_hook("proc.web", "http://b:80")
        assert webhooks.refcount == 3
        webhooks.unregister_hook("create", "http://a/")
        webhooks.unregister_hook("create", "http://a/")
        webhooks.unregister_hook("nothing", "http://a/")
        assert webhooks.refcount == 2

    def test_events_are_heard_while_a_webhook_needs_them(self, start):
        webhooks = WebHooks()
        manager = start(webhooks)
        assert not manager.events
        webhooks.incref()
        assert manager.events
        url = f"http://127.0.0.1:{free_port()}/"
        webhooks.register_hook("create", url)
        webhooks.decref()
        assert manager.events
        webhooks.unregister_hook("create", f"{url}other")
        assert webhooks.refcount == 1
        webhooks.unregister_hook("create", url)
        assert not manager.events
        webhooks.register_hook("create", url)
        assert manager.events
        webhooks.close()
        assert not manager.events
        webhooks.decref()
        assert webhooks.refcount == 0

    def test_an_event_is_heard_once_however_often_it_began(self, inbox, start):
        box = inbox(CLOSE, 200)
        webhooks = WebHooks(hooks=[("create", box.url)], backoff=0.01)
        manager = start(webhooks)
        for _ in range(3):
            webhooks.maybe_start_monitor()
            webhooks.incref()
        load(manager, "a", "b")
        box.wait(3)
        assert names(box) == ["a", "a", "b"]


def test_in_a_program_that_is_not_patched(inbox):
    box = inbox()
    program = f"""
import gaffer
from gaffer.webhooks import WebHooks
from gevent import monkey

manager = gaffer.Manager()
manager.start(apps=[WebHooks(hooks=[("create", {box.url!r})])])
manager.load(gaffer.JobConfig("web", "sleep 1000"))
manager.stop()
print(monkey.saved)
"""
    command = [sys.executable, "-W", "error", "-c", program]
    ended = in_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
    assert (ended.stdout, complaints(ended.stderr)) == ("{}\n", "")
    assert box.events == ["create"]
