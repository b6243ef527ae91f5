"""Reads a section of its own, ``[plugin:mailer]``, and finds mistakes in it before anything is started."""

import gaffer
from gaffer.api import Problem


class Mailer(gaffer.Plugin):
    name = "mailer"
    to = ""

    @gaffer.hookimpl
    def gaffer_check_config(self, settings):
        for section in settings.sections("plugin"):
            if section.name == self.name and "to" not in section.items:
                yield Problem(section.file, section.line, "to: required, the address that mail goes to")

    @gaffer.hookimpl
    def gaffer_manager_start(self, manager):
        if manager.settings is not None:
            self.to = manager.settings.plugin(self.name).get("to", "")

    @gaffer.hookimpl
    def gaffer_exited(self, job, status):
        if status.code and self.to:
            print(f"To: {self.to}\nSubject: {job.name} failed with {status}", flush=True)


__all__ = ["Mailer"]
