"""Jobs with ``tty``: their output is a terminal."""

import os
import shlex
import sys

import gaffer

from ..kit.manager import eventually, output, settle


def load(manager, cmd, name="web", **settings):
    manager.load(gaffer.JobConfig(name, cmd, restart="never", tty=True, **settings))


def process(manager):
    return eventually(lambda: manager.list("web"))[0]


def heard(found, what):
    eventually(lambda: what in output(found), what=f"{output(found)}")


class Sinks:
    """A plugin that keeps every byte, by label."""

    def __init__(self):
        self.got, self.closed = {}, []

    @gaffer.hookimpl
    def gaffer_open_sinks(self, label):
        kept = self.got.setdefault(label, [])

        class Sink:
            write = staticmethod(kept.append)
            close = staticmethod(lambda: self.closed.append(label))

        return Sink()

    def seen(self):
        return {label: b"".join(kept) for label, kept in self.got.items()}


def test_both_outputs_are_one_terminal(manager, watch):
    code = "import os, sys; print([os.isatty(fd) for fd in (0, 1, 2)], os.get_terminal_size()); sys.stderr.write('x')"
    plugin = Sinks()
    manager.plugins.add(plugin)
    load(manager, f'{shlex.quote(sys.executable)} -c "{code}"', redirect_output=["out", "out"])
    assert eventually(lambda: watch.statuses.get(1)).code == 0
    assert plugin.seen() == {"out": b"[False, True, True] os.terminal_size(columns=80, lines=24)\nx"}
    eventually(lambda: plugin.closed == ["out"])


def test_sinks_get_a_terminal_that_is_not_redirected(manager, watch):
    plugin = Sinks()
    manager.plugins.add(plugin)
    load(manager, "echo hello")
    eventually(lambda: watch.statuses.get(1))
    assert plugin.seen() == {"stdout": b"hello\n"}


def test_terminal_has_no_echo_and_can_be_resized(manager, watch):
    cmd = "sh -c 'trap \"stty size <&1\" WINCH; echo up; while read line || true; do echo got $line; done'"
    load(manager, cmd, redirect_output=["out"], redirect_input=True)
    found = process(manager)
    heard(found, b"up\n")
    manager.send(found.pid, "a line\n")
    heard(found, b"got a line\n")
    found.resize(40, 132)
    manager.send(found.pid, "more\n")
    heard(found, b"40 132\n")
    assert output(found).count(b"a line") == 1


def test_resize_without_a_terminal_changes_nothing(manager, watch):
    manager.load(gaffer.JobConfig("web", "sleep 1000"))
    found = process(manager)
    found.resize(40, 132)
    settle(manager)
    assert found.active


def test_no_descriptor_is_left(manager, watch):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        load(manager, "true", f"t{number}")
    eventually(lambda: len(watch.statuses) == 5)
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)
