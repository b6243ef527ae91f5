""".gaffer.ini beside a Procfile: what waits for what, and what is wrong with it."""

from __future__ import annotations

import pytest

from gaffer.errors import ConfigError
from gaffer.procfile.application import read_application
from gaffer.procfile.diff import Present, compare


@pytest.fixture
def shop(tmp_path):
    """Return a function that reads an application with this .gaffer.ini."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "Procfile").write_text("web: serve\nworker: work\nmigrate: ./migrate\ndb: postgres\n")

    def read(text, **options):
        (root / ".gaffer.ini").write_text(text)
        return read_application(str(root / "Procfile"), environ={}, **options)

    return read


GOOD = (
    "[depends]\nweb = db, migrate:completed\nmigrate = db\nworker = other.queue:started\n\n[on_lost]\nweb = restart\n"
)


def test_types_come_behind_those_that_they_wait_for(shop):
    jobs = {job["name"]: job for job in shop(GOOD).jobs()}
    assert list(jobs) == ["shop.db", "shop.migrate", "shop.web", "shop.worker"]
    assert (
        jobs["shop.web"]["depends_on"] == ["db:ready", "migrate:completed"] and jobs["shop.web"]["on_lost"] == "restart"
    )
    assert jobs["shop.worker"]["depends_on"] == ["other.queue:started"] and jobs["shop.worker"]["on_lost"] == "keep"
    assert "depends_on" not in jobs["shop.db"]


def test_a_type_that_is_to_complete_is_not_restarted_then(shop):
    jobs = {job["name"]: job.get("restart") for job in shop(GOOD).jobs()}
    assert jobs == {"shop.db": None, "shop.migrate": "on-failure", "shop.web": None, "shop.worker": None}


def test_types_that_are_not_run_are_not_waited_for(shop):
    (web,) = shop(GOOD, only=["web"]).jobs()
    assert "depends_on" not in web
    jobs = {job["name"]: job for job in shop(GOOD, concurrency=["migrate=0"]).jobs()}
    assert jobs["shop.web"]["depends_on"] == ["db:ready"]


def test_ports_stay_those_of_the_order_in_the_procfile(shop):
    assert shop(GOOD).ports()["web.1"] == 5100


WRONG = {
    "[depends]\nwebb = db\n": ["2: the Procfile has no process type 'webb'; did you mean 'web'?"],
    "[depends]\nweb = dbb\n": ["2: web: the Procfile has no process type 'dbb'; did you mean 'db'?"],
    "[depends]\nweb = shop.dbb\n": ["2: web: the Procfile has no process type 'dbb'; did you mean 'db'?"],
    "[depends]\nweb = db:redy\n": ["2: web: unknown condition 'redy' in 'db:redy'; use one of"],
    "[depends]\nweb = web\n": ["2: web: 'web': a type cannot wait for itself"],
    "[depend]\nweb = db\n": ["1: unknown section [depend]; did you mean 'depends'?"],
    "[on_lost]\nweb = resart\n": ["2: expected one of keep, restart, stop, not 'resart'; did you mean 'restart'?"],
    "[depends]\nweb = db\ndb = migrate\nmigrate = web\n": [
        "2: they wait for each other: web waits for db waits for migrate, which waits for web; take one out"
    ],
    "[depends]\nweb\n": ["2: expected [SECTION] or KEY = VALUE"],
}


@pytest.mark.parametrize("text", WRONG)
def test_problems_have_file_and_line(shop, text):
    with pytest.raises(ConfigError) as caught:
        shop(text)
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == len(WRONG[text])
    for problem, sentence in zip(found, WRONG[text]):
        assert f"shop/.gaffer.ini:{sentence}" in problem


def test_a_dependency_that_was_taken_out_is_a_change(shop):
    before = {job["name"]: job for job in shop(GOOD).jobs()}
    application = shop("[depends]\nweb = db\n")
    defaults = {"depends_on": [], "on_lost": "keep"}
    full = {config.name: {**config.to_dict(), **defaults} for config in shop(GOOD).configs()}
    present = [
        Present(config.job_name, {**full[config.name], **before[config.name]}, 1) for config in shop(GOOD).configs()
    ]
    changes = {str(change.name): change.details for change in compare(application, present, ()) if change.details}
    assert changes["shop.web"] == ("depends_on: db:ready, migrate:completed -> db:ready", "on_lost: restart -> keep")
    assert changes["shop.worker"] == ("depends_on: other.queue:started -> none",)
    assert set(changes) == {"shop.web", "shop.worker", "shop.migrate"}


def test_without_the_file_nothing_is_compared(shop):
    application = shop("")
    present = [Present(config.job_name, config.to_dict(), 1) for config in application.configs()]
    assert {change.kind for change in compare(application, present, ())} == {"unchanged"}
