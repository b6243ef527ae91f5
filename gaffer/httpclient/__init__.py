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
        channel.write("hello\\n")
        print(channel.read())
"""

from typing import TYPE_CHECKING, Any

from .errors import CannotConnect, Disconnected, Missing, NoAnswer, NotGafferd, Quiet, WrongServer
from .objects import Job, Process
from .server import DEFAULT_URI, Server

if TYPE_CHECKING:  # what __getattr__ finds, for tools that read the types
    from .cluster import Cluster, Node, Result
    from .lookup import LookupServer

#: What only those need who have many machines, and the module that has it.
_LATE = {"Cluster": "cluster", "Node": "cluster", "Result": "cluster", "LookupServer": "lookup"}

__all__ = [
    "DEFAULT_URI",
    "CannotConnect",
    "Cluster",
    "Disconnected",
    "Job",
    "LookupServer",
    "Missing",
    "NoAnswer",
    "Node",
    "NotGafferd",
    "Process",
    "Quiet",
    "Result",
    "Server",
    "WrongServer",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LATE[name]}", __name__), name)
