"""How a command line starts, reads its environment and ends."""

import os
import signal
import subprocess
import sys

import click
import pytest

from gaffer import __version__
from gaffer.cli import entry
from gaffer.cli.accounts.keyfile import KeyFile
from gaffer.cli.app.foreground import run as one_off
from gaffer.cli.app.gaffer import make_program as make_gaffer
from gaffer.cli.core.program import exit_code, is_folder_gone
from gaffer.cli.ctl.gafferctl import SECTIONS, make_program
from gaffer.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    GafferError,
    InvalidConfig,
    NotFound,
    Unauthorized,
    Unavailable,
)
from gaffer.httpclient import CannotConnect, Disconnected, NoAnswer, NotGafferd

COMMANDS = [name for section in SECTIONS.values() for name in section]


@pytest.mark.parametrize(
    "kind, code",
    [
        (CannotConnect, 3),
        (NoAnswer, 3),
        (Disconnected, 3),
        (NotGafferd, 3),
        (Unauthorized, 4),
        (Forbidden, 4),
        (BadRequest, 2),
        (InvalidConfig, 2),
        (NotFound, 1),
        (Conflict, 1),
        (Unavailable, 1),
        (GafferError, 1),
    ],
)
def test_exit_codes(kind, code):
    assert exit_code(kind("why")) == code


@pytest.mark.parametrize(
    "status, code", [(401, 4), (403, 4), (400, 2), (422, 2), (404, 1), (409, 1), (421, 1), (500, 1), (503, 1)]
)
def test_status_of_the_answer_decides_the_exit_code(gafferd, gafferctl, status, code):
    gafferd.requests.answers["GET", "/version"] = (status, {"error": "", "reason": "This is why."})
    ended = gafferctl("version")
    assert (ended.code, ended.out, ended.err) == (code, "", "gafferctl: This is why.\n")


#: Ctrl-C at the moment when the module that the first word names is looked for.
INTERRUPTED = """
import os, signal, sys
from gaffer.cli import entry

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where tests run
module = sys.argv.pop(1)
program = getattr(entry, sys.argv.pop(1))
sys.meta_path.insert(0, Interrupts())
program()
"""


@pytest.mark.parametrize(
    "module, program, command",
    [
        ("gaffer.cli.app.gaffer", "main", "--version"),
        ("gaffer.foreground.ports", "main", "start"),
        ("gaffer.cli.ctl.gafferctl", "gafferctl", "ping"),
    ],
)
def test_interrupt_while_modules_are_imported_shows_no_traceback(module, program, command, tmp_path):
    env = {name: text for name, text in os.environ.items() if not name.startswith("GAFFER_")}
    words = [sys.executable, "-c", INTERRUPTED, module, program, command]
    ended = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_option_of_the_program_is_told_its_place(call):
    ended = call("ping", "--connect", "unix:/x")
    assert ended.code == 2
    assert ended.err.endswith("Error: --connect stands before the command: gafferctl --connect ... ping\n")
    assert "No such option" in call("ping", "--nonsense").err


def test_connection_refused_ends_with_3(call, tmp_path):
    ended = call("--connect", f"unix:{tmp_path}/none", "ping")
    assert ended.code == 3
    assert ended.err == (
        f"gafferctl: cannot reach gafferd at unix:{tmp_path}/none: no such file or directory; "
        "is it running? start it with 'gafferd -c gaffer.ini'\n"
    )


@pytest.mark.parametrize(
    "command", [[], *[[name] for name in COMMANDS]], ids=lambda words: "".join(words) or "gafferctl"
)
def test_help_everywhere(call, command):
    ended = call(*command, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: gafferctl{''.join(' ' + word for word in command)} ")
    assert ended.err == ""


def test_list_of_commands_fits_on_terminals(call):
    help = call("--help").out
    assert all(f"  {name}  " in help for name in COMMANDS)
    assert "..." not in help.partition("Jobs:")[2]
    assert max(map(len, help.splitlines())) <= 80


def test_version_option(call):
    assert call("--version") == (0, f"gafferctl {__version__}\n", "")


def test_missing_command_is_wrong_usage(call):
    ended = call()
    assert ended.code == 2
    assert "Usage: gafferctl" in ended.err


@pytest.mark.parametrize("word, meant", [("restrat", "; did you mean 'restart'?"), ("zzzzzz", "")])
def test_unknown_command_gets_a_suggestion(call, word, meant):
    ended = call(word)
    assert ended.code == 2
    assert ended.err.endswith(f"Error: No such command '{word}'{meant}\n")


@pytest.mark.parametrize(
    "args", [["--nonsense"], ["status", "a", "b"], ["start"], ["status", "-o", "xml"], ["add", "w", "-1"]]
)
def test_wrong_usage(call, args):
    ended = call(*args)
    assert ended.code == 2
    assert ended.out == ""


def test_wrong_address(call):
    ended = call("--connect", "http://", "ping")
    assert ended.code == 2
    assert ended.err == "gafferctl: 'http://' is no address; write http://host:port, https://host:port or unix:/path\n"


@pytest.mark.parametrize("spelling", ["add_process", "add-process"])
def test_spellings_of_commands(gafferctl, spelling):
    assert gafferctl(spelling, "web", "sleep 1").out == "web: added\n"


def test_options_in_the_environment(gafferd, call, monkeypatch):
    gafferd.load("default.web", start=True)
    monkeypatch.setenv("GAFFERCTL_CONNECT", gafferd.uri)
    monkeypatch.setenv("GAFFERCTL_API_KEY", "secret")
    monkeypatch.setenv("GAFFERCTL_OUTPUT", "name")
    monkeypatch.setenv("GAFFERCTL_NO_WAIT", "1")
    monkeypatch.setenv("GAFFERCTL_FOR", "ready")
    assert call("status").out == "web\n"
    assert gafferd.requests.seen[0].headers["X-API-KEY"] == "secret"
    assert call("start", "web").out == "web: start requested\n"
    assert call("wait", "web").code == 0
    assert call("status", "-o", "table").out.startswith("NAME")


def test_wrong_value_in_the_environment(call, monkeypatch):
    monkeypatch.setenv("GAFFERCTL_TIMEOUT", "soon")
    ended = call("start", "web")
    assert ended.code == 2
    assert "'soon' is not a valid float" in ended.err


def test_version_is_no_option_of_the_environment(gafferctl, monkeypatch):
    monkeypatch.setenv("GAFFERCTL_VERSION", "1")
    assert gafferctl("ping").out == "OK\n"


def test_unexpected_exception_is_one_line(call):
    program = make_program()

    @program.command("broken")
    def broken():
        raise RuntimeError("oh")

    ended = call("broken", program=program)
    assert ended.code == 1
    assert ended.err.startswith("gafferctl: a defect of gafferctl itself, please report it: RuntimeError: oh (")
    assert ended.err.count("\n") == 1


def test_interrupt_prints_nothing(call):
    program = make_program()

    @program.command("interrupted")
    def interrupted():
        raise KeyboardInterrupt

    ended = call("interrupted", program=program)
    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "")


def test_control_characters_of_an_answer_are_escaped(gafferd, gafferctl):
    answer = {"error": "conflict", "reason": "a\x1b]0;x\x07\nb"}
    gafferd.requests.answers["GET", "/version"] = (409, answer)
    assert gafferctl("version").err == "gafferctl: a\\x1b]0;x\\x07\nb\n"


PLUGIN = """
import click

def gaffer_cli(cli):
    @cli.command("greet")
    @click.pass_obj
    def greet(server):
        "Say which gafferd it is."
        click.echo(f"hello {server.version()}")
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install distributions whose entry points are modules of the given source."""

    def install(**modules: str) -> None:
        for name, source in modules.items():
            (tmp_path / f"cli_{name}.py").write_text(source)
            info = tmp_path / f"{name}-1.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
            (info / "entry_points.txt").write_text(f"[gaffer.cli]\n{name} = cli_{name}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_commands_of_plugins(installed, gafferctl):
    installed(greeter=PLUGIN)
    assert gafferctl("greet").out == f"hello {__version__}\n"
    assert "\n  greet " in gafferctl("--help").out.partition("Plugins:")[2]


def test_plugin_that_fails_is_named_and_left_out(installed, gafferctl):
    installed(broken="raise OSError('no disk')", greeter=PLUGIN)
    ended = gafferctl("greet")
    assert (ended.code, ended.out) == (0, f"hello {__version__}\n")
    assert ended.err.startswith("gafferctl: the commands of plugin 'broken' are missing: OSError: no disk (")


def test_plugins_are_not_loaded_for_our_commands(installed, gafferctl):
    installed(broken="raise OSError('no disk')")
    assert gafferctl("ping") == (0, "OK\n", "")


def test_plugins_cannot_replace_our_commands(installed, gafferctl):
    installed(evil=PLUGIN.replace("greet", "ping"))
    assert gafferctl("ping").out == "OK\n"
    assert "  ping " not in gafferctl("--help").out.partition("Plugins:")[2]


SHOUTER = """
import click

def gaffer_cli(cli):
    @cli.command("shout")
    @click.option("--loud", is_flag=True)
    def shout(loud):
        click.echo(f"loud {loud}")
"""


def test_options_of_plugins_in_the_environment(installed, gafferctl, monkeypatch):
    installed(shouter=SHOUTER)
    monkeypatch.setenv("GAFFERCTL_LOUD", "1")
    assert gafferctl("shout").out == "loud True\n"


def test_program_is_a_click_group():
    assert isinstance(make_program(), click.Group)


def run_gafferctl(*args: str, **settings) -> subprocess.CompletedProcess:
    code = "from gaffer.cli.ctl.gafferctl import main; main()"
    return subprocess.run([sys.executable, *settings.pop("flags", ()), "-c", code, *args], **settings)


def test_closed_pipe_ends_with_141(gafferd):
    jobs = [f"default.a-rather-long-name-{number}" for number in range(2000)]
    gafferd.requests.answers["GET", "/jobs"] = (200, {"jobs": jobs})
    reader, writer = os.pipe()
    os.close(reader)
    ended = run_gafferctl("--connect", gafferd.uri, "processes", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize(
    "words", ["--help", "--version", "status --help", "help", "nonsense", "scale", "--connect x ping"]
)
def test_every_end_of_the_program_is_quiet_when_nothing_reads_its_output(words):
    reader, writer = os.pipe()
    os.close(reader)
    ended = run_gafferctl(*words.split(), stdout=writer, stderr=writer)
    os.close(writer)
    assert ended.returncode == 141


def test_errors_that_nothing_reads_keep_stdout_clean():
    reader, writer = os.pipe()
    os.close(reader)
    ended = run_gafferctl("nonsense", stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    assert (ended.returncode, ended.stdout) == (141, b"")


@pytest.mark.parametrize("words", [["watch"], ["logs", "web", "-f"], ["stats", "--follow"]])
def test_commands_that_go_on_end_quietly_when_their_reader_leaves(gafferd, words):
    gafferd.load("default.web", start=True)
    reader, writer = os.pipe()
    code = "from gaffer.cli.ctl.gafferctl import main; main()"
    line = [sys.executable, "-c", code, "--connect", gafferd.uri, *words]
    with subprocess.Popen(line, stdout=writer, stderr=subprocess.PIPE) as program:
        os.close(writer)
        os.close(reader)
        _, complaints = program.communicate(timeout=60)
    assert (program.returncode, complaints) == (141, b"")


def test_ping_imports_little(gafferd):
    ended = run_gafferctl("--connect", gafferd.uri, "ping", flags=["-X", "importtime"], capture_output=True, text=True)
    assert ended.stdout == "OK\n"
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}
    assert not imported & {"gevent", "bottle", "requests", "pluggy", "psutil", "configobj", "asyncio"}
    assert "importlib.metadata" not in ended.stderr


def test_output_that_the_locale_cannot_show(gafferd):
    gafferd.load("default.web", start=True, flapping=[1, 10.0, 0.01, 0])
    gafferd.call(lambda: gafferd.process(1).say("b\u2192se\n".encode(), "stderr"))
    gafferd.call(lambda: gafferd.process(1).exit(1))
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ended = run_gafferctl("--connect", gafferd.uri, "status", capture_output=True, env=environ)
    assert ended.returncode == 0
    assert b"b\\u2192se" in ended.stdout


FULL = "cannot write the output: No space left on device; make room, or write it elsewhere"


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        ("ping >/dev/full", 1, f"gafferctl: {FULL}\n"),
        ("--version >/dev/full", 1, f"gafferctl: {FULL}\n"),
        ("ping >&-", 0, ""),
    ],
)
def test_output_that_cannot_be_written(gafferd, words, code, sentence):
    program = "from gaffer.cli.ctl.gafferctl import main; main()"
    line = f'"$0" -c "{program}" --connect {gafferd.uri} {words}'
    ended = subprocess.run(["sh", "-c", line, sys.executable], stderr=subprocess.PIPE, text=True, timeout=20)
    assert (ended.returncode, ended.stderr) == (code, sentence)


@pytest.mark.parametrize(
    "make, words",
    [
        (make_gaffer, []),
        (make_gaffer, ["run"]),
        (make_gaffer, ["key", "create"]),
        (make_program, []),
        (make_program, ["add-process"]),
    ],
)
def test_help_of_a_command_is_what_its_option_prints(call, make, words):
    asked = call("help", *words, program=make())
    assert (asked.code, asked.err) == (0, "")
    assert asked.out.replace("add-process", "add_process") == call(*words, "--help", program=make()).out.replace(
        "add-process", "add_process"
    )


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["scal"], "No such command 'scal'; did you mean 'scale'?"),
        (["key", "creat"], "No such command 'creat'; did you mean 'create'?"),
        (["scale", "x"], "No such command 'x'"),
    ],
)
def test_help_of_an_unknown_command(call, words, sentence):
    ended = call("help", *words, program=make_gaffer())
    assert ended.code == 2 and ended.err.endswith(f"Error: {sentence}\n")


@pytest.fixture
def deleted_folder(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()


@pytest.mark.parametrize("command", ["start", "check", "export", "run true", "load", "ps", "logs", "convert x"])
def test_gaffer_in_a_deleted_folder_says_so(deleted_folder, call, command):
    assert call(*command.split(), program=make_gaffer()) == (
        1,
        "",
        "gaffer: the folder you are in is gone; change to another one\n",
    )


def test_plain_start_in_a_deleted_folder_says_so(deleted_folder, capsys, monkeypatch):
    """Its command line is not parsed unless something is wrong."""
    monkeypatch.setattr("sys.argv", ["gaffer", "start"])
    monkeypatch.setattr("gaffer.cli.entry.signal.signal", lambda *args: None)
    for name in [name for name in os.environ if name.startswith("GAFFER_")]:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert (ended.value.code, capsys.readouterr().err) == (
        1,
        "gaffer: the folder you are in is gone; change to another one\n",
    )


def test_file_that_does_not_exist_is_no_deleted_folder(deleted_folder):
    assert not is_folder_gone(FileNotFoundError(2, "No such file", "x"))


@pytest.mark.parametrize("option", ["-c", "--copies", "--concurrency"])
def test_run_takes_the_number_of_copies_by_each_of_its_names(option):
    params = one_off.make_context("run", [option, "2", "true", "--concurrency"]).params
    assert (params["copies"], params["words"]) == (2, ("true", "--concurrency"))


@pytest.mark.parametrize("words", [[], ["x"], ["x", "y"]])
@pytest.mark.parametrize("make", [make_gaffer, make_program])
def test_no_command_takes_a_deleted_folder_for_a_defect(deleted_folder, call, make, words, monkeypatch):
    nothing = open(os.devnull)
    monkeypatch.setattr("sys.stdin", nothing)
    for name in [name for section in make().sections.values() for name in section]:
        option = "-g" if make is make_gaffer else "--connect"
        assert "a defect of" not in call(option, "http://127.0.0.1:1", name, *words, program=make()).err, name
    nothing.close()


@pytest.mark.parametrize(
    "own, other", [("GAFFERCTL_CONNECT", "GAFFER_ENDPOINT"), ("GAFFER_ENDPOINT", "GAFFERCTL_CONNECT")]
)
def test_address_in_the_environment_is_that_of_both_programs(gafferd, call, monkeypatch, own, other):
    make, words = (make_gaffer, ["info", "1"]) if own == "GAFFER_ENDPOINT" else (make_program, ["ping"])
    gafferd.load("default.web", start=True)
    monkeypatch.setenv(other, gafferd.uri)
    assert call(*words, program=make()).code == 0
    monkeypatch.setenv(own, "http://127.0.0.1:1")
    assert call(*words, program=make()).code == 3


@pytest.mark.parametrize("command", ["scale", "kill", "add_process", "update_process", "send"])
def test_short_help_option_works_where_arguments_may_begin_with_a_dash(call, command):
    assert call(command, "-h") == call(command, "--help")


def test_missing_key_is_told_with_the_way_to_get_one(gafferd, gafferctl, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    reason = "a key is needed; send it in the header X-Api-Key"
    gafferd.requests.answers["GET", "/version"] = (401, {"error": "unauthorized", "reason": reason})
    told = f"gafferctl: a key is needed: get one with 'gaffer -g {gafferd.uri} login', or set GAFFERCTL_API_KEY"
    ended = gafferctl("version")
    assert (ended.code, ended.err) == (4, f"{told}\n")
    kept = gafferd.uri.replace("127.0.0.1", "localhost")
    KeyFile().put(kept, {"api_key": "k"})
    assert (
        gafferctl("version").err
        == f"{told}; one is kept for {kept}: if that is the same gafferd, say --connect {kept}\n"
    )
