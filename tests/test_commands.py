"""The command table: one entry for HTTP, sockets and command lines, with arguments checked there."""

import json
from types import SimpleNamespace

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.commands import COMMANDS, STRING, Arg, Command, CommandTable, check_args
from gaffer.errors import BadRequest, InvalidConfig, NotFound
from gaffer.names import JobName
from gaffer.plugins import PluginInfo

#: A value for every argument.
ARGS = {
    "name": "web",
    "pid": 7,
    "sessionid": "default",
    "config": {"name": "web", "cmd": "serve"},
    "signal": "TERM",
    "start": True,
    "state": 1,
    "scale": "+1",
    "graceful_timeout": 0.5,
    "env": {"A": "1"},
}


class Manager:
    """Answers as a manager does and keeps what it was asked to do."""

    def __init__(self):
        self.done = []
        self.sessions = ["default"]
        self.hooks = SimpleNamespace(counters=lambda: {"mailer": {"muted": ["gaffer_ready"]}, "fine": {"muted": []}})
        self.plugins = SimpleNamespace(list=self.list_plugins)
        self.reader = None
        self.gone = set()

    def list_plugins(self, muted):
        return [PluginInfo(name, "1", "folder", "", "hooks", [], "loaded") for name in sorted(muted)]

    def job(self, name):
        return SimpleNamespace(name=JobName("default", name), active=True, wanted=2)

    def jobs(self, sessionid=None):
        return ["default.api", "default.web"]

    def all_jobs(self):
        return [self.job("web"), self.job("api")]

    def pids(self, name=None):
        return [7, 8]

    def commit(self, name, graceful_timeout=None, env=None):
        self.done.append(("commit", name, graceful_timeout, env))
        return 9

    def scale(self, name, count):
        self.done.append(("scale", name, count))
        return 3

    def killall(self, name, signal):
        self.done.append(("killall", name, signal))
        return 2

    def reload_config(self):
        return {"loaded": ["default.web"]}

    def stop_job(self, name):
        if name in self.gone:
            raise NotFound(f"no job '{name}'")
        self.done.append(("stop_job", name))

    def info(self, name):
        return {"name": name}

    stats = info

    def process_info(self, pid):
        return {"pid": pid}

    process_stats = process_info

    def health(self):
        return {"ok": True}

    def later(self, function):
        self.done.append(("later", function.__name__))

    def stop(self):
        raise AssertionError("it would end the connection before the answer is sent")

    def __getattr__(self, operation):
        if operation not in ("load", "update", "unload", "reload", "start_job", "restart_job", "stop_process", "kill"):
            raise AttributeError(operation)
        return lambda *args, **kwargs: self.done.append((operation, *args, *kwargs.values()))


@pytest.fixture
def manager():
    return Manager()


@pytest.fixture
def run(manager):
    return CommandTable(manager).run


every_command = pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])


@every_command
def test_a_command_answers_what_its_schema_says(command, run):
    result = run(command.name, {arg.name: ARGS[arg.name] for arg in command.args})
    jsonschema.validate(json.loads(json.dumps(result)), command.result)


@every_command
def test_a_command_works_with_its_required_arguments_only(command, run):
    run(command.name, {arg.name: ARGS[arg.name] for arg in command.args if arg.required})


@every_command
def test_a_command_says_what_it_does_and_who_may(command):
    assert command.help and not command.help.endswith(".")
    assert command.permission in (None, "read", "write", "manage", "admin")
    assert all(arg.help for arg in command.args)


@every_command
def test_what_a_permission_is_about_is_among_the_arguments(command):
    names = {arg.name for arg in command.args if arg.required or command.target == "session"}
    accepted = {None: set(), "job": {"name", "config"}, "session": {"sessionid"}, "process": {"pid"}}[command.target]
    assert names & accepted or not accepted


@every_command
def test_schemas_are_schemas(command):
    for schema in (command.result, *(arg.schema for arg in command.args)):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_each_name_is_there_once():
    names = [command.name for command in COMMANDS]
    assert len(set(names)) == len(names)


def test_only_what_shows_nothing_is_open_to_all():
    assert [command.name for command in COMMANDS if command.permission is None] == ["welcome", "ping", "version"]


def test_whoever_may_only_read_changes_nothing(manager, run):
    for command in COMMANDS:
        if command.permission in (None, "read"):
            run(command.name, {arg.name: ARGS[arg.name] for arg in command.args})
    assert manager.done == []


def test_the_table_can_be_walked():
    table = CommandTable(Manager())
    assert [table.get(command.name) for command in table] == list(COMMANDS)


def test_a_command_that_does_not_exist_is_told_the_nearest(run):
    with pytest.raises(NotFound, match="no command 'start_jobs'; did you mean 'start_job'"):
        run("start_jobs")


# -- arguments

COMMAND = Command(
    "paint",
    "paint something",
    "write",
    None,
    (
        Arg("what", STRING, "the thing"),
        Arg("coats", {"type": "integer"}, "how many", required=False),
        Arg("width", {"type": ["number", "null"]}, "of the brush", required=False),
        Arg("dry", {"type": "boolean"}, "wait for it", required=False),
    ),
    lambda manager, **args: args,
    {},
)


def refused(args):
    with pytest.raises(BadRequest) as caught:
        check_args(COMMAND, args)
    return str(caught.value)


def test_arguments_are_passed_on_by_name():
    args = {"what": "door", "coats": 2, "width": 1.5, "dry": False}
    assert check_args(COMMAND, args) == args


def test_an_unknown_argument_is_told_the_nearest():
    assert refused({"what": "door", "coat": 2}) == "paint has no argument 'coat'; did you mean 'coats'?"


@pytest.mark.parametrize("args", [{}, {"what": None}])
def test_a_missing_argument_is_explained(args):
    assert refused(args) == "paint needs 'what': the thing"


def test_an_argument_that_is_null_was_not_given():
    assert check_args(COMMAND, {"what": "door", "coats": None}) == {"what": "door"}


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({"what": 5}, "what must be string, not 5"),
        ({"what": "door", "coats": "2"}, "coats must be integer, not '2'"),
        ({"what": "door", "coats": 2.0}, "coats must be integer, not 2.0"),
        ({"what": "door", "coats": True}, "coats must be integer, not True"),
        ({"what": "door", "width": []}, "width must be number or null, not []"),
        ({"what": "door", "dry": 1}, "dry must be boolean, not 1"),
    ],
)
def test_an_argument_of_the_wrong_type_is_told_the_right_one(args, sentence):
    assert refused(args) == sentence


@given(st.dictionaries(st.sampled_from(["what", "coats", "width", "dry"]), st.one_of(st.booleans(), st.integers())))
def test_what_is_passed_on_fits_the_schema(args):
    try:
        checked = check_args(COMMAND, args)
    except BadRequest:
        return
    for arg in COMMAND.args:
        if arg.name in checked:
            jsonschema.validate(checked[arg.name], arg.schema)


# -- single commands


@pytest.mark.parametrize(("state", "done"), [(0, "stop_job"), (1, "start_job"), (2, "reload")])
def test_states_of_a_job_are_numbers(manager, run, state, done):
    run("set_state", {"name": "web", "state": state})
    assert manager.done == [(done, "web")]


@pytest.mark.parametrize("state", [3, -1])
def test_there_are_three_states_to_set(run, state):
    with pytest.raises(BadRequest, match="0 .stop., 1 .start. or 2 .reload."):
        run("set_state", {"name": "web", "state": state})


@pytest.mark.parametrize("command", ["load", "update"])
def test_nobody_outside_hands_gaffers_own_descriptors_to_a_child(manager, run, command):
    with pytest.raises(InvalidConfig, match="custom_channels: can be set from Python only"):
        run(command, {"config": {"name": "web", "cmd": "serve", "custom_channels": [5]}})
    assert manager.done == []


def test_all_jobs_are_stopped_those_first_that_started_last(manager, run):
    run("stop_all")
    assert manager.done == [("stop_job", JobName("default", "api")), ("stop_job", JobName("default", "web"))]


def test_a_job_that_goes_meanwhile_does_not_keep_the_others_from_being_stopped(manager, run):
    manager.gone.add(JobName("default", "api"))
    run("stop_all")
    assert manager.done == [("stop_job", JobName("default", "web"))]


def test_a_muted_plugin_is_shown_as_such(run):
    assert [plugin["name"] for plugin in run("plugins")["plugins"]] == ["mailer"]


def test_gafferd_reads_its_configuration_in_its_own_way(manager, run):
    manager.reader = lambda: {"unloaded": ["default.old"]}
    assert run("reload_config") == {"ok": True, "unloaded": ["default.old"]}


def test_the_answer_to_shutdown_comes_before_it_happens(manager, run):
    assert run("shutdown") == {"ok": True}
    assert manager.done == [("later", "stop")]
