"""What one answer with one reader costs and how late its words come: ``python -m benchmarks.commands``.

The functions and the stand-ins run as processes of their own, with the settings that a deployment has by default. The
model says its tokens at an even pace; a word's delay is the time from its arrival in the publisher to its arrival at
the reader, all on one clock. Commands are counted by the Redis stand-in as Upstash bills them, the start included.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tests.e2e.reading import Reader
from tests.e2e.system import SCALED, standins, system

TOKENS, RATE = 2_000, 50


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    Attributes:
        tokens: what the reader got.
        commands: Redis commands by name, as billed.
        delays_ms: of each token from publisher to reader, sorted.
    """

    tokens: int
    commands: dict[str, int]
    delays_ms: list[float]

    @property
    def billed(self) -> int:
        """Commands in all."""
        return sum(self.commands.values())

    def percentile(self, percent: float) -> float:
        """The delay in ms that so many percent of the tokens do not exceed."""
        return self.delays_ms[min(len(self.delays_ms) - 1, int(len(self.delays_ms) * percent / 100))]

    def __str__(self) -> str:
        names = ", ".join(f"{count} {name}" for name, count in sorted(self.commands.items(), key=lambda pair: -pair[1]))
        return (
            f"{self.tokens} tokens, one reader: {self.billed} Redis commands as billed ({names}); token to reader "
            f"p50 {self.percentile(50):.0f} ms, p95 {self.percentile(95):.0f} ms, max {self.delays_ms[-1]:.0f} ms"
        )


def measure(tokens: int = TOKENS, rate: float = RATE) -> Measured:
    """Have one answer written and read.

    Args:
        tokens: its length.
        rate: tokens per second.
    """
    with standins() as at:
        direct = {
            **dict.fromkeys(SCALED, ""),
            "UPSTASH_REDIS_REST_URL": at.redis,
            "QSTASH_URL": at.qstash,
            "OPENAI_BASE_URL": f"{at.model}/v1",
            "HOLDFAST_GENERATOR": "benchmarks.stamped:generate",
        }
        with system(direct, at) as running:
            # The first answer of a process loads what the others share.
            running.finished(running.ask("standin: tokens=1\nWarm up."))
            before = running.stats()["commands"]
            stream = running.ask(f"standin: tokens={tokens} rate={rate}\nSpeak evenly.")
            with Reader(f"{running.url}/api/streams/{stream}") as reader:
                events = reader.to_end(tokens / rate + 30)
            after = running.stats()["commands"]
    delays = sorted(
        (event.at_ns - int(stamp)) / 1e6
        for event in events
        if event.chunk.get("type") == "text-delta"
        for stamp in event.chunk["delta"].split()
    )
    commands = {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
    return Measured(len(delays), commands, delays)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.commands", description=__doc__)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="length of the answer")
    parser.add_argument("--rate", type=float, default=RATE, help="tokens per second")
    options = parser.parse_args()
    print(measure(options.tokens, options.rate))


if __name__ == "__main__":
    main()
