"""Options for the permissions of a key or a user."""

from __future__ import annotations

from typing import Any, Callable, Mapping, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])
LEVELS = ("read", "write", "manage")
FLAGS = ("admin", "create_key", "create_user")
_TARGETS = "'*', SESSION or SESSION.JOB; may be repeated."


def permission_options(function: _F) -> _F:
    """Add ``--admin``, ``--create-key``, ``--create-user``, ``--manage``, ``--write`` and ``--read``."""
    for option in (
        click.option("--read", metavar="TARGET", multiple=True, help=f"See jobs and their output: {_TARGETS}"),
        click.option("--write", metavar="TARGET", multiple=True, help="Also write to their processes."),
        click.option("--manage", metavar="TARGET", multiple=True, help="Also start, stop, change and signal them."),
        click.option("--create-user", is_flag=True, help="Make users who may do no more."),
        click.option("--create-key", is_flag=True, help="Make keys that allow no more."),
        click.option("--admin", is_flag=True, help="Everything."),
    ):
        function = option(function)
    return function


def permissions_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the permissions of the options, as the HTTP API takes them."""
    return {**{flag: given[flag] for flag in FLAGS}, **{level: list(given[level]) for level in LEVELS}}


def text_of(permissions: Mapping[str, Any]) -> str:
    """Return permissions as a table shows them."""
    words = [flag.replace("_", "-") for flag in FLAGS if permissions.get(flag)]
    words += [f"{level}={','.join(permissions[level])}" for level in reversed(LEVELS) if permissions.get(level)]
    return " ".join(words) or "nothing"
