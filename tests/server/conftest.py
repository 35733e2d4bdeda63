"""Fixtures of the server's tests; ``serving`` has what they give."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from server.serving import Glaas


@pytest.fixture(scope="module")
def glaas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glaas]:
    """A running server, one a module."""
    server = Glaas(tmp_path_factory.mktemp("glaas"))
    server.start()
    yield server
    server.stop()


_NUMBERS = count(1)


@pytest.fixture
def project(glaas: Glaas) -> str:
    """A private project of the test's own; ada is its administrator."""
    name = f"team/p{next(_NUMBERS)}"
    glaas.people.add_project(name, by="tests", owner="ada")
    return name
