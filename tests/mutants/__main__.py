"""``python -m tests.mutants [words …]``: break one rule at a time, and show the test that goes red for it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.trial import ROOT, Outcome, Stale, copied_tree, mutated, run_tests, try_mutant


def main() -> int:
    """Try mutants; 0 if each of them was found by each of its tests."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose name or rule holds one of these")
    words = parser.parse_args().words
    mutants = [mutant for mutant in MUTANTS if not words or any(_matches(mutant, word) for word in words)]
    if not mutants:
        print("There is no such mutant. There are:", *(mutant.name for mutant in MUTANTS), sep="\n  ")
        return 2
    try:
        return report(mutants)
    except Stale as error:
        print(f"The catalogue is stale. {error}")
        return 1


def _matches(mutant: Mutant, word: str) -> bool:
    return word.lower() in mutant.name.lower() or word == mutant.rule


def report(mutants: Sequence[Mutant]) -> int:
    """Try mutants and print what came of each → 0 if each of their tests is green without and red with it, else 1.

    Raises:
        Stale: the old text of one of them does not stand in the tree exactly once.
    """
    for mutant in mutants:
        mutated(mutant, (ROOT / mutant.file).read_text("utf-8"))
    with copied_tree() as tree:
        tests = [test for mutant in mutants for test in mutant.tests]
        sound = run_tests(tree, tests, 300.0).values()
        if spoiled := [outcome for outcome in sound if outcome.result != "passed"]:
            print("Without any mutant these tests should pass:")
            for outcome in spoiled:
                print(f"  {outcome.test}: {outcome.result} {outcome.raised}")
            return 1
        print(f"Without a mutant all {len(set(tests))} tests pass.\n")
        print(f"{'':7} {'rule':4} {'mutant':47} {'seconds':>7}  test")
        survivors = 0
        for mutant in mutants:
            outcomes, seconds = try_mutant(tree, mutant)
            survivors += not all(outcome.is_red for outcome in outcomes)
            for outcome in outcomes:
                name, took = (mutant.name, f"{seconds:.1f}") if outcome is outcomes[0] else ("", "")
                verdict = _verdict(outcome)
                print(f"{verdict:7} {mutant.rule:4} {name:47} {took:>7}  {outcome.test}", flush=True)
    if survivors:
        print(f"\n{survivors} of {len(mutants)} mutants survived a test that should have found them.")
        return 1
    print(f"\nEach of {len(mutants)} mutants was found.")
    return 0


def _verdict(outcome: Outcome) -> str:
    if outcome.is_red:
        return "red"
    return "GREEN!" if outcome.result == "passed" else f"BROKEN! ({outcome.raised or outcome.result})"


if __name__ == "__main__":
    sys.exit(main())
