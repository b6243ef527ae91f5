"""A refusal for one job: gaffer and gafferctl go on with the others, and forget none that they acted on."""

import pytest

CONFLICT = (409, {"error": "conflict", "reason": "plugin strict: not on Fridays"})
FORBIDDEN = (403, {"error": "forbidden", "reason": "this key may not manage shop.db"})


@pytest.fixture(params=["gaffer", "gafferctl"])
def program(request):
    return request.param, request.getfixturevalue(request.param)


@pytest.fixture
def shop(gafferd):
    for name in ("api", "db", "web"):
        gafferd.load(f"shop.{name}", start=True)
    return gafferd


def states(gafferd):
    return {name: gafferd.job(name)["state"] for name in gafferd.jobs()}


def test_stop_goes_on_after_a_refusal_and_waits_for_the_accepted_jobs(shop, program):
    name, call = program
    shop.requests.answers["POST", "/jobs/shop/db/state"] = CONFLICT
    ended = call("stop", "shop.*")
    assert ended.code == 1
    assert sorted(ended.out.splitlines()) == ["shop.api: stopped", "shop.web: stopped"]
    assert ended.err == f"{name}: plugin strict: not on Fridays\n"
    assert states(shop) == {"shop.web": "stopped", "shop.db": "running", "shop.api": "stopped"}


def test_stop_without_waiting_names_the_accepted_jobs(shop, program):
    _, call = program
    shop.requests.answers["POST", "/jobs/shop/db/state"] = CONFLICT
    ended = call("stop", "shop.*", "--no-wait")
    assert ended.code == 1
    assert sorted(line.partition(":")[0] for line in ended.out.splitlines()) == ["shop.api", "shop.web"]


def test_what_is_not_allowed_ends_the_requests_but_accepted_jobs_are_waited_for(shop, program):
    name, call = program
    shop.requests.answers["POST", "/jobs/shop/db/state"] = FORBIDDEN
    ended = call("stop", "shop.*")
    assert ended.code == 4
    assert ended.err == f"{name}: this key may not manage shop.db\n"
    first, last = ("web", "api") if name == "gaffer" else ("api", "web")
    assert ended.out == f"shop.{first}: stopped\n"
    assert states(shop)[f"shop.{last}"] == "running"


def test_reload_goes_on_after_a_refusal(shop, gaffer):
    shop.requests.answers["POST", "/jobs/shop/db/state"] = CONFLICT
    ended = gaffer("reload")
    assert (ended.code, ended.err) == (1, "gaffer: plugin strict: not on Fridays\n")
    assert [line.partition(":")[0] for line in ended.out.splitlines()] == ["shop.api", "shop.web"]


def test_unload_goes_on_after_a_refusal(shop, gaffer):
    shop.requests.answers["DELETE", "/jobs/shop/db"] = CONFLICT
    ended = gaffer("unload")
    assert ended == (1, "shop.web: unloaded\nshop.api: unloaded\n", "gaffer: plugin strict: not on Fridays\n")
    assert shop.jobs() == ["shop.db"]


def test_scale_goes_on_after_a_refusal(shop, gaffer):
    shop.requests.answers["POST", "/jobs/shop/db/numprocesses"] = CONFLICT
    ended = gaffer("scale", "api=2", "db=2", "web=2")
    assert (ended.code, ended.err) == (1, "gaffer: plugin strict: not on Fridays\n")
    assert [shop.job(f"shop.{name}")["max_processes"] for name in ("api", "db", "web")] == [2, 1, 2]


@pytest.mark.parametrize("words", [["send", "shop.web", "--all", "x"]])
def test_send_to_all_goes_on_after_a_process_that_refuses(gafferd, program, words):
    name, call = program
    gafferd.load("shop.web", start=True, numprocesses=3, redirect_input=True)
    gafferd.requests.answers["POST", "/streams/2/stdin"] = (503, {"error": "unavailable", "reason": "it does not read"})
    assert call(*words) == (1, "", f"{name}: it does not read\n")
    assert [one.written for one in gafferd.spawner.processes] == [b"x\n", b"", b"x\n"]
