"""Stand-ins and functions that tests share when they disturb nobody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import system as running


@pytest.fixture(scope="session")
def at() -> Iterator[running.Standins]:
    """Stand-ins."""
    with running.standins() as found:
        yield found


@pytest.fixture(scope="session")
def system(at: running.Standins) -> Iterator[running.System]:
    """A system with scaled-down limits. Who uses it ends the answers that it started."""
    with running.system(at=at) as found:
        yield found
