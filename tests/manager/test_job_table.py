"""The jobs of a manager: names, sessions, order, and namesakes that are leaving."""

import pytest

from gaffer.config.jobconfig import JobConfig
from gaffer.config.names import JobName
from gaffer.errors import BadRequest, Conflict, NotFound
from gaffer.manager.job_table import JobTable


@pytest.fixture
def table():
    return JobTable()


def add(table, name, **settings):
    return table.add(JobConfig(name, "serve", **settings))


def test_job_is_found_by_every_spelling_of_its_name(table):
    web = add(table, "shop.web")
    for spelling in ("shop.web", "shop/web", "shop:web", JobName("shop", "web"), JobConfig("shop.web", "other")):
        assert table.get(spelling) is web
    assert table.get("web", "shop") is web and table.get("other.web", "shop") is web
    assert JobName("shop", "web") in table and JobName("default", "web") not in table


def test_missing_job_and_missing_session_are_not_found(table):
    add(table, "shop.web")
    for name, session in (("web", None), ("shop.db", None), ("web", "bank")):
        with pytest.raises(NotFound, match="no job"):
            table.get(name, session)
    with pytest.raises(NotFound, match="no session 'bank'"):
        table.names("bank")
    with pytest.raises(BadRequest):
        table.names("no/name")


def test_names_and_sessions_are_sorted(table):
    for name in ("shop.web", "web", "shop.db"):
        add(table, name)
    assert [name.full for name in table.names()] == ["default.web", "shop.db", "shop.web"]
    assert [name.full for name in table.names("shop")] == ["shop.db", "shop.web"]
    assert table.sessions == ["default", "shop"]


def test_name_that_is_taken_is_a_conflict(table):
    add(table, "web")
    with pytest.raises(Conflict, match="job web exists already"):
        add(table, "default.web")


def test_jobs_start_by_priority_then_in_order_of_loading(table):
    for name, priority in (("late", None), ("second", 2), ("later", None), ("first", 1)):
        add(table, name, priority=priority)
    assert [job.name.job for job in table.in_order()] == ["first", "second", "late", "later"]


def test_unloaded_job_is_no_longer_found_but_still_among_all(table):
    web, db = add(table, "web"), add(table, "db")
    assert table.unload(web) and not table.unload(web)
    assert table.names() == [db.name] and table.in_order() == [db] and table.all() == [db, web]
    with pytest.raises(NotFound):
        table.get("web")
    assert table.remove(web) is None and table.all() == [db]


def test_job_waits_for_the_last_of_its_unloaded_namesakes(table):
    first = add(table, "web")
    table.unload(first)
    second = add(table, "web")
    table.unload(second)
    third = add(table, "web")
    assert not first.blocked and second.blocked and third.blocked
    assert table.remove(first) is None
    assert table.remove(second) is third
