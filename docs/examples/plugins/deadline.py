"""A job setting of one's own: processes of a job with ``deadline = 60`` are replaced after a minute."""

import gevent

import gaffer
from gaffer.api import NotFound, Seconds


class Deadline(gaffer.Plugin):
    name = "deadline"
    description = "replaces processes that run too long"

    @gaffer.hookimpl
    def gaffer_job_settings(self, fields):
        fields.add("deadline", Seconds(), 0.0, "seconds after which a process is replaced; 0 for never")

    @gaffer.hookimpl
    def gaffer_manager_start(self, manager):
        self.manager = manager

    @gaffer.hookimpl
    def gaffer_spawned(self, job, process):
        if job.config.deadline:
            gevent.spawn_later(job.config.deadline, self.replace, process.pid)

    def replace(self, pid):
        try:
            self.manager.stop_process(pid)
        except NotFound:
            pass  # it has ended by itself


__all__ = ["Deadline"]
