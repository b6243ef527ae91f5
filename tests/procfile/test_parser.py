"""Procfiles: what a line means, what is wrong with others, and what jobs come of them."""

import io
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gaffer.config.command_template import make_template
from gaffer.config.jobconfig import JobConfig, JobFields
from gaffer.config.settings import Options, read_settings
from gaffer.errors import BadRequest, ConfigError, InvalidConfig
from gaffer.procfile.parser import MAX_SIZE, Procfile, get_env, needs_shell, parse_text
from gaffer_plugins.inijobs import gaffer_load_jobs

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,9}", fullmatch=True).filter(lambda name: not name.isdigit())
WORDS = st.from_regex(r"[A-Za-z0-9_./:=%,@+-]{1,8}|'[^'\x00\n\r]{0,8}'|\"[a-z ']{0,8}\"", fullmatch=True)
COMMANDS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join).filter(lambda line: line == line.strip())
SKIPPED = st.sampled_from(["", "   ", "# web: not this one", "\t# nor that", "\r"])


@pytest.fixture
def application(tmp_path):
    """Return a function that writes a Procfile, and other files, and reads it."""

    def write(text, files=None, **options):
        for name, content in {"Procfile": text, **(files or {})}.items():
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return Procfile(str(tmp_path / "Procfile"), **options)

    return write


def problems(text):
    with pytest.raises(ConfigError) as caught:
        parse_text(text, "Procfile")
    return [str(problem) for problem in caught.value.problems]


def test_gevent_is_not_needed():
    code = "import sys, gaffer.procfile; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- reading


def test_the_example_of_the_documentation():
    text = "dummy: python -u dummy_basic.py\ndummy1: python -u dummy_basic.py\n"
    assert parse_text(text) == dict.fromkeys(("dummy", "dummy1"), "python -u dummy_basic.py")


@given(st.dictionaries(NAMES, COMMANDS, min_size=1, max_size=5), st.data())
def test_what_was_written_is_read_in_its_order(types, data):
    lines = []
    for name, command in types.items():
        lines += [
            *data.draw(st.lists(SKIPPED, max_size=2)),
            f"{name}:{data.draw(st.sampled_from(['', ' ', '  ']))}{command}",
        ]
    assert list(parse_text(data.draw(st.sampled_from(["\n", "\r\n"])).join(lines)).items()) == list(types.items())


@given(st.text(alphabet=st.sampled_from("ab1:- #'\"\\|$\n\r\t\0é"), max_size=60))
@example("web: a\nweb: b")
@example("")
def test_any_other_text_is_refused_with_the_lines_at_fault(text):
    try:
        found = parse_text(text, "Procfile")
    except ConfigError as error:
        count = len(text.split("\n"))
        assert error.problems and all(
            problem.file == "Procfile" and problem.line <= count for problem in error.problems
        )
    else:
        assert found
        assert list(parse_text("".join(f"{name}: {command}\n" for name, command in found.items())).items()) == list(
            found.items()
        )


def test_every_wrong_line_is_named():
    assert problems("web: run\nnothing here\nweb: again\n\nempty:\n-a: b\n12: c\nw.x: d\nq: it's\n# fine\nn: a\0b") == [
        "Procfile:2: expected 'name: command', not 'nothing here'",
        "Procfile:3: web appears a second time; the first is in line 1",
        "Procfile:5: empty: the command is missing",
        "Procfile:6: process type '-a' may hold letters, digits, '_', '+' and '-' only, "
        "and start with a letter, a digit or '_'",
        "Procfile:7: process type '12' must not be digits only: that would be a pid",
        "Procfile:8: expected 'name: command', not 'w.x: d'",
        "Procfile:9: q: a single quote is never closed",
        "Procfile:11: n: a NUL character cannot be passed to a process",
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "# web: run"])
def test_a_procfile_without_any_type_is_a_mistake(text):
    assert problems(text) == ["Procfile: there is no 'name: command' in it"]


def test_a_byte_order_mark_is_no_part_of_a_name(application):
    assert application(b"\xef\xbb\xbfweb: run").cfg == {"web": "run"}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"web: run\nworker: caf\xe9", "Procfile:2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"#" * (MAX_SIZE + 1), f"Procfile: larger than {MAX_SIZE} bytes"),
    ],
)
def test_files_that_are_no_procfiles(application, content, message):
    with pytest.raises(ConfigError) as caught:
        application(content)
    assert str(caught.value).endswith(message)


def test_files_that_cannot_be_read(tmp_path):
    for path, message in ((tmp_path / "none", "cannot be read: No such file"), (tmp_path, "this is no regular file")):
        with pytest.raises(ConfigError, match=message):
            Procfile(str(path))


# -- commands


def test_a_command_and_its_arguments(application):
    app = application("web: serve --name 'a b' x")
    assert app.parse_cmd(app.cfg["web"]) == ("serve", ["--name", "a b", "x"])
    for wrong in ("it's", "  "):
        with pytest.raises(BadRequest):
            app.parse_cmd(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "A=1 run",
        "run | tee log",
        "run && other",
        "run > log",
        "run $PORT",
        'run "$PORT"',
        "run `date`",
        "run *.py",
        "run ~/x",
        "cd x",
        "exec run",
        "run # not an argument",
        "(run)",
        "run\\ $x",
        ". ./env",
    ],
)
def test_what_needs_a_shell(line):
    assert needs_shell(line)


@pytest.mark.parametrize(
    "line",
    ["run", "run '$PORT | x'", "run \\$x", "run a=b", "./cd x", "executive x", "run a~b c#d", 'run "a|b"', "run 100%"],
)
def test_what_needs_none(line):
    assert not needs_shell(line)


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(WORDS, st.sampled_from([r"\a", r"a\ b", '"\\""', "a'b'", "%s", "x;y", "*"])), min_size=1, max_size=4
    )
)
def test_without_a_shell_a_command_has_the_words_that_a_shell_would_see(words):
    line = "./run " + " ".join(words)
    if needs_shell(line):
        return
    seen = subprocess.run(["/bin/sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, check=True).stdout
    assert list(make_template(line).fixed) == seen.decode().split("\n")[:-1]


# -- environment


def test_files_of_variables_later_ones_win(application, tmp_path):
    (tmp_path / "other").write_text("B=3\nC=4\n")
    app = application("web: run", {".env": "A=1\nB=2\n"}, envs=[str(tmp_path / "other")])
    assert app.env == {"A": "1", "B": "3", "C": "4"}


def test_the_root_may_be_another_folder(application, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / ".env").write_text("A=1")
    app = application("web: run", {".env": "A=0"}, root=str(tmp_path / "shop"))
    assert (app.env, app.get_appname(), app.as_dict("web")["cwd"]) == ({"A": "1"}, "shop", str(tmp_path / "shop"))


def test_the_application_is_called_like_its_folder(application, tmp_path, monkeypatch):
    assert application("web: run").get_appname() == tmp_path.name
    monkeypatch.chdir(tmp_path)
    assert Procfile("Procfile").get_appname() == tmp_path.name


def test_a_file_of_variables_that_is_missing(application, tmp_path):
    with pytest.raises(InvalidConfig, match="none"):
        application("web: run", envs=[str(tmp_path / "none")])
    assert get_env() == {}


# -- jobs


def test_a_type_as_a_job(application, tmp_path):
    app = application("web: run 'a b'\nworker: run $QUEUE\n", {".env": "QUEUE=mail\nPORT=80\n"})
    assert app.as_dict("web", {"web": 3}) == {
        "name": "web",
        "cmd": "run 'a b'",
        "cwd": str(tmp_path),
        "env": {"QUEUE": "mail"},
        "numprocesses": 3,
        "stdin": "open",
        "redirect_output": ["stdout", "stderr"],
        "port": 80,
    }
    worker = app.as_dict("worker", {"web": 3})
    assert (worker["shell"], worker["numprocesses"], worker["port"]) == (True, 1, 180)
    assert list(app.processes()) == [("web", "run 'a b'"), ("worker", "run $QUEUE")]


def test_variables_for_gaffer_are_not_passed_on(application):
    own = "GAFFER_UID=root\nGAFFER_GID=0\nGAFFER_REDIRECT_INPUT=shell, repl\nA=1\n"
    app = application("web: run\nrepl: run\n", {".env": own})
    web, repl = app.as_dict("web"), app.as_dict("repl")
    assert web["env"] == {"A": "1"} and (web["uid"], web["gid"]) == ("root", "0")
    assert "redirect_input" not in web and repl["redirect_input"] is True
    assert JobConfig.from_dict(repl).redirect_input


@pytest.mark.parametrize(
    "name, numbers",
    [("wbe", {}), ("web", {"wbe": 1}), ("web", {"web": -1}), ("web", {"web": "2"}), ("web", {"web": True})],
)
def test_types_and_numbers_that_are_wrong(application, name, numbers):
    with pytest.raises(BadRequest, match="wbe.*did you mean 'web'|expected a number"):
        application("web: run").as_dict(name, numbers)


@pytest.mark.parametrize("port", ["eighty", "0", "65536", "-1"])
def test_a_port_that_is_none(application, port):
    with pytest.raises(BadRequest, match="PORT: expected a number from 1 to 65535"):
        application("web: run", {".env": f"PORT={port}"}).as_dict("web")


# -- ini files


def reread(app, path, numbers=None):
    """Write the application as an ini file and read it as gafferd does."""
    with open(path, "w", encoding="utf-8") as file:
        app.as_configparser(numbers).write(file)
    found = read_settings(str(path), Options(), environ={})
    assert not found.problems, found.problems
    return {config.name: config for config in gaffer_load_jobs(found, JobFields())}


VALUES = st.text(alphabet=st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=12)


@given(st.dictionaries(NAMES, COMMANDS, min_size=1, max_size=3), st.dictionaries(st.sampled_from(["A", "B_2"]), VALUES))
@example({"web": "run 100% '#no' ; x, y"}, {"A": " 'x' ", "B_2": "#;%(x)s, y"})
def test_an_ini_file_says_the_same(tmp_path_factory, types, env):
    folder = tmp_path_factory.mktemp("app")
    (folder / "Procfile").write_text("".join(f"{name}: {command}\n" for name, command in types.items()), newline="")
    app = Procfile(str(folder / "Procfile"))
    app.env = env
    try:
        found = reread(app, folder / "jobs.ini", dict.fromkeys(types, 2))
    except InvalidConfig as error:
        assert "an ini file cannot hold" in str(error)
        return
    names = {name: f"{app.get_appname()}.{name}" for name in types}
    assert found == {
        full: JobConfig.from_dict({**app.as_dict(name, {name: 2}), "name": full}) for name, full in names.items()
    }


@pytest.mark.parametrize("key, value", [("lower", "x"), ("A", "two\nlines"), ("A", " ''' \"\"\" ")])
def test_what_an_ini_file_cannot_hold_is_said(application, key, value):
    app = application("web: run")
    app.env = {key: value}
    with pytest.raises(InvalidConfig, match="an ini file cannot hold"):
        app.as_configparser()


def test_the_sections_of_an_ini_file(application):
    out = io.StringIO()
    app = application("web: run | x", {".env": "A=80"})
    app.root = "/srv/my shop"
    app.as_configparser().write(out)
    assert "[process:my-shop:web]\ncmd = run | x\n" in out.getvalue() and "shell = true" in out.getvalue()
    assert "[env:my-shop:web]\nA = 80\n" in out.getvalue() and "port = 5100\n" in out.getvalue()


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_every_kind_of_line_end_ends_a_line(application, end):
    found = application(end.join(["web: run", "worker: work", ""]), {".env": end.join(["A=1", "B=2", ""])})
    assert found.cfg == {"web": "run", "worker": "work"}
