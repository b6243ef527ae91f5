from collections.abc import Iterator

import pytest

from gaffer.httpclient import Server

from ..kit.api_double import Serving


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Serving() as serving:
        yield serving


@pytest.fixture
def server(serving: Serving) -> Iterator[Server]:
    with Server(serving.uri) as server:
        yield server
