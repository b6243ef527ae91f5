"""Refuses and changes what others ask for: no job gets more than so many processes, and all get a time zone.

The option ``most_processes`` stands in section ``[gaffer]``, or in the environment as ``GAFFERD_MOST_PROCESSES``.
"""

import gaffer
from gaffer.api import Int


class Limits(gaffer.Plugin):
    name = "limits"
    most = 10

    @gaffer.hookimpl
    def gaffer_add_options(self, options):
        options.add("most_processes", Int(1, 1000), 10, "processes that a job may have")

    @gaffer.hookimpl
    def gaffer_manager_start(self, manager):
        if manager.settings is not None:
            self.most = manager.settings.get("most_processes")

    @gaffer.hookimpl
    def gaffer_before_scale(self, job, count):
        if count > self.most:
            raise gaffer.Veto(f"{job.name} may have up to {self.most} processes")

    @gaffer.hookimpl
    def gaffer_before_load(self, draft):
        draft["env"].setdefault("TZ", "UTC")


__all__ = ["Limits"]
