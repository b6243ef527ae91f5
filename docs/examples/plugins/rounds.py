"""A hook of one's own: every so often, all plugins are asked whether they saw anything."""

import gevent

import gaffer


class Specification:
    """What others may implement."""

    @gaffer.hookspec
    def rounds_report(self, number):
        """[COLLECT] Say in a few words what you saw.

        When: every round.
        """


class Rounds(gaffer.Plugin):
    name = "rounds"
    seconds = 60.0
    greenlet = None

    @gaffer.hookimpl
    def gaffer_addhooks(self, pluginmanager):
        pluginmanager.add_hookspecs(Specification)

    @gaffer.hookimpl
    def gaffer_ready(self, manager):
        self.greenlet = gevent.spawn(self.walk, manager)

    @gaffer.hookimpl
    def gaffer_manager_stopped(self):
        # Another plugin may have stopped the start, and then this one was never ready.
        if self.greenlet is not None:
            self.greenlet.kill()

    def walk(self, manager):
        number = 0
        while True:
            number += 1
            for plugin, words in manager.hooks.collect("rounds_report", number=number):
                print(f"round {number}: {plugin} saw {words}", flush=True)
            gevent.sleep(self.seconds)


class Guard(gaffer.Plugin):
    """Usually this would be in another file: it needs ``rounds``, and says so."""

    name = "guard"
    mandatory = ["rounds"]

    @gaffer.hookimpl
    def rounds_report(self, number):
        return "nothing"


__all__ = ["Rounds", "Guard"]
