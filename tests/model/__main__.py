"""``python -m tests.model [runs] [--seed N]``: run the model and print what happened, or the first violation."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.model.simulate import simulate


def main() -> int:
    """Run seeds until one shows a violation, or all are through."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    began = time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        outcome = simulate(seed)
        if outcome.violations:
            print(f"VIOLATION with seed {seed}: {outcome.plan}", *outcome.violations, sep="\n  ")
            return 1
        total += outcome.counts
    told = ", ".join(f"{name} {count / arguments.runs:.3f}" for name, count in sorted(total.items()))
    print(f"{arguments.runs} runs in {time.monotonic() - began:.0f} s, no violation; per run: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
