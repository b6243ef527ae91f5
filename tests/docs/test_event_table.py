"""The table of events says what messages really have."""

from __future__ import annotations

import gaffer
from gaffer.events import patterns
from gaffer.manager import notifier
from gaffer.supervisor import messages
from gaffer.testing import HookRecorder, settle


def all_messages(gaffer_manager, gaffer_spawner):
    """Let every kind of event happen; return the messages under their plain names."""
    recorder = HookRecorder("gaffer_event", "gaffer_before_spawn")
    manager = gaffer_manager(recorder)
    manager.start()
    manager.load({"name": "web", "cmd": "serve", "min_uptime": 0})
    settle(manager)
    manager.set_ready(manager.pids("web")[0], False, "no answer")
    manager.restart_job("web")
    manager.update({"name": "web", "cmd": "serve -v"})
    settle(manager)
    recorder.answers["gaffer_before_spawn"] = gaffer.Hold("it waits")
    manager.load({"name": "late", "cmd": "serve"})
    settle(manager)
    del recorder.answers["gaffer_before_spawn"]
    gaffer_spawner.fail("no such program")
    manager.load({"name": "bad", "cmd": "serve", "flapping": [1, 10, 60, 1]})
    settle(manager)
    (copy,) = next(job for job in manager.job_table.all() if job.name.job == "web").live()
    job = manager.engine.termination.owned(copy.process.pid).job
    manager.engine.submit(job, messages.NotEnded(copy, copy.process, "KILL does not end it"))
    manager.unload("web")
    settle(manager)
    events = [call["event"] for call in recorder.of("gaffer_event")]
    return [event for event in events if "." not in event["event"]]


def test_every_message_has_the_fields_of_the_table(gaffer_manager, gaffer_spawner):
    table = {event.name: event for event in patterns.EVENTS}
    published = all_messages(gaffer_manager, gaffer_spawner)
    assert {message["event"] for message in published} == set(table)
    for message in published:
        assert sorted(message) == sorted((*patterns.COMMON_FIELDS, *table[message["event"]].fields)), message["event"]


def test_the_page_names_the_events_of_the_classic_family():
    from ..kit.pages import DOCS

    page = (DOCS / "events.rst").read_text("utf-8")
    row = page.partition("``proc.JOB.spawn``")[2].partition("``proc.PID.spawn``")[0]
    assert {event for event in table_names() if f"``{event}``" in row} == set(notifier._CLASSIC)


def table_names():
    return [event.name for event in patterns.EVENTS]
