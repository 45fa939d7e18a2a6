"""Every example of docs/generators.md is run, interrupted and checked; the report that it shows is what comes."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any, get_args

import pytest

from holdfast._testing.report import ADVICE, Code
from tests.processes import ROOT
from tests.testing.words import WORDS, babble, check, pieces

_PAGE = (ROOT / "docs" / "generators.md").read_text("utf-8")
_EXAMPLES = re.findall(r"^```python\n(.*?)^```", _PAGE, re.DOTALL | re.MULTILINE)
_GENERATORS = [code for code in _EXAMPLES if "def generate(" in code]


class Busy(Exception):
    """What the page's provider raises when it has too much to do."""


class MyModel(ModuleType):
    """The page's provider: it goes on behind the text of the assistant, as one that takes a prefill does.

    Attributes:
        busy: whether every other call breaks off.
        pause: seconds between two pieces.
        opened: connections that are open.
        researched: how often research was done.
    """

    Busy = Busy

    def __init__(self) -> None:
        super().__init__("my_model")
        self.busy = False
        self.pause = 0.05
        self.opened = self.researched = self._calls = 0
        self._jobs: list[str] = []

    def ask_sync(self, messages: list[dict[str, str]], after: str = "") -> Iterator[str]:
        """Say the rest."""
        standing = after or "".join(message["content"] for message in messages if message["role"] == "assistant")
        assert WORDS.startswith(standing)
        self._calls += 1
        breaks_off = self.busy and self._calls % 2
        for number, piece in enumerate(pieces(WORDS[len(standing) :])):
            if breaks_off and number == 7:
                raise Busy
            yield piece

    async def ask(self, messages: list[dict[str, str]], after: str = "") -> AsyncIterator[str]:
        """Say the rest, slowly."""
        for piece in self.ask_sync(messages, after):
            await asyncio.sleep(self.pause)
            yield piece

    async def weather(self, city: str) -> dict[str, object]:
        """A tool."""
        await asyncio.sleep(1)
        return {"city": city, "degrees": 7}

    async def research(self, question: str) -> str:
        """Work that is not to be done twice."""
        self.researched += 1
        return f"Notes on {question}"

    async def start_job(self, messages: list[dict[str, str]]) -> int:
        """A text of its own that stays."""
        assert messages
        self._jobs.append(babble())
        return len(self._jobs) - 1

    async def read_job(self, job: int, start: int) -> AsyncIterator[str]:
        """That text, from somewhere on."""
        for piece in pieces(self._jobs[job][start:]):
            yield piece

    async def connect(self) -> MyModel:
        """A connection, which must be closed."""
        self.opened += 1
        return self

    async def close(self) -> None:
        """Close it."""
        self.opened -= 1


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> MyModel:
    """What the examples import."""
    module = MyModel()
    monkeypatch.setitem(sys.modules, "my_model", module)
    return module


def run(code: str) -> dict[str, Any]:
    """The names that an example defines."""
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own page
    return names


def test_the_page_shows_what_it_is_about() -> None:
    """Examples are found, so that the tests below test something."""
    assert len(_GENERATORS) == 9
    assert sum("def generate(" in line for line in _PAGE.splitlines()) == len(_GENERATORS)


@pytest.mark.parametrize("code", _GENERATORS)
def test_every_example_continues_properly(model: MyModel, code: str) -> None:
    """It passes the check that the page tells people to make, interrupted at many more places."""
    model.busy = "Busy" in code
    report = check(run(code)["generate"], interruptions=50)
    assert report.ok, report
    assert report.continues is ("@cannot_continue" not in code)
    assert report.text == WORDS or "read_job" in code
    assert model.opened == 0
    if "research" in code:
        # Once for each answer, and again only where the attempt died before its checkpoint was written.
        assert report.runs <= model.researched <= report.runs + 5


def test_the_tests_of_the_page_pass(model: MyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it shows for a test file is one."""
    model.pause = 0.0  # one of them runs in real time
    agent = ModuleType("my_agent")
    agent.__dict__.update(run(_GENERATORS[0]))
    monkeypatch.setitem(sys.modules, "my_agent", agent)
    (code,) = [code for code in _EXAMPLES if "def test_" in code]
    tests = [value for name, value in run(code).items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        if inspect.iscoroutinefunction(test):
            asyncio.run(test())
        else:
            test()


def test_the_report_on_the_page_is_what_comes(model: MyModel) -> None:
    """To the character."""
    assert model
    (code,) = [code for code in _EXAMPLES if "def forgetful(" in code]
    (shown,) = re.findall(r"^```text\n(.*?)\n```", _PAGE, re.DOTALL | re.MULTILINE)
    report = check(run(code)["forgetful"])
    assert {problem.code for problem in report.problems} == {"starts_over"}
    assert str(report) == shown


def test_every_kind_of_problem_is_explained() -> None:
    """Each has its advice in the report and its row on the page."""
    (kinds,) = [get_args(Code.__value__)]
    assert set(ADVICE) == set(kinds)
    rows = {
        code
        for line in _PAGE.splitlines()
        if line.startswith("| `")
        for code in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert rows >= set(kinds)
