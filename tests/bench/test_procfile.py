"""The bench of Procfiles measures what it says, with the gaffer that is installed."""

import shutil

import pytest

from bench import procfile
from bench.stamps import BenchError

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="the bench's child is written in C")


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setattr(procfile, "WORK", tmp_path)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "cache"))
    return procfile.gaffer()._replace(flood=1)


def test_every_figure_is_measured(small):
    found = procfile.measure([small], rounds=1)
    (values,) = found.values()
    assert list(found) == ["gaffer"] and len(values) == len(procfile.FIGURES)
    assert all(value > 0 for value in values)


def test_a_runner_that_ends_is_no_figure(small, tmp_path):
    (tmp_path / "procfile").mkdir()
    child = procfile.build_child(tmp_path)
    broken = small._replace(command=["false"])
    for figure in procfile.MEASURES:
        with pytest.raises(BenchError):
            figure(broken, tmp_path / "procfile", child)
