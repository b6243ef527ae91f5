from collections.abc import Iterator

import pytest

from gaffer.httpclient import Server

from ..kit.scripted_server import ScriptedServer
from ..kit.simulated_gafferd import SimulatedGafferd


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        yield scripted


@pytest.fixture
def client(scripted: ScriptedServer) -> Iterator[Server]:
    """A client of the scripted server."""
    with Server(scripted.uri) as client:
        yield client


@pytest.fixture
def gafferd() -> Iterator[SimulatedGafferd]:
    with SimulatedGafferd() as gafferd:
        yield gafferd


@pytest.fixture
def server(gafferd: SimulatedGafferd) -> Iterator[Server]:
    """A client of the simulated gafferd."""
    with Server(gafferd.uri) as server:
        yield server
