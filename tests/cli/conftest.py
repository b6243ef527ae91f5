from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gaffer.cli.app.gaffer import make_program as make_gaffer
from gaffer.cli.core.program import Program, run
from gaffer.cli.ctl.gafferctl import make_program
from tests.kit.simulated_gafferd import SimulatedGafferd


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run gafferctl in this process, without --connect."""

    def call(*args: str, program: Program | None = None) -> Ended:
        with pytest.raises(SystemExit) as ended:
            run(program or make_program(), args)
        return Ended(ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def gafferd() -> Iterator[SimulatedGafferd]:
    with SimulatedGafferd() as gafferd:
        yield gafferd


@pytest.fixture
def gafferctl(gafferd: SimulatedGafferd, call: Call) -> Call:
    """Run gafferctl in this process against the simulated gafferd."""
    return lambda *args: call("--connect", gafferd.uri, *args)


@pytest.fixture
def gaffer(gafferd: SimulatedGafferd, call: Call, tmp_path: Path) -> Call:
    """Run gaffer in this process, for the application ``shop``, against the simulated gafferd."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return lambda *args: call("-d", str(folder), "-g", gafferd.uri, *args, program=make_gaffer())
