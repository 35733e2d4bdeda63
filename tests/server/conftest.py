"""Fixtures of the server's tests; ``serving`` has what they give."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from server.cluster import Cluster, cluster
from server.serving import Glaas, options

ENGINE = os.environ.get("ROAR_TEST_DATABASE", "sqlite")


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options that name the database of a server; with ROAR_TEST_DATABASE=postgres it is not SQLite."""
    return options(request.getfixturevalue("postgres").database() if ENGINE == "postgres" else None)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def on_both(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Both engines, one after the other. A module whose tests run on both says ``engine = on_both``."""
    return options(request.getfixturevalue("postgres").database() if request.param == "postgres" else None)


@pytest.fixture(scope="module")
def glaas(tmp_path_factory: pytest.TempPathFactory, engine: tuple[str, ...]) -> Iterator[Glaas]:
    """A running server, one a module."""
    server = Glaas(tmp_path_factory.mktemp("glaas"), *engine)
    server.migrate()
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


@pytest.fixture
def home_key(glaas: Glaas) -> Path:
    """The administrator's key, where ssh has it."""
    folder = Path(os.environ["HOME"]) / ".ssh"
    folder.mkdir(mode=0o700)
    for name in ("", ".pub"):
        (folder / f"id_ed25519{name}").write_bytes(Path(f"{glaas.key}{name}").read_bytes())
    (folder / "id_ed25519").chmod(0o600)
    return folder / "id_ed25519"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL of the tests' own."""
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    """Where an index is kept: beside the repositories (None), and in a database that is empty."""
    if request.param == "sqlite":
        return None
    running: Cluster = request.getfixturevalue("postgres")
    return running.database()
