"""gaffer_plugins.lookup.state and config: what is told to a lookupd, however much changed meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaffer.errors import BadRequest
from gaffer_plugins.lookup.config import parse_labels, parse_place
from gaffer_plugins.lookup.state import Desk, Told


def apply(known, messages):
    """Do what a lookupd does with *messages*; raises KeyError where it would refuse one."""
    for said in messages:
        name, pids = said["job_name"], set(said.get("pids", ()))
        if said["type"] == "REGISTER_JOB":
            known[name] = pids
        elif said["type"] == "UNREGISTER_JOB":
            del known[name]
        elif said["type"] == "REGISTER_PROCESS":
            known[name] |= pids
        else:
            assert pids <= known[name]
            known[name] -= pids


def untold(messages):
    """Return messages without the numbers of states."""
    return [{name: value for name, value in one.items() if name != "state"} for one in messages]


def linked():
    desk = Desk()
    told = Told(desk)
    desk.tell(told.mark)
    return desk, told


def test_a_link_that_comes_late_tells_everything():
    desk = Desk()
    desk.add_job("default.web")
    desk.add_process("default.web", 2)
    desk.add_process("default.web", 1)
    told = untold(Told(desk).messages())
    assert told == [{"type": "REGISTER_JOB", "job_name": "default.web", "pids": [1, 2]}]


def test_what_came_and_went_meanwhile_is_not_told():
    desk, told = linked()
    desk.add_job("default.web")
    desk.add_process("default.web", 1)
    desk.remove_job("default.web")
    assert told and list(told.messages()) == [] and not told


def test_many_pids_go_in_pieces():
    desk, told = linked()
    for pid in range(1, 12_001):
        desk.add_process("default.web", pid)
    messages = list(told.messages())
    assert [(one["type"], len(one["pids"])) for one in messages] == [
        ("REGISTER_JOB", 5000),
        ("REGISTER_PROCESS", 5000),
        ("REGISTER_PROCESS", 2000),
    ]


def test_a_refused_job_is_told_anew_when_it_changes():
    desk, told = linked()
    desk.add_process("default.web", 1)
    assert [one["type"] for one in told.messages()] == ["REGISTER_JOB"]
    told.forget("default.web")
    desk.add_process("default.web", 2)
    assert untold(told.messages()) == [{"type": "REGISTER_JOB", "job_name": "default.web", "pids": [1, 2]}]


def test_the_last_message_says_that_all_is_told():
    desk, told = linked()
    desk.add_job("default.a")
    desk.add_job("default.b")
    messages = told.messages()
    assert "state" not in next(messages) and "state" not in told.ping()
    desk.add_job("default.c")
    assert "state" not in next(messages), "something came meanwhile"
    assert next(messages)["state"] == desk.state == told.ping()["state"]
    desk.remove_job("default.c")
    desk.add_process("default.b", 1)
    assert told.ping() == {"type": "PING"}
    assert [one.get("state") for one in told.messages()] == [None, desk.state]
    assert Desk().state > desk.state, "so does a manager that starts again in this process"


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add_job", "remove_job", "add_process", "remove_process", "send"]),
        st.sampled_from(["s.a", "s.b"]),
        st.integers(1, 4),
    )
)


@given(CHANGES)
def test_whatever_happens_in_the_end_the_lookupd_knows_what_there_is(changes):
    desk, told = linked()
    known = {}
    for what, name, pid in changes:
        if what == "send":
            apply(known, told.messages())
        else:
            getattr(desk, what)(name, *([pid] if what.endswith("process") else []))
    apply(known, told.messages())
    assert known == desk.jobs


@pytest.mark.parametrize(
    "text, place",
    [
        ("http://h:1", ("h", 1, False, "")),
        ("h", ("h", 5010, False, "")),
        ("https://h/x/", ("h", 5010, True, "/x")),
        ("ws://[::1]:7", ("::1", 7, False, "")),
    ],
)
def test_addresses(text, place):
    assert parse_place(text)[1:] == place


@pytest.mark.parametrize("text", ["ftp://h", "http://", "http://u:p@h", "http://h:x", "http://h?x=1", ""])
def test_what_is_no_address(text):
    with pytest.raises(BadRequest):
        parse_place(text)


def test_labels():
    assert parse_labels(" zone = a, role=web,, empty=") == {"zone": "a", "role": "web", "empty": ""}
    with pytest.raises(BadRequest, match="'zone' is no label"):
        parse_labels("zone")


@pytest.mark.parametrize(
    "url, here",
    [
        ("http://127.0.0.1:5000", True),
        ("localhost:5010", True),
        ("unix:/run/gaffer", True),
        ("https://[::1]:1", True),
        ("http://web-1:5000", False),
        ("10.0.0.1:5010", False),
    ],
)
def test_addresses_that_mean_the_machine_that_reads_them(url, here):
    from gaffer_plugins.lookup.links import _is_here

    assert _is_here(url) is here
