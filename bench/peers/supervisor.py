"""supervisor, from PyPI, in a virtual environment of its own; ordered over its XML-RPC."""

from __future__ import annotations

import signal
import subprocess
import sys
import xmlrpc.client
from pathlib import Path

from .base import Load, Peer, free_port

VERSION = "4.3.0"

_CONFIG = """\
[supervisord]
nodaemon = true
user = {user}
logfile = {work}/supervisord.log
pidfile = {work}/supervisord.pid
childlogdir = {work}
minfds = 16384

[inet_http_server]
port = 127.0.0.1:{port}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

_PROGRAM = """
[program:child{number}]
command = {child} {stamps}
process_name = child_%(process_num)05d
numprocs = {copies}
autostart = {autostart}
autorestart = true
startsecs = 0
stdout_logfile = NONE
stderr_logfile = NONE
"""


class Supervisor(Peer):
    name = "supervisor"
    python = Path()

    @classmethod
    def install(cls, work: Path) -> None:
        cls.python = work / "supervisor-venv" / "bin" / "python"
        if not cls.python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(cls.python.parents[1])], check=True)
        subprocess.run(
            [str(cls.python), "-m", "pip", "install", "-q", "--disable-pip-version-check", f"supervisor=={VERSION}"],
            check=True,
        )

    def configure(self, load: Load) -> list[str]:
        import getpass

        self.port, self.jobs = free_port(), load.jobs
        text = _CONFIG.format(user=getpass.getuser(), work=self.work, port=self.port)
        for number in range(load.jobs):
            text += _PROGRAM.format(
                number=number,
                child=self.child,
                stamps=self.stamps.path,
                copies=load.copies,
                autostart=str(load.autostart).lower(),
            )
        config = self.work / "supervisord.conf"
        config.write_text(text, "utf-8")
        return [str(self.python), "-m", "supervisor.supervisord", "-c", str(config)]

    def wait_ready(self) -> None:
        self.wait_for_port(self.port)

    def _server(self) -> xmlrpc.client.ServerProxy:
        return xmlrpc.client.ServerProxy(f"http://127.0.0.1:{self.port}/RPC2")

    def start(self) -> None:
        self._server().supervisor.startAllProcesses(False)

    def stop(self) -> None:
        self._server().supervisor.stopAllProcesses(True)

    def quit(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
