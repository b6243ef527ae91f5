"""Essential jobs on fake processes: what ends everything, with which code, and what does not."""

import pytest

from gaffer.testing import settle


@pytest.fixture
def manager(gaffer_manager):
    manager = gaffer_manager()
    manager.start()
    manager.load({"name": "side", "cmd": "serve"})
    return manager


@pytest.mark.parametrize("code", [0, 7])
def test_an_essential_job_that_ends_for_good_ends_everything(manager, gaffer_spawner, code):
    manager.load({"name": "web", "cmd": "serve", "essential": True, "restart": "never"})
    settle(manager)
    gaffer_spawner.last.exit(code)
    manager.wait_stopped(5)
    assert (manager.state, manager.essential_code, gaffer_spawner.alive) == ("stopped", code, [])


def test_a_start_that_fails_for_good_is_a_failure(manager, gaffer_spawner, caplog):
    gaffer_spawner.fail("no such program")
    manager.load({"name": "web", "cmd": "serve", "essential": True, "restart": "never"})
    manager.wait_stopped(5)
    assert (manager.state, manager.essential_code) == ("stopped", 1)
    assert "job web is essential and has ended with a failed start" in caplog.text


def test_an_order_or_a_restart_is_no_end(manager, gaffer_spawner):
    manager.load({"name": "web", "cmd": "serve", "essential": True, "min_uptime": 0})
    settle(manager)
    gaffer_spawner.last.exit(1)
    settle(manager)
    manager.stop_job("web")
    settle(manager)
    assert manager.state == "running" and len(gaffer_spawner.alive) == 1
