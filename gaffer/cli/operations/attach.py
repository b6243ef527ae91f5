"""The command that connects the terminal to a process; shared by gafferctl and gaffer."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, Callable

import click

from ...config.names import parse_job_name
from ...errors import GafferError, IONotRedirected, NotFound
from ...httpclient import Disconnected, Process, Quiet, Server
from ..core.output import write_bytes
from ..core.program import complain
from ..core.streaming import end_with_reader
from ..core.terminal import DETACH_KEY, Terminal, parse_key
from .job_selection import find_processes
from .wait import exit_text

if TYPE_CHECKING:
    from ...httpclient.channels import ProcessChannel

#: Bytes read from stdin at a time, and such writes that may be unanswered.
READ_SIZE, MAX_UNANSWERED = 65_536, 4
#: Seconds to wait for a frame: a ping makes the descriptor readable and is none.
FRAME_TIMEOUT = 0.05
#: This label's output goes to our stderr; that of all others to our stdout.
STDERR_LABEL = "stderr"


def attach_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of :func:`attach_to`."""
    options = [
        click.option("-n", "--lines", type=click.IntRange(0), default=0, metavar="N", help="Begin with N old lines."),
        click.option(
            "--detach-key", default=DETACH_KEY, show_default=True, metavar="KEY", help="ctrl-X, a character, or none."
        ),
        click.option("--no-stdin", is_flag=True, help="Only look."),
        click.option("--eof", is_flag=True, help="Close the process's stdin when ours ends."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def attach_to(
    ctx: click.Context,
    server: Server,
    target: str,
    lines: int = 0,
    detach_key: str = DETACH_KEY,
    no_stdin: bool = False,
    eof: bool = False,
) -> None:
    """Connect our stdin, stdout and stderr to a process until it exits or the user detaches.

    :raises GafferError: it cannot be. :raises CannotConnect: gafferd goes away meanwhile.
    """
    terminal = Terminal(parse_key(detach_key))
    (process,) = find_processes(server, target)
    info = process.info()
    labels = list(dict.fromkeys(info["redirect_output"]))
    writes = bool(info["redirect_input"]) and not no_stdin
    if not labels and not writes:
        raise IONotRedirected(f"nothing of {target} is redirected; set redirect_output or redirect_input")
    end_with_reader(terminal.restore)
    attached = Attached(ctx.find_root().info_name, process, terminal, eof)
    try:
        attached.open(labels, writes, lines)
        if terminal.is_one:
            attached.announce(parse_job_name(str(info["name"])).short, writes, detach_key)
        with terminal:
            detached = attached.run()
    finally:
        attached.close()
    if detached:
        if terminal.is_one and terminal.key:
            attached.announce_detached()
    else:
        complain(ctx.find_root().info_name, f"process {process.pid} has exited{_exit_text(server, info, process.pid)}")


class Attached:
    """A terminal connected to the channels of one process: one reads and writes, the others read."""

    def __init__(self, program: str | None, process: Process, terminal: Terminal, eof: bool) -> None:
        self._program, self._process, self._terminal, self._eof = program, process, terminal, eof
        self._channels: dict[ProcessChannel, str] = {}
        self._main: ProcessChannel | None = None
        self._reading = False
        self._unanswered = 0
        self._dropped = 0
        self._finish = False

    def open(self, labels: list[str], writes: bool, lines: int) -> None:
        """Open the channels."""
        tail = lines or None
        for label in labels:
            self._channels[self._process.channel(label, 1, tail=tail)] = label
        if writes:
            self._main = self._process.channel("stdin", 2)
            self._channels[self._main] = ""
        # Where nothing is written, the detach key is still heard.
        self._reading = self._terminal.descriptor >= 0 and (writes or self._terminal.is_one)

    def announce(self, name: str, writes: bool, key: str) -> None:
        """Print the name of the process and the detach key."""
        how = "" if writes else ", output only"
        leave = f"; {key} detaches" if self._terminal.key else ""
        complain(self._program, f"attached to {name}, process {self._process.pid}{how}{leave}")

    def announce_detached(self) -> None:
        """Print that the process goes on, and how much of a line was not sent."""
        dropped = f"; {self._dropped} bytes without a line end were not sent" if self._dropped else ""
        complain(self._program, f"detached; process {self._process.pid} goes on{dropped}")

    def run(self) -> bool:
        """Forward in both directions; return whether the user detached."""
        while self._channels:
            ready = self._ready()
            if self._terminal.descriptor in ready and not self._send_input():
                return True
            for channel in list(self._channels):
                if channel.socket.fileno() in ready:
                    self._receive(channel)
            self._close_stdin_if_done()
        return False

    def _ready(self) -> set[int]:
        """Wait for input or output; return the readable descriptors."""
        poll = select.poll()
        for channel in self._channels:
            poll.register(channel.socket.fileno(), select.POLLIN)
        if self._reading and self._unanswered < MAX_UNANSWERED:
            poll.register(self._terminal.descriptor, select.POLLIN)
        return {descriptor for descriptor, _ in poll.poll()}

    def _send_input(self) -> bool:
        """Send the input of the terminal; return False if the user detaches."""
        data, leave = self._terminal.read(READ_SIZE)
        if leave:
            # The terminal hands out lines: this is one that was not ended by Return.
            self._dropped = len(data) if self._main is not None else 0
            return False
        if data and self._main is not None:
            self._main.send(data)
            self._unanswered += 1
        if not data:
            self._reading = False
            self._finish = self._eof
            return not self._terminal.is_one or self._eof
        return True

    def _receive(self, channel: ProcessChannel) -> None:
        """Receive frames; more may have arrived than the descriptor shows."""
        while True:
            try:
                frame = channel.frame(FRAME_TIMEOUT)
            except Quiet:
                return
            if frame is None:
                return self._ended(channel)
            self._handle_frame(channel, frame)
            if not channel.socket.waiting():
                return

    def _handle_frame(self, channel: ProcessChannel, frame: Any) -> None:
        from ...httpclient.channels import is_gap, problem, raise_problem

        if frame.type == "message":
            write_bytes(frame.body, err=self._channels[channel] == STDERR_LABEL)
        elif is_gap(frame):
            complain(self._program, f"{problem(frame).get('lost')} bytes are missing here, they came too fast")
        else:
            self._unanswered -= 1
            try:
                raise_problem(frame)
            except GafferError as error:
                complain(self._program, f"what was typed did not reach the process: {error}")

    def _ended(self, channel: ProcessChannel) -> None:
        socket = channel.socket
        del self._channels[channel]
        if socket.code != 1000:
            raise Disconnected(f"gafferd at {socket.uri} closed {socket.path}: {socket.reason or socket.code}")
        if channel is self._main:
            self._main, self._reading = None, self._terminal.is_one

    def _close_stdin_if_done(self) -> None:
        """Close the process's stdin once everything before is written."""
        if self._finish and not self._unanswered:
            self._finish = False
            try:
                self._process.write(b"", eof=True)
            except NotFound:
                pass  # it has exited meanwhile

    def close(self) -> None:
        """Close the channels."""
        for channel in self._channels:
            channel.close()


def _exit_text(server: Server, info: dict[str, Any], pid: int) -> str:
    """Return the exit status of a process in words, if its job still has it."""
    try:
        ending = server.info(parse_job_name(str(info["name"]))).get("last_exit")
    except NotFound:
        return ""
    return f" with {exit_text(ending)}" if ending and ending.get("pid") == pid else ""
