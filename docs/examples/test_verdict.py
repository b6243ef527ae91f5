from plugins import verdict

from gaffer.testing import settle


def started(gaffer_manager):
    manager = gaffer_manager(verdict)
    manager.start()
    manager.load({"name": "web", "cmd": "serve"})
    settle(manager)
    return manager


def test_a_wrong_configuration_is_not_tried_again(gaffer_manager, gaffer_spawner):
    manager = started(gaffer_manager)
    gaffer_spawner.last.exit(78)
    settle(manager)
    assert manager.info("web")["state"] == "failed"


def test_a_temporary_failure_is_tried_again_in_a_minute(gaffer_manager, gaffer_spawner, gaffer_clock):
    manager = started(gaffer_manager)
    first = gaffer_spawner.last
    first.exit(75)
    settle(manager)
    gaffer_clock.advance(59)
    settle(manager)
    assert gaffer_spawner.last is first
    gaffer_clock.advance(1)
    settle(manager)
    assert gaffer_spawner.last is not first
