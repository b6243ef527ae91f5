"""The jobs API as methods of Server, Job and Process."""

import signal

import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.errors import BadRequest, Conflict, InvalidConfig, NotFound
from gaffer.httpclient import Job, Process, Server


def last(serving):
    request = serving.state.requests[-1]
    return request.method, request.path, request.json if request.body else None


def test_the_example_of_the_documentation(serving):
    server = Server(serving.uri, loop=None)
    process = server.add_process("dummy", "/some/path/to/dummy/script", start=False)
    assert serving.state.jobs["default.dummy"]["state"] == "stopped"
    process.start()
    assert process.active and process.running == 1
    assert process.add(2) == 3
    process.stop()
    assert not process.active
    server.close()


def test_the_node(serving, server):
    assert server.ping() is True
    assert server.version() == "9.9"
    assert server.health()["ok"] is True
    assert server.plugins()[0]["name"] == "http"
    assert server.reload_config()["loaded"] == ["default.new"]
    server.shutdown()
    assert last(serving) == ("POST", "/shutdown", None)


def test_ping_of_nobody(tmp_path):
    assert Server(f"unix:{tmp_path}/none").ping() is False


def test_lists(serving, server):
    serving.state.add("default.web", running=2)
    serving.state.add("shop.web")
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
def test_loading(serving, server, name, session, path):
    job = server.load({"name": name, "cmd": "sleep 1"}, session, start=False)
    assert last(serving) == ("POST", path, {"name": "web", "cmd": "sleep 1", "start": False})
    assert job.state == "stopped"
    with pytest.raises(Conflict):
        server.load({"name": name, "cmd": "sleep 1"}, session)


def test_loading_a_checked_configuration(serving, server):
    job = server.load(JobConfig("shop.web", "sleep 1", numprocesses=2))
    assert job.name == "shop.web" and job.numprocesses == 2


@pytest.mark.parametrize("config", [{}, {"cmd": "x"}, {"name": "", "cmd": "x"}, {"name": "a b", "cmd": "x"}])
def test_a_job_needs_a_name(serving, server, config):
    with pytest.raises(BadRequest):
        server.load(config)
    assert not serving.state.requests


def test_gafferd_judges_the_settings(server):
    with pytest.raises(InvalidConfig, match="cmd: required") as caught:
        server.load({"name": "web"})
    assert caught.value.problems == ["cmd: required"]


def test_updating(serving, server):
    serving.state.add("default.web")
    job = server.update({"name": "web", "cmd": "new"}, start=True)
    assert job.config["cmd"] == "new" and job.active
    server.update_process("web", "newer", numprocesses=4)
    assert last(serving) == ("PUT", "/jobs/default/web", {"name": "web", "cmd": "newer", "numprocesses": 4})
    job.update({"cmd": "newest"})
    assert last(serving) == ("PUT", "/jobs/default/web", {"name": "web", "cmd": "newest"})
    with pytest.raises(NotFound):
        server.update({"name": "none", "cmd": "x"})


def test_unloading(serving, server):
    serving.state.add("default.web")
    serving.state.add("default.db")
    server.remove_process("web")
    server.get_job("db").unload()
    assert not serving.state.jobs
    with pytest.raises(NotFound):
        server.unload("web")


def test_looking_up(serving, server):
    serving.state.add("shop.web", running=1)
    assert isinstance(server.get_job("shop/web"), Job)
    assert isinstance(server.get_process("shop.web"), Job)
    assert isinstance(server.get_process(1), Process)
    assert repr(server.get_process("1")) == "Process(1)"
    assert repr(server.get_job("shop:web")) == "Job('shop.web')"
    for missing in ("none", "99", 99):
        with pytest.raises(NotFound):
            server.get_process(missing)


def test_a_job(serving, server):
    serving.state.add("default.web", running=1)
    job = server.get_job("web")
    assert (job.state, job.active, job.running, job.pids, job.numprocesses) == ("running", True, 1, [1], 1)
    for action, path, body in [
        (job.start, "state", 1),
        (job.stop, "state", 0),
        (job.reload, "state", 2),
        (job.restart, "restart", None),
    ]:
        action()
        assert last(serving) == ("POST", f"/jobs/default/web/{path}", body)
    assert job.stats()["cpu"] == 1.5


@pytest.mark.parametrize("operation, number", [(2, 4), ("+2", 4), ("-1", 1), (-1, 1), ("=7", 7), ("-9", 0)])
def test_scaling(serving, server, operation, number):
    serving.state.add("default.web", numprocesses=2)
    assert server.get_job("web").scale(operation) == number
    assert last(serving)[2] == {"scale": operation}


def test_adding_and_removing(serving, server):
    serving.state.add("default.web", numprocesses=2)
    job = server.get_job("web")
    assert job.add() == 3 and last(serving)[2] == {"scale": "+1"}
    assert job.sub(2) == 1 and last(serving)[2] == {"scale": "-2"}


@pytest.mark.parametrize("given, sent", [(15, 15), ("term", "term"), (signal.SIGHUP, 1)])
def test_signals(serving, server, given, sent):
    serving.state.add("default.web", running=1)
    server.get_job("web").signal(given)
    assert last(serving) == ("POST", "/jobs/default/web/signal", {"signal": sent})
    Process(server, 1).signal(given)
    assert last(serving) == ("POST", "/1/signal", {"signal": sent})


def test_a_process(serving, server):
    serving.state.add("default.web", running=1)
    process = server.get_process(1)
    assert process.info()["os_pid"] == 1001
    assert process.stats() == {"pid": 1, "cpu": 1.5}
    process.stop()
    with pytest.raises(NotFound):
        process.info()


@pytest.mark.parametrize(
    "arguments, body",
    [({}, {}), ({"env": {"A": "b"}}, {"env": {"A": "b"}}), ({"graceful_timeout": 0.5}, {"graceful_timeout": 0.5})],
)
def test_commit(serving, server, arguments, body):
    serving.state.add("default.web", running=1)
    assert server.get_job("web").commit(**arguments).pid == 2
    assert last(serving)[2] == body
