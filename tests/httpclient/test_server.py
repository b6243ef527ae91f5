"""The jobs API as methods of Server, Job and Process."""

import signal

import pytest

from gaffer import __version__
from gaffer.config.jobconfig import JobConfig
from gaffer.errors import BadRequest, Conflict, InvalidConfig, NotFound
from gaffer.httpclient import Job, Process, Server


def last(gafferd):
    request = gafferd.requests.seen[-1]
    return request.method, request.path, request.json if request.body else None


def test_example_of_the_documentation(gafferd):
    server = Server(gafferd.uri, loop=None)
    process = server.add_process("dummy", "/some/path/to/dummy/script", start=False)
    assert gafferd.job("default.dummy")["state"] == "stopped"
    process.start()
    assert process.active and process.running == 1
    assert process.add(2) == 3
    process.stop()
    assert not process.active
    server.close()


def test_node_commands(gafferd, server):
    assert server.ping() is True
    assert server.version() == __version__
    assert server.health()["ok"] is True
    assert server.plugins()[0]["name"] == "http"
    assert server.reload_config()["loaded"] == []
    server.shutdown()
    assert last(gafferd) == ("POST", "/shutdown", None)


def test_ping_without_gafferd_is_false(tmp_path):
    assert Server(f"unix:{tmp_path}/none").ping() is False


def test_lists_of_sessions_jobs_and_pids(gafferd, server):
    gafferd.load("default.web", start=True, numprocesses=2)
    gafferd.load("shop.web")
    assert server.sessions() == ["default", "shop"]
    assert server.jobs() == ["default.web", "shop.web"]
    assert server.jobs("shop") == ["shop.web"]
    assert server.processes() == ["web", "shop.web"]
    assert server.pids() == server.running() == server.pids("web") == [1, 2]
    with pytest.raises(NotFound):
        server.jobs("none")


@pytest.mark.parametrize(
    "name, session, path",
    [
        ("web", None, "/jobs/default"),
        ("shop.web", None, "/jobs/shop"),
        ("shop:web", None, "/jobs/shop"),
        ("web", "shop", "/jobs/shop"),
        ("other/web", "shop", "/jobs/other"),
    ],
)
def test_loading(gafferd, server, name, session, path):
    job = server.load({"name": name, "cmd": "sleep 1"}, session, start=False)
    assert last(gafferd) == ("POST", path, {"name": "web", "cmd": "sleep 1", "start": False})
    assert job.state == "stopped"
    with pytest.raises(Conflict):
        server.load({"name": name, "cmd": "sleep 1"}, session)


def test_loading_a_checked_configuration(gafferd, server):
    job = server.load(JobConfig("shop.web", "sleep 1", numprocesses=2))
    assert job.name == "shop.web" and job.numprocesses == 2


@pytest.mark.parametrize("config", [{}, {"cmd": "x"}, {"name": "", "cmd": "x"}, {"name": "a b", "cmd": "x"}])
def test_job_needs_a_name(gafferd, server, config):
    with pytest.raises(BadRequest):
        server.load(config)
    assert not gafferd.requests.seen


def test_invalid_settings_are_rejected_by_gafferd(server):
    with pytest.raises(InvalidConfig, match="cmd: required") as caught:
        server.load({"name": "web"})
    assert caught.value.problems == ["cmd: required"]


def test_updating(gafferd, server):
    gafferd.load("default.web")
    job = server.update({"name": "web", "cmd": "new"}, start=True)
    assert job.config["cmd"] == "new" and job.active
    server.update_process("web", "newer", numprocesses=4)
    assert last(gafferd) == ("PUT", "/jobs/default/web", {"name": "web", "cmd": "newer", "numprocesses": 4})
    job.update({"cmd": "newest"})
    assert last(gafferd) == ("PUT", "/jobs/default/web", {"name": "web", "cmd": "newest"})
    with pytest.raises(NotFound):
        server.update({"name": "none", "cmd": "x"})


def test_unloading(gafferd, server):
    gafferd.load("default.web")
    gafferd.load("default.db")
    server.remove_process("web")
    server.get_job("db").unload()
    assert not gafferd.jobs()
    with pytest.raises(NotFound):
        server.unload("web")


def test_get_job_and_get_process(gafferd, server):
    gafferd.load("shop.web", start=True)
    assert isinstance(server.get_job("shop/web"), Job)
    assert isinstance(server.get_process("shop.web"), Job)
    assert isinstance(server.get_process(1), Process)
    assert repr(server.get_process("1")) == "Process(1)"
    assert repr(server.get_job("shop:web")) == "Job('shop.web')"
    for missing in ("none", "99", 99):
        with pytest.raises(NotFound):
            server.get_process(missing)


def test_attributes_and_actions_of_a_job(gafferd, server):
    gafferd.load("default.web", start=True)
    job = server.get_job("web")
    assert (job.state, job.active, job.running, job.pids, job.numprocesses) == ("running", True, 1, [1], 1)
    for action, path, body in [
        (job.start, "state", 1),
        (job.stop, "state", 0),
        (job.reload, "state", 2),
        (job.restart, "restart", None),
    ]:
        action()
        assert last(gafferd) == ("POST", f"/jobs/default/web/{path}", body)
    assert job.stats()["cpu"] == 1.5


@pytest.mark.parametrize("operation, number", [(2, 4), ("+2", 4), ("-1", 1), (-1, 1), ("=7", 7), ("-9", 0)])
def test_scaling(gafferd, server, operation, number):
    gafferd.load("default.web", numprocesses=2)
    assert server.get_job("web").scale(operation) == number
    assert last(gafferd)[2] == {"scale": operation}


def test_adding_and_removing(gafferd, server):
    gafferd.load("default.web", numprocesses=2)
    job = server.get_job("web")
    assert job.add() == 3 and last(gafferd)[2] == {"scale": "+1"}
    assert job.sub(2) == 1 and last(gafferd)[2] == {"scale": "-2"}


@pytest.mark.parametrize("given, sent", [(15, 15), ("term", "term"), (signal.SIGHUP, 1)])
def test_signals(gafferd, server, given, sent):
    gafferd.spawner.ignores.update({signal.SIGHUP, signal.SIGTERM})
    gafferd.load("default.web", start=True)
    server.get_job("web").signal(given)
    assert last(gafferd) == ("POST", "/jobs/default/web/signal", {"signal": sent})
    Process(server, 1).signal(given)
    assert last(gafferd) == ("POST", "/1/signal", {"signal": sent})


def test_info_stats_and_stop_of_a_process(gafferd, server):
    gafferd.load("default.web", start=True)
    process = server.get_process(1)
    assert process.info()["os_pid"] == gafferd.process(1).os_pid
    assert process.stats()["cpu"] == 1.5
    process.stop()
    with pytest.raises(NotFound):
        process.info()


@pytest.mark.parametrize(
    "arguments, body",
    [({}, {}), ({"env": {"A": "b"}}, {"env": {"A": "b"}}), ({"graceful_timeout": 0.5}, {"graceful_timeout": 0.5})],
)
def test_commit(gafferd, server, arguments, body):
    gafferd.load("default.web", start=True)
    assert server.get_job("web").commit(**arguments).pid == 2
    assert last(gafferd)[2] == body


def test_infos_and_statistics_of_many_jobs_are_one_request(gafferd, server):
    gafferd.load("default.web", start=True)
    gafferd.load("shop.web")
    gafferd.load("shop.db")
    assert [one["name"] for one in server.infos()] == server.jobs()
    assert [one["name"] for one in server.infos("shop")] == server.jobs("shop")
    assert server.infos("shop")[1]["config"] == server.info("shop.web")["config"]
    assert [one["name"] for one in server.stats()] == ["web", "shop.db", "shop.web"]
    del gafferd.requests.seen[:]
    assert [one["name"] for one in server.stats("shop")] == ["shop.db", "shop.web"]
    assert [one.path for one in gafferd.requests.seen] == ["/stats?sessionid=shop"]
    for ask in (server.infos, server.stats):
        with pytest.raises(NotFound, match="no session 'none'"):
            ask("none")


def test_gafferd_without_the_list_of_infos_is_asked_for_each(gafferd, server):
    gafferd.load("shop.web")
    gafferd.load("shop.db")
    missing = (404, {"error": "not_found", "reason": "there is nothing at /info", "errno": 404})
    gafferd.requests.answers["GET", "/info"] = gafferd.requests.answers["GET", "/info?sessionid=shop"] = missing
    gafferd.requests.answers["GET", "/jobs/shop"] = (200, {"jobs": ["shop.db", "shop.gone", "shop.web"]})
    assert [one["name"] for one in server.infos()] == ["shop.db", "shop.web"]
    assert [one["name"] for one in server.infos("shop")] == ["shop.db", "shop.web"]
    all_stats = [{"name": "web", "stats": []}, {"name": "shop.web", "stats": []}]
    gafferd.requests.answers["GET", "/stats?sessionid=shop"] = (200, all_stats)
    assert server.stats("shop") == all_stats[1:]
