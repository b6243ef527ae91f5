"""The requests of the published clients of gaffer 0.4.4 and 0.5.2, to a real gafferd.

``tests/data/compat`` holds what each call sends, in order, and the answer that it needs. A step with ``differs``
is answered otherwise on purpose: docs/upgrading.rst has to say these words.
"""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.kit.data import data_folder
from tests.kit.gafferd import Gafferd, eventually, gafferd_with_key
from tests.kit.websocket_client import CLOSE, HANDSHAKE, Client

DATA = data_folder() / "compat"
UPGRADING = Path(__file__).parents[2] / "docs" / "upgrading.rst"
TYPES = {"<int>": int, "<str>": str, "<number>": (int, float), "<list>": list}


def recorded(name: str) -> list[dict[str, Any]]:
    return json.loads((DATA / f"{name}.json").read_text("utf-8"))


def differences(answer: Any, expected: Any, path: str = "answer") -> list[str]:
    """Return where *answer* is not what the client needs; keys that it does not know are left alone."""
    if isinstance(expected, str) and expected in TYPES:
        right = isinstance(answer, TYPES[expected]) and not isinstance(answer, bool)
        return [] if right else [f"{path}: {answer!r} is no {expected}"]
    if isinstance(expected, dict) and isinstance(answer, dict):
        return [
            found
            for key, value in expected.items()
            for found in (differences(answer[key], value, f"{path}.{key}") if key in answer else [f"{path}: no {key}"])
        ]
    if isinstance(expected, list) and isinstance(answer, list) and len(expected) == len(answer):
        pairs = enumerate(zip(answer, expected))
        return [found for at, (one, other) in pairs for found in differences(one, other, f"{path}[{at}]")]
    return [] if answer == expected and type(answer) is type(expected) else [f"{path}: {answer!r}, not {expected!r}"]


def headers(step: dict[str, Any], key: str) -> dict[str, str]:
    """Return the headers of tornado 2.4, which both clients use: a POST without another type says it is a form."""
    sent = {"Accept": "application/json", "Accept-Encoding": "gzip", "Connection": "close"}
    if key:
        sent["X-Api-Key"] = key
    if step.get("json"):
        sent["Content-Type"] = "application/json"
    elif step["method"] == "POST":
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    return sent


def ask(port: int, step: dict[str, Any], known: dict[str, Any], key: str) -> tuple[int, Any]:
    path = re.sub(r"\{(\w+)\}", lambda found: str(known[found[1]]), step["path"])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        body = step.get("body")
        connection.request(step["method"], path, None if body is None else body.encode(), headers(step, key))
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return answer.status, value if isinstance(value, (dict, list)) else text


def play(port: int, steps: list[dict[str, Any]], key: str = "") -> list[str]:
    """Send all requests in order; return every answer that the client would not understand."""
    known: dict[str, Any] = {}
    wrong: list[str] = []
    for step in steps:

        def problems(step: dict[str, Any] = step) -> list[str]:
            status, value = ask(port, step, known, key)
            found = [] if status == step["status"] else [f"status {status}, not {step['status']}: {value!r}"]
            if not found and "answer" in step:
                found = differences(value, step["answer"])
            if not found:
                for name, way in step.get("save", {}).items():
                    part = value
                    for key_or_index in way:
                        part = part[key_or_index]
                    known[name] = part
            return found

        if step.get("again"):
            eventually(lambda problems=problems: not problems())
        else:
            wrong += [f"{step['call']}: {problem}" for problem in problems()]
    return wrong


@pytest.mark.parametrize("version", ["0.4.4", "0.5.2"])
def test_every_call_of_a_published_client_is_understood(version, tmp_path):
    with Gafferd(tmp_path).start() as gafferd:
        assert play(gafferd.ready().port, recorded(version)) == []


def test_users_and_keys_of_the_client_of_0_5(tmp_path):
    with gafferd_with_key(tmp_path) as (gafferd, key):
        assert play(gafferd.port, recorded("0.5.2-accounts"), key) == []


def test_the_commands_of_the_client_of_0_5(tmp_path):
    with Gafferd(tmp_path).start() as gafferd:
        wrong = []
        with Client(("127.0.0.1", gafferd.ready().port), "/channel/websocket") as channel:
            for step in recorded("0.5.2-commands"):
                pid = next(iter(gafferd.get("/pids")["pids"]), 0)
                args = [pid if one == "{pid}" else one for one in step["args"]]
                data = {"identity": "7", "name": step["command"], "args": args, "kwargs": step["kwargs"]}
                channel.say(json.dumps({"event": "CMD", "data": data}))
                answer = json.loads(channel.receive().data)
                shown = answer["data"].get("result", answer)
                wrong += [f"{step['command']}: {problem}" for problem in differences(shown, step["result"])]
        assert wrong == []


def test_what_differs_on_purpose_is_documented():
    page = " ".join(UPGRADING.read_text("utf-8").split())
    told = {
        step["differs"]
        for path in sorted(DATA.glob("*.json"))
        for step in json.loads(path.read_text("utf-8"))
        if "differs" in step
    }
    assert told
    assert [words for words in told if words not in page] == []


def test_the_channels_of_the_client_of_0_5(tmp_path):
    jobs = "[process:one]\ncmd = cat\nredirect_output = out\nredirect_input = true\n"
    with gafferd_with_key(tmp_path, jobs=jobs) as (gafferd, key):
        pid = eventually(lambda: ask(gafferd.port, {"method": "GET", "path": "/pids"}, {}, key)[1]["pids"])[0]
        assert key_and_echo(gafferd.port, pid, key, HANDSHAKE) == [b"OK", b"OK", b"ECHO\n"]
        # A client that is known by its header, or needs no key, says it all the same: the process never sees it.
        assert key_and_echo(gafferd.port, pid, key, f"{HANDSHAKE}X-Api-Key: {key}\r\n") == [b"OK", b"OK", b"ECHO\n"]
        with Client(("127.0.0.1", gafferd.port), f"/{pid}/channel?mode=3") as process:
            process.say("V1 message 1\0AUTH:wrong")
            end = process.receive()
            assert (end.opcode, end.code) == (CLOSE, 1008)
        with Client(("127.0.0.1", gafferd.port), "/channel/websocket") as manager:
            manager.say(f"AUTH:{key}")
            manager.say('{"event": "SUB", "data": {"topic": "EVENTS"}}')
            assert until(manager, "gaffer:subscription_success")["topic"] == "EVENTS"
            manager.say(json.dumps({"event": "CMD", "data": {"identity": "7", "name": "stop_process", "args": [pid]}}))
            event = until(manager, "gaffer:event")["data"]
            assert (event["topic"], event["name"]) == ("EVENTS", "one")
            assert event["event"]
    with Gafferd(tmp_path, jobs).start() as gafferd:
        pid = eventually(lambda: gafferd.ready().get("/pids")["pids"])[0]
        assert key_and_echo(gafferd.port, pid, "any", HANDSHAKE) == [b"OK", b"OK", b"ECHO\n"]


def key_and_echo(port: int, pid: int, key: str, head: str) -> list[bytes]:
    """Say the key and a line to ``cat`` as the client of 0.5 does; return the bodies of the answers, shortest first."""
    with Client(("127.0.0.1", port), f"/{pid}/channel?mode=3", head) as process:
        process.say(f"V1 message 1\0AUTH:{key}")
        process.say("V1 message 2\0ECHO\n")
        return sorted((process.receive().data.partition(b"\0")[2] for _ in range(3)), key=len)


def until(channel: Client, event: str) -> dict[str, Any]:
    """Return the next message of a kind."""
    while (message := json.loads(channel.receive().data))["event"] != event:
        pass
    return message
