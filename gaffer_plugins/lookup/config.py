"""Settings of lookupds, checked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from gaffer.api import BadRequest, Field, OptionalText, Problem, SharedFile, check_read, nearest

if TYPE_CHECKING:
    from gaffer.api import Section, Settings

SCHEMES = {"http": False, "ws": False, "https": True, "wss": True}

#: The keys of ``[plugin:lookup]``.
FIELDS = (
    Field("name", OptionalText(), None, "what this node is called (default: the machine's name)"),
    Field("labels", OptionalText(), None, "what it can be chosen by: zone=a, role=web"),
    Field("cacert", OptionalText(), None, "authority that signed the lookupds' certificates (default: the system's)"),
)


class LookupdAddress(NamedTuple):
    """Address of a lookupd.

    :param path: what precedes ``/ws``, behind a proxy; mostly empty.
    """

    text: str
    host: str
    port: int
    tls: bool
    path: str = ""


class LookupConfig(NamedTuple):
    """Everything that is configured, with what is wrong with it."""

    places: list[LookupdAddress]
    name: str | None
    labels: dict[str, str]
    origin: str | None
    key: str | None
    certfile: str | None
    keyfile: str | None
    cacert: str | None
    problems: list[Problem]


def parse_place(text: str) -> LookupdAddress:
    """Read ``http://host:port``, ``https://host:port`` or ``host:port``.

    :raises BadRequest: it is none of these.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadRequest(f"'{text}' is no address: {error}") from None
    if parts.scheme not in SCHEMES or not host or parts.username or parts.query or parts.fragment:
        raise BadRequest(f"'{text}' is no address of a lookupd; write http://host:port or https://host:port")
    from gaffer.api.lookup import LOOKUPD_PORT  # late: most nodes have no lookupd

    return LookupdAddress(text, host, port or LOOKUPD_PORT, SCHEMES[parts.scheme], parts.path.rstrip("/"))


def parse_labels(text: str) -> dict[str, str]:
    """Read ``zone=a, role=web``.

    :raises BadRequest: a part is something else.
    """
    labels = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name:
            raise BadRequest(f"labels: '{part}' is no label; write zone=a, role=web")
        labels[name] = value
    return labels


def find_problems(settings: Settings) -> list[Problem]:
    """Return what is wrong."""
    return read_config(settings).problems


def read_config(settings: Settings) -> LookupConfig:
    """Return what the settings say; what is wrong with it is among its problems."""
    problems: list[Problem] = []
    places = []
    for text in settings.get("lookupd_address"):
        try:
            places.append(parse_place(text))
        except BadRequest as error:
            problems.append(settings.problem("lookupd_address", str(error)))
    own = settings.plugin("lookup")
    for section in settings.sections("plugin"):
        if section.name == "lookup":
            problems += _wrong_keys(section)
    labels: dict[str, str] = {}
    try:
        labels = parse_labels(own.get("labels") or "")
    except BadRequest as error:
        problems.append(_at(settings, "labels", str(error)))
    files = {name: settings.get(name) for name in ("client_certfile", "client_keyfile")}
    problems += [
        settings.problem(name, f"{name}: cannot read {path}")
        for name, path in files.items()
        if path and not os.access(path, os.R_OK)
    ]
    if own.get("cacert") and not os.access(own["cacert"], os.R_OK):
        problems.append(_at(settings, "cacert", f"cacert: cannot read {own['cacert']}"))
    for name, path in {**files, "cacert": own.get("cacert")}.items():
        try:
            check_read(path or "/")
        except SharedFile as error:
            problems.append(Problem("", 0, f"{name}: {error}"))
    if files["client_keyfile"] and not files["client_certfile"]:
        problems.append(settings.problem("client_keyfile", "client_keyfile is of no use without client_certfile"))
    return LookupConfig(
        places=list({(place.host, place.port, place.path): place for place in places}.values()),
        name=own.get("name") or None,
        labels=labels,
        origin=settings.get("broadcast_address"),
        key=settings.get("lookupd_key"),
        certfile=files["client_certfile"],
        keyfile=files["client_keyfile"],
        cacert=own.get("cacert") or None,
        problems=problems,
    )


def _wrong_keys(section: Section) -> list[Problem]:
    known = [field.name for field in FIELDS]
    return [
        section.problem(f"unknown key '{key}' in [{section.header}]{nearest(key, known)}", key)
        for key in section.items
        if key not in known
    ]


def _at(settings: Settings, key: str, sentence: str) -> Problem:
    section = next(one for one in settings.sections("plugin") if one.name == "lookup" and key in one.items)
    return section.problem(sentence, key)
