"""Stand-ins that the tests of the examples share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import system as running


@pytest.fixture(scope="package")
def at() -> Iterator[running.Standins]:
    """Stand-ins."""
    with running.standins() as found:
        yield found
