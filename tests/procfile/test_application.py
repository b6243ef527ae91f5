"""Applications: names, numbers, ports, environments, and what is wrong with them, each with its place."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.cli.app.gaffer import make_program
from gaffer.cli.core.program import run
from gaffer.config.jobconfig import JobConfig
from gaffer.errors import ConfigError
from gaffer.procfile.application import read_application
from gaffer.procfile.naming import application_name
from gaffer.procfile.parser import Procfile

WEB = "web: ./serve --port $PORT\nworker: ./work\nclock: ./tick\n"


@pytest.fixture
def shop(tmp_path):
    """Return a function that writes files of an application and reads it."""
    folder = tmp_path / "shop"
    folder.mkdir()

    def read(text=WEB, files=None, environ=None, **options):
        for name, content in {"Procfile": text, **(files or {})}.items():
            if content is not None:
                (folder / name).write_text(content)
        options["envs"] = [str(folder / name) for name in options.get("envs", ())]
        return read_application(root=str(folder), environ=environ or {}, **options)

    read.folder = folder
    return read


def wrong(shop, *args, **options):
    with pytest.raises(ConfigError) as caught:
        shop(*args, **options)
    return [str(problem).removeprefix(f"{shop.folder}/") for problem in caught.value.problems]


def test_neither_gevent_nor_the_engine_is_imported():
    code = "import sys, gaffer.procfile.application\n"
    code += "sys.exit(bool({'gevent', 'gaffer.supervisor.engine'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- variables of files


def test_own_dotenv_may_be_left_out(shop):
    files = {".env": "A=1\nB=1\n", "prod.env": "B=2\n"}
    assert shop(files=files, envs=["prod.env"]).env == {"A": "1", "B": "2"}
    assert shop(files=files, envs=["prod.env"], dotenv=False).env == {"B": "2"}
    assert shop(files={".env": "no line\n"}, dotenv=False).env == {}


def test_option_that_leaves_the_own_dotenv_out(shop, capsys):
    shop(files={".env": "A=1\n", "prod.env": "B=2\n"})
    with pytest.raises(SystemExit):
        run(make_program(), ["-d", str(shop.folder), "--no-dotenv", "-e", str(shop.folder / "prod.env"), "export"])
    assert "B = 2" in (out := capsys.readouterr().out) and "A = 1" not in out


# -- jobs


def test_every_type_is_a_job_of_the_session_of_its_folder(shop):
    configs = shop().configs()
    assert [config.name for config in configs] == ["shop.web", "shop.worker", "shop.clock"]
    web, worker, clock = configs
    assert (web.shell, worker.shell) == (True, False)
    assert {config.cwd for config in configs} == {str(shop.folder)}
    assert {config.redirect_output for config in configs} == {("stdout", "stderr")}
    assert all(isinstance(config, JobConfig) for config in configs)


@pytest.mark.parametrize("name, session", [(None, "shop"), (".", "shop"), ("other", "other")])
def test_the_name_of_an_application(shop, name, session):
    assert shop(name=name).name == session


def test_a_folder_name_becomes_a_valid_name(tmp_path):
    assert application_name(None, str(tmp_path / "my app")) == "my-app"


def test_a_wrong_name_is_a_problem(shop):
    assert "application name 'a b'" in wrong(shop, name="a b")[0]


def test_only_the_types_that_were_named_are_chosen_and_ports_stay(shop):
    application = shop(only=["clock"])
    assert [config.name for config in application.configs()] == ["shop.clock"]
    assert application.configs()[0].port == 5300


def test_a_type_that_is_unknown_names_the_nearest(shop):
    assert wrong(shop, only=["wrker"]) == [
        f"{shop.folder}/Procfile has no process type 'wrker'; did you mean 'worker'?".removeprefix(f"{shop.folder}/")
    ]


# -- numbers


@pytest.mark.parametrize(
    "given_, numbers",
    [
        ([], [1, 1, 1]),
        (["web=2,worker=3"], [2, 3, 1]),
        (["web=2", "clock=0"], [2, 1, 0]),
        (["all=4", "clock=1"], [4, 4, 1]),
    ],
)
def test_numbers_of_processes(shop, given_, numbers):
    assert [config.numprocesses for config in shop(concurrency=given_).configs()] == numbers


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("wbe=2", "-c: the Procfile has no process type 'wbe'; did you mean 'web'?"),
        ("nothing=2", "-c: the Procfile has no process type 'nothing'; it has web, worker, clock"),
        ("web", "-c takes TYPE=NUMBER,TYPE=NUMBER, such as web=2,worker=1, not 'web'"),
        ("web=-1", "-c takes TYPE=NUMBER,TYPE=NUMBER, such as web=2,worker=1, not 'web=-1'"),
        ("web=1,", "-c takes TYPE=NUMBER,TYPE=NUMBER, such as web=2,worker=1, not ''"),
        ("web=1,web=2", "-c: web is given twice"),
        ("web=101", "101 processes of web: a type has 100 ports; use --no-port for more"),
    ],
)
def test_numbers_that_cannot_be(shop, text, sentence):
    assert wrong(shop, concurrency=[text]) == [sentence]


# -- ports


@given(
    count=st.integers(1, 12),
    numbers=st.lists(st.integers(0, 100), min_size=12, max_size=12),
    base=st.integers(1, 60_000),
)
def test_no_two_processes_share_a_port_and_a_type_keeps_its_own(tmp_path_factory, count, numbers, base):
    folder = tmp_path_factory.getbasetemp() / "ports"
    folder.mkdir(exist_ok=True)
    (folder / "Procfile").write_text("".join(f"t{place}: run\n" for place in range(count)))
    given_ = [f"t{place}={numbers[place]}" for place in range(count)]
    found = read_application(root=str(folder), concurrency=given_, port=base, environ={})
    ports = found.ports()
    assert len(set(ports.values())) == len(ports) == sum(numbers[:count])
    for place, one in enumerate(found.types):
        assert one.port == base + 100 * place
        last = read_application(root=str(folder), concurrency=given_, port=base, only=[one.name], environ={})
        assert last.ports() == {name: port for name, port in ports.items() if name.split(".")[0] == one.name}


@pytest.mark.parametrize(
    "options, base",
    [
        ({}, 5100),
        ({"environ": {"PORT": "7000"}}, 7000),
        ({"environ": {"PORT": "7000"}, "files": {".env": "PORT=8000"}}, 8000),
        ({"files": {".env": "PORT=8000", "b.env": "PORT=9000"}, "envs": ["b.env"]}, 9000),
        ({"files": {".env": "PORT=8000"}, "port": 6000}, 6000),
    ],
)
def test_where_the_first_port_comes_from(shop, options, base):
    application = shop(**options)
    assert [config.port for config in application.configs()] == [base, base + 100, base + 200]
    assert all("PORT" not in config.env for config in application.configs())


def test_without_ports_the_files_decide(shop):
    application = shop(files={".env": "PORT=80"}, ports=False)
    assert [(config.port, config.env["PORT"]) for config in application.configs()] == [(None, "80")] * 3
    assert application.ports() == {}


def test_a_port_that_is_none_has_its_place(shop):
    assert wrong(shop, files={".env": "A=1\nPORT=eighty\n"}) == [
        ".env:2: PORT: expected a number from 1 to 65535, not 'eighty'; --port and --no-port win over it"
    ]


def test_ports_beyond_the_last(shop):
    assert wrong(shop, port=65500, only=["web"], concurrency=["web=40"]) == [
        "Procfile:1: web would get the ports 65500-65539, and 65535 is the last;"
        " choose a lower --port, or use --no-port"
    ]


def test_ports_of_types_that_are_not_wanted_may_be_beyond_the_last(shop):
    assert shop(port=65500, only=["web"]).ports() == {"web.1": 65500}


def test_a_type_without_processes_has_no_ports(shop):
    assert [one.ports() for one in shop(concurrency=["web=0", "worker=2"]).types] == ["", "5200-5201", "5300"]


# -- the environment


def test_later_files_win_and_gaffers_own_variables_are_not_passed_on(shop):
    files = {".env": "A=1\nB=1\nGAFFER_REDIRECT_INPUT=worker, clock", "b.env": "export B='2'\nC=${A}3 # why\n"}
    configs = shop(files=files, envs=["b.env"]).configs()
    assert configs[0].env == {"A": "1", "B": "2", "C": "13"}
    assert [config.redirect_input for config in configs] == [False, True, True]


def test_user_and_group(shop):
    configs = shop(files={".env": "GAFFER_UID=root\nGAFFER_GID=0\n"}).configs()
    assert {(config.uid, config.gid) for config in configs} == {("root", 0)}


def test_the_procfile_of_the_seeds_says_the_same(shop):
    application = shop(files={".env": "A=1\nPORT=7000\nGAFFER_REDIRECT_INPUT=web"})
    procfile = Procfile(application.file)
    for one in application.types:
        same = {**application.settings(one), "name": one.name}
        assert procfile.as_dict(one.name) == same


# -- everything at once


def test_all_problems_are_told_together_in_order(shop):
    found = wrong(
        shop,
        "web: ./serve\nthis is no line\nweb: again\n",
        {".env": "A=1\n\n= 5\nALONE\nGAFFER_REDIRECT_INPUT=wbe\n", "b.env": "PORT=none\nGAFFER_REDIRECT_INPUT=wbe"},
        envs=["b.env", "gone.env"],
        concurrency=["x"],
    )
    assert found == [
        "-c takes TYPE=NUMBER,TYPE=NUMBER, such as web=2,worker=1, not 'x'",
        ".env:3: expected NAME=VALUE, not '= ...'",
        ".env:4: ALONE has no value; write ALONE= for an empty one",
        "Procfile:2: expected 'name: command', not 'this is no line'",
        "Procfile:3: web appears a second time; the first is in line 1",
        "b.env:1: PORT: expected a number from 1 to 65535, not 'none'; --port and --no-port win over it",
        "b.env:2: GAFFER_REDIRECT_INPUT: the Procfile has no process type 'wbe'; did you mean 'web'?",
        "gone.env: there is no such environment file; create it, or leave out -e",
    ]


def test_what_is_wrong_in_one_place_hides_nothing_elsewhere(shop):
    env = 'OPEN="x\nno line\nGAFFER_UID=no-such-account\nPORT=none\nGAFFER_REDIRECT_INPUT=wbe\n'
    found = wrong(shop, "web: ./serve\nbad\n", {".env": env}, only=["web"], port=None)
    assert found[:2] == [
        ".env:1: expected NAME=VALUE, not 'OPEN=\"...'; the \" is never closed",
        ".env:2: expected NAME=VALUE, not 'no ...'",
    ]
    places = [one.partition(": ")[0] for one in found]
    assert places == [".env:1", ".env:2", ".env:3", ".env:4", ".env:5", "Procfile:2"]


def test_an_unknown_user_is_told_where_every_line_is_wrong(shop):
    found = wrong(shop, "bad\n", {".env": "GAFFER_UID=no-such-account\n"})
    assert [one.partition(": ")[0] for one in found] == [".env:1", "Procfile:1"]


def test_an_unknown_user_is_told_once_where_it_was_written(shop):
    (found,) = wrong(shop, files={".env": "A=1\nGAFFER_UID=no-such-account\n"})
    assert found.startswith(".env:2: GAFFER_UID: ") and "no-such-account" in found


def test_a_setting_that_cannot_be_names_the_line_of_its_type(shop):
    assert wrong(shop, f"web: run\n{'x' * 200}: run\n")[0].startswith("Procfile:2: ")


@pytest.mark.parametrize("name", ["Procfile", "Procfile.dev"])
def test_a_missing_procfile(shop, name):
    path = str(shop.folder / name)
    with pytest.raises(ConfigError) as caught:
        read_application(path, environ={})
    assert str(caught.value) == f"{path}: there is no such Procfile; name one with -f FILE, or its folder with -d DIR"


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"A=\xff\n", "not UTF-8: invalid start byte at byte 2"),
        (b"A=1\nB=a\0b\n", ":2: a NUL character in B"),
    ],
)
def test_environment_files_that_cannot_be_read(shop, content, sentence):
    (shop.folder / ".env").write_bytes(content)
    (found,) = wrong(shop)
    assert found.startswith(".env") and sentence in found


def test_a_folder_is_no_environment_file(shop):
    (shop.folder / ".env").mkdir()
    assert wrong(shop) == [".env: not a regular file"]
