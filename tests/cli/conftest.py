from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gaffer.cli.app.gaffer import make_program as make_gaffer
from gaffer.cli.core.program import Program, run
from gaffer.cli.ctl.gafferctl import make_program
from tests.kit.api_double import Double, Serving
from tests.kit.simulated_gafferd import SimulatedGafferd


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Serving() as serving:
        yield serving


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run gafferctl in this process, without --connect."""

    def call(*args: str, program: Program | None = None) -> Ended:
        with pytest.raises(SystemExit) as ended:
            run(program or make_program(), args)
        return Ended(ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def ctl(serving: Serving, call: Call) -> Call:
    """Run gafferctl in this process against the double."""
    return lambda *args: call("--connect", serving.uri, *args)


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


@pytest.fixture
def state(serving: Serving) -> Double:
    return serving.state


def sent(state: Double, method: str = "POST") -> tuple[str, Any]:
    """Return path and body of the last request of that method."""
    request = [one for one in state.requests if one.method == method][-1]
    return request.path, request.json if request.body else None
