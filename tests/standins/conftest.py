"""Fixtures of the stand-ins' tests: each test module has a process of its own, each test one that was reset."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from qstash import AsyncQStash, QStash

from tests.processes import served
from tests.standins import qstash_client
from tests.standins.receiver import Receiver, receiving

FAST_MODEL = {"STANDIN_MODEL_TOKENS": "120", "STANDIN_MODEL_RATE": "3000", "STANDIN_MODEL_TTFT_MS": "0"}


@pytest.fixture(scope="module")
def qstash_url() -> Iterator[str]:
    with served("standins.qstash", "--seed", "7", env=qstash_client.ENVIRONMENT) as process:
        yield process.url


@pytest.fixture
def control(qstash_url: str) -> Iterator[httpx.Client]:
    """The control API of a QStash that has forgotten the test before."""
    with httpx.Client(base_url=f"{qstash_url}/__standin/", trust_env=False) as client:
        client.post("reset").raise_for_status()
        yield client


@pytest.fixture
def qstash(qstash_url: str, control: httpx.Client) -> Iterator[QStash]:  # noqa: ARG001 - what it controls is reset
    client = QStash(qstash_client.TOKEN, base_url=qstash_url, retry=False)
    yield client
    client.http._client.close()


@pytest_asyncio.fixture
async def async_qstash(qstash_url: str, control: httpx.Client) -> AsyncIterator[AsyncQStash]:  # noqa: ARG001 - as above
    client = AsyncQStash(qstash_client.TOKEN, base_url=qstash_url, retry=False)
    yield client
    await client.http._client.aclose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def model_process() -> Iterator[str]:
    with served("standins.model", env=FAST_MODEL) as process:
        yield process.url


@pytest.fixture
def model_url(model_process: str) -> str:
    """The address of a model that has forgotten the test before."""
    httpx.post(f"{model_process}/__standin/reset").raise_for_status()
    return model_process


@pytest_asyncio.fixture
async def sdk(model_url: str) -> AsyncIterator[AsyncOpenAI]:
    """The model's SDK, which does not try again by itself."""
    async with AsyncOpenAI(api_key="any", base_url=f"{model_url}/v1", max_retries=0) as made:
        yield made
