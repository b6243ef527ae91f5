"""Query parameters of feeds, for the description of the API."""

from __future__ import annotations

from ...commands.command import Arg
from ...commands.schemas import COUNT, Schema

#: The types of answers that go on.
LINES = "application/x-ndjson"
EVENT_STREAM = "text/event-stream; charset=utf-8"
#: The parameters of a feed; none is an argument of a command.
NAMES = ("feed", "heartbeat", "interval", "since", "tail")
_KINDS: Schema = {"type": "string", "enum": ["longpoll", "continuous", "eventsource"], "examples": ["longpoll"]}
_BEAT: Schema = {"type": "string", "pattern": r"^(true|false|[0-9]{1,4}(\.[0-9]{1,3})?)$", "examples": ["60"]}
_POSITION: Schema = {"type": "string", "pattern": r"^([0-9a-z]{1,16}-)?[0-9]{1,18}$", "examples": ["0"]}
_INTERVAL: Schema = {"type": "number", "minimum": 0.1, "maximum": 86_400, "examples": [1]}

KIND = Arg("feed", _KINDS, "longpoll: one item, and the answer ends; the others go on", required=False)
HEARTBEAT = Arg("heartbeat", _BEAT, "seconds between two empty lines while there is nothing to say; true: 60", False)
SINCE = Arg("since", _POSITION, "the id after which to begin; as the header Last-Event-ID", False)
TAIL = Arg("tail", COUNT, "begin with so many of the last lines, or events, that are kept", required=False)
INTERVAL = Arg("interval", _INTERVAL, "seconds between two measurements", required=False)
#: Of streams and events.
FEED = (KIND, HEARTBEAT, SINCE, TAIL)
#: Of figures that are measured again and again.
LIVE = (KIND, HEARTBEAT, INTERVAL)
