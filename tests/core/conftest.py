"""The parametrised store, on each kind of which a test that asks for it runs; and how long random tests search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.core import stores
from tests.core.stores import Store
from tests.standins.redis_client import Rest

# No test may fail because the machine was busy.
settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")


@pytest.fixture(scope="session", params=stores.KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Rest | None]:
    with stores.server(request.param) as rest:
        yield rest


@pytest_asyncio.fixture
async def store(server: Rest | None) -> AsyncIterator[Store]:
    async with stores.store(server) as empty:
        yield empty
