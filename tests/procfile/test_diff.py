"""What a second load of a Procfile changes."""

from __future__ import annotations

from gaffer.config.jobconfig import JobConfig
from gaffer.config.names import JobName
from gaffer.procfile.application import read_application
from gaffer.procfile.diff import Change, Present, compare


def application(folder, procfile, env="", **options):
    (folder / "Procfile").write_text(procfile)
    (folder / ".env").write_text(env)
    return read_application(str(folder / "Procfile"), name="shop", environ={}, **options)


def loaded(application, **scaled):
    """Return the jobs of an application as a gafferd shows them that has loaded it."""
    configs = [JobConfig.from_dict(settings) for settings in application.jobs()]
    return [
        Present(one.job_name, {**one.to_dict(), "of_a_plugin": 7}, scaled.get(one.job_name.job, one.numprocesses))
        for one in configs
    ]


def told(changes):
    return [line for change in changes for line in change.lines()]


def test_the_first_load_loads_all(tmp_path):
    found = compare(application(tmp_path, "web: a\nclock: b\n", concurrency=["web=2"]), [], {"web"})
    assert told(found) == ["shop.web: loaded, 2 processes", "shop.clock: loaded, 1 process"]
    assert found[0].settings["name"] == "shop.web"


def test_what_is_the_same_stays(tmp_path):
    before = application(tmp_path, "web: a\n", "A=1\n")
    assert told(compare(before, loaded(before), set())) == ["shop.web: unchanged, 1 process"]
    assert told(compare(before, loaded(before, web=4), set())) == ["shop.web: unchanged, 4 processes"]


def test_a_job_that_was_stopped_stays_so_and_that_is_said(tmp_path):
    before = application(tmp_path, "web: a\nclock: b\n")
    web, clock = (one._replace(down=state) for one, state in zip(loaded(before), ("stopped", "failed")))
    assert told(compare(before, [web, clock], set())) == [
        "shop.web: unchanged, stopped; 'gafferctl start shop.web' starts it",
        "shop.clock: unchanged, failed; 'gafferctl start shop.clock' starts it",
    ]
    after = application(tmp_path, "web: c\n")
    assert told(compare(after, [web, clock], set())) == [
        "shop.clock: unloaded",
        "shop.web: updated, stopped; 'gafferctl start shop.web' starts it",
        "  cmd: a -> c",
    ]


def test_only_what_differs_is_touched(tmp_path):
    before = application(tmp_path, "web: a\nold: b\nsame: c\nclock: d\n", "A=1\nB=2\nC=secret\n")
    present = loaded(before, web=3)
    after = application(tmp_path, "web: a -v\nsame: c\nclock: d\nnew: e\n", "A=1\nB=2\nC=secret\n", ports=False)
    changes = {change.name.job: change for change in compare(after, present, set())}
    assert list(changes) == ["old", "web", "same", "clock", "new"]
    assert changes["old"] == Change(JobName("shop", "old"), "unloaded", {})
    assert changes["web"].details == ("cmd: a -> a -v", "port: 5100 -> none")
    assert changes["web"].settings["numprocesses"] == 3, "it keeps the number it was scaled to"
    assert changes["web"].settings["of_a_plugin"] == 7, "and what a plugin was told"
    assert "start" not in changes["web"].settings
    assert changes["new"].kind == "loaded"


def test_values_of_variables_are_not_told(tmp_path):
    before = application(tmp_path, "web: a\n", "A=1\nB=2\nC=3\n")
    after = application(tmp_path, "web: a\n", "A=1\nB=secret\nD=4\n")
    assert told(compare(after, loaded(before), set())) == [
        "shop.web: updated",
        "  env: D set, B changed, C removed",
    ]


def test_a_number_that_was_asked_for_is_taken(tmp_path):
    before = application(tmp_path, "web: a\nclock: b\n")
    after = application(tmp_path, "web: a\nclock: b\n", concurrency=["web=2"])
    assert told(compare(after, loaded(before, clock=5), {"web"})) == [
        "shop.web: updated",
        "  numprocesses: 1 -> 2",
        "shop.clock: unchanged, 5 processes",
    ]
    all_of_them = application(tmp_path, "web: a\nclock: b\n", concurrency=["all=2"])
    assert [change.number for change in compare(all_of_them, loaded(before), {"all"})] == [2, 2]


def test_a_dry_run_says_what_would_be():
    change = Change(JobName("shop", "web"), "updated", {}, 1, ("cmd: a -> b",))
    assert change.lines(True) == ["shop.web: would be updated", "  cmd: a -> b"]
    assert change._replace(kind="unchanged", details=()).lines(True) == ["shop.web: unchanged, 1 process"]
