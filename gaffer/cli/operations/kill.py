"""Send signals."""

from __future__ import annotations

from ...httpclient import Job, Process


def send_signal(target: Job | Process, signal: str) -> None:
    """Send a signal.

    :param signal: a number or a name, with or without SIG, in any case; ``-9`` and ``-TERM`` as for kill(1).
    """
    word = signal.removeprefix("-")
    target.signal(int(word) if word.isdigit() else word)
