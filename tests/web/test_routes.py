from __future__ import annotations

import subprocess
import sys

import pytest

from gaffer.errors import PluginError
from gaffer.web.requests.routes import Route, check_routes


def handler(request):
    return None


def test_routes_keep_their_order():
    first, second = Route("GET", "/a", command="a"), Route("GET", "/b/<x>", handler=handler, permission="read")
    assert check_routes([("one", [first]), ("two", [second])]) == [first, second]


def test_methods_of_one_path_are_no_duplicates():
    check_routes([("one", [Route("GET", "/a", command="a"), Route("POST", "/a", command="a")])])


@pytest.mark.parametrize("path", ["/jobs/<a>/<b>", "/jobs/<other>/<names>"])
def test_two_routes_of_one_shape_name_both_plugins(path):
    with pytest.raises(PluginError, match="plugins one and two both answer GET /jobs/"):
        check_routes(
            [("one", [Route("GET", "/jobs/<s>/<j>", command="info")]), ("two", [Route("GET", path, command="info")])]
        )


def test_shapes_with_different_kinds_differ():
    check_routes([("one", [Route("GET", "/<pid:int>", command="a"), Route("GET", "/<name>", command="b")])])


def test_a_handler_without_permission_is_refused():
    with pytest.raises(PluginError, match="plugin web: route GET /x: no permission is declared"):
        check_routes([("web", [Route("GET", "/x", handler=handler)])])


def test_permission_none_is_valid():
    check_routes([("web", [Route("GET", "/x", handler=handler, permission=None)])])


@pytest.mark.parametrize(
    ("route", "complaint"),
    [
        (Route("FETCH", "/x", command="x"), "unknown method"),
        (Route("get", "/x", command="x"), "unknown method"),
        (Route("GET", "x", command="x"), "path must look like"),
        (Route("GET", "/x y", command="x"), "path must look like"),
        (Route("GET", "/:old", command="x"), "path must look like"),
        (Route("GET", "/<a:float>", command="x"), "path must look like"),
        (Route("GET", "/<a>/<a>", command="x"), "path must look like"),
        (Route("GET", "/x"), "exactly one of command and handler"),
        (Route("GET", "/x", command="x", handler=handler), "exactly one of command and handler"),
        (Route("GET", "/x", command="missing"), "there is no command 'missing'"),
        (Route("GET", "/x", handler=handler, permission="root"), "unknown permission 'root'"),
    ],
)
def test_wrong_routes(route, complaint):
    with pytest.raises(PluginError, match=complaint):
        check_routes([("web", [route])], commands=lambda name: name == "x")


def test_all_problems_are_told_at_once():
    with pytest.raises(PluginError) as caught:
        check_routes([("one", [Route("GET", "/x")]), ("two", [Route("PUSH", "/x", command="x")])])
    assert "plugin one" in str(caught.value) and "plugin two" in str(caught.value)


def test_parameters():
    route = Route("GET", "/jobs/<session>/<job>/at/<pid:int>", command="x")
    assert route.places == [("session", ""), ("job", ""), ("pid", "int")]


def test_importing_routes_loads_no_server():
    code = "import sys, gaffer.web.requests.routes; sys.exit(bool({'bottle', 'gevent', 'ssl'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
