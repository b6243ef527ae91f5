"""One command on many nodes: one table, one report, and each node's problems under its name."""

import json
import threading

import pytest

from gaffer.cli.core.fanout import LiveOutput, NodeEnding, NodeOutput, Report
from gaffer.cli.core.output import View
from gaffer.httpclient.cluster import Cluster, Node, Result
from tests.kit.simulated_gafferd import SimulatedGafferd


@pytest.fixture
def nodes():
    with SimulatedGafferd() as one, SimulatedGafferd() as two:
        for gafferd in (one, two):
            gafferd.load("default.web", start=True)
        one.load("default.only")
        yield {"node-1": one, "second": two}


@pytest.fixture
def on_all(nodes, call, monkeypatch):
    """Run gafferctl on both nodes; no lookupd is asked for them."""
    found = [Node(name, gafferd.uri) for name, gafferd in nodes.items()]
    monkeypatch.setattr(Cluster, "select", lambda self, on: found)
    return lambda *args: call("-L", "http://lookup", "--on", "all", *args)


def test_tables_of_all_nodes_become_one(on_all):
    assert on_all("stats").out == (
        "NODE    NAME  PROCESSES  CPU %  MEM %   RSS  MAX CPU %  MAX MEM %\n"
        "node-1  only          0    0.0    0.0    0B        0.0        0.0\n"
        "node-1  web           1    1.5    0.5  2.0K        1.5        0.5\n"
        "second  web           1    1.5    0.5  2.0K        1.5        0.5\n"
    )


def test_lists_and_names_stand_after_their_node(on_all):
    assert on_all("processes").out == "node-1  only\nnode-1  web\nsecond  web\n"
    assert on_all("status", "-o", "name").out == "node-1  only\nnode-1  web\nsecond  web\n"


def test_details_stand_after_their_node(on_all):
    assert "second  state       running\n" in on_all("status", "web").out


def test_json_has_one_object_for_each_node(on_all, nodes):
    ended = on_all("processes", "-o", "json")
    assert json.loads(ended.out) == [
        {"node": "node-1", "origin": nodes["node-1"].uri, "ok": True, "result": ["only", "web"]},
        {"node": "second", "origin": nodes["second"].uri, "ok": True, "result": ["web"]},
    ]


def test_failure_on_one_node_is_reported_under_its_name(on_all):
    ended = on_all("scale", "only", "+1")
    assert (ended.code, ended.out) == (1, "node-1  2\n")
    assert ended.err.startswith("gafferctl: second: no job 'only'")


def test_exit_code_of_a_view_counts(on_all, nodes):
    nodes["second"].call(lambda: nodes["second"].manager.stop_job("web"))
    assert on_all("status", "web", "-o", "json").code == 1


def test_raw_output_is_split_into_lines():
    output = NodeOutput()
    output.write_bytes(b"one\ntw")
    output.write_bytes(b"o\xff")
    output.finish()
    assert output.text == ["one", "two\ufffd"]


def test_live_output_names_the_node_of_each_line(capsys):
    output = LiveOutput("gafferctl", Node("a", "http://a"), 3, threading.Lock())
    output.write("one\ntwo")
    output.show(View([1], [1]), "table")
    output.complain(None, "lost")
    output.finish()
    assert capsys.readouterr() == ("a    one\na    1\na    two\n", "gafferctl: a: lost\n")


def ending(number, code=0, problem=None):
    output = NodeOutput()
    output.show(View([number], [number], ("NUMBER",), [(number,)]), "table")
    return NodeEnding(output, code, problem)


def test_what_has_come_is_printed_when_others_take_long_and_those_when_they_come(capsys):
    nodes = [Node(name, f"http://{name}") for name in ("a", "slow", "c")]
    report = Report("gafferctl", nodes, "table", False, patience=3600)
    report.add(Result(nodes[2], ending(3)))
    report.add(Result(nodes[0], ending(1)))
    assert capsys.readouterr() == ("", "")
    report._print_early()
    assert capsys.readouterr() == ("NODE  NUMBER\na          1\nc          3\n", "gafferctl: waiting for slow\n")
    report.add(Result(nodes[1], ending(2, 1, "it did not answer")))
    assert capsys.readouterr() == ("NODE  NUMBER\nslow       2\n", "gafferctl: slow: it did not answer\n")
    assert report.finish() == 1
    assert capsys.readouterr() == ("", "")


def test_results_that_come_soon_are_one_table(capsys):
    nodes = [Node(name, f"http://{name}") for name in ("a", "b")]
    report = Report("gafferctl", nodes, "table", False, patience=3600)
    report.add(Result(nodes[1], ending(2)))
    report.add(Result(nodes[0], ending(1)))
    assert report.finish() == 0
    assert capsys.readouterr().out == "NODE  NUMBER\na          1\nb          2\n"


def test_lost_nodes_are_told(on_all, monkeypatch):
    lost = {"name": "n2", "origin": "http://n2:5000", "seconds": 20.2}

    def select(self, on):
        self.lost = [{**lost, "reason": "expired"}, {**lost, "name": "n3", "reason": "disconnected"}]
        return select_before(self, on)

    select_before = Cluster.select
    monkeypatch.setattr(Cluster, "select", select)
    assert on_all("processes").err.splitlines() == [
        "gafferctl: node n2 at http://n2:5000 expired 20s ago and is left out",
        "gafferctl: node n3 at http://n2:5000 lost its connection 20s ago and is left out",
    ]
