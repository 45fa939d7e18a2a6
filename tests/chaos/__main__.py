"""``python -m tests.chaos``: a seeded, time-bounded chaos run; prints a table, and the seed of any failure."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.chaos.plan import Options
from tests.chaos.report import Report, options_line, report
from tests.chaos.run import Run
from tests.chaos.system import running

_CALL = ("status", "tokens_sent", "offset", "continues", "at")


async def chaos(options: Options) -> Report:
    """Carry out one run."""
    async with running(options) as system:
        began = time.monotonic()
        run = Run(system, options, lambda line: print(line, flush=True))
        await run.go()
        return await report(run, time.monotonic() - began)


def main() -> None:
    """Run, print, and exit with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="default: any")
    parser.add_argument("--minutes", type=float, default=40.0, help="after so many no further answer is started")
    parser.add_argument("--at-once", type=int, default=24, help="answers that are open at a time")
    about = "how often every fault must strike at least; default: 20 in a thousand answers"
    parser.add_argument("--each", type=int, help=about)
    parser.add_argument("--details", type=Path, help="a file for what became of each answer, as JSON lines")
    given = parser.parse_args()
    each = max(1, given.answers // 50) if given.each is None else given.each
    options = Options(
        seed=given.seed,
        answers=given.answers,
        seconds=given.minutes * 60,
        at_once=given.at_once,
        each=each,
        shots=each + each // 4 + 1 if each else 0,
    )
    print(f"seed {options.seed}: {options.answers} answers, {options.at_once} at a time", flush=True)
    outcome = asyncio.run(chaos(options))
    print(outcome.table(), flush=True)
    if given.details:
        given.details.write_text("\n".join(_details(outcome)))
        given.details.with_suffix(".functions.log").write_text(outcome.logs)
    for problem in outcome.problems:
        print(f"FAILED: {problem}")
    if outcome.problems:
        sys.exit(f"{len(outcome.problems)} problems; again with: {options_line(options)}")
    print("passed: nothing lost, nothing twice, nobody left waiting")


def _details(outcome: Report) -> Iterator[str]:
    """What is needed to find out why an answer became what it did, as JSON lines."""
    yield from (json.dumps(asdict(blow)) for blow in outcome.blows)
    for fate in outcome.fates:
        detail = asdict(fate)
        detail["calls"] = [{name: call[name] for name in _CALL} for call in fate.calls]
        for sighting in detail["asked"]["sightings"]:
            # The events of a reader that has them all tell nothing new.
            if not fate.problems:
                del sighting["frames"], sighting["partial"]
        if not fate.problems:
            del detail["stored"], detail["text"], detail["queue"]
        yield json.dumps(detail)


if __name__ == "__main__":
    main()
