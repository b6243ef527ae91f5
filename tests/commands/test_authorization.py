"""Who somebody is and what they may do: whatever goes wrong means no."""

from __future__ import annotations

import pytest

import gaffer
from gaffer.commands.identity import LOCAL, NODE, Credentials, Identity, Permissions, Resource
from gaffer.errors import Forbidden, NotFound, Unauthorized
from gaffer.testing import settle

WEB = Resource("default", "web")


def who(**permissions):
    """Return somebody whose permissions are these."""
    return Identity("somebody", permissions=Permissions.parse(permissions))


READER, WRITER, MANAGER = who(read=["default.web"]), who(write=["default"]), who(manage=["default.web"])
NOBODY, ADMIN, ALL = who(), who(admin=True), who(read=["*"])


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


class Says:
    """Answers every question about permissions with the same."""

    def __init__(self, answer):
        self.answer = answer

    @gaffer.hookimpl
    def gaffer_permit(self):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def make(gaffer_manager):
    """Return a function that starts a manager with two jobs where keys are needed."""

    def make(*plugins):
        made = gaffer_manager(*plugins)
        made.start()
        made.load({"name": "web", "cmd": "serve", "env": {"PASSWORD": "x"}})
        made.load({"name": "back.db", "cmd": "serve"})
        settle(made)
        made.access.strict = True
        return made

    return make


@pytest.fixture
def manager(make):
    return make(Keys())


# -- who ------------------------------------------------------------------------------------------


def test_gaffer_identify(make):
    access = make(Keys(good=READER, ended=Identity("old", ended=True))).access
    assert access.identify(Credentials("good")) is READER
    assert access.identify(Credentials(ticket="good")) is READER
    for wrong in (Credentials("bad"), Credentials(ticket="bad"), Credentials("ended"), Credentials()):
        with pytest.raises(Unauthorized):
            access.identify(wrong)


def test_without_need_for_keys_nobody_in_particular_may_do_everything_but_a_wrong_key_is_refused(make):
    access = make(Keys(good=READER)).access
    access.strict = False
    assert access.identify(Credentials()) is LOCAL and access.permits(LOCAL, "admin")
    assert access.identify(Credentials("good")) is READER
    with pytest.raises(Unauthorized, match="nobody knows this key"):
        access.identify(Credentials("bad"))
    with pytest.raises(Unauthorized, match="a key is needed"):
        access.identify(Credentials(), required=True)
    access.strict = True
    assert access.identify(Credentials(), required=False) is LOCAL


def test_a_plugin_that_fails_lets_nobody_in(make, caplog):
    access = make(Keys(x=RuntimeError("broken"), y=Unauthorized("expired"), z="a string")).access
    access.strict = False
    for key, says in (("x", "the server's log"), ("y", "expired"), ("z", "the server's log")):
        with pytest.raises(Unauthorized, match=says):
            access.identify(Credentials(key))
    assert "plugin keys failed in gaffer_identify: RuntimeError: broken" in caplog.text


def test_without_any_plugin_keys_mean_nothing_and_where_they_are_needed_nobody_comes_in(make):
    access = make().access
    with pytest.raises(Unauthorized):
        access.identify(Credentials("any"))
    access.strict = False
    assert access.identify(Credentials("any")) is LOCAL


# -- what -----------------------------------------------------------------------------------------


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
def test_gaffer_permit(make, answers, allowed):
    access = make(*map(Says, answers)).access
    assert access.permits(NOBODY, "read", WEB) is allowed
    if allowed:
        access.check(NOBODY, "read", WEB)
    else:
        with pytest.raises(Forbidden, match="key somebody has no permission 'read' for job default.web"):
            access.check(NOBODY, "read", WEB)


def test_who_has_ended_may_nothing_at_once(make):
    access, identity, heard = make(Says(True)).access, who(), []
    assert access.permits(identity, "admin")
    identity.endings.add(lambda: heard.append(1))
    identity.end()
    assert heard == [1] and not access.permits(identity, "read", WEB)
    with pytest.raises(Unauthorized):
        access.check(identity, "read", WEB)
    assert access.permits(identity, None)


def test_who_does_not_say_who_they_are_is_nobody_where_keys_are_needed(manager):
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


def test_lists_show_what_may_be_read(manager):
    def run(identity, name, **args):
        return manager.commands.run(name, args, identity)

    assert run(READER, "jobs") == {"jobs": ["default.web"]}
    assert run(READER, "sessions") == {"sessions": ["default"]}
    assert run(READER, "processes") == ["web"]
    assert run(READER, "pids") == {"pids": [1]} and run(READER, "processes", running=True) == [1]
    assert run(NOBODY, "jobs") == {"jobs": []} and run(NOBODY, "pids") == {"pids": []}
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


def test_trusted_identity_that_ended_may_nothing(make):
    manager = make()
    chief = Identity("chief", trusted=True)
    assert manager.commands.run("jobs", {}, chief)["jobs"]
    chief.end()
    for command, args in (("jobs", {}), ("stop_job", {"name": "web"}), ("shutdown", {})):
        with pytest.raises(Unauthorized):
            manager.commands.run(command, args, chief)
    assert not manager.access.view(chief).reads("web")
