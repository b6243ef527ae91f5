"""Webhooks in a manager: real events, real receivers on loopback, reload, stop."""

from __future__ import annotations

import logging
import subprocess
import sys

import gevent
import pytest

import gaffer
from gaffer.errors import ConfigError, NotFound, Unavailable
from gaffer.plugins.registry import PluginSet
from gaffer_plugins.webhooks import WebhooksPlugin
from gaffer_plugins.webhooks.config import check_tuning, make_hook
from gaffer_plugins.webhooks.dispatcher import Dispatcher
from tests.kit.web import wait_until

from ..kit.ports import free_port
from ..kit.webhook_receiver import HANG, complaints, settings

SLEEP = "sleep 1000"


@pytest.fixture
def start():
    """Return a function that starts a manager with the plugin and these lines of ini."""
    managers = []

    def start(text="", plugin=None, *more):
        plugin_set = PluginSet()
        for one in (plugin or WebhooksPlugin(), *more):
            plugin_set.add(one)
        managers.append(gaffer.Manager(plugin_set=plugin_set, settings=settings(text)))
        managers[-1].start()
        return managers[-1]

    yield start
    for manager in managers:
        manager.stop()


@pytest.fixture
def dispatch():
    """Return a function that makes a dispatcher with these hooks."""
    made = []

    def make(*hooks, **options):
        made.append(Dispatcher(check_tuning(options)))
        made[-1].configure([make_hook(*hook) for hook in hooks])
        return made[-1]

    yield make
    for one in made:
        one.drain(0)


def event(name, **fields):
    return {"event": name, "name": "web", "time": 1.5, **fields}


def states(dispatcher):
    return {one["url"]: one["state"] for one in dispatcher.status()["webhooks"]}


class TestEvents:
    def test_of_a_jobs_life_in_order(self, inbox, start):
        box = inbox()
        manager = start(f"[webhooks]\n. = {box.url}\n")
        manager.load(gaffer.JobConfig("web", SLEEP))
        wait_until(lambda: "spawn" in box.events)
        manager.unload("web")
        wait_until(lambda: "job.default.web.delete" in box.events)
        plain = [name for name in box.events if "." not in name]
        assert plain == ["create", "start", "spawn", "stop_pid", "exit", "reap", "stop", "delete"]
        spawn = [name for name in box.events if name.endswith("spawn")]
        assert spawn == ["spawn", "job.default.web.spawn", "proc.web.spawn", "proc.1.spawn"]

    def test_are_the_messages_that_subscribers_get(self, inbox, start):
        box, seen = inbox(), []
        manager = start(f"[webhooks]\nexit = {box.url}\n")
        manager.subscribe("exit", lambda name, message: seen.append(message))
        manager.load(gaffer.JobConfig("web", "sh -c 'exit 3'", restart="never"))
        [post] = box.wait(1)
        assert post.json == seen[0]
        assert (post.json["exit_code"], post.json["name"]) == (3, "web")

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("create", ["create"]),
            ("load", ["create"]),
            ("proc.web", ["proc.web.spawn"]),
            ("proc(web).spawn", ["proc.web.spawn"]),
            ("job.default.web", ["job.default.web.create"]),
            ("job", ["job.default.web.create", "job.x.web.create"]),
            ("*", ["create", "proc.web.spawn", "job.default.web.create", "job.x.web.create"]),
        ],
    )
    def test_patterns(self, inbox, dispatch, pattern, names):
        box = inbox()
        made = dispatch((pattern, box.url))
        for name in ("create", "proc.web.spawn", "job.default.web.create", "job.x.web.create"):
            made.dispatch(event(name))
        made.drain()
        assert box.events == names

    def test_several_patterns_of_one_url_are_one_delivery(self, inbox, dispatch):
        box = inbox()
        patterns = (".", "proc", "proc.web.spawn", "load", "create", "proc(web).spawn")
        made = dispatch(*((pattern, box.url) for pattern in patterns))
        made.dispatch(event("proc.web.spawn"))
        made.drain()
        assert box.events == ["proc.web.spawn"]
        assert made.status()["webhooks"][0]["events"] == [".", "proc", "proc.web.spawn", "create"]

    def test_several_urls_get_their_own(self, inbox, dispatch):
        first, second = inbox(), inbox()
        made = dispatch(("exit", first.url), ("exit", second.url), ("spawn", second.url))
        for name in ("spawn", "exit", "reap"):
            made.dispatch(event(name))
        made.drain()
        assert (first.events, second.events) == (["exit"], ["spawn", "exit"])
        ids = {post.headers["webhook-id"] for post in first.posts + second.posts}
        assert len(ids) == 3

    def test_what_is_no_json_costs_itself_only(self, inbox, dispatch, caplog):
        box = inbox()
        made = dispatch((".", box.url))
        for odd in (float("nan"), object(), 1):
            made.dispatch(event("mailer.sent", odd=odd))
        made.drain()
        assert [post.json["odd"] for post in box.posts] == [1]
        assert len(caplog.messages) == 1


class TestReceiversThatFail:
    def test_a_dead_one_holds_no_other_up(self, inbox, start):
        """With its first request never answered, jobs crash, restart and stop as ever, and others hear of it."""
        dead, live = inbox(*[HANG] * 100), inbox()
        hooks = f"[webhooks]\n. = {dead.url}\nexit = {live.url}\ndelete = {live.url}\n"
        manager = start(f"{hooks}[plugin:webhooks]\nflush_timeout = 0\nqueue_size = 20\n")
        manager.load(gaffer.JobConfig("web", SLEEP, numprocesses=3))
        dead.wait(1)
        wait_until(lambda: len(manager.pids("web")) == 3)
        for _ in range(5):
            before = set(manager.pids("web"))
            manager.killall("web", "KILL")
            wait_until(lambda old=before: len(set(manager.pids("web")) - old) == 3)
        manager.unload("web")
        wait_until(lambda: "delete" in live.events)
        assert live.events.count("exit") == 15 + 3
        assert dead.events == ["create"]
        shown = manager.health()["plugins"]["webhooks"]
        assert shown["ok"]
        assert shown["pending"] in (20, 21)  # one of them may be on its way
        assert shown["lost"] > 50
        assert manager.health()["ok"]

    def test_dead_letters_can_be_sent_again(self, inbox, dispatch):
        box = inbox(404, 410)
        made = dispatch((".", box.url))
        made.dispatch(event("exit"))
        made.dispatch(event("reap"))
        wait_until(lambda: len(made.status()["dead_letters"]) == 2)
        first, second = made.status()["dead_letters"]
        assert (first["event"], first["reason"], first["message"]) == ("exit", "answered 404", event("exit"))
        made.redeliver(second["id"])
        box.wait(3)
        assert box.posts[2].headers["webhook-id"] == box.posts[1].headers["webhook-id"] == second["id"]
        assert box.posts[2].headers["gaffer-attempt"] == "1"
        assert [letter["id"] for letter in made.status()["dead_letters"]] == [first["id"]]
        with pytest.raises(NotFound, match="there is no dead letter"):
            made.redeliver(second["id"])

    def test_a_letter_to_nowhere_stays(self, inbox, dispatch):
        box, other = inbox(404), inbox()
        made = dispatch((".", box.url))
        made.dispatch(event("exit"))
        wait_until(lambda: made.status()["dead_letters"])
        [letter] = made.status()["dead_letters"]
        made.configure([make_hook(".", other.url)], check_tuning({"dead_letters": 5}))
        with pytest.raises(NotFound, match="is configured no more$"):
            made.redeliver(letter["id"])
        assert made.status()["dead_letters"] == [letter]

    def test_a_letter_that_finds_no_room_stays(self, inbox, dispatch):
        box = inbox(404, HANG)
        made = dispatch((".", box.url), queue_size=1)
        made.dispatch(event("exit"))
        wait_until(lambda: made.status()["dead_letters"])
        [letter] = made.status()["dead_letters"]
        made.dispatch(event("reap"))
        with pytest.raises(Unavailable, match="the queue of .* is full"):
            made.redeliver(letter["id"])
        assert made.status()["dead_letters"] == [letter]

    def test_the_ring_of_dead_letters_is_bounded(self, inbox, dispatch):
        box = inbox(*[404] * 5)
        made = dispatch((".", box.url), dead_letters=2)
        for number in range(5):
            made.dispatch(event("exit", number=number))
        wait_until(lambda: made.health()["failed"] == 5)
        assert [letter["message"]["number"] for letter in made.status()["dead_letters"]] == [3, 4]


class TestReload:
    def reload(self, manager, text):
        manager.reload_config(settings(text))
        manager.hooks.flush()

    def test_what_stays_keeps_its_queue_what_is_gone_ends_what_is_new_begins(self, inbox, start, caplog):
        stays, gone, new = inbox(HANG), inbox(HANG), inbox()
        manager = start(f"[webhooks]\ncreate = {stays.url}, {gone.url}\n")
        for name in ("a", "b", "c"):
            manager.load(gaffer.JobConfig(name, SLEEP, start=False))
        stays.wait(1)
        gone.wait(1)
        self.reload(manager, f"[webhooks]\ncreate = {new.url}, {stays.url}\n")
        assert f"3 events were not delivered (it was removed): 3 for {gone.url}" in caplog.text
        manager.load(gaffer.JobConfig("d", SLEEP, start=False))
        new.wait(1)
        stays.released.set()  # it closes the connection: the first one is tried again
        manager.plugins.pm.get_plugin("webhooks")._dispatcher.hurry()
        wait_until(lambda: len(stays.posts) == 5)
        assert [post.json["name"] for post in stays.posts] == ["a", "a", "b", "c", "d"]
        assert [post.json["name"] for post in new.posts] == ["d"]
        assert len(gone.posts) == 1

    def test_the_first_hook(self, inbox, start):
        box = inbox()
        manager = start()
        assert not manager.hooks.implemented("gaffer_event")
        self.reload(manager, f"[webhooks]\ncreate = {box.url}\n")
        manager.load(gaffer.JobConfig("a", SLEEP, start=False))
        box.wait(1)

    def test_the_last_hook(self, inbox, start):
        box = inbox()
        manager = start(f"[webhooks]\ncreate = {box.url}\n")
        self.reload(manager, "")
        manager.load(gaffer.JobConfig("a", SLEEP, start=False))
        manager.hooks.flush()
        assert manager.health()["plugins"]["webhooks"]["urls"] == 0
        assert box.posts == []

    def test_new_options_hold_for_what_is_queued(self, inbox, start, tmp_path):
        box = inbox(HANG)
        secret = tmp_path / "secret"
        secret.write_text("0123456789abcdef")
        text = f"[webhooks]\ncreate = {box.url}\n[plugin:webhooks]\nsecret_file = {secret}\n"
        manager = start(text)
        for name in ("a", "b"):
            manager.load(gaffer.JobConfig(name, SLEEP, start=False))
        box.wait(1)
        secret.unlink()
        with pytest.raises(ConfigError):
            manager.plugins.pm.get_plugin("webhooks")._configure(manager)
        self.reload(manager, f"[webhooks]\n. = {box.url}\n")
        box.released.set()
        manager.plugins.pm.get_plugin("webhooks")._dispatcher.hurry()
        wait_until(lambda: len(box.posts) >= 3)
        assert ["webhook-signature" in post.headers for post in box.posts[:3]] == [True, False, False]

    def test_never_unsigned_because_the_secret_is_gone(self, inbox, start, tmp_path, caplog):
        box = inbox()
        secret = tmp_path / "secret"
        secret.write_text("0123456789abcdef")
        text = f"[webhooks]\ncreate = {box.url}\n[plugin:webhooks]\nsecret_file = {secret}\n"
        manager = start(text)
        secret.unlink()
        self.reload(manager, text)
        assert "secret_file: cannot read" in caplog.text
        manager.load(gaffer.JobConfig("a", SLEEP, start=False))
        [post] = box.wait(1)
        assert post.headers["webhook-signature"].startswith("v1,")


class TestStop:
    def test_what_is_queued_is_sent(self, inbox, start):
        box = inbox()
        manager = start(f"[webhooks]\n. = {box.url}\n")
        manager.load(gaffer.JobConfig("web", SLEEP, numprocesses=3))
        wait_until(lambda: len(manager.pids()) == 3)
        manager.stop()
        assert box.events.count("exit") == 3
        assert box.events[-1] == "proc.web.stop"

    def test_what_a_dead_receiver_leaves_is_counted_and_told_once(self, inbox, start, caplog):
        dead, hung, live = f"http://u:pass@127.0.0.1:{free_port()}/", inbox(HANG), inbox()
        text = f"[webhooks]\ncreate = {dead}, {hung.url}, {live.url}\n[plugin:webhooks]\nflush_timeout = 0.2\n"
        manager = start(text)
        for name in ("a", "b"):
            manager.load(gaffer.JobConfig(name, SLEEP, start=False))
        manager.stop()
        shown = dead.replace("u:pass", "***")
        told = f"4 events were not delivered (gaffer stops): 2 for {shown}, 2 for {hung.url}"
        assert [message for message in caplog.messages if "not delivered" in message] == [told]
        assert len(live.posts) == 2

    def test_a_refused_start_sends_what_happened(self, inbox, start):
        class Refuses:
            @gaffer.hookimpl
            def gaffer_load_jobs(self):
                raise gaffer.Veto("not today")

        with pytest.raises(gaffer.Veto):
            start(f"[webhooks]\n. = {inbox().url}\n", None, Refuses())


class TestPlugin:
    def test_without_a_hook_it_takes_part_in_nothing(self, start):
        manager = start("[webhooks]\n;create = http://some/url\n")
        assert not manager.hooks.implemented("gaffer_event")
        assert "webhooks" not in manager.health()["plugins"]

    def test_without_a_hook_nothing_is_imported(self):
        program = (
            "import sys, gaffer\n"
            "manager = gaffer.Manager(builtin=['webhooks'])\n"
            "manager.start(); manager.stop()\n"
            "late = ('http.client', 'ssl', 'gaffer_plugins.webhooks.config', 'gaffer_plugins.webhooks.dispatcher')\n"
            "print([name for name in late if name in sys.modules])\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=30
        )
        assert (done.stdout, complaints(done.stderr)) == ("[]\n", "")

    def test_hooks_of_a_program(self, inbox):
        box = inbox()
        plugin = WebhooksPlugin(hooks=[("create", box.url)], secret="0123456789abcdef")
        with gaffer.Manager(plugins=[plugin]) as manager:
            manager.load(gaffer.JobConfig("a", SLEEP, start=False))
            [post] = box.wait(1)
        assert "webhook-signature" in post.headers


def test_quiet_by_default(inbox, dispatch, caplog):
    caplog.set_level(logging.DEBUG, "gaffer")
    box = inbox()
    made = dispatch((".", box.url))
    made.dispatch(event("exit"))
    box.wait(1)
    gevent.sleep(0)
    assert caplog.messages == []
