"""Send signals."""

from __future__ import annotations

import click

from ...httpclient import Job, Process

group_option = click.option("--group", is_flag=True, help="To all of the process' group, as a stop.")


def send_signal(target: Job | Process, signal: str, group: bool = False) -> None:
    """Send a signal.

    :param signal: a number or a name, with or without SIG, in any case; ``-9`` and ``-TERM`` as for kill(1).
    """
    word = signal.removeprefix("-")
    target.signal(int(word) if word.isdigit() else word, group)
