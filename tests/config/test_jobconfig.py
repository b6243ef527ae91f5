"""Job settings: one table, checked all at once, immutable, and the same again after JSON."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.config.fields import Bool, Flapping, Int, OptionalText, TextList
from gaffer.config.jobconfig import CORE_FIELDS, MOST_NEAREST, JobConfig, JobFields, sort_by_priority
from gaffer.errors import BadRequest, InvalidConfig

#: docs/configuration.rst.
DEFAULTS = {
    "args": [],
    "env": {},
    "env_file": None,
    "port": None,
    "tty": False,
    "os_env": True,
    "uid": None,
    "gid": None,
    "cwd": None,
    "detach": False,
    "shell": False,
    "numprocesses": 1,
    "start": True,
    "priority": None,
    "flapping": None,
    "redirect_output": [],
    "redirect_input": False,
    "custom_streams": [],
    "graceful_timeout": 30.0,
    "stdin": "auto",
    "stop_signal": "SIGTERM",
    "restart": "always",
    "exit_codes": [0],
    "min_uptime": 1.0,
    "umask": None,
    "reload": "replace",
    "max_surge": 1,
    "max_unavailable": 0,
    "reload_rollback": True,
    "reload_signal": None,
    "backoff": None,
    "essential": False,
}
LABELS = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True).filter(lambda label: label not in ("stdin", "ttin"))
TEXTS = st.text(st.characters(exclude_characters="\0"), max_size=6)
SECONDS = st.floats(0, 31_536_000)
NAMES = st.sampled_from(["web", "default.web", "shop:web", "shop/web", "_x+y-z"])
COMMANDS = st.sampled_from(["serve", "python -m 'http server'", "sh -c 'a $B'"])
SETTINGS = {
    "args": st.one_of(st.lists(TEXTS, max_size=3), st.just("-x 'a b'")),
    "env": st.dictionaries(st.sampled_from(["A", "B"]), st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False))),
    "env_file": st.one_of(st.none(), st.just(".env")),
    "os_env": st.booleans(),
    "uid": st.sampled_from([None, 0, "root", "0"]),
    "gid": st.sampled_from([None, 0, "root", "0"]),
    "cwd": st.one_of(st.none(), st.just("/tmp")),
    "detach": st.booleans(),
    "shell": st.booleans(),
    "numprocesses": st.integers(0, 100_000),
    "start": st.booleans(),
    "priority": st.one_of(st.none(), st.integers(0, 9)),
    "flapping": st.one_of(
        st.none(), st.builds(Flapping, st.integers(1, 9), SECONDS, SECONDS, st.integers(-1, 9)).map(Flapping._asdict)
    ),
    "redirect_output": st.lists(LABELS.map("o{}".format), max_size=2),
    "redirect_input": st.booleans(),
    "custom_streams": st.lists(LABELS.map("c{}".format), max_size=3, unique=True),
    "graceful_timeout": SECONDS,
    "stop_signal": st.sampled_from(["TERM", "sigint", 9, "1"]),
    "restart": st.sampled_from(["always", "on-failure", "never"]),
    "exit_codes": st.lists(st.integers(0, 255), max_size=3),
    "min_uptime": SECONDS,
    "umask": st.sampled_from([None, "022", 0, "777"]),
}
CONFIGS = st.fixed_dictionaries({"name": NAMES, "cmd": COMMANDS}, optional=SETTINGS).map(JobConfig.from_dict)


def problems(settings, fields=None):
    with pytest.raises(InvalidConfig) as caught:
        JobConfig.from_dict(settings, fields or JobFields())
    return caught.value.problems


def web(**settings):
    return JobConfig("web", "serve", **settings)


def test_the_settings_and_their_defaults_are_those_of_the_contract():
    shown = web().to_dict()
    assert shown == {"name": "web", "cmd": "serve", **DEFAULTS}
    assert {field.name for field in CORE_FIELDS} == shown.keys() | {"custom_channels"}


@given(CONFIGS)
def test_what_json_carries_gives_the_same_settings_again(config):
    again = JobConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.to_dict() == config.to_dict()


@given(CONFIGS)
def test_equal_settings_need_nothing_and_hash_alike(config):
    again = JobConfig.from_dict(config.to_dict())
    assert not config.changed(again) and not config.needs_restart(again) and hash(config) == hash(again)


@given(CONFIGS, st.sampled_from(sorted(SETTINGS)), st.data())
def test_a_replaced_setting_is_the_only_change(config, key, data):
    try:
        other = config.replace(**{key: data.draw(SETTINGS[key])})
    except InvalidConfig:
        return
    assert config.changed(other) <= {key}
    assert (config == other) == (getattr(config, key) == getattr(other, key))


@given(CONFIGS)
def test_settings_explicitly_at_their_default_are_no_change(config):
    reset = config.replace(**DEFAULTS)
    assert reset == JobConfig(config.name, config.cmd)


def test_every_problem_is_reported_at_once():
    found = problems({"name": "a b", "numprocesses": "2", "colour": "red", "cmd": "serve 'x"})
    assert len(found) == 4


def test_a_problem_names_its_key():
    assert problems({"name": "web", "cmd": "serve", "numprocesses": -1}) == [
        "numprocesses: expected an integer from 0 to 100000, not -1"
    ]


def test_an_unknown_key_is_told_the_nearest_one():
    assert problems({"name": "web", "cmd": "serve", "numproceses": 2}) == [
        "unknown setting 'numproceses'; did you mean 'numprocesses'?"
    ]


def test_very_many_unknown_keys_do_not_take_long(monkeypatch):
    """Of each of 70,000 the nearest known one was looked for, which held up all requests for three seconds."""
    asked = []
    monkeypatch.setattr(
        "gaffer.config.jobconfig.nearest", lambda key, known: asked.append(key) or "; did you mean 'x'?"
    )
    found = problems({"name": "web", "cmd": "serve", **{f"cmd{number}": 1 for number in range(1000)}})
    assert len(found) == 1000 and len(asked) == MOST_NEAREST and found[-1] == "unknown setting 'cmd999'"


def test_a_key_that_is_no_text_is_unknown_like_any_other():
    assert problems({"name": "web", "cmd": "serve", 5: 1}) == ["unknown setting '5'"]


@pytest.mark.parametrize("value", [None, "", " ", 5, "a b"])
def test_a_bad_name_is_one_problem(value):
    (problem,) = problems({"name": value, "cmd": "serve"})
    assert problem.startswith("name: ")


@pytest.mark.parametrize("value", [None, "", " ", 5, "''\0", "serve 'x"])
def test_a_bad_command_is_one_problem(value):
    (problem,) = problems({"name": "web", "cmd": value})
    assert problem.startswith("cmd: ")


def test_name_and_command_are_required():
    assert problems({}) == ["name: required", "cmd: required"]
    assert problems({"args": 5})[1:] == ["name: required", "cmd: required"]


@pytest.mark.parametrize("value", [None, [], "web", 5])
def test_a_job_is_an_object(value):
    with pytest.raises(BadRequest, match="must be an object"):
        JobConfig.from_dict(value)


def test_huge_numbers_are_a_problem_like_others():
    assert problems({"name": "web", "cmd": "serve", "graceful_timeout": 10**400})[0].startswith("graceful_timeout:")


@pytest.mark.parametrize("label", ["stdin", "ttin"])
@pytest.mark.parametrize("key", ["redirect_output", "custom_streams"])
def test_labels_of_stdin_are_taken(key, label):
    assert "reserved" in problems({"name": "web", "cmd": "serve", key: [label]})[0]


def test_one_label_cannot_name_an_output_and_a_custom_stream():
    assert problems({"name": "web", "cmd": "serve", "redirect_output": ["a", "b"], "custom_streams": ["c", "b"]}) == [
        "custom_streams: label 'b' is in redirect_output already"
    ]


def test_the_command_is_cut_into_words_once():
    assert web(args=["-p", "$PORT"]).template.expand({"PORT": "80"}) == ["serve", "-p", "80"]


def test_a_shell_gets_the_whole_line():
    config = JobConfig("web", "echo $A |", args="sort -u", shell=True)
    assert config.shell_line == "echo $A | sort -u" and config.template is None


def test_a_list_of_arguments_is_quoted_for_the_shell():
    assert JobConfig("web", "echo", args=["a b", "$A"], shell=True).shell_line == "echo 'a b' '$A'"


def test_a_shell_line_without_arguments_is_the_command():
    assert JobConfig("web", "a | b", shell=True).shell_line == "a | b"


def test_settings_cannot_be_assigned():
    with pytest.raises(AttributeError, match="use replace"):
        web().numprocesses = 3


def test_the_environment_cannot_be_changed_in_place():
    for config in (web(), web(env={"A": "1"})):
        with pytest.raises(TypeError):
            config.env["LEAK"] = "1"


def test_what_is_shown_is_a_copy():
    config = web(args=["a"], env={"A": "1"})
    shown = config.to_dict()
    shown["env"]["B"] = "2"
    shown["args"].append("b")
    assert config == web(args=["a"], env={"A": "1"})


def test_the_given_mapping_is_not_kept():
    given = {"name": "web", "cmd": "serve", "args": ["a"]}
    config = JobConfig.from_dict(given)
    given["args"].append("b")
    assert config.args == ("a",)


@pytest.mark.parametrize("spelling", ["default.web", "default:web", "default/web"])
def test_another_spelling_of_the_name_is_no_change(spelling):
    config = JobConfig(spelling, "serve")
    assert config == web() and not web().needs_restart(config) and hash(config) == hash(web())


def test_jobs_of_two_sessions_differ():
    assert JobConfig("a.web", "serve") != JobConfig("b.web", "serve")


def test_a_config_can_be_copied():
    config = web(env={"A": "1"})
    assert copy.copy(config) == config


def test_a_config_shows_what_it_is():
    assert repr(web()) == "JobConfig('web', 'serve')"


def test_what_is_no_setting_is_no_attribute():
    with pytest.raises(AttributeError, match="no job setting 'colour'"):
        _ = web().colour


@pytest.mark.parametrize(
    "setting",
    [
        {"numprocesses": 3},
        {"start": False},
        {"priority": 1},
        {"flapping": [2, 1, 7, 5]},
        {"graceful_timeout": 1},
        {"stop_signal": "INT"},
        {"restart": "never"},
        {"exit_codes": [1]},
        {"min_uptime": 5},
    ],
)
def test_what_supervision_alone_uses_needs_no_new_processes(setting):
    assert web().changed(web(**setting)) == setting.keys()
    assert not web().needs_restart(web(**setting))


@pytest.mark.parametrize(
    "setting",
    [
        {"args": ["x"]},
        {"env": {"A": "1"}},
        {"env_file": ".env"},
        {"os_env": False},
        {"cwd": "/"},
        {"shell": True},
        {"redirect_output": ["out"]},
        {"redirect_input": True},
        {"custom_streams": ["x"]},
        {"umask": "022"},
    ],
)
def test_what_a_process_is_born_with_needs_new_ones(setting):
    assert web().needs_restart(web(**setting))


# -- inherited handles


@pytest.fixture
def handle(tmp_path):
    with open(tmp_path / "socket", "wb") as file:
        yield file


def test_handles_are_numbers_or_what_has_one(handle):
    assert web(custom_channels=[5, handle]).custom_channels == (5, handle)


@pytest.mark.parametrize("value", [5, "5", ["5"], [True], [None]])
def test_what_is_no_handle(value):
    with pytest.raises(InvalidConfig, match="custom_channels: expected"):
        web(custom_channels=value)


def test_handles_cannot_be_written_down():
    with pytest.raises(ValueError, match="from Python only"):
        JobFields().get("custom_channels").kind.parse("5")


def test_handles_are_not_shown_and_not_forgotten(handle):
    config = web(custom_channels=[handle])
    assert "custom_channels" not in config.to_dict()
    assert config.replace(numprocesses=2).resolve(JobFields()).custom_channels == (handle,)
    assert web().needs_restart(config)


# -- settings of plugins


@pytest.fixture
def fields():
    fields = JobFields()
    fields.add("mail_to", OptionalText(), None, "who hears of crashes", needs_restart=False)
    return fields


def test_a_plugins_setting_is_one_like_any_other(fields):
    config = JobConfig.from_dict({"name": "web", "cmd": "serve", "mail_to": "me"}, fields)
    assert config.mail_to == config.to_dict()["mail_to"] == "me"
    assert JobConfig.from_dict({"name": "web", "cmd": "serve"}, fields).mail_to is None


def test_a_plugins_setting_is_checked(fields):
    assert problems({"name": "web", "cmd": "serve", "mail_to": 5}, fields) == ["mail_to: expected a string, not 5"]


def test_a_plugins_setting_can_be_given_before_its_manager_is_known(fields):
    config = web(mail_to="me")
    assert config.mail_to == "me"
    assert config.resolve(fields).to_dict()["mail_to"] == "me"


def test_a_plugins_setting_is_checked_once_its_manager_is_known(fields):
    with pytest.raises(InvalidConfig, match="mail_to: expected a string"):
        web(mail_to=5).resolve(fields)


def test_a_setting_that_no_plugin_declares_is_refused_in_the_end():
    with pytest.raises(InvalidConfig, match="unknown setting 'mail_to'"):
        web(mail_to="me").resolve(JobFields())


def test_nothing_is_checked_again_for_the_manager_it_was_made_for(fields):
    config = JobConfig.from_dict({"name": "web", "cmd": "serve"}, fields)
    assert config.resolve(fields) is config


def test_a_plugin_says_whether_its_setting_needs_new_processes(fields):
    old = JobConfig.from_dict({"name": "web", "cmd": "serve"}, fields)
    assert not old.needs_restart(old.replace(mail_to="me"))
    fields.add("mail_cc", OptionalText())
    assert old.needs_restart(JobConfig.from_dict({"name": "web", "cmd": "serve", "mail_cc": "me"}, fields))


def test_the_table_lists_the_cores_settings_first(fields):
    assert fields.names() == [field.name for field in fields] == [*[field.name for field in CORE_FIELDS], "mail_to"]


def test_tables_of_two_managers_are_apart(fields):
    assert fields.get("mail_to") is not None and JobFields().get("mail_to") is None


def test_a_setting_is_declared_once(fields):
    for name in ("mail_to", "cmd"):
        with pytest.raises(ValueError, match=f"'{name}' is declared already"):
            fields.add(name, Bool())


@pytest.mark.parametrize(
    "name", ["template", "job_name", "fields", "replace", "to_dict", "_values", "mail to", "", "1st"]
)
def test_a_setting_needs_a_name_that_can_be_an_attribute_and_is_free(fields, name):
    with pytest.raises(ValueError, match="cannot be the name of a job setting"):
        fields.add(name, Bool())


def test_a_default_is_made_canonical(fields):
    fields.add("mail_also", TextList(), ["me"])
    assert JobConfig.from_dict({"name": "web", "cmd": "serve"}, fields).mail_also == ("me",)


def test_a_default_that_its_own_kind_refuses_is_the_plugins_mistake(fields):
    with pytest.raises(ValueError, match="'mail_after': the default: expected an integer from 1"):
        fields.add("mail_after", Int(1), 0)


# -- order


def test_jobs_start_by_priority_then_as_given():
    configs = [JobConfig(name, "x", priority=priority) for name, priority in zip("abcde", [None, 2, 0, None, 2])]
    assert "".join(config.name for config in sort_by_priority(configs)) == "cbead"
