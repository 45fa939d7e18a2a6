"""A system that tests share, and one in which nothing happens by itself, so that a refusal's traces would show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import system as running
from tests.e2e.waiting import until


@pytest.fixture(scope="session")
def at() -> Iterator[running.Standins]:
    """Stand-ins."""
    with running.standins() as found:
        yield found


@pytest.fixture(scope="session")
def system(at: running.Standins) -> Iterator[running.System]:
    """A system with scaled-down limits. Who uses it ends the answers that it started."""
    with running.system({"HOLDFAST_HEARTBEAT_SECONDS": "0.2", "HOLDFAST_LEASE_SECONDS": "10"}, at) as found:
        yield found


@pytest.fixture(scope="session")
def calm() -> Iterator[running.System]:
    """A system of its own that holds one finished answer of the chat ``calm``, and takes bodies up to 20,000 bytes."""
    with running.system({"HOLDFAST_MAX_BODY_BYTES": "20000"}) as found:
        found.finished(found.ask("Be calm.", chat_id="calm"))
        until(lambda: not any(":lease:" in key for key in found.key_names()), "end of the lease")
        yield found
