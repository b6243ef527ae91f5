"""Authentication and authorization: whatever goes wrong means no."""

from __future__ import annotations

import pytest

import gaffer
from gaffer.commands.authorization import Authorization
from gaffer.commands.identity import LOCAL, NODE, Credentials, Identity, Permissions, Resource
from gaffer.config.names import JobName
from gaffer.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    PluginError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from gaffer.testing import settle

WEB = Resource("default", "web")


def who(**permissions):
    """Return an identity with these permissions."""
    return Identity("caller", permissions=Permissions.parse(permissions))


READER, WRITER, MANAGER = who(read=["default.web"]), who(write=["default"]), who(manage=["default.web"])
POWERLESS, ADMIN, ALL = who(), who(admin=True), who(read=["*"])


class Keys:
    """Knows identities by a word, and lets them do what their permissions say."""

    name = "keys"

    def __init__(self, **known):
        self.known = known

    @gaffer.hookimpl
    def gaffer_identify(self, credentials):
        answer = self.known.get(credentials.key or credentials.ticket)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @gaffer.hookimpl
    def gaffer_permit(self, identity, permission, resource):
        return identity.permissions.allows(permission, resource) or None


@pytest.fixture
def manager(gaffer_manager):
    """A manager with two jobs where keys are required."""
    made = gaffer_manager(Keys())
    made.start()
    made.load({"name": "web", "cmd": "serve", "env": {"PASSWORD": "x"}})
    made.load({"name": "back.db", "cmd": "serve"})
    settle(made)
    made.access.strict = True
    return made


# -- identities and permissions, on plugins that are none -------------------------------------------


class FakeHooks:
    """Answers for plugins.

    :param known: identities, or errors, by key or ticket; None if no plugin identifies callers.
    :param permits: an answer of each plugin to ``gaffer_permit``.
    """

    def __init__(self, known=None, permits=()):
        self.known, self.permits = known, permits
        self.asked, self.notified = [], []
        self.audited = True

    def implemented(self, name):
        return self.audited if name == "gaffer_command_run" else self.known is not None

    def ask_first(self, name, credentials):
        answer = (self.known or {}).get(credentials.key or credentials.ticket)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def attempts(self, name, **arguments):
        self.asked.append(arguments)
        return (("plugin", answer) for answer in self.permits)

    def tell(self, name, **arguments):
        self.notified.append((name, arguments))


def make_access(strict=True, known=None, permits=()):
    jobs = {1: JobName("default", "web"), 2: JobName("back", "db")}
    access = Authorization(FakeHooks(known, permits), jobs.get)
    access.strict = strict
    return access


def test_gaffer_identify():
    access = make_access(known={"good": READER, "old": Identity("old", ended=True)})
    assert access.identify(Credentials("good")) is READER
    assert access.identify(Credentials(ticket="good")) is READER
    for wrong in (Credentials("bad"), Credentials(ticket="bad"), Credentials("old"), Credentials()):
        with pytest.raises(Unauthorized):
            access.identify(wrong)


def test_request_without_credentials_has_full_access_where_no_key_is_required():
    access = make_access(strict=False, known={"good": READER})
    assert access.identify(Credentials()) is LOCAL and access.permits(LOCAL, "admin")
    assert access.identify(Credentials("good")) is READER
    with pytest.raises(Unauthorized, match="unknown or expired key"):
        access.identify(Credentials("bad"))
    with pytest.raises(Unauthorized, match="unknown or expired ticket"):
        access.identify(Credentials(ticket="bad"))


@pytest.mark.parametrize("strict", [True, False])
def test_route_decides_before_the_default_whether_a_key_is_required(strict):
    access = make_access(strict)
    with pytest.raises(Unauthorized, match="a key is needed"):
        access.identify(Credentials(), required=True)
    assert access.identify(Credentials(), required=False) is LOCAL


def test_without_a_plugin_that_knows_keys_a_key_means_nothing():
    with pytest.raises(Unauthorized, match="a key is needed"):
        make_access().identify(Credentials("any"))
    assert make_access(strict=False).identify(Credentials("any")) is LOCAL


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (PluginError("plugin keys failed in gaffer_identify: RuntimeError: broken"), Unauthorized),
        ("a string", Unauthorized),
        (Unauthorized("expired"), Unauthorized),
        (TooManyRequests("try later"), TooManyRequests),
        (Unavailable("no database"), Unavailable),
    ],
    ids=str,
)
def test_plugin_that_fails_identifies_no_caller(caplog, answer, error):
    access = make_access(strict=False, known={"key": answer})
    with pytest.raises(error) as raised:
        access.identify(Credentials("key"))
    if answer in ("a string",) or isinstance(answer, PluginError):
        assert "the server's log says why" in str(raised.value) and str(answer) in caplog.text
    else:
        assert raised.value is answer and not caplog.text


@pytest.mark.parametrize(
    ("answers", "allowed"),
    [
        ((), False),
        ((None,), False),
        ((True,), True),
        ((True, None), True),
        ((True, False), False),
        ((False, True), False),
        ((True, RuntimeError("broken")), False),
        ((RuntimeError("broken"), True), False),
        ((SystemExit(), True), False),
        (("yes",), False),
        ((1,), False),
    ],
    ids=str,
)
def test_gaffer_permit(answers, allowed):
    access = make_access(permits=answers)
    assert access.permits(POWERLESS, "read", WEB) is allowed
    assert access._hooks.asked == [{"identity": POWERLESS, "permission": "read", "resource": WEB}]
    if allowed:
        access.check(POWERLESS, "read", WEB)
    else:
        with pytest.raises(Forbidden, match="key caller has no permission 'read' for job default.web"):
            access.check(POWERLESS, "read", WEB)


def test_ended_identity_loses_every_permission_at_once():
    access, identity, calls = make_access(permits=[True]), who(), []
    assert access.permits(identity, "admin")
    identity.endings.add(lambda: calls.append(1))
    identity.end()
    assert calls == [1] and not access.permits(identity, "read", WEB)
    with pytest.raises(Unauthorized):
        access.check(identity, "read", WEB)
    assert access.permits(identity, None)


def test_trusted_identity_is_allowed_everything_without_a_question():
    access, chief = make_access(permits=[False]), Identity("chief", trusted=True)
    for target, args in (("job", {"name": "web"}), ("process", {"pid": 9}), ("visible", {}), (None, {})):
        access.check_target(chief, "admin", target, args)
    assert access._hooks.asked == [] and access.view(chief) is None
    chief.end()
    with pytest.raises(Unauthorized):
        access.check_target(chief, "read", "visible", {})
    assert not access.view(chief).reads("web")


def test_caller_without_an_identity_is_rejected_where_keys_are_required():
    access = make_access()
    with pytest.raises(Unauthorized):
        access.check_target(None, "read", "visible", {})
    access.check_target(None, None, "job", {})
    assert access.view(None) is not None
    access.strict = False
    access.check_target(None, "admin", None, {})
    assert access.view(None) is None


@pytest.mark.parametrize(
    ("target", "args", "resource"),
    [
        (None, {}, NODE),
        ("job", {"name": "web"}, WEB),
        ("job", {"name": "back/db"}, Resource("back", "db")),
        ("job", {"config": {"name": "back.db"}}, Resource("back", "db")),
        ("job", {"config": {"name": "default.db"}, "sessionid": "back"}, Resource("back", "db")),
        ("job", {"config": {"name": ["x"]}}, NODE),
        ("job", {"config": {}}, NODE),
        ("session", {"sessionid": "back"}, Resource("back")),
        ("session", {"config": {"name": "back.db"}}, Resource("back")),
        ("process", {"pid": 2}, Resource("back", "db")),
        ("process", {"pid": 3}, NODE),
    ],
)
def test_resource_is_what_the_arguments_name(target, args, resource):
    access = make_access(permits=[True])
    access.check_target(POWERLESS, "manage", target, args)
    assert [asked["resource"] for asked in access._hooks.asked] == [resource]


def test_missing_process_is_forbidden_in_the_words_of_one_that_may_not_be_touched():
    access = make_access(permits=[None])
    sentences = []
    for pid in (2, 3):
        with pytest.raises(Forbidden) as raised:
            access.check_target(POWERLESS, "read", "process", {"pid": pid})
        sentences.append(str(raised.value).replace(str(pid), "N"))
    assert sentences[0] == sentences[1]


def test_process_is_seen_by_those_who_may_read_its_job():
    view = make_access(permits=[True]).view(POWERLESS)
    assert view.reads_pid(1) and not view.reads_pid(3)


def test_gaffer_command_run_gets_neither_secrets_nor_foreign_errors():
    access = make_access()
    access.note("load", "manage", {"config": {"env": {"TOKEN": "abcdef"}}}, POWERLESS, "unix", BadRequest("not abcdef"))
    access.note("load", "manage", {}, None, "", KeyError("abcdef"))
    (_, first), (_, second) = access._hooks.notified
    assert (first["command"], first["permission"], first["identity"], first["origin"]) == (
        "load",
        "manage",
        POWERLESS,
        "unix",
    )
    assert "abcdef" not in f"{first} {second}" and (first["error"].status, second["error"].status) == (400, 500)
    access._hooks.audited = False
    access.note("load", "manage", {}, None, "")
    assert len(access._hooks.notified) == 2


# -- through the commands of a manager ---------------------------------------------------------------


def test_commands_without_an_identity_are_rejected_where_keys_are_required(manager):
    with pytest.raises(Unauthorized):
        manager.commands.run("jobs")
    with pytest.raises(Unauthorized):
        manager.commands.run("scale", {"nonsense": 1})
    assert manager.commands.run("ping") == "OK"
    manager.access.strict = False
    assert manager.commands.run("jobs") == {"jobs": ["back.db", "default.web"]}


@pytest.mark.parametrize(
    ("identity", "command", "args", "allowed"),
    [
        (READER, "info", {"name": "web"}, True),
        (READER, "info", {"name": "back:db"}, False),
        (READER, "info", {"name": "missing"}, False),
        (ALL, "info", {"name": "missing"}, True),
        (READER, "scale", {"name": "web", "scale": "+0"}, False),
        (WRITER, "scale", {"name": "web", "scale": "+0"}, False),
        (MANAGER, "scale", {"name": "default/web", "scale": "+0"}, True),
        (MANAGER, "process_info", {"pid": 1}, True),
        (MANAGER, "process_info", {"pid": 2}, False),
        (MANAGER, "process_info", {"pid": 3}, False),
        (ALL, "process_info", {"pid": 3}, True),
        (ALL, "health", {}, True),
        (WRITER, "health", {}, False),
        (ALL, "reload_config", {}, False),
        (MANAGER, "update", {"config": {"name": "web", "cmd": "x"}}, True),
        # The session that is said counts, not that in the name.
        (MANAGER, "update", {"config": {"name": "default.web", "cmd": "x"}, "sessionid": "back"}, False),
        (MANAGER, "update", {"config": {"name": "back.web", "cmd": "x"}, "sessionid": "default"}, True),
        (MANAGER, "update", {"config": {"cmd": "x"}}, False),
        (MANAGER, "load", {"config": {"name": "web", "cmd": "x"}}, False),
        (who(manage=["back"]), "load", {"config": {"name": "back.new", "cmd": "x"}}, True),
        (who(manage=["back"]), "load", {"config": {"name": "new", "cmd": "x"}}, False),
        (who(manage=["back"]), "load", {"config": {"name": "new", "cmd": "x"}, "sessionid": "back"}, True),
        (who(manage=["back"]), "load", {"config": {"name": "back.new", "cmd": "x"}, "sessionid": "default"}, False),
        (who(manage=["back"]), "load", {"config": {"name": ["x"], "cmd": "x"}}, False),
        (who(manage=["back"]), "stop_session", {"sessionid": "back"}, True),
        (MANAGER, "stop_session", {"sessionid": "default"}, False),
    ],
)
def test_what_a_command_is_about_decides(manager, identity, command, args, allowed):
    try:
        manager.commands.run(command, args, identity)
        assert allowed
    except Forbidden:
        assert not allowed
    except NotFound:
        assert allowed and "missing" in str(args) or args == {"pid": 3}


@pytest.mark.parametrize("command", ["load", "update", "scale"])
def test_port_of_a_job_that_may_not_be_seen_is_that_of_another_job(manager, command):
    manager.load({"name": "hidden.secret", "cmd": "serve", "port": 5000})
    manager.load({"name": "back.app", "cmd": "serve", "port": 4999})
    config = {"name": "back.new" if command == "load" else "back.app", "cmd": "serve", "port": 5000}
    args = {"name": "back.app", "scale": "+1"} if command == "scale" else {"config": config}
    for identity, holder in ((who(manage=["back"]), "another job"), (who(manage=["back", "hidden"]), "hidden.secret")):
        with pytest.raises(Conflict, match=f"^port 5000 of {config['name']} is that of {holder}; "):
            manager.commands.run(command, args, identity)


def test_lists_show_what_may_be_read(manager):
    def run(identity, name, **args):
        return manager.commands.run(name, args, identity)

    assert run(READER, "jobs") == {"jobs": ["default.web"]}
    assert run(READER, "sessions") == {"sessions": ["default"]}
    assert run(READER, "processes") == ["web"]
    assert run(READER, "pids") == {"pids": [1]} and run(READER, "processes", running=True) == [1]
    assert run(POWERLESS, "jobs") == {"jobs": []} and run(POWERLESS, "pids") == {"pids": []}
    assert run(ALL, "jobs") == {"jobs": ["back.db", "default.web"]}
    assert run(READER, "session_jobs", sessionid="default")["jobs"] == ["default.web"]
    unseen = [pytest.raises(NotFound) for _ in range(2)]
    with unseen[0] as there:
        run(READER, "session_jobs", sessionid="back")
    with unseen[1] as missing:
        run(READER, "session_jobs", sessionid="none")
    assert str(there.value).replace("back", "none") == str(missing.value)


def test_the_environment_is_shown_to_those_who_may_manage(manager):
    for command, args in (("info", {"name": "web"}), ("process_info", {"pid": 1}), ("process_template", {"pid": 1})):
        seen = manager.commands.run(command, args, READER)
        assert (seen.get("config") or seen)["env"] == {"PASSWORD": "***"}
        seen = manager.commands.run(command, args, MANAGER)
        assert (seen.get("config") or seen)["env"] == {"PASSWORD": "x"}
    assert manager.commands.run("info", {"name": "web"}, LOCAL)["config"]["env"] == {"PASSWORD": "x"}


def test_events_are_seen_by_those_who_may_read_their_job(manager):
    view = manager.access.view(READER)
    assert view.reads_event({"session": "default", "job": "web"})
    assert not view.reads_event({"session": "back", "job": "db"})
    assert not view.reads_event({}) and manager.access.view(ALL).reads_event({})
    assert manager.access.view(LOCAL) is None and manager.access.view(None) is not None
    assert manager.access.permits(ADMIN, "admin", NODE)


def test_trusted_identity_that_ended_may_nothing(manager):
    chief = Identity("chief", trusted=True)
    assert manager.commands.run("jobs", {}, chief)["jobs"]
    chief.end()
    for command, args in (("jobs", {}), ("stop_job", {"name": "web"}), ("shutdown", {})):
        with pytest.raises(Unauthorized):
            manager.commands.run(command, args, chief)


def test_infos_show_what_may_be_read_and_hide_what_may_not_be_managed(manager):
    def infos(identity, **args):
        return manager.commands.run("infos", args, identity)["jobs"]

    assert [one["name"] for one in infos(LOCAL)] == manager.jobs()
    assert [one["name"] for one in infos(ALL, sessionid="back")] == ["back.db"]
    assert infos(READER, sessionid="back") == infos(READER, sessionid="none") == infos(POWERLESS) == []
    for identity in (LOCAL, ALL, READER, MANAGER):
        for one in infos(identity):
            single = manager.commands.run("info", {"name": one["name"]}, identity)
            times = {"uptime": one["uptime"], "uptimes": one["uptimes"]}
            assert one == {**single, **times}
    (hidden,), (shown,) = infos(READER), infos(MANAGER)
    assert (hidden["config"]["env"], shown["config"]["env"]) == ({"PASSWORD": "***"}, {"PASSWORD": "x"})
