"""Probes in a real gafferd, whose sockets are gevent's."""

from __future__ import annotations

import shlex
import signal
import sys

from ..kit.gafferd import Gafferd
from ..kit.web import wait_until

NOTIFY = """
import os, socket, time
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.sendto(b"READY=1\\nSTATUS=serves", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
time.sleep(100)
"""
INI = f"""
[process:says]
cmd = {shlex.quote(sys.executable)} notify.py
ready = notify
[process:asked]
cmd = sleep 100
ready = exec sh -c 'echo fine'
[probe:line:ready]
probe = log ^ready on [0-9]+$
[process:line]
cmd = sh -c 'echo ready on 80; exec sleep 100'
[process:hangs]
cmd = sleep 100
alive = tcp://localhost:1
alive_timeout = 0
alive_interval = 0.1
alive_failures = 1
"""


def test_every_kind_in_a_real_gafferd(tmp_path):
    (tmp_path / "notify.py").write_text(NOTIFY)
    with Gafferd(tmp_path, INI).start().ready() as node:
        wait_until(lambda: all(node.get(f"/jobs/default/{name}")["ready"] for name in ("says", "asked", "line")))
        messages = {
            name: node.get(f"/jobs/default/{name}")["plugins"]["probes"]["processes"][0]["ready"]["message"]
            for name in ("says", "asked", "line")
        }
        assert messages == {"says": "serves", "asked": "fine", "line": "ready on 80"}
        wait_until(lambda: node.get("/health")["plugins"]["probes"]["restarts"] > 0)
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
