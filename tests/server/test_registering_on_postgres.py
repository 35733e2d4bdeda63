"""What a client does all the time, once with a server whose index is in PostgreSQL."""

from __future__ import annotations

import pytest

from server.cluster import Cluster
from server.test_registering import (  # noqa: F401  the same tests
    remote,
    test_sync_sends_what_waited,
    test_what_is_registered_is_shown_to_be_in_the_log,
    test_without_the_code_beside_them,
)


@pytest.fixture(scope="module")
def engine(postgres: Cluster) -> tuple[str, ...]:
    """The options that name the database of the module's server."""
    return ("--database", postgres.database())
