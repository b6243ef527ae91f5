"""Configuration: ``[webhooks]``, ``[plugin:webhooks]`` and the same in Python."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, NamedTuple

from gaffer.api import (
    BadRequest,
    Field,
    Int,
    OptionalText,
    Problem,
    Seconds,
    SharedFile,
    check_read,
    expand_home,
    nearest,
    normalise,
    problem_of,
    withhold,
)

from .signing import make_key
from .urls import Target, parse_url

if TYPE_CHECKING:
    from gaffer.api import Section, Settings

#: A pattern and where the events that it selects are posted.
Hook = tuple[str, Target]


class Between(Seconds):
    """Seconds within bounds."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.schema = {"type": "number", "minimum": low, "maximum": high}

    def check(self, value: Any) -> float:
        seconds = super().check(value)
        if not self.low <= seconds <= self.high:
            raise ValueError(f"expected {self.low:g} to {self.high:g} seconds, not {seconds:g}")
        return seconds


#: The keys of ``[plugin:webhooks]`` and the arguments of :class:`gaffer.webhooks.WebHooks`.
FIELDS: tuple[Field, ...] = (
    Field("secret", OptionalText(), None, "signs every delivery; 16 bytes or more, or whsec_ and base64"),
    Field("secret_env", OptionalText(), None, "environment variable of gafferd that holds the secret"),
    Field("secret_file", OptionalText(), None, "file that holds the secret; blanks around it do not count"),
    Field("cacert", OptionalText(), None, "certificates of the authorities to trust, instead of the system's"),
    Field("connect_timeout", Between(0.01, 600), 5.0, "seconds for name, connection and TLS handshake"),
    Field("timeout", Between(0.01, 600), 10.0, "seconds for a whole attempt, the connection included"),
    Field("max_attempts", Int(1, 100), 6, "attempts of a delivery before it is dropped"),
    Field("backoff", Between(0.01, 3600), 1.0, "seconds before the second attempt, doubled before each further one"),
    Field(
        "max_backoff", Between(0.01, 86_400), 60.0, "the longest wait between attempts, whatever the receiver asks for"
    ),
    Field("queue_size", Int(1, 1_000_000), 1000, "deliveries that may wait for one URL; more are dropped"),
    Field("concurrency", Int(1, 1000), 16, "requests under way at a time, over all URLs"),
    Field("dead_letters", Int(0, 100_000), 100, "deliveries given up that are kept to look at and to send again"),
    # A stopping manager waits five seconds for its plugins, and not longer.
    Field("flush_timeout", Between(0, 4), 3.0, "seconds that a graceful stop gives what is still queued"),
)
_BY_NAME = {field.name: field for field in FIELDS}
#: Bytes that are read of a secret or of certificates.
_MAX_FILE = 4 * 1024 * 1024
_SECRETS = ("secret", "secret_env", "secret_file")


@dataclass(frozen=True)
class Tuning:
    """The fields in canonical form; ``key`` is what the secret stands for."""

    key: bytes | None
    cacert: str | None
    connect_timeout: float
    timeout: float
    max_attempts: int
    backoff: float
    max_backoff: float
    queue_size: int
    concurrency: int
    dead_letters: int
    flush_timeout: float

    def __repr__(self) -> str:
        return f"Tuning({'signed' if self.key else 'unsigned'})"


class WebhooksConfig(NamedTuple):
    """Everything that was set, and what is wrong with it."""

    hooks: list[Hook]
    tuning: Tuning
    problems: list[Problem]


def read_config(settings: Settings | None, options: Mapping[str, Any] | None = None) -> WebhooksConfig:
    """Read the settings' part that is ours; reads the file and the variable of a secret too.

    :param options: those that a program gave; the settings' win.
    """
    if settings is None:
        return WebhooksConfig([], check_tuning(options or {}), [])
    hooks: list[Hook] = []
    problems: list[Problem] = []
    for section in settings.sections("webhooks"):
        for key, value in section.items.items():
            found, wrong = _read_hooks(key, value.text)
            hooks += found
            problems += [section.problem(f"{key}: {sentence}", key) for sentence in wrong]
    tuning, wrong_options = _read_options(settings, options or {})
    return WebhooksConfig(hooks, tuning, problems + wrong_options)


def _read_hooks(key: str, text: str) -> tuple[list[Hook], list[str]]:
    """Read one line of ``[webhooks]``; returns its hooks and what is wrong."""
    hooks: list[Hook] = []
    wrong = [sentence for sentence in [problem_of(key)] if sentence]
    urls = [part.strip() for part in text.split(",") if part.strip()]
    for url in urls:
        try:
            hooks.append((normalise(key), parse_url(url)))
        except ValueError as error:
            wrong.append(str(error))
    return hooks, wrong if urls else [*wrong, "expected one or more URLs"]


def _read_options(settings: Settings, options: Mapping[str, Any]) -> tuple[Tuning, list[Problem]]:
    given: dict[str, Any] = {}
    problems: list[Problem] = []
    where: dict[str, Section] = {}
    for section in settings.sections("plugin"):
        for key, value in section.items.items() if section.name == "webhooks" else ():
            where[key] = section
            try:
                given[key] = _field(key).kind.parse(value.text)
            except ValueError as error:
                problems.append(section.problem(f"{key}: {error}", key))
    if any(key in _SECRETS for key in given):
        options = {key: value for key, value in options.items() if key not in _SECRETS}
    tuning, wrong = make_tuning({**options, **given})
    return tuning, problems + [where[key].problem(f"{key}: {message}", key) for key, message in wrong if key in where]


def _field(name: str) -> Field:
    field = _BY_NAME.get(name)
    if field is None:
        raise ValueError(f"unknown option{nearest(name, _BY_NAME)}")
    return field


def make_tuning(given: Mapping[str, Any]) -> tuple[Tuning, list[tuple[str, str]]]:
    """Return the options *given* in canonical form, with ``(name, sentence)`` for each that is wrong."""
    values: dict[str, Any] = {field.name: field.default for field in FIELDS}
    wrong: list[tuple[str, str]] = []
    for name, value in given.items():
        try:
            values[name] = _field(name).kind.check(value)
        except ValueError as error:
            wrong.append((name, str(error)))
    wrong += _take_key(values)
    wrong += _check_cacert(values["cacert"])
    return Tuning(**values), wrong


def _take_key(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Replace the secret, wherever it is kept, by its key."""
    kept = {name: values.pop(name) for name in _SECRETS}
    values["key"] = None
    names = [name for name, value in kept.items() if value is not None]
    for name in names[1:]:
        yield name, f"{names[0]} is set too; one of {', '.join(_SECRETS)} is enough"
    if names:
        try:
            values["key"] = make_key(_secret(names[0], kept[names[0]]))
        except ValueError as error:
            yield names[0], str(error)


def _secret(name: str, value: str) -> str:
    """Return the secret that an option holds or names; raises ValueError."""
    if name == "secret_env":
        withhold(value)
        if not os.environ.get(value):
            raise ValueError(f"the environment variable {value} is not set")
        return os.environ[value]
    if name == "secret_file":
        try:
            return _read(value).decode().strip()
        except UnicodeError:
            raise ValueError(f"{value} holds no text; write the secret as text, such as openssl rand -hex 32") from None
    return value


def _check_cacert(path: str | None) -> Iterator[tuple[str, str]]:
    if path is not None:
        try:
            if b"-----BEGIN" not in _read(path):
                yield "cacert", f"{path} holds no certificate in PEM form"
        except ValueError as error:
            yield "cacert", str(error)


def _read(path: str) -> bytes:
    try:
        check_read(expand_home(path))
        with open(expand_home(path), "rb") as file:
            return file.read(_MAX_FILE)
    except SharedFile as error:
        raise ValueError(str(error)) from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def check_tuning(given: Mapping[str, Any]) -> Tuning:
    """Return the options that a program gave.

    :raises BadRequest: names all that is wrong with them.
    """
    tuning, wrong = make_tuning(given)
    if wrong:
        raise BadRequest("; ".join(f"{name}: {message}" for name, message in wrong))
    return tuning


def make_hook(event: str, url: str) -> Hook:
    """Return a hook that a program gave.

    :raises BadRequest: the URL cannot be used.
    """
    try:
        return normalise(event), parse_url(url)
    except ValueError as error:
        raise BadRequest(f"webhook for '{event}': {error}") from None


def make_hooks(given: Iterable[tuple[str, str]]) -> list[Hook]:
    """Return hooks that a program gave; raises as :func:`make_hook`."""
    return [make_hook(event, url) for event, url in given]
