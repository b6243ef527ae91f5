"""The command table: one entry for HTTP, sockets and command lines, with arguments checked there."""

import json
import signal

import gevent
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.commands.command import Arg, Command
from gaffer.commands.schemas import STRING, definitions
from gaffer.commands.table import COMMANDS, check_args
from gaffer.errors import BadRequest, InvalidConfig, NotFound
from gaffer.events.outbox import MUTE_AFTER
from gaffer.testing import HookRecorder, settle

#: A value for every argument.
ARGS = {
    "force": False,
    "group": True,
    "rolling": False,
    "name": "web",
    "pid": 1,
    "sessionid": "default",
    "config": {"name": "web", "cmd": "serve -x"},
    "signal": "TERM",
    "start": True,
    "state": 1,
    "scale": "+1",
    "graceful_timeout": 0.5,
    "env": {"A": "1"},
    "running": True,
    "lines": ["hello", " world\n"],
    "stream": "control",
    "eof": True,
}
NEW = {"config": {"name": "new", "cmd": "serve"}}
#: What the plugin "stats" would say (docs/http-api.rst).
STATS = {
    "os_pid": 4711,
    "mem_info1": 9_437_184,
    "mem_info2": 20_000_000,
    "cpu": 0.5,
    "mem": 0.1,
    "ctime": 0.25,
    "username": "nobody",
    "nice": 0,
    "cmdline": "serve",
    "children": [],
}
READ = (None, "read")


@pytest.fixture
def recorder():
    made = HookRecorder("gaffer_sample", "gaffer_signalled", "gaffer_job_scaled")
    made.answers["gaffer_sample"] = lambda manager, processes: {one.pid: {"pid": one.pid, **STATS} for one in processes}
    return made


@pytest.fixture
def manager(gaffer_manager, recorder):
    """A manager with a job of one process."""
    made = gaffer_manager(recorder)
    made.start()
    made.load({"name": "web", "cmd": "serve", "redirect_input": True, "custom_streams": ["control"]})
    settle(made)
    return made


@pytest.fixture
def run(manager):
    return manager.commands.run


def values(command, required_only=False):
    """Return arguments for a command."""
    given = {**ARGS, **(NEW if command.name == "load" else {})}
    return {arg.name: given[arg.name] for arg in command.args if arg.required or not required_only}


def some_commands(wanted):
    return pytest.mark.parametrize("command", list(filter(wanted, COMMANDS)), ids=lambda command: command.name)


every_command = some_commands(lambda command: True)


@every_command
def test_a_command_answers_what_its_schema_says(command, manager, run):
    result = run(command.name, values(command))
    schema = {"components": {"schemas": definitions(manager.job_fields)}, **command.result}
    jsonschema.validate(json.loads(json.dumps(result)), schema)


@some_commands(lambda command: any(not arg.required for arg in command.args))
def test_a_command_works_with_its_required_arguments_only(command, run):
    run(command.name, values(command, required_only=True))


@every_command
def test_a_command_says_what_it_does_and_who_may(command):
    assert command.help and not command.help.endswith(".")
    assert command.permission in (*READ, "write", "manage", "admin")
    assert all(arg.help for arg in command.args)


@every_command
def test_what_a_permission_is_about_is_among_the_arguments(command):
    names = {arg.name for arg in command.args if arg.required or command.target == "session"}
    accepted = {None: set(), "visible": set(), "job": {"name", "config"}, "session": {"sessionid"}, "process": {"pid"}}[
        command.target
    ]
    assert names & accepted or not accepted


@every_command
def test_schemas_are_schemas(command):
    for schema in (command.result, *(arg.schema for arg in command.args)):
        jsonschema.Draft202012Validator.check_schema(schema)


@some_commands(lambda command: command.permission in READ)
def test_a_caller_that_may_only_read_changes_nothing(command, manager, run, gaffer_spawner):
    def world():
        shown = {name: {**manager.info(name), "uptime": None} for name in manager.jobs()}
        return shown, manager.pids(), manager.state, [one.signals for one in gaffer_spawner.processes]

    before = world()
    run(command.name, values(command))
    settle(manager)
    assert world() == before


def test_each_name_is_there_once():
    names = [command.name for command in COMMANDS]
    assert len(set(names)) == len(names)


def test_only_what_shows_nothing_is_open_to_all():
    assert [command.name for command in COMMANDS if command.permission is None] == ["welcome", "ping", "version"]


def test_the_table_can_be_walked(manager):
    table = manager.commands
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


def test_a_job_is_stopped_started_and_reloaded_by_numbers(manager, run, gaffer_spawner):
    for state, active, alive in [(0, False, []), (1, True, [2]), (2, True, [3])]:
        run("set_state", {"name": "web", "state": state})
        settle(manager)
        assert manager.info("web")["active"] is active
        assert [one.pid for one in gaffer_spawner.alive] == alive


@pytest.mark.parametrize("state", [3, -1])
def test_there_are_three_states_to_set(run, state):
    with pytest.raises(BadRequest, match="0 .stop., 1 .start. or 2 .reload."):
        run("set_state", {"name": "web", "state": state})


@pytest.mark.parametrize("command", ["load", "update"])
def test_no_caller_hands_gaffers_own_descriptors_to_a_child(manager, run, command):
    with pytest.raises(InvalidConfig, match="custom_channels: can be set from Python only"):
        run(command, {"config": {"name": "web", "cmd": "serve", "custom_channels": [5]}})
    assert manager.get("web").custom_channels == ()


def test_all_jobs_are_stopped_those_first_that_started_last(manager, run, recorder):
    manager.load({"name": "first", "cmd": "serve", "priority": 0})
    manager.load({"name": "later", "cmd": "serve"})
    settle(manager)
    run("stop_all")
    settle(manager)
    stopped = [call["job"].name.job for call in recorder.of("gaffer_signalled") if call["signum"] == signal.SIGTERM]
    assert stopped == ["later", "web", "first"]


@pytest.mark.parametrize("command", ["stop_session", "unload_session", "restart_session", "stop_all"])
def test_jobs_of_a_lower_priority_number_are_stopped_when_the_others_have_ended(
    manager, run, gaffer_spawner, gaffer_clock, command
):
    gaffer_spawner.ignores.add(signal.SIGTERM)
    manager.load({"name": "shop.database", "cmd": "serve", "priority": 0})
    manager.load({"name": "shop.web", "cmd": "serve", "priority": 1, "graceful_timeout": 5})
    settle(manager)
    database, web = (manager.list(name)[0] for name in ("shop.database", "shop.web"))
    asked = gevent.spawn(run, command, {} if command == "stop_all" else {"sessionid": "shop"})
    settle(manager)
    assert signal.SIGTERM in web.signals and not database.signals and not asked.ready()
    gaffer_clock.advance(5)
    settle(manager)
    asked.get(timeout=5)
    settle(manager)
    assert web.signals[-1] == signal.SIGKILL and signal.SIGTERM in database.signals


def test_what_was_started_again_meanwhile_does_not_hold_up_a_stop(manager, run, gaffer_spawner, gaffer_clock):
    gaffer_spawner.ignores.add(signal.SIGTERM)
    manager.load({"name": "shop.database", "cmd": "serve", "priority": 0})
    manager.load({"name": "shop.web", "cmd": "serve", "priority": 1, "graceful_timeout": 5})
    settle(manager)
    asked = gevent.spawn(run, "stop_session", {"sessionid": "shop"})
    settle(manager)
    manager.start_job("shop.web")
    gaffer_clock.advance(5)
    settle(manager)
    asked.get(timeout=5)
    assert not manager.info("shop.database")["active"] and manager.info("shop.web")["active"]


def test_a_job_that_is_leaving_does_not_keep_the_others_from_being_stopped(manager, run, gaffer_spawner):
    gaffer_spawner.ignores.add(signal.SIGTERM)
    manager.load({"name": "stubborn", "cmd": "serve"})
    settle(manager)
    manager.unload("stubborn")
    run("stop_all")
    assert not manager.info("web")["active"]


def test_a_muted_plugin_is_shown_as_such(manager, run, recorder):
    recorder.answers["gaffer_job_scaled"] = ValueError("broken")
    for number in range(MUTE_AFTER):
        manager.scale("web", f"={number % 2}")
    settle(manager)
    assert [plugin["state"] for plugin in run("plugins")["plugins"]] == ["muted"]


def test_gafferd_reads_its_configuration_in_its_own_way(manager, run):
    report = {"loaded": [], "unloaded": ["default.old"], "updated": [], "unchanged": [], "needs_restart": ["bind"]}
    forced = []
    manager.reader = lambda force: forced.append(force) or report
    assert run("reload_config") == run("reload_config", {"force": True}) == {"ok": True, **report}
    assert forced == [False, True]


def test_the_answer_to_shutdown_comes_before_it_happens(manager, run):
    assert run("shutdown") == {"ok": True}
    assert manager.state == "running"
    assert manager.wait_stopped(10)


@pytest.mark.parametrize(
    ("lines", "written"), [("hello\n", b"hello\n"), (["a", "b\n"], b"ab\n"), ("", b""), ("n\u00e4", "n\u00e4".encode())]
)
def test_text_is_written_to_stdin(manager, run, lines, written):
    assert run("send", {"pid": 1, "lines": lines}) == {"ok": True}
    assert manager.get_process(1).stdin.written == written and not manager.get_process(1).stdin._finish


def test_it_may_be_the_last(manager, run):
    run("send", {"pid": 1, "lines": "bye", "stream": "control", "eof": True})
    writer = manager.get_process(1).writer("control")
    assert writer.written == b"bye" and writer._finish


def test_only_text_can_be_sent(run):
    with pytest.raises(BadRequest, match="list of texts"):
        run("send", {"pid": 1, "lines": ["a", 1]})


def test_jobs_and_pids_of_one_place(manager, run):
    manager.load({"name": "shop.web", "cmd": "serve"})
    settle(manager)
    assert run("jobs", {"sessionid": "shop"}) == {"jobs": ["shop.web"]}
    assert run("pids", {"name": "shop.web"}) == {"pids": manager.pids("shop.web")}
    assert len(run("pids")["pids"]) == 2
    with pytest.raises(NotFound):
        run("pids", {"name": "none"})


def test_session_of_a_job_can_be_an_argument(manager, run):
    manager.load({"name": "shop.web", "cmd": "serve"})
    settle(manager)
    run("reload_job", {"name": "web", "sessionid": "shop"})
    run("unload", {"name": "web", "sessionid": "shop"})
    settle(manager)
    assert manager.jobs() == ["default.web"]


def test_permission_is_asked_for_the_job_that_the_session_makes_of_a_name():
    from gaffer.commands.table import COMMANDS, check_args

    unload = next(command for command in COMMANDS if command.name == "unload")
    assert check_args(unload, {"name": "default.web", "sessionid": "shop"}) == {"name": "shop.web"}
