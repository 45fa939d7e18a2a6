"""The generator that comes with Holdfast, and the one that the README shows, pass the check that users are given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.adapters.openai import openai_generator
from holdfast.generation import Generator
from holdfast.testing import check_generator
from tests.processes import ROOT, served

_FAST = {"STANDIN_MODEL_TOKENS": "40", "STANDIN_MODEL_RATE": "4000", "STANDIN_MODEL_TTFT_MS": "0"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A fast model, whose text is another one for every call that does not go on from an earlier one."""
    with served("standins.model", env={**_FAST, "STANDIN_MODEL_KEY": "key"}) as process:
        yield f"{process.url}/v1"


@pytest.mark.asyncio
@pytest.mark.parametrize("api", ["chat", "responses", "background"])
async def test_our_own_generator_continues_properly(url: str, api: Any) -> None:
    """Over every API, a real SDK and real sockets."""
    generate = openai_generator(api=api, api_key="key", base_url=url, model="standin", poll=0.05)
    report = await check_generator(generate, prompt="Why do knots hold?", interruptions=8)
    assert report.ok, report
    assert (report.expected, report.continues) == ("sound", True)
    assert report.interruptions >= 8


@pytest.mark.asyncio
@pytest.mark.parametrize("api", ["chat", "responses", "background"])
async def test_our_own_generator_continues_properly_behind_reasoning(url: str, api: Any) -> None:
    """What a model reasons when it is asked for the rest reaches nobody."""
    generate = openai_generator(api=api, api_key="key", base_url=url, model="standin", poll=0.05)
    report = await check_generator(generate, prompt="standin: tokens=20 reasoning=20\nWhy?", interruptions=12)
    assert report.ok, report


@pytest.mark.asyncio
async def test_the_generator_of_the_readme_continues_properly(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken from the page as it stands there."""
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    (code,) = re.findall(r"```python\n(# my_agent\.py\n.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own page
    generate: Generator = names["generate"]
    report = await check_generator(generate, prompt="Why do knots hold?", interruptions=8)
    assert report.ok, report
    assert report.interruptions >= 8
