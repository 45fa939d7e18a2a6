"""What an answer costs in Redis commands, and how late its words come, in one and the same run."""

from __future__ import annotations

import pytest

from benchmarks.commands import measure

MOST_COMMANDS = 650
MOST_MS = 400


def test_two_thousand_tokens_cost_few_commands_and_come_soon(capsys: pytest.CaptureFixture[str]) -> None:
    """2,000 tokens at 50 a second with one reader, under the default settings: at most 650 commands as billed, and 95
    of 100 tokens at the reader within 400 ms.
    """
    run = measure()
    with capsys.disabled():
        print(f"\n{run}")
    assert run.tokens == 2_000
    assert run.billed <= MOST_COMMANDS
    assert run.percentile(95) <= MOST_MS
