"""The stand-in model that the tests of the OpenAI adapter share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import served
from tests.standins.model_client import reset

_FAST = {"STANDIN_MODEL_TOKENS": "120", "STANDIN_MODEL_RATE": "3000", "STANDIN_MODEL_TTFT_MS": "0"}


@pytest.fixture(scope="package")
def model_server() -> Iterator[str]:
    """A fast model that takes one key."""
    with served("standins.model", env={**_FAST, "STANDIN_MODEL_KEY": "key"}) as process:
        yield process.url


@pytest.fixture
def url(model_server: str) -> str:
    """The model's address; it has forgotten everything."""
    reset(model_server)
    return model_server
