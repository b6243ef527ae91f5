"""Old spellings of the manager's methods, on fake processes."""

import pytest

import gaffer
from gaffer.errors import BadRequest, Conflict, NotFound
from gaffer.manager.compat import listener_first
from gaffer.testing import settle


@pytest.fixture
def manager(gaffer_manager):
    made = gaffer_manager()
    made.start()
    return made


def test_add_process_loads_a_job(manager):
    manager.add_process("web", "serve", numprocesses=2, redirect_output=["out", "err"], start=False)
    assert manager.get("web").redirect_output == ("out", "err") and manager.info("web")["state"] == "stopped"
    with pytest.raises(Conflict):
        manager.add_process("web", "serve")


def test_manage_tries_what_waits_and_starts_nothing_that_is_stopped(manager, gaffer_spawner):
    gaffer_spawner.fail("no such program")
    manager.load(gaffer.JobConfig("bad", "serve"))
    settle(manager)
    assert manager.info("bad")["retry_in"]
    manager.manage("bad")
    settle(manager)
    assert len(gaffer_spawner.processes) == 1
    manager.load(gaffer.JobConfig("web", "serve", start=False))
    manager.manage("web")
    settle(manager)
    assert not manager.info("web")["active"] and len(gaffer_spawner.processes) == 1
    with pytest.raises(NotFound):
        manager.manage("nothing")


def test_walks_call_for_every_job_and_process(manager):
    found = []
    note = lambda whose, what: found.append((whose, what))  # noqa: E731
    for name in ("web", "shop.db"):
        manager.load(gaffer.JobConfig(name, "serve"))
    settle(manager)
    manager.jobs_walk(note)
    manager.jobs_walk(note, "shop")
    assert found == [(manager, "default.web"), (manager, "shop.db"), (manager, "shop.db")]
    found.clear()
    manager.walk(note)
    manager.walk(note, "shop.db")
    assert found == [(manager, process) for process in (*manager.list(), *manager.list("shop.db"))]


def test_listener_and_name_are_told_apart_in_either_order():
    assert listener_first(print, "web") == listener_first("web", print) == (print, "web")
    with pytest.raises(BadRequest, match="a listener must be callable, not 'web'"):
        listener_first("shop", "web")


def test_names_of_gaffer_0_5(gaffer_manager):
    from gaffer.console_output import colored
    from gaffer.manager import FlappingInfo

    assert "red" not in colored("red", ["a", "b"]) and "a\nb" in colored("red", ["a", "b"])
    manager = gaffer_manager()
    manager.start()
    manager.load({"name": "web", "cmd": "serve", "redirect_input": True, "custom_streams": ["control"]}, start=False)
    manager.load(gaffer.JobConfig("other", "serve", flapping=FlappingInfo(attempts=3)), start=False)
    assert manager.info("other")["config"]["flapping"]["attempts"] == 3
    manager.start_processes()
    settle(manager)
    (process,) = manager.list("web")
    assert list(process.streams) == ["control"]
    process.writeln("hello")
    process.writeln(b"you\n")
    assert process.written == b"hello\nyou\n"
    manager.stop_processes()
    settle(manager)
    assert not manager.list()
