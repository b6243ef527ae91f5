"""gaffer.lookupd.registry: copies of records, what counts, and what watchers hear of it."""

import pytest

from gaffer.errors import BadRequest, NotFound, TooLarge
from gaffer.lookupd import records
from gaffer.lookupd.records import NodeInfo, NodeKey, Record, load_record, read_info
from gaffer.lookupd.registry import Registry

A = NodeInfo("a", "http://a:5000", "1.0", {"zone": "x"}, "life")


class Watched(Registry):
    """A registry with one watcher."""

    def __init__(self):
        super().__init__()
        self.follower = self.events.follow(".")

    def heard(self):
        """Return what was published since the last time, in short."""
        messages = [event.message for event in self.follower.take()[1]]
        return [(one["event"], one["node_info"]["name"], one.get("job_name"), one.get("pid")) for one in messages]


@pytest.fixture
def registry():
    return Watched()


def test_a_node_comes_changes_and_goes(registry):
    record = Record(A)
    registry.put(record)
    registry.add_job(record, "default.web", [1, 2])
    registry.add_processes(record, "default.web", {3})
    registry.remove_processes(record, "default.web", {1, 2})
    assert registry.heard() == [
        ("add_node", "a", None, None),
        ("identify", "a", None, None),
        ("add_job", "a", "default.web", None),
        ("add_process", "a", "default.web", 1),
        ("add_process", "a", "default.web", 2),
        ("add_process", "a", "default.web", 3),
        ("remove_process", "a", "default.web", 1),
        ("remove_process", "a", "default.web", 2),
    ]
    info = {"name": "a", "origin": "http://a:5000", "version": "1.0", "labels": {"zone": "x"}}
    assert registry.sources("default.web") == [{"name": "a", "pids": [3], "node_info": info}]
    registry.drop(A.key)
    assert registry.heard() == [
        ("remove_process", "a", "default.web", 3),
        ("remove_job", "a", "default.web", None),
        ("remove_node", "a", None, None),
    ]
    assert (registry.nodes, registry.jobs(), registry.sources("default.web"), registry.held()) == ({}, [], [], [])


def test_a_job_registered_again_with_pids_has_those_and_no_others(registry):
    record = Record(A, {"default.web": [1, 2]})
    registry.put(record)
    registry.heard()
    registry.add_job(record, "default.web", [2, 3])
    registry.add_job(record, "default.web", None)
    assert registry.heard() == [("remove_process", "a", "default.web", 1), ("add_process", "a", "default.web", 3)]
    assert registry.jobs("a") == ["default.web"] and registry.jobs("b") == []


def test_the_copy_that_is_complete_up_to_the_latest_state_counts(registry):
    here, old, new = (
        Record(A, {"default.x": [1]}, 8),
        Record(A, {"default.x": [2]}, 5),
        Record(A, {"default.y": [3]}, 7),
    )
    registry.put(new, "lookupd-2")
    registry.put(old, "lookupd-1")
    assert registry.jobs() == ["default.y"]
    registry.put(here)
    assert registry.sources("default.x")[0]["pids"] == [1] and registry.jobs() == ["default.x"]
    registry.drop(A.key)
    assert registry.jobs() == ["default.y"]
    registry.drop(A.key, "lookupd-2")
    assert registry.sources("default.x")[0]["pids"] == [2]
    events = [event for event, *_ in registry.heard()]
    assert events.count("add_node") == 1 and "remove_node" not in events
    assert registry.held() == [(A.key, "lookupd-1")]


def test_all_lookupds_let_the_same_copy_count():
    """Whichever lookupd hears the node, and in whichever order copies come."""
    copies = {"1": Record(A, {"default.x": [1]}, 4), "2": Record(A, {"default.x": [2]}, 4), "3": Record(A, {}, 3)}
    for here in ("1", "2", "3", "4"):
        for order in (["1", "2", "3"], ["3", "2", "1"]):
            registry = Registry(here)
            for holder in order:
                registry.put(copies[holder], None if holder == here else holder)
            assert [source["pids"] for source in registry.sources("default.x")] == [[2]]


def test_what_is_said_here_is_told_when_it_counts(registry):
    registry.here = "me"
    here = Record(A, {"default.x": [1]}, 1)
    registry.put(Record(A, {"default.x": [1]}, 2), "you")
    registry.put(here)
    registry.heard()
    registry.add_job(here, "default.y", [5])
    assert registry.heard() == [] and registry.jobs() == ["default.x"]
    registry.advance(here, 3)
    assert registry.heard() == [("add_job", "a", "default.y", None), ("add_process", "a", "default.y", 5)]
    registry.advance(here, 2)
    assert here.state == 3 and registry.heard() == []
    registry.remove_job(here, "default.y")
    assert [event for event, *_ in registry.heard()] == ["remove_process", "remove_job"]
    registry.drop(A.key)
    assert registry.jobs() == ["default.x"]


def test_same_name_other_origin_is_another_node(registry):
    registry.put(Record(A, {"default.web": [1]}))
    registry.put(Record(NodeInfo("a", "http://b:5000"), {"default.web": [1]}))
    assert [info.origin for info in registry.infos()] == ["http://a:5000", "http://b:5000"]
    assert len(registry.sources("default.web")) == 2


def test_what_is_not_there_is_removed_already(registry):
    """Nodes of gaffer 0.5 tell twice of a process that is stopped."""
    record = Record(A, {"default.web": [1]})
    registry.put(record)
    registry.remove_job(record, "default.none")
    registry.remove_processes(record, "default.web", {9})
    for wrong in (
        lambda: registry.add_processes(record, "default.none", {1}),
        lambda: registry.remove_processes(record, "default.none", {1}),
    ):
        with pytest.raises(NotFound):
            wrong()
    assert record.jobs == {"default.web": {1}}


def test_events_and_sources_have_the_keys_of_gaffer_0_5_too(registry):
    record = Record(A)
    registry.put(record)
    registry.add_job(record, "default.web", [7])
    added, identified, job, process = (event.message for event in registry.follower.take()[1])
    info = {"name": "a", "origin": "http://a:5000", "version": "1.0", "labels": {"zone": "x"}}
    assert added == {"event": "add_node", **info, "node_info": info}
    assert identified == {**added, "event": "identify"}
    assert job == {
        "event": "add_job",
        "node": info,
        "job_name": "default.web",
        "node_info": info,
        "name": "default.web",
    }
    assert process == {**job, "event": "add_process", "pid": 7}
    assert [source["name"] for source in registry.sources("default.web")] == ["a"]
    assert registry.sources("default.web", "b") == []


def test_a_node_is_bounded_and_gets_room_back(registry, monkeypatch):
    monkeypatch.setattr(records, "MOST_BYTES", 100)
    record = Record(A)
    registry.put(record)
    registry.add_job(record, "default.web", list(range(1, 10)))
    size = record.size
    with pytest.raises(TooLarge, match="node a registers more than 100 bytes"):
        registry.add_job(record, "default.other", list(range(1, 50)))
    assert (record.size, list(record.jobs)) == (size, ["default.web"])
    registry.remove_job(record, "default.web")
    assert record.size == 0


def test_registries_are_bounded(registry, monkeypatch):
    monkeypatch.setattr("gaffer.lookupd.registry.MOST_NODES", 1)
    registry.put(Record(A))
    with pytest.raises(TooLarge, match="1 nodes are registered"):
        registry.put(Record(NodeInfo("b", "http://b")))
    registry.put(Record(A))
    assert list(registry.nodes) == [NodeKey("a", "http://a:5000")]


def test_state_tells_all(registry):
    registry.put(Record(A, {"default.web": [2, 1]}))
    assert [(one["event"], one.get("pid")) for one in registry.state()] == [
        ("add_node", None),
        ("add_job", None),
        ("add_process", 1),
        ("add_process", 2),
    ]


def test_records_survive_being_written():
    record = Record(A, {"default.web": [3, 1], "s.j": []}, 7)
    again = load_record(record.dump())
    jobs = {"default.web": {1, 3}, "s.j": set()}
    assert (again.info, again.jobs, again.size, again.state) == (A, jobs, record.size, 7)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"info":{}}', b'{"info":{"name":"a","origin":"o"},"jobs":{"a":[0]}}'])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(BadRequest):
        load_record(data)


@pytest.mark.parametrize(
    "said, reason",
    [
        ({}, "name must be text and not empty"),
        ({"name": 1, "origin": "o"}, "name must be text"),
        ({"name": "a"}, "origin must be text"),
        ({"name": "a\n", "origin": "o"}, "printable"),
        ({"name": "a" * 256, "origin": "o"}, "up to 255"),
        ({"name": "a", "origin": "o", "labels": []}, None),
        ({"name": "a", "origin": "o", "labels": [1]}, "labels must be"),
        ({"name": "a", "origin": "o", "labels": {"x": 1}}, "label 'x' must be text"),
        ({"name": "a", "origin": "o", "labels": {str(n): "" for n in range(65)}}, "at most 64"),
    ],
)
def test_the_name_that_a_node_gives_itself_is_checked(said, reason):
    if reason is None:
        assert read_info(said).labels == {}
        return
    with pytest.raises(BadRequest, match=reason):
        read_info(said)
