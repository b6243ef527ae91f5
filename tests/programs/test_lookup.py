"""Real lookupds and gafferds: registration, loss, return, one command line over all nodes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from itertools import islice
from pathlib import Path
from typing import Iterable, Iterator

import pytest

from gaffer.errors import NotFound, Unauthorized
from gaffer.httpclient import Cluster, Disconnected, LookupServer
from gaffer.httpclient.sockets import Socket
from tests.kit.pages import DOCS, code_blocks, tidied

from ..kit.certificates import make_certificates
from ..kit.gafferd import eventually
from ..kit.lookupd import COMMAND, Lookupd, Talker, make_node, pause, resume, run
from ..kit.ports import free_port
from ..kit.readme_tour import Step, steps

CTL = [sys.executable, "-c", "from gaffer.cli.ctl.gafferctl import main; main()"]
GAFFER = [sys.executable, "-c", "from gaffer.cli.app.gaffer import main; main()"]


def command(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(args, capture_output=True, text=True, timeout=30)


@pytest.fixture
def place(started):
    """The same, all jobs running: tests before may have restarted one a moment ago."""
    for node in started[1]:
        eventually(lambda node=node: node.get("/jobs/default/web")["state"] == "running")
    return started


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Two lookupds that know nothing of each other, and three nodes that register with both."""
    folder = tmp_path_factory.mktemp("place")
    with Lookupd(folder, name="a") as a, Lookupd(folder, name="b") as b:
        nodes = [make_node(folder, f"node-{n}", [a, b], "zone=a, role=web" if n < 3 else "zone=b") for n in (1, 2, 3)]
        with nodes[0] as one, nodes[1] as two, nodes[2] as three:
            for node in (one, two, three):
                node.start()
            for lookupd in (a, b):
                eventually(
                    lambda lookupd=lookupd: (
                        len(lookupd.client.jobs()[:1] and lookupd.client.find_job("web")["sources"]) == 3
                    )
                )
                eventually(
                    lambda lookupd=lookupd: all(one["pids"] for one in lookupd.client.find_job("web")["sources"])
                )
            yield [a, b], [one, two, three]


def test_what_lookupds_answer(place):
    (a, b), nodes = place
    for lookupd in (a, b):
        client = lookupd.client
        assert client.nodes() == [
            {
                "name": f"node-{n}",
                "origin": f"http://127.0.0.1:{node.port}",
                "version": client.version(),
                "labels": labels,
            }
            for n, node, labels in zip(
                (1, 2, 3), nodes, ({"zone": "a", "role": "web"}, {"zone": "a", "role": "web"}, {"zone": "b"})
            )
        ]
        assert client.sessions() == client.sessions("node-1") == [{"sessionid": "default", "jobs": ["default.web"]}]
        assert client.jobs() == client.find_session("default")["jobs"] == [client.find_job("web")]
        assert client.stale is None or "warming up" in client.stale["reason"]
        for wrong in (
            lambda c=client: c.find_job("x.y"),
            lambda c=client: c.find_session("x"),
            lambda c=client: c.sessions("x"),
        ):
            with pytest.raises(NotFound):
                wrong()
    assert a.client.health()["connected"] == 3
    links = {one.url: {"registered": True, "losses": 0, "refused": 0} for one in (a, b)}
    eventually(lambda: nodes[0].get("/health")["plugins"]["lookup"]["lookupds"] == links)
    assert nodes[0].get("/health")["plugins"]["lookup"]["ok"]


def test_changes_are_told(place):
    (a, _), nodes = place
    heard: list = []
    threading.Thread(target=_listen, args=(a.client, heard), daemon=True).start()
    eventually(lambda: any(one["event"] == "ready" for one in heard))
    heard.clear()
    near = [*CTL, "--connect", f"http://127.0.0.1:{nodes[0].port}"]
    assert command(*near, "add_process", "s.extra", "sleep 600", "--start").returncode == 0
    eventually(lambda: len(heard) == 2)
    assert a.client.find_session("s")["jobs"][0]["sources"][0]["pids"]
    assert command(*near, "del_process", "s.extra").returncode == 0
    eventually(lambda: len(heard) == 4)
    assert [(one["event"], one["name"], one["node_info"]["name"]) for one in heard] == [
        ("add_job", "s.extra", "node-1"),
        ("add_process", "s.extra", "node-1"),
        ("remove_process", "s.extra", "node-1"),
        ("remove_job", "s.extra", "node-1"),
    ]


def _listen(client: LookupServer, heard: list) -> None:
    """Take down what a lookupd tells, from its state on, until it stops."""
    with contextlib.suppress(Disconnected), client.watch(state=True) as watch:
        for event in watch:
            heard.append(event)


def test_gaffer_lookup_merges_lookupds(place):
    (a, b), nodes = place
    both = ["-L", a.url, "-L", b.url]
    shown = command(*GAFFER, "lookup", "nodes", *both).stdout.splitlines()
    assert shown[0].split() == ["NAME", "ORIGIN", "VERSION", "LABELS"] and len(shown) == 4
    assert shown[3].split()[0] == "node-3" and shown[3].endswith("zone=b")
    assert command(*GAFFER, *both, "lookup", "nodes", "-o", "name").stdout.split() == ["node-1", "node-2", "node-3"]
    assert command(*GAFFER, "lookup", "jobs", *both).stdout.splitlines()[1].split() == ["default.web", "3", "3"]
    found = json.loads(command(*GAFFER, "lookup", "job", "web", *both, "-o", "json").stdout)
    assert found == a.client.find_job("web")
    assert command(*GAFFER, "lookup", "sessions", *both).stdout.splitlines()[1].split() == ["default", "web"]
    assert command(*GAFFER, "lookup", "session", "default", *both, "-o", "name").stdout.split() == shown_names(nodes)


def shown_names(nodes) -> list[str]:
    return [f"node-{n}" for n in range(1, len(nodes) + 1)]


def test_one_dead_lookupd_is_told_and_costs_nothing(place):
    (a, _), _ = place
    dead = f"http://127.0.0.1:{free_port()}"
    answer = command(*GAFFER, "lookup", "jobs", "-L", dead, "-L", a.url, "-o", "name")
    assert (answer.returncode, answer.stdout) == (0, "default.web\n")
    (told,) = settled(answer.stderr.splitlines())
    assert f"cannot reach gaffer_lookupd at {dead}" in told
    answer = command(*GAFFER, "lookup", "jobs", "-L", dead)
    assert answer.returncode == 3 and "start it with 'gaffer_lookupd'" in answer.stderr
    assert command(*GAFFER, "lookup", "job", "none", "-L", a.url).returncode == 1


def settled(lines: Iterable[str]) -> Iterator[str]:
    """Leave out that a lookupd was started a moment ago, and that a busy machine takes long."""
    return (line for line in lines if "warming up" not in line and ": waiting for " not in line)


def test_a_lookupd_that_was_started_a_moment_ago_marks_its_answers(tmp_path):
    with Lookupd(tmp_path) as lookupd:
        assert lookupd.nodes() == [] and "warming up" in lookupd.client.stale["reason"]
        assert lookupd.client.health()["ok"] is False
        answer = command(*GAFFER, "lookup", "nodes", "-L", lookupd.url)
        assert answer.returncode == 0 and "may be incomplete" in answer.stderr and "warming up" in answer.stderr


def test_another_start_of_a_node_takes_the_place_of_one_that_does_not_answer(tmp_path):
    with Lookupd(tmp_path) as lookupd, Talker(lookupd) as dead:
        assert dead.identify("1")["ok"]
        dead.say("REGISTER_JOB", job_name="web", pids=[1])
        with Talker(lookupd) as node:  # the first does not read any more, as if its machine were off
            assert node.identify("2")["ok"]
            assert lookupd.client.jobs() == []
        assert "did not answer" in dead.told()


def test_one_table_over_all_nodes(place):
    (a, b), _ = place
    both = ["-L", a.url, "-L", b.url]
    shown = command(*CTL, *both, "status", "--on", "all").stdout.splitlines()
    assert shown[0].split()[:3] == ["NODE", "NAME", "STATE"]
    assert [line.split()[:3] for line in shown[1:]] == [[f"node-{n}", "web", "running"] for n in (1, 2, 3)]
    answer = command(*CTL, *both, "scale", "web", "+1", "--on", "zone=a")
    assert answer.stdout.splitlines() == ["node-1  2", "node-2  2"]
    assert command(*CTL, *both, "--on", "zone=a", "scale", "web", "-1").stdout.splitlines() == [
        "node-1  1",
        "node-2  1",
    ]
    shown = json.loads(command(*CTL, *both, "pids", "web", "--on", "node-3", "-o", "json").stdout)
    assert [(one["node"], one["ok"], len(one["result"])) for one in shown] == [("node-3", True, 1)]


def test_what_fails_on_one_node_is_told_under_its_name(place):
    (a, _), nodes = place
    only = command(*CTL, "--connect", f"http://127.0.0.1:{nodes[1].port}", "add_process", "only", "sleep 600")
    assert only.returncode == 0
    answer = command(*CTL, "-L", a.url, "start", "only", "--on", "all")
    assert answer.returncode == 1
    assert answer.stdout.startswith("node-2  only: running, 1 process")
    assert [line.split(":")[1] for line in settled(answer.stderr.splitlines())] == [" node-1", " node-3"]
    assert command(*CTL, "-L", a.url, "del_process", "only", "--on=node-2").stdout == "node-2  only: removed\n"


def test_what_fails_while_others_go_on_is_told_at_once(place, tmp_path):
    (a, _), nodes = place
    job = {"name": "only", "cmd": "while true; do echo tick; sleep 0.2; done", "shell": True}
    (tmp_path / "job.json").write_text(json.dumps({**job, "redirect_output": ["stdout"]}))
    assert command(*CTL, "-L", a.url, "load", str(tmp_path / "job.json"), "--on", "node-3").returncode == 0
    words = [*CTL, "-L", a.url, "logs", "only", "-f", "--on", "all"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as live:
        try:
            assert live.stdout is not None and live.stderr is not None
            told = sorted(islice(settled(live.stderr), 2))
            assert [line.partition("; ")[0] for line in told] == [f"gafferctl: node-{n}: no job 'only'" for n in (1, 2)]
            assert live.stdout.readline() == "node-3  tick\n"
            live.send_signal(signal.SIGINT)
            assert live.stderr.read().strip() == "" and live.wait(20) == 130
        finally:
            live.kill()
            command(*CTL, "-L", a.url, "del_process", "only", "--on", "node-3")


@pytest.mark.parametrize(
    "args, code, words",
    [
        (["status"], 2, "with -L name the nodes: --on all"),
        (["status", "--on", "zone=c"], 1, "no node matches 'zone=c'; the lookupds know node-1, node-2, node-3"),
        (["attach", "1", "--on", "all"], 2, "works with one gafferd"),
        (["nonsense", "--on", "all"], 2, "No such command"),
        (["scale", "web", "x", "--on", "all"], 1, "none of N"),
    ],
)
def test_wrong_usage_is_told_once(place, args, code, words):
    (a, _), _ = place
    answer = command(*CTL, "-L", a.url, *args)
    assert answer.returncode == code and words in answer.stderr
    assert command(*CTL, "--on", "all", "status").returncode == 2


def test_a_program_runs_an_operation_on_the_nodes_of_a_job(place):
    (a, b), _ = place
    with Cluster([a.url, b.url]) as cluster:
        results = cluster.run(lambda server: server.get_job("web").pids, job="web")
        assert [(result.node.name, result.ok, len(result.value)) for result in results] == [
            (f"node-{n}", True, 1) for n in (1, 2, 3)
        ]
        results = cluster.run(lambda server: server.get_job("none"), on="zone=b")
        assert [(result.node.name, type(result.error)) for result in results] == [("node-3", NotFound)]
        assert [node.name for node in cluster.find_job("web")] == ["node-1", "node-2", "node-3"]
        with pytest.raises(NotFound):
            cluster.run(lambda server: None, on="node-9", job="web")


def test_a_node_that_is_lost_expires_and_returns_by_itself(tmp_path):
    with Lookupd(tmp_path, "--ping-interval", "0.5") as lookupd, make_node(tmp_path, "n", [lookupd]) as node:
        node.start()
        eventually(lambda: [job["name"] for job in lookupd.client.jobs()] == ["default.web"])
        pause(node)
        try:
            # It is known still, and does not answer: it costs its own time and is not waited for with the others.
            asked = command(*CTL, "-L", lookupd.url, "--timeout", "0.2", "status", "--on", "all")
            assert asked.returncode == 1 and ("within 0.2 s" in asked.stderr or "no node matches" in asked.stderr)
            eventually(lambda: lookupd.nodes() == lookupd.client.jobs() == [])
            assert lookupd.nodes() == [] and [one["reason"] for one in lookupd.client.lost] == ["expired"]
            told = command(*GAFFER, "lookup", "nodes", "-L", lookupd.url).stderr
            assert "node n at http://127.0.0.1" in told and "and is left out" in told
        finally:
            resume(node)
        eventually(lambda: [one["sources"][0]["pids"] for one in lookupd.client.jobs()] == [[1]])
        assert node.get("/health")["plugins"]["lookup"]["ok"]
        assert "n was silent for 1.5 seconds and is given up" in lookupd.logged("silent")


def test_who_never_says_who_it_is_cannot_stay_by_talking(tmp_path):
    with Lookupd(tmp_path, "--ping-interval", "0.5") as lookupd, Talker(lookupd) as stranger:
        with pytest.raises((AssertionError, Disconnected)):
            while True:
                assert stranger.say("PING")["errno"] == 403
                time.sleep(0.1)
        assert lookupd.logged("a connection did not identify itself within 1.5 seconds and is given up")
        eventually(lambda: lookupd.client.health()["connections"] == 0)


def test_a_lookupd_that_dies_is_found_again_and_hurts_no_job(tmp_path):
    port = free_port()
    with make_node(tmp_path, "n", [f"127.0.0.1:{port}"]) as node:
        node.start().ready()
        node.logged("trying again")
        assert node.get("/jobs/default/web")["state"] in ("running", "starting")

        def link() -> dict:
            return node.get("/health")["plugins"]["lookup"]["lookupds"][f"127.0.0.1:{port}"]

        with Lookupd(tmp_path, port=port) as lookupd:
            eventually(lambda: lookupd.nodes() == ["n"] and link()["registered"])
            with lookupd.client.watch(state=True) as watching:
                assert next(watching)["event"] == "add_node"
                node.logged("registered with")
                lookupd.kill()
                with pytest.raises(Disconnected):
                    list(watching)
            lookupd.start()
            eventually(lambda: [one["sources"][0]["pids"] for one in lookupd.client.jobs()] == [[1]])
            assert link()["losses"] == 1
            node.signal(signal.SIGTERM)
            eventually(lambda: lookupd.nodes() == [])
            assert node.wait() == 0 and lookupd.stop() == 0


def test_the_program(tmp_path):
    assert run(tmp_path, "--version").stdout.startswith("gaffer_lookupd ")
    assert "--registry URL" in run(tmp_path, "--help").stdout
    for args, words in (
        (["--bind", "0.0.0.0:0"], "can register nodes and see what runs where; ask for keys with --require-key"),
        (["--registry", "paper:"], "no plugin knows the registry 'paper:'"),
        (["--ping-interval", "0.1"], "--ping-interval: the least is 0.5 seconds"),
        (["--ping-interval", "soon"], "seconds"),
        (["--require-key", "--no-plugin", "auth"], "keys are required"),
        (["--nonsense"], "unrecognized"),
    ):
        answer = run(tmp_path, *args)
        assert answer.returncode == 2 and words in answer.stderr and "Traceback" not in answer.stderr, answer
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = run(tmp_path, "--bind", f"127.0.0.1:{port}")
        assert answer.returncode == 1 and f"127.0.0.1:{port}: the address is in use" in answer.stderr
        assert "gafferd" not in answer.stderr, "it is not who we are"


def test_into_the_background_and_back(tmp_path):
    port, pidfile, log = free_port(), tmp_path / "pid", tmp_path / "log"
    args = ["--daemon", "--pidfile", str(pidfile), "--error-log", str(log), "--bind", f"127.0.0.1:{port}"]
    assert run(tmp_path, *args).returncode == 0
    pid = int(pidfile.read_text())
    try:
        with LookupServer(f"http://127.0.0.1:{port}") as client:
            assert client.ping()
        again = run(tmp_path, *args[:3], "--bind", "127.0.0.1:0")
        assert again.returncode == 1 and f"another gaffer_lookupd is running, with process id {pid}" in again.stderr
    finally:
        subprocess.run(["kill", str(pid)], check=True)
    eventually(lambda: not pidfile.exists())
    assert "stopped" in eventually(lambda: "stopped" in log.read_text() and log.read_text())


KEYS = """
import gaffer

WHO = {
    "reader": gaffer.Identity("reader", permissions="read"),
    "node": gaffer.Identity("node", permissions="write"),
    "powerless": gaffer.Identity("powerless", permissions="none"),
}

@gaffer.hookimpl
def gaffer_identify(credentials):
    return WHO.get(credentials.key)

@gaffer.hookimpl
def gaffer_permit(identity, permission, resource):
    return permission in {"read": ["read"], "write": ["read", "write"]}.get(identity.permissions, [])
"""


def test_keys_for_nodes_and_readers(tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "keys.py").write_text(KEYS)
    with Lookupd(tmp_path, "-p", "plugins", "--require-key") as lookupd:
        with pytest.raises(Unauthorized):
            lookupd.client.nodes()
        with LookupServer(lookupd.url, "reader") as reader:
            assert reader.nodes() == []
            with (
                make_node(tmp_path, "wrong", [lookupd]) as wrong,
                make_node(tmp_path, "none", [lookupd]) as none,
                make_node(tmp_path, "right", [lookupd]) as right,
            ):
                wrong.start(GAFFERD_LOOKUPD_KEY="reader")
                none.start()
                right.start(GAFFERD_LOOKUPD_KEY="node")
                eventually(lambda: [node["name"] for node in reader.nodes()] == ["right"])
                for one in (wrong, none):
                    one.logged("it does not let this node in: give a key with --lookupd-key that may write")
                with reader.watch(state=True) as watch:
                    assert next(watch)["node_info"]["name"] == "right"
                answer = command(*GAFFER, "--api-key", "reader", "lookup", "nodes", "-L", lookupd.url, "-o", "name")
                assert answer.stdout == "right\n"
                assert command(*GAFFER, "lookup", "nodes", "-L", lookupd.url).returncode == 4


def first_said(lookupd: Lookupd, path: str, *messages: str) -> tuple[str | bytes | None, str]:
    """Say messages on a websocket without a key in its header; returns the first answer and why it was closed."""
    socket = Socket(lookupd.client.transport, path)
    try:
        for message in messages:
            socket.send(message)
        return socket.receive(20), socket.reason
    finally:
        socket.close()


def polled(lookupd: Lookupd, session: str, *messages: str, key: str = "") -> list[str]:
    """Say messages in a SockJS session; returns what comes until it says ready, or ends."""
    headers = {"X-Api-Key": key} if key else {}
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def ask(what: str, body: bytes = b"") -> str:
        url = f"{lookupd.url}/lookup/000/{session}/{what}"
        return opener.open(urllib.request.Request(url, body, headers), timeout=30).read().decode().strip()

    assert ask("xhr") == "o"
    ask("xhr_send", json.dumps(messages).encode())
    frames = []
    while not frames or frames[-1][0] == "a" and '"ready' not in frames[-1].replace("\\", ""):
        frames.append(ask("xhr"))
    return frames


def test_a_key_may_be_the_first_message(tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "keys.py").write_text(KEYS)
    identify = json.dumps({"msgid": 1, "type": "IDENTIFY", "name": "n", "origin": "o"})
    state = '{"event": "STATE"}'
    with Lookupd(tmp_path, "-p", "plugins", "--require-key") as lookupd:
        answer, reason = first_said(lookupd, "/ws", "AUTH:reader")
        assert answer is None and "reader has no permission 'write'" in reason
        assert first_said(lookupd, "/lookup", "AUTH:reader", state)[0] == '{"event": "ready"}'
        for said, words in (("AUTH:wrong", "unknown or expired key"), (state, "a key is needed")):
            answer, reason = first_said(lookupd, "/lookup", said)
            assert answer is None and words in reason
            error, end = polled(lookupd, f"{words.split()[0]}", said)
            assert words in error and '"errno\\": 401' in error and end == 'c[3000,"Go away!"]'
        assert "ready" in polled(lookupd, "late", "AUTH:reader", state)[-1]
        assert "ready" in polled(lookupd, "early", "AUTH:wrong", state, key="reader")[-1], "who is known is that"
        assert "powerless has no permission" in polled(lookupd, "poor", "AUTH:powerless", state)[0]
        assert '"ok": true' in str(first_said(lookupd, "/ws", "AUTH:node", identify)[0])


def test_browsers_watch_by_sockjs(place):
    (a, _), _ = place

    def ask(path: str, body: bytes = b"") -> bytes:
        return urllib.request.urlopen(f"{a.url}/lookup{path}", body).read()

    assert b"Welcome to SockJS" in urllib.request.urlopen(f"{a.url}/lookup").read()
    assert ask("/000/browser/xhr") == b"o\n"
    ask("/000/browser/xhr_send", b'["{\\"event\\": \\"STATE\\"}"]')
    answer = ask("/000/browser/xhr").decode()
    events = [json.loads(text)["event"] for text in json.loads(answer[1:])]
    assert events.count("add_node") == 3 and events[-1] == "ready"


def typed(command: str, url: str) -> str:
    """Type a command of the page; returns what it prints."""
    path = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    line = command.replace("lookup-1:5010", url).replace("lookup-2:5010", url)
    words = ["bash", "-c", line]
    done = subprocess.run(words, env=path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    return "".join(settled(done.stdout.splitlines(keepends=True)))


def test_the_page_shows_what_happens(place):
    (a, _), _ = place
    blocks = [block.text for block in code_blocks(DOCS / "topologies.rst") if block.text.startswith("$ ")]
    found = [step for text in blocks for step in steps(iter(text.splitlines()))]
    assert len(found) == 8
    for step in found:
        output = tidied(typed(step.command, a.url))
        assert Step(step.command, [tidied(line) for line in step.expected]).matches(output), f"{step}\n{output}"


def test_the_program_of_the_page(place):
    (a, b), _ = place
    ended = command(sys.executable, "-W", "error", str(DOCS / "examples" / "cluster.py"), a.url, b.url)
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "node-1 a 1",
        "node-2 a 1",
        "node-3 b 1",
        "node-1 now wants 2",
        "node-2 now wants 2",
        "removed: default.web",
    ]


def test_an_application_on_many_nodes(place, tmp_path):
    (a, _), _ = place
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "Procfile").write_text("clock: while true; do echo tick; sleep 0.2; done\n")
    gaffer = [*GAFFER, "-d", str(tmp_path / "shop"), "-L", a.url]
    zone = ["--on", "zone=a"]

    def said(*args: str) -> list[str]:
        answer = command(*gaffer, *args, *zone)
        assert (answer.returncode, [*settled(answer.stderr.splitlines())]) == (0, []), answer
        return answer.stdout.splitlines()

    assert {line.split()[0] for line in said("load")} == {"node-1", "node-2"}
    assert said("scale", "clock=2") == [f"node-{n}  Scaling clock processes... done, now running 2" for n in (1, 2)]
    eventually(lambda: sum("up for" in line for line in said("ps")) == 4)
    assert sum("== clock:" in line for line in said("ps")) == 2
    assert all(re.fullmatch(r"node-[12]  .*tick", line) for line in eventually(lambda: said("logs", "-n", "2")))
    live = subprocess.Popen([*gaffer, "logs", "-f", *zone], stdout=subprocess.PIPE, text=True)
    assert live.stdout is not None
    names: set[str] = set()
    while len(names) < 2 and (line := live.stdout.readline()):
        names.add(line.split()[0])
    live.send_signal(signal.SIGINT)
    assert (live.wait(20), names) == (130, {"node-1", "node-2"})
    live.stdout.close()
    assert said("stop") == [f"node-{n}  shop.clock: stopped" for n in (1, 2)]
    assert [line.split("(")[0] for line in said("start")] == [
        f"node-{n}  shop.clock: running, 2 processes " for n in (1, 2)
    ]
    assert command(*gaffer, "stop", "--on", "all").returncode == 1, "node-3 has no shop"
    said("unload")
    assert command(*gaffer, "run", "true", *zone).returncode == 2


def test_client_certificates(tmp_path):
    make_certificates(tmp_path, "tls")
    files = {"cert": str(tmp_path / "tls.pem"), "key": str(tmp_path / "tls.key")}
    port = free_port()
    secure = {"certfile": files["cert"], "keyfile": files["key"], "cacert": files["cert"]}
    options = [word for name, path in secure.items() for word in (f"--{name}", path)]
    log = (tmp_path / "lookupd.log").open("wb")
    lookupd = subprocess.Popen(
        [*COMMAND, "--bind", f"127.0.0.1:{port}", *options], cwd=tmp_path, stdout=log, stderr=log
    )
    try:
        url = f"https://localhost:{port}"
        with LookupServer(url, **secure) as client, make_node(tmp_path, "n", [url]) as node:
            eventually(client.ping)
            settings = node.ini.read_text().replace("[plugin:lookup]", f"[plugin:lookup]\ncacert = {files['cert']}")
            node.ini.write_text(settings)
            node.start("--client-certfile", files["cert"], "--client-keyfile", files["key"])
            eventually(lambda: [one["name"] for one in client.nodes()] == ["n"])
            with client.watch(state=True) as watch:
                assert next(watch)["event"] == "add_node"
        with LookupServer(url, cacert=files["cert"]) as stranger:
            assert not stranger.ping()
    finally:
        lookupd.terminate()
        assert lookupd.wait(20) == 0
        log.close()


def test_lookupds_of_the_environment_leave_one_gafferd_alone(place, monkeypatch):
    (a, _), nodes = place
    monkeypatch.setenv("GAFFERCTL_LOOKUPD_ADDRESS", a.url)
    one = command(*CTL, "--connect", f"http://127.0.0.1:{nodes[0].port}", "pids")
    assert (one.returncode, one.stdout) == (0, "1\n")
    assert command(*CTL, "pids", "--on", "node-1").stdout == "node-1  1\n"


def test_watching_two_lookupds_as_one(place):
    (a, b), _ = place
    words = [*GAFFER, "lookup", "watch", "--state", "-o", "json", "-L", a.url, "-L", b.url]
    watch = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert watch.stdout is not None
    try:
        state = [json.loads(watch.stdout.readline()) for _ in range(9)]
        told = sorted((one["event"], one["node_info"]["name"]) for one in state)
        kinds = ("add_job", "add_node", "add_process")
        assert told == [(kind, f"node-{n}") for kind in kinds for n in (1, 2, 3)], "each once, though two know it"
        command(*CTL, "-L", a.url, "scale", "web", "+1", "--on", "node-3")
        assert json.loads(watch.stdout.readline())["event"] == "add_process"
        command(*CTL, "-L", a.url, "scale", "web", "-1", "--on", "node-3")
        assert json.loads(watch.stdout.readline())["event"] == "remove_process"
    finally:
        watch.send_signal(signal.SIGINT)
        assert watch.wait(20) == 130
        watch.stdout.close()
