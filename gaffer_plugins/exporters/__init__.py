"""Formats of ``gaffer export``; found through the entry-point group ``gaffer.exporters``."""

from __future__ import annotations

from gaffer.api import Exporter

from . import compose, runit, supervisord, systemd
from .own import export_ini, export_json


def gaffer_exporters() -> list[Exporter]:
    return [
        Exporter("ini", "sections for a gafferd.ini, to be included there", export_ini),
        Exporter("json", "jobs for 'gafferctl load_process' and the HTTP API", export_json),
        Exporter("systemd", "a unit for each process, and a target for all of them", systemd.export, folder=True),
        Exporter("supervisord", "programs for a supervisord.conf, to be included there", supervisord.export),
        Exporter("docker-compose", "a compose file with a service for each type", compose.export),
        Exporter("runit", "a service directory for each process", runit.export, folder=True),
    ]
