"""The processes of a manager by pid, alive and ended."""

from types import SimpleNamespace

import pytest

from gaffer.config.names import JobName
from gaffer.errors import NotFound
from gaffer.manager.process_table import ProcessTable


def process(pid):
    return SimpleNamespace(pid=pid, name=JobName("default", "web"), readers={}, duplexes=None)


def test_process_is_found_while_it_lives_and_for_a_while_after():
    table, one = ProcessTable(), process(7)
    table.add(one)
    assert table.get(7) is table.find(7) is one
    table.end(one)
    assert table.find(7) is one and table.live == {}
    with pytest.raises(NotFound, match="no process 7"):
        table.get(7)


@pytest.mark.parametrize("pid", [8, "7", None])
def test_what_is_no_pid_of_a_process_is_not_found(pid):
    table = ProcessTable()
    table.add(process(7))
    with pytest.raises(NotFound):
        table.get(pid)
    assert table.find(pid) is None and table.job_of(pid) is None


def test_job_of_an_ended_process_is_known():
    table, one = ProcessTable(), process(7)
    table.end(one)
    assert table.job_of(7) == JobName("default", "web")
