"""The console: what is printed, in which colours, and what happens when the terminal is stuck."""

import fcntl
import io
import os
import types

import gevent
import pytest
from gevent.event import Event

from gaffer import JobConfig, Manager
from gaffer.plugins.calling import Hooks
from gaffer.plugins.registry import PluginSet
from gaffer_plugins.console import ConsolePlugin
from gaffer_plugins.console.printer import (
    COLORS,
    MAX_PRINTED_LINE,
    ConsolePainter,
    ConsolePrinter,
    OutputLines,
    clean,
    describe,
)
from gaffer_plugins.console.writer import ConsoleWriter

CYAN, YELLOW, RESET = "\x1b[36m", "\x1b[33m", "\x1b[0m"


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Lines:
    """Stands for a writer: keeps what was printed."""

    full = False
    dropped = 0

    def __init__(self):
        self.text = ""
        self.lost = 0

    def write(self, text, lines=1):
        self.text += text

    def drop(self, lines):
        self.lost += lines

    def take_lost(self):
        lost, self.lost = self.lost, 0
        return lost

    def close(self):
        self.closed = True


@pytest.fixture
def writer():
    return Lines()


@pytest.fixture
def printer(writer):
    return ConsolePrinter(writer, ConsolePainter(None), clock=lambda: "15:31:52")


class TestPrinter:
    def test_lines_of_the_documentation(self, printer, writer):
        printer.align(["dummy", "dummy1"])
        printer.event({"event": "spawn", "name": "dummy", "pid": 1, "os_pid": 51134})
        printer.lines("dummy1", ["hello, dummy (pid: 51135) is alive"])
        printer.event({"event": "exit", "name": "dummy", "pid": 1, "os_pid": 51134, "exit_code": 0, "term_signal": 0})
        assert writer.text == (
            "15:31:52 dummy  | spawn process with pid 51134\n"
            "15:31:52 dummy1 | hello, dummy (pid: 51135) is alive\n"
            "15:31:52 dummy  | exit process with pid 51134\n"
        )

    def test_a_longer_name_widens_the_column(self, printer, writer):
        for name in ("a", "longer", "b", "x" * 80, "c"):
            printer.event({"event": "start", "name": name})
        widths = [line.index(" |") - len("15:31:52 ") for line in writer.text.splitlines()]
        assert widths == [1, 6, 6, 80, 32]

    @pytest.mark.parametrize(
        ("event", "words"),
        [
            ({"event": "start"}, "start"),
            ({"event": "stop_pid", "os_pid": 5}, "stop process with pid 5"),
            ({"event": "exit", "os_pid": 5, "exit_code": 3}, "exit process with pid 5 (code 3)"),
            ({"event": "exit", "os_pid": 5, "exit_code": 137, "term_signal": 9}, "exit process with pid 5 (SIGKILL)"),
            ({"event": "exit", "os_pid": 5, "term_signal": 50}, "exit process with pid 5 (signal 50)"),
            ({"event": "spawn_failed", "reason": "no such file"}, "spawn failed: no such file"),
            ({"event": "flap", "os_pid": 5, "retry_in": 7.0}, "flap, retry in 7 s"),
        ],
    )
    def test_words(self, event, words):
        assert describe(event) == words

    def test_what_would_act_on_the_terminal_is_taken_out(self):
        assert clean("\x1b[31mred\x1b[0m\tstays") == "\x1b[31mred\x1b[0m\tstays"
        assert clean("a\x1b[2Jb\x1b]0;title\x07c\x1b]0;t\x1b\\d\re\x00\x9bf\x1bg") == "abcdefg"
        assert clean("grüße 日本") == "grüße 日本"

    def test_an_event_cannot_forge_a_line(self, printer, writer):
        printer.event({"event": "spawn_failed", "name": "web", "reason": "bad\n15:31:53 other | start"})
        assert writer.text.count("\n") == 1

    def test_lost_lines_are_told(self, printer, writer):
        printer.lines("web", ["one"])
        writer.drop(7)
        printer.lines("web", ["two"])
        assert writer.text.splitlines()[1:] == [
            "15:31:52 gafferd | 7 lines dropped: the terminal is too slow",
            "15:31:52 web | two",
        ]


class TestColors:
    def test_one_for_each_job(self, writer):
        printer = ConsolePrinter(
            writer, ConsolePainter.for_stream(io.StringIO(), colorize=True), clock=lambda: "15:31:52"
        )
        printer.event({"event": "start", "name": "a"})
        printer.lines("b", ["plain", "\x1b[1mbold"])
        printer.event({"event": "stop", "name": "a"})
        assert writer.text.splitlines() == [
            f"{CYAN}15:31:52 a | start{RESET}",
            f"{YELLOW}15:31:52 b | {RESET}plain",
            f"{YELLOW}15:31:52 b | {RESET}\x1b[1mbold{RESET}",
            f"{CYAN}15:31:52 a | stop{RESET}",
        ]

    def test_all_differ_and_then_come_again(self):
        painter = ConsolePainter.for_stream(io.StringIO(), colorize=True)
        painted = [painter.paint(f"job{number}", "") for number in range(len(COLORS) + 1)]
        assert len(set(painted)) == len(COLORS) == 12
        assert painted[-1] == painted[0]

    def test_deleted_jobs_are_forgotten(self, writer):
        painter = ConsolePainter.for_stream(io.StringIO(), colorize=True)
        printer = ConsolePrinter(writer, painter)
        for number in range(100):
            printer.event({"event": "create", "name": f"job{number}"})
            printer.event({"event": "delete", "name": f"job{number}"})
        assert not painter._colors

    @pytest.mark.parametrize(
        ("stream", "environment", "colored"),
        [
            (Terminal, {}, True),
            (Terminal, {"NO_COLOR": "1"}, False),
            (Terminal, {"NO_COLOR": ""}, True),
            (Terminal, {"TERM": "dumb"}, False),
            (io.StringIO, {}, False),
        ],
    )
    def test_only_on_terminals_that_want_them(self, monkeypatch, stream, environment, colored):
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert ("\x1b" in ConsolePainter.for_stream(stream()).paint("web", "text")) is colored


class TestOutputLines:
    @pytest.fixture
    def shown(self):
        return []

    @pytest.fixture
    def sink(self, shown):
        return OutputLines(shown.extend, lambda: False, shown.append)

    def test_cut_anywhere(self, sink, shown):
        data = "eins\nzwei grüße\r\n\n日本語\nrest".encode()
        for start in range(len(data)):
            sink.write(data[start : start + 1])
        assert shown == ["eins", "zwei grüße", "", "日本語"]
        sink.close()
        assert shown[-1] == "rest"

    def test_what_is_not_utf_8(self, sink, shown):
        sink.write(b"a\xff\xfeb\n\xc3\n")
        assert shown == ["a\ufffd\ufffdb", "\ufffd"]

    def test_a_line_without_end_is_bounded(self, sink, shown):
        sink.write(b"x" + "ü".encode() * MAX_PRINTED_LINE)
        assert all(len(line.encode()) <= MAX_PRINTED_LINE for line in shown)
        assert len(sink._pieces._rest) <= MAX_PRINTED_LINE
        sink.close()
        assert "".join(shown) == "x" + "ü" * MAX_PRINTED_LINE

    def test_binary_without_end_is_bounded(self, sink, shown):
        for _ in range(10):
            sink.write(b"\x80" * 65_536)
        assert len(sink._pieces._rest) <= MAX_PRINTED_LINE

    def test_closing_twice_prints_once(self, sink, shown):
        sink.write(b"end")
        sink.close()
        sink.close()
        assert shown == ["end"]

    def test_nothing_is_formatted_for_a_full_writer(self):
        dropped = []
        sink = OutputLines(lambda lines: pytest.fail("formatted"), lambda: True, dropped.append)
        sink.write(b"a\nb\nc")
        assert dropped == [2]


def read_lines(descriptor, count):
    data = b""
    while data.count(b"\n") < count:
        data += os.read(descriptor, 65_536)
    return data.decode().splitlines()


class TestWriter:
    @pytest.fixture
    def pipe(self):
        reader, end = os.pipe()
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
        stream = os.fdopen(end, "w")
        yield reader, stream
        for close in (lambda: os.close(reader), stream.close):
            try:
                close()
            except OSError:
                pass  # the test closed it

    def test_order_is_kept(self, pipe):
        reader, stream = pipe
        writer = ConsoleWriter(stream)
        for number in range(100):
            writer.write(f"{number}\n")
        assert read_lines(reader, 100) == [str(number) for number in range(100)]
        writer.close()

    def test_nothing_is_started_before_the_first_line(self, pipe):
        writer = ConsoleWriter(pipe[1])
        assert not writer._started
        writer.close()

    def test_stuck_terminal_costs_lines_and_not_time(self, pipe):
        reader, stream = pipe
        printer = ConsolePrinter(ConsoleWriter(stream, limit=20_000), ConsolePainter(None), clock=lambda: "15:31:52")
        ticks = []
        ticker = gevent.spawn(lambda: [ticks.append(gevent.sleep(0)) for _ in range(100)])
        for _ in range(2000):
            printer.lines("web", ["x" * 100])
        ticker.join()
        assert len(ticks) == 100, "the event loop went on"
        dropped = printer.writer.dropped
        assert 1700 < dropped < 2000
        lines = read_lines(reader, 2000 - dropped)
        assert len(lines) == 2000 - dropped
        printer.writer.write("")  # the thread takes it after all the rest was written
        printer.writer.close()
        assert printer.writer._put == printer.writer._done

    def test_it_recovers_and_tells(self, pipe):
        reader, stream = pipe
        writer = ConsoleWriter(stream, limit=1000)
        printer = ConsolePrinter(writer, ConsolePainter(None), clock=lambda: "15:31:52")
        writer.write("x" * 9000 + "\n")
        for _ in range(5):
            printer.lines("web", ["lost"])
        assert writer.dropped == 5
        read_lines(reader, 1)
        while writer.full:
            gevent.sleep(0)
        printer.lines("web", ["back"])
        assert read_lines(reader, 2) == [
            "15:31:52 gafferd | 5 lines dropped: the terminal is too slow",
            "15:31:52 web | back",
        ]
        writer.close()

    def test_reader_that_left(self, pipe):
        reader, stream = pipe
        os.close(reader)
        writer = ConsoleWriter(stream)
        writer.write("unread\n")
        writer.close()
        assert writer._broken
        writer.write("ignored\n")
        assert writer.dropped == 0

    def test_terminal_that_is_non_blocking(self, pipe):
        reader, stream = pipe
        os.set_blocking(stream.fileno(), False)
        writer = ConsoleWriter(stream)
        writer.write("x" * 20_000 + "\n")
        assert read_lines(reader, 1) == ["x" * 20_000]
        writer.close()

    def test_stream_without_descriptor(self):
        stream = io.StringIO()
        writer = ConsoleWriter(stream)
        writer.write("grüße\n")
        writer.close()
        assert stream.getvalue() == "grüße\n"

    def test_close_gives_up_on_a_stuck_terminal(self, pipe, monkeypatch):
        monkeypatch.setattr("gaffer_plugins.console.writer.TERMINAL_TIMEOUT", 0.01)
        reader, stream = pipe
        writer = ConsoleWriter(stream)
        writer.write("x" * 9000 + "\n")
        writer.close()
        assert writer._done == 0
        read_lines(reader, 1)  # lets the thread end


class TestPlugin:
    """As the manager uses it."""

    def start(self, plugin, settings=None):
        plugins = PluginSet()
        plugins.add(plugin)
        manager = types.SimpleNamespace(
            plugins=plugins,
            option=lambda name, default=None: (settings or {}).get(name, default),
            jobs=lambda: ["default.web", "app.worker"],
        )
        hooks = Hooks(plugins.pm)
        hooks.ask("gaffer_manager_start", manager=manager)
        return hooks, manager

    @pytest.mark.parametrize("settings", [None, {}, {"verbose": 0}])
    def test_quiet_takes_part_in_nothing(self, settings):
        hooks, _ = self.start(ConsolePlugin(stream=io.StringIO()), settings)
        assert not hooks.implemented("gaffer_event")
        assert not hooks.implemented("gaffer_open_sinks")

    def test_v_prints_events_once(self):
        stream = io.StringIO()
        hooks, manager = self.start(ConsolePlugin(stream=stream), {"verbose": 1})
        assert not hooks.implemented("gaffer_open_sinks")
        for name in ("spawn", "job.default.web.spawn", "proc.web.spawn", "proc.1.spawn"):
            hooks.tell("gaffer_event", event={"event": name, "name": "web", "pid": 1, "os_pid": 77})
        hooks.flush()
        assert hooks.collect("gaffer_health", manager=manager) == [("console.events", {"ok": True, "dropped_lines": 0})]
        hooks.tell("gaffer_manager_stopped", manager=manager)
        hooks.flush()
        [line] = stream.getvalue().splitlines()
        assert line.endswith(" web        | spawn process with pid 77")
        assert len(line.partition(" ")[0]) == len("15:31:52")

    def test_vv_opens_a_sink_for_every_stream(self):
        stream = io.StringIO()
        hooks, manager = self.start(ConsolePlugin(stream=stream), {"verbose": 2})
        job = types.SimpleNamespace(name=types.SimpleNamespace(short="web"))
        [(plugin, sink)] = hooks.collect("gaffer_open_sinks", job=job, process=None, label="stdout")
        assert plugin == "console.output"
        sink.write(b"hello\nhalf")
        sink.close()
        hooks.tell("gaffer_manager_stopped", manager=manager)
        hooks.flush()
        assert [line.partition(" ")[2] for line in stream.getvalue().splitlines()] == ["web | hello", "web | half"]

    def test_programs_say_it_themselves(self):
        hooks, _ = self.start(ConsolePlugin(verbose=2, stream=io.StringIO()))
        assert hooks.implemented("gaffer_open_sinks")

    def test_real_processes(self):
        stream = io.StringIO()
        manager = Manager(plugins=[ConsolePlugin(verbose=2, stream=stream)])
        gone = Event()
        manager.subscribe("reap", lambda *args: gone.set())
        manager.load(JobConfig("web", "sh -c 'echo hello; echo oh >&2; exit 3'", restart="never"))
        with manager:
            assert gone.wait(10)
        printed = [line.partition(" ")[2] for line in stream.getvalue().splitlines()]
        assert "web | hello" in printed, "it was not redirected"
        assert "web | oh" in printed
        assert any(line.startswith("web | exit process with pid ") and line.endswith(" (code 3)") for line in printed)
