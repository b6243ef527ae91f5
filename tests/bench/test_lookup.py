"""bench.lookup, small: nodes register and restart, questions are answered."""

from bench.lookup import MEMORY, measure, row


def test_a_small_crowd():
    found = measure(3, 4, questions=20)
    assert (found.nodes, found.jobs) == (3, 4)
    assert 0 < found.find < 1000 and 0 < found.shared < 1000 and 1e6 < found.memory < MEMORY
    assert len(row(found).split()) == 7
