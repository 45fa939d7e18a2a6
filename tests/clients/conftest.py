"""Systems that the clients of these tests read: one as deployed, one that ends each response after three seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.stock import VERSIONS, Chats
from tests.e2e import system as running
from tests.e2e.links import Link

GENERATOR = {"HOLDFAST_GENERATOR": "tests.clients.agents:play"}


@pytest.fixture(scope="package")
def at() -> Iterator[running.Standins]:
    """Stand-ins."""
    with running.standins() as found:
        yield found


@pytest.fixture(scope="package")
def system(at: running.Standins) -> Iterator[running.System]:
    """A system whose generator does what the prompt asks for."""
    with running.system(GENERATOR, at) as found:
        yield found


@pytest.fixture(scope="package")
def limited(at: running.Standins) -> Iterator[running.System]:
    """The same on a platform that gives every function three seconds."""
    with running.system(GENERATOR | {"HOLDFAST_MAX_SECONDS": "3"}, at) as found:
        yield found


@pytest.fixture
def link(system: running.System) -> Iterator[Link]:
    """A way to the system that a test may cut."""
    with Link(system.url) as found:
        yield found


@pytest.fixture(scope="package", params=VERSIONS)
def chats(request: pytest.FixtureRequest) -> Iterator[Chats]:
    """Stock chats of one version of the AI SDK."""
    with Chats.of(request.param) as found:
        yield found
