"""The protocol under random schedules on the real core, and proof that the model can fail."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.mutations import MUTATIONS, Mutation
from tests.model.simulate import simulate

#: Runs of one test; ``python -m tests.model 20000`` does as many as one likes.
RUNS = 300
#: Runs in which a rule that was left out must show. Each is found within a few seconds.
ENOUGH = 1500


@pytest.mark.parametrize("first", range(0, 5 * RUNS, RUNS))
def test_every_rule_holds_under_random_schedules(first: int) -> None:
    """No crash, lost reply, duplicate, zombie, stop or cut reader breaks a rule of docs/protocol.md."""
    total: Counter[str] = Counter()
    for seed in range(first, first + RUNS):
        outcome = simulate(seed)
        assert not outcome.violations, f"seed {seed}: {outcome.violations}\n{outcome.plan}"
        total += outcome.counts
    # A model in which nothing happens proves nothing.
    for what in (
        "finish",
        "stop",
        "error",
        "hand-offs",
        "rescues",
        "callbacks",
        "crashes",
        "lost",
        "freezes",
        "turned away",
    ):
        assert total[what] > 0, f"none of {RUNS} runs had any: {what}"
    assert total["attempts"] > total["hand-offs"] + RUNS


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**64))
def test_every_rule_holds_wherever_the_search_looks(seed: int) -> None:
    """The same under schedules that Hypothesis picks."""
    outcome = simulate(seed)
    assert not outcome.violations, outcome.plan


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_the_model_finds_what_a_rule_left_out_breaks(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one rule switched off some run breaks, in the way that the rule prevents."""
    mutation(monkeypatch)
    for seed in range(ENOUGH):
        violations = simulate(seed).violations
        if any(MUTATIONS[mutation] in violation for violation in violations):
            return
    pytest.fail(f"{ENOUGH} runs without {mutation.__name__.replace('_', ' ')} looked no worse.")


def test_a_seed_decides_the_whole_run() -> None:
    """The same seed gives the same run, so that a violation can be looked into."""
    assert simulate(7).counts == simulate(7).counts
