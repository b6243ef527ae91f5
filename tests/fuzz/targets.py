"""What reads bytes of strangers. A target takes any bytes; it may refuse them as it promises, and nothing else.

``python -m tests.fuzz.run`` gives them to atheris for minutes, ``test_parsers.py`` to hypothesis for a moment.
"""

from __future__ import annotations

import io
import json
import tempfile
from types import SimpleNamespace
from typing import Any, Callable, NamedTuple

from gaffer.config import command_template, dotenv, ini_reader, names
from gaffer.config.addresses import parse_address
from gaffer.config.jobconfig import JobConfig
from gaffer.errors import GafferError
from gaffer.events import patterns
from gaffer.lookupd.backends import Backend
from gaffer.lookupd.node_protocol import NodeSession, NodeSessions
from gaffer.lookupd.records import load_record
from gaffer.lookupd.registry import Registry
from gaffer.procfile import parser
from gaffer.security import redact
from gaffer.web.live import channel_session
from gaffer.web.requests.authentication import credentials_of
from gaffer.web.requests.host_header import clean_host
from gaffer.web.requests.request import parse_json, read_body
from gaffer.web.requests.web_origin import check_origin
from gaffer.web.server.handler import RequestBody
from gaffer.web.server.request_head import HeadError, parse_head
from gaffer.web.sockjs import frames as sockjs
from gaffer.web.websocket.late_auth import key_in
from gaffer.web.websocket.websocket import WebSocket
from gaffer_plugins.auth.routes import basic
from gaffer_plugins.websocket import channel_frames

LIMIT = 4096


class Target(NamedTuple):
    """One reader.

    :param read: called with any bytes.
    :param refuses: what it may raise.
    :param seeds: what it reads well, for a start.
    """

    read: Callable[[bytes], Any]
    refuses: tuple[type[BaseException], ...]
    seeds: tuple[bytes, ...]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def head(data: bytes) -> None:
    """The head of a request; what is accepted is unambiguous."""
    environ = parse_head(data).environ
    assert "HTTP_TRANSFER_ENCODING" not in environ or "CONTENT_LENGTH" not in environ
    assert environ.get("CONTENT_LENGTH", "0").isdigit()
    said = "".join(value for name, value in environ.items() if name != "PATH_INFO")  # the application looks at that
    assert not {"\r", "\n", "\0"} & set(said)


class _Handler:
    """A stand-in that can be a key, as the real handler."""


def body(data: bytes) -> None:
    """A chunked body, as the server reads it."""
    server, turn = SimpleNamespace(limits=_Limits, bodies={}), SimpleNamespace(give_way=lambda: None)
    handler = _Handler()
    vars(handler).update(rfile=io.BufferedReader(io.BytesIO(data)), server=server, turn=turn)
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "gaffer.max_body": LIMIT, "wsgi.input": None}
    environ["wsgi.input"] = RequestBody(handler, None, True, None)  # type: ignore[arg-type]
    assert len(read_body(environ)) <= LIMIT


class _Limits:
    body = 5.0


def json_body(data: bytes) -> None:
    """A JSON body; what is accepted can be said again."""
    json.dumps(parse_json(data), ensure_ascii=False).encode()


def job(data: bytes) -> None:
    """The settings of a job."""
    value = parse_json(data)
    if isinstance(value, dict):
        config = JobConfig.from_dict(value)
        assert JobConfig.from_dict(config.to_dict()) == config
    redact.redact(value)


class _Wire:
    """A connection on which *data* has arrived; what is sent is only counted."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.sent = 0

    def recv(self, size: int) -> bytes:
        return self._data.read(min(size, 7))

    def sendall(self, data: bytes) -> None:
        self.sent += len(data)

    def settimeout(self, seconds: float) -> None: ...

    def shutdown(self, how: int) -> None: ...


def websocket(data: bytes) -> None:
    """Frames of a websocket; every message is within its limit and every text is text."""
    wire = _Wire(data)
    one = WebSocket({}, wire, b"", LIMIT)
    while (message := one.receive()) is not None:
        assert len(message.encode() if isinstance(message, str) else message) <= LIMIT
    assert wire.sent <= 2 * len(data) + 1000


def process_frame(data: bytes) -> None:
    """A frame of ``/PID/channel``; what is accepted can be made again."""
    frame = channel_frames.parse(data)
    assert channel_frames.parse(channel_frames.encode(frame.type, frame.id, frame.body)) == frame


def channel_message(data: bytes) -> None:
    """A message of ``/channel``."""
    text = _text(data)
    key_in(text)
    channel_session.parse(text)


def sockjs_payload(data: bytes) -> None:
    """What a SockJS client sends."""
    assert all(isinstance(message, str) for message in sockjs.read(data))
    sockjs.messages([_text(data)])


def node_messages(data: bytes) -> None:
    """What a node says to lookupd, a message a line: each is answered, and what is known stays whole."""
    registry = Registry()
    sessions = NodeSessions(registry, Backend(), 15.0)
    session = NodeSession(sessions, lambda reason: None)
    for line in data.split(b"\n")[:20]:
        answer = session.hear(line)
        assert json.loads(json.dumps(answer))["msgid"] == answer["msgid"]
        assert answer.get("ok") or answer["errno"] in (400, 403, 404, 409, 413) and answer["reason"]
    for record in registry.nodes.values():
        again = load_record(record.dump())
        assert (again.info, again.jobs, again.state, again.size) == (
            record.info,
            record.jobs,
            record.state,
            record.size,
        )
    assert registry.jobs() == sorted({name for record in registry.nodes.values() for name in record.jobs})
    session.leave()
    assert registry.nodes == {} and registry.jobs() == [] and sessions.identified == 0


def etcd_record(data: bytes) -> None:
    """What is in a registry that others write to: what is taken is as if a node had said it."""
    record = load_record(data)
    assert load_record(record.dump()).jobs == record.jobs


def job_name(data: bytes) -> None:
    """The name of a job; all spellings of what is accepted are the same."""
    name = names.parse_job_name(_text(data))
    for separator in ".:/":
        assert names.parse_job_name(f"{name.session}{separator}{name.job}") == name
    assert names.parse_job_name(name.short) == name
    names.check_name(names.clean_name(_text(data)))


def topic(data: bytes) -> None:
    """The pattern of an event."""
    patterns.matches(patterns.normalise(_text(data)), "proc.web.spawn")


def command_line(data: bytes) -> None:
    """A command."""
    made = command_template.make_template(_text(data))
    made.variables()


def ini(data: bytes) -> None:
    """A configuration."""
    for section in ini_reader.parse_text(_text(data)).sections:
        assert all(isinstance(value.text, str) for value in section.items.values())


def a_procfile(data: bytes) -> None:
    """A Procfile."""
    for name, command in parser.parse_text(_text(data)).items():
        assert name and command
        parser.needs_shell(command)
        parser.words(command)


def env_file(data: bytes) -> None:
    """An environment file."""
    with tempfile.NamedTemporaryFile(prefix="gaffer-fuzz-") as file:
        file.write(data)
        file.flush()
        for key, value in dotenv.read_env_file(file.name).items():
            assert key and "=" not in key and "\0" not in key + value


def headers(data: bytes) -> None:
    """What headers say of who asks, and of where."""
    host, _, rest = data.decode("latin-1").partition("\n")
    key, _, query = rest.partition("\n")
    environ = {"HTTP_HOST": host, "HTTP_AUTHORIZATION": key, "QUERY_STRING": query}
    credentials_of(environ)
    for check in (clean_host, check_origin, basic, parse_address):
        try:
            check(host)
        except (GafferError, ValueError):
            pass


def secrets(data: bytes) -> None:
    """Text that is cleaned of secrets: never much longer than it was."""
    text = _text(data)
    assert len(redact.redact_text(text)) <= 4 * len(text) + 10


_JSON = b'{"name": "web", "cmd": "serve $PORT", "env": {"A": "b"}, "numprocesses": 2, "flapping": [2, 1.0, 7.0, 5]}'
_NO: tuple[type[BaseException], ...] = (GafferError,)

TARGETS: dict[str, Target] = {
    "head": Target(
        head,
        (HeadError,),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST http://a/%00?b HTTP/1.0\r\nContent-Length: 3\r\nX: y\r\n\r\n"),
    ),
    "body": Target(body, _NO, (b"5\r\nhello\r\n0\r\n\r\n", b"a;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n")),
    "json": Target(json_body, _NO, (_JSON, b'[[[1e999]]]"\\ud800"', b'"\\u0041"')),
    "job": Target(job, _NO, (_JSON,)),
    "websocket": Target(
        websocket,
        (),
        (b"\x81\x85abcd)\x07\x0f\x08\x0e", b"\x88\x80abcd", b"\x01\x80abcd\x80\x80abcd", b"\x89\xfe\x00\x7e"),
    ),
    "process_frame": Target(process_frame, _NO, (b"V1 message 1\0body", b"V1 error x\0\0")),
    "channel_message": Target(channel_message, _NO, (b'{"event":"SUB","data":{"topic":"EVENTS"}}', b"AUTH:key")),
    "sockjs": Target(sockjs_payload, _NO, (b'["a","b"]', b'"a"', b"")),
    "node_messages": Target(
        node_messages,
        (),
        (
            b'{"type":"IDENTIFY","msgid":1,"name":"a","origin":"b","version":"1","labels":{"a":"b"},"state":1}',
            b'{"type":"IDENTIFY","msgid":1,"name":"a","origin":"b"}\n'
            b'{"type":"REGISTER_JOB","msgid":2,"job_name":"a","pids":[1,2]}\n'
            b'{"type":"UNREGISTER_PROCESS","msgid":"3","job_name":"a","pid":1,"state":7}\n',
        ),
    ),
    "etcd_record": Target(
        etcd_record, _NO, (b'{"info":{"name":"a","origin":"b"},"state":1,"jobs":{"default.a":[1,2]}}', b"{}")
    ),
    "name": Target(job_name, _NO, (b"web", b"shop.web", b"shop:web", b"1")),
    "topic": Target(topic, (*_NO, ValueError), (b"proc.web.spawn", b".", b"EVENTS")),
    "command": Target(command_line, (*_NO, ValueError), (b"sh -c \"echo $A ${B} '$C'\" $$", b"a\\ b")),
    "ini": Target(ini, (), (b"[a]\nb = c # d\n[e:f]\n; g\nh = '''\ni\n'''\n", b"[[[[", b"\xef\xbb\xbf[a]\n")),
    "procfile": Target(a_procfile, _NO, (b"web: serve -p $PORT\n# x\nworker: a | b\n",)),
    "env": Target(env_file, _NO, (b"A=b\nexport C='d e'\nF=\"${A}\\n\"\n",)),
    "headers": Target(headers, _NO, (b"[::1]:80\nBearer abc\nticket=a&b=c", b"https://a:1\nBasic YTpi\n")),
    "secrets": Target(secrets, (), (b"run --password=x postgres://u:p@h/ TOKEN='a b'",)),
}


def feed(name: str, data: bytes) -> None:
    """Give *data* to a target; what it may refuse is fine."""
    target = TARGETS[name]
    try:
        target.read(data)
    except target.refuses:
        pass
