"""Client library: control a gafferd over HTTP from any program.

It needs neither gevent nor bottle; in a program that gevent has patched it
gives way to other greenlets like any socket code.

::

    from gaffer.httpclient import Server

    server = Server("http://localhost:5000")
    job = server.add_process("dummy", "/path/to/dummy.py", start=False)
    job.start()
    job.add(2)
    job.stop()

Feeds are iterators, and channels are websockets::

    for event in server.events("proc.dummy"):
        print(event["event"])

    with server.get_process(3).channel() as channel:
        channel.write("hello\n")
        print(channel.read())
"""

from .errors import CannotConnect, Disconnected, Missing, NoAnswer, NotGafferd, Quiet
from .objects import Job, Process
from .server import DEFAULT_URI, Server

__all__ = [
    "DEFAULT_URI",
    "CannotConnect",
    "Disconnected",
    "Job",
    "Missing",
    "NoAnswer",
    "NotGafferd",
    "Process",
    "Quiet",
    "Server",
]
