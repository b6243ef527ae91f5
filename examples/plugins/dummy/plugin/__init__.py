from gaffer import Plugin

__all__ = ["DummyPlugin"]

from .app import DummyApp


class DummyPlugin(Plugin):
    name = "dummy"
    version = "1.0"
    description = "prints when gafferd starts and stops"

    def app(self, cfg):
        return DummyApp()
