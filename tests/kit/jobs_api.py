"""Loading and watching jobs over HTTP."""

from __future__ import annotations

import os

from tests.kit.web import wait_until

OK = {"ok": True}
SLEEP = "sleep 1000"


def load(api, name="web", session="default", **settings):
    answer = api("POST", f"/jobs/{session}", {"name": name, "cmd": SLEEP, **settings})
    assert (answer.status, answer.json) == (200, OK)


def info(api, name="default/web"):
    return api.get(f"/jobs/{name}")


def wait_running(api, count, name="default/web"):
    wait_until(lambda: info(api, name)["running"] == count)
    return info(api, name)


def alive(os_pid):
    try:
        os.kill(os_pid, 0)
    except ProcessLookupError:
        return False
    return True
