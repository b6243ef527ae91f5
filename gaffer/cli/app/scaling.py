"""The command that scales the types of an application."""

from __future__ import annotations

import re
from typing import NamedTuple, Sequence

import click

from ...config.names import JobName
from ...errors import BadRequest
from ...httpclient import Job
from ..core.output import print_lines
from ..core.program import DASHES, command
from ..core.shell_completion import scalings
from ..operations.control import for_each
from .apps import RemoteApplication

#: The operation is the last one in the word: names may hold ``+`` and ``-`` themselves.
_OPERATION = re.compile(r"(.+)([=+-][0-9]{1,9})")


class Scaling(NamedTuple):
    """A type and an operation on its number of processes: ``web=3``."""

    type: str
    operation: str


def parse(words: Sequence[str], is_app: bool = False) -> tuple[str | None, list[Scaling]]:
    """Return the application, if one is named, and what is to be scaled.

    :param is_app: whether the first word is an application though it looks like an operation: ``shop-2``.
    :raises BadRequest: a word has no operation, or nothing is to be scaled.
    """
    app = words[0] if words and (is_app or not _OPERATION.fullmatch(words[0])) else None
    rest = words[1:] if app is not None else words
    found = []
    for word in rest:
        match = _OPERATION.fullmatch(word)
        if match is None or "=" in match[1]:
            raise BadRequest(f"'{word}' is no operation; write TYPE=N, TYPE+N or TYPE-N, such as web=3 worker+1")
        found.append(Scaling(match[1], match[2]))
    if not found:
        raise BadRequest("nothing to scale; write TYPE=N, TYPE+N or TYPE-N, such as 'gaffer scale web=3 worker+1'")
    return app, found


@command("scale", context_settings=DASHES)
@click.argument("words", nargs=-1, required=True, metavar="[APP] TYPE=N|TYPE+N|TYPE-N...", shell_complete=scalings)
@click.pass_context
def scale(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Change how many processes types have.

    An unknown type changes nothing, not even the others. TYPE=N sets the number, TYPE+N adds to it and TYPE-N
    takes away, never below 0. APP is what the application is called on gafferd, by default what its folder is
    called.

    Example: gaffer scale web=3 worker+1
    """
    remote = RemoteApplication(ctx.obj)
    app, wanted = parse(words, _means_app(remote, words))
    prefix = f"{remote.context.session(app)}." if app is not None else ""
    jobs: list[JobName] = [remote.find([one.type if "." in one.type else prefix + one.type])[0] for one in wanted]

    def scale_job(one: tuple[JobName, Scaling]) -> None:
        job, (_, operation) = one
        found = Job(remote.server, job)
        number = found.scale(operation)
        result = f"now running {number}" if found.active else f"{number} wanted when it is started"
        print_lines([f"Scaling {job.job} processes... done, {result}"])

    ctx.exit(for_each(ctx, scale_job, zip(jobs, wanted)))


def _means_app(remote: RemoteApplication, words: Sequence[str]) -> bool:
    """Return whether the first of several arguments is an application whose name looks like an operation."""
    return len(words) > 1 and bool(_OPERATION.fullmatch(words[0])) and words[0] in remote.server.sessions()
