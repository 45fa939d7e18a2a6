"""A system whose generator says as much as it is asked to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import system as running


@pytest.fixture(scope="package")
def system() -> Iterator[running.System]:
    """Beside what tests share elsewhere: what is asked of it here would hold up others."""
    settings = {"HOLDFAST_GENERATOR": "tests.bounds.agents:generate", "HOLDFAST_LEASE_SECONDS": "10"}
    with running.system(settings) as found:
        yield found
