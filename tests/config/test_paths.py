"""Home folders at the beginning of paths."""

import pwd

import pytest

from gaffer.config.addresses import parse_address
from gaffer.config.jobconfig import JobConfig
from gaffer.config.options import Options
from gaffer.config.paths import FilePath, expand_home
from gaffer.httpclient.transport import parse_uri
from gaffer.process.environment import working_folder

ROOT = pwd.getpwuid(0).pw_dir


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    "path, account, found",
    [
        ("~", None, "/home/me"),
        ("~/a/b", None, "/home/me/a/b"),
        ("~root/a", None, f"{ROOT}/a"),
        ("~/a", 0, f"{ROOT}/a"),
        ("~/a", "root", f"{ROOT}/a"),
        ("~", 0, ROOT),
        ("/a/~", None, "/a/~"),
        ("./~", 0, "./~"),
        ("a~", 0, "a~"),
        ("~no-such-account/a", 0, "~no-such-account/a"),
    ],
)
def test_tilde_is_expanded_as_by_a_shell(path, account, found):
    assert expand_home(path, account) == found


@pytest.mark.parametrize("given, found", [("~/a", "/home/me/a"), ("a", "a"), ("", None), (None, None)])
def test_paths_in_options(given, found):
    assert FilePath().check(given) == found


@pytest.mark.parametrize("name", ["error_log", "pidfile", "certfile", "keyfile", "cacert"])
def test_files_of_gafferd_are_paths(name):
    option = Options().get(name)
    assert option is not None and option.kind.check("~/x") == "/home/me/x"


@pytest.mark.parametrize("uid, found", [(None, "/home/me/w"), (0, f"{ROOT}/w")])
def test_working_folder_of_a_job_may_be_in_the_home_of_its_user(uid, found):
    config = JobConfig("web", "serve", cwd="~/w", uid=uid)
    assert (working_folder(config), config.to_dict()["cwd"]) == (found, "~/w")


def test_socket_may_be_in_the_home_folder():
    assert parse_address("unix:~/s") == "/home/me/s"
    assert parse_uri("unix:~/s").host == "/home/me/s"
