"""Text that reads like a model's markdown answer, as tokens of about four characters."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_TOKEN = re.compile(r" ?[^\W\d_]{1,7}|\d{1,3}|\n+ *| +(?= )| ?[-*|#`=]{1,3}| ?.", re.DOTALL)

_THINGS = (
    "the scheduler", "a retry queue", "the write path", "the read replica", "an append-only log", "the index",
    "a background worker", "the connection pool", "the rate limiter", "a checkpoint", "the cache layer",
    "a small team", "the release process", "the façade", "a naïve client", "the test suite", "the event loop",
    "a long-running job", "the gateway", "the customer\u2019s browser", "a message broker", "the deadline",
)  # fmt: skip
_ACTS = (
    "absorbs", "reorders", "depends on", "is limited by", "hides", "makes room for", "outlives", "confirms",
    "slows down", "shares its state with", "falls back to", "measures", "restarts", "protects", "waits for",
)  # fmt: skip
_WHYS = (
    "because latency adds up quickly", "so nothing has to be sent twice", "which keeps the bill predictable",
    "even when half of the machines are gone", "as long as the clock is monotonic", "and that is usually enough",
    "unless traffic doubles overnight", "since every step can be repeated safely", "before anybody notices",
    "although the first version rarely gets this right", "while costs stay below €40 a month",
)  # fmt: skip
_OPENERS = (
    "In practice,", "Put simply,", "Most of the time", "Under load,", "On the other hand,", "Surprisingly often",
    "As a rule of thumb,", "During an outage", "After a deploy", "For the common case", "Strictly speaking,",
)  # fmt: skip
_TITLES = (
    "Where the time goes", "A closer look", "What can fail", "Putting it together", "Numbers worth knowing",
    "Trade-offs", "Step by step", "A worked example", "Why this matters", "Common mistakes", "The short version",
)  # fmt: skip
_NAMES = ("batch", "cursor", "window", "offset", "payload", "quota", "session", "lease", "shard", "ticket")
_CITIES = ("Zürich", "Lagos", "東京", "São Paulo", "Reykjavík", "Kraków", "Montréal", "서울")
_MARKS = ("🚀", "✅", "⚠️", "🧭", "👩‍💻", "📈", "🙂")


def split_tokens(text: str) -> list[str]:
    """CutError a text into tokens; joined, they are the text again."""
    return _TOKEN.findall(text)


def compose(rng: random.Random, tokens: int) -> list[str]:
    """Write an answer.

    Args:
        rng: the source of every choice; the same state gives the same answer.
        tokens: how many tokens the answer has, exactly.

    Returns:
        The tokens. Joined they are markdown: headings, paragraphs, lists, tables and code blocks,
        whole as far as the length allows.
    """
    kinds: list[Callable[[random.Random], str]] = [_bullets, _table, _code, _numbered, _quote]
    written = split_tokens(f"## {rng.choice(_TITLES)}: {_phrase(rng)} {_some(rng, _MARKS, 0.3)}".rstrip() + "\n\n")
    turn = 0
    while len(written) < tokens:
        if turn % 2 and turn % 6 != 5:
            block = kinds[(turn // 2) % len(kinds)](rng)
        else:
            block = f"### {rng.choice(_TITLES)}\n\n" * (turn % 6 == 5) + _paragraph(rng)
        turn += 1
        pieces = split_tokens(block + "\n\n")
        if len(written) + len(pieces) > tokens:
            # A block that does not fit would be cut in mid-table: prose can end anywhere.
            pieces = split_tokens(" ".join(_sentence(rng) for _ in range(1 + (tokens - len(written)) // 8)))
        written += pieces
    if len(written) > tokens:
        del written[max(tokens - 1, 0) :]
        if tokens:
            written.append(".")
    return written


def reason(rng: random.Random, tokens: int) -> list[str]:
    """Write a train of thought of exactly so many tokens."""
    written: list[str] = []
    while len(written) < tokens:
        written += split_tokens(f"Let me check whether {_phrase(rng)} {rng.choice(_WHYS)}. ")
    return written[:tokens]


def tool_arguments(rng: random.Random) -> dict[str, object]:
    """Arguments for a tool call, different from call to call."""
    return {"city": rng.choice(_CITIES), "days": rng.randint(1, 14), "unit": rng.choice(("celsius", "fahrenheit"))}


def _some(rng: random.Random, choices: tuple[str, ...], chance: float) -> str:
    return rng.choice(choices) if rng.random() < chance else ""


def _phrase(rng: random.Random) -> str:
    return f"{rng.choice(_THINGS)} {rng.choice(_ACTS)} {rng.choice(_THINGS)}"


def _sentence(rng: random.Random) -> str:
    form = rng.randrange(4)
    if form == 0:
        return f"{rng.choice(_OPENERS)} {_phrase(rng)}, {rng.choice(_WHYS)}."
    if form == 1:
        phrase = _phrase(rng)
        return f"{phrase[0].upper()}{phrase[1:]} {rng.choice(_WHYS)}{_some(rng, (' 🙂', ' 🚀'), 0.1)}."
    if form == 2:
        return f"{rng.choice(_OPENERS)} **{rng.choice(_NAMES)} {rng.randint(2, 999)}** is where {_phrase(rng)}."
    return f"Teams in {rng.choice(_CITIES)} saw {rng.randint(2, 97)} % less of it once {_phrase(rng)}."


def _paragraph(rng: random.Random) -> str:
    return " ".join(_sentence(rng) for _ in range(rng.randint(2, 4)))


def _bullets(rng: random.Random) -> str:
    return "\n".join(f"- **{rng.choice(_NAMES).title()}** \u2013 {_phrase(rng)}" for _ in range(rng.randint(3, 5)))


def _numbered(rng: random.Random) -> str:
    return "\n".join(f"{n}. {_sentence(rng)}" for n in range(1, rng.randint(4, 6)))


def _quote(rng: random.Random) -> str:
    return f"> {_some(rng, _MARKS, 0.7)} {_sentence(rng)}".replace(">  ", "> ")


def _table(rng: random.Random) -> str:
    rows = [
        f"| `{rng.choice(_NAMES)}` | {rng.randint(1, 900)} ms | {rng.choice(_WHYS)} |" for _ in range(rng.randint(3, 5))
    ]
    return "\n".join(["| What | p95 | Note |", "|---|---:|---|", *rows])


def _code(rng: random.Random) -> str:
    name, other = rng.sample(_NAMES, 2)
    return (
        f"```python\ndef next_{name}({other}: int) -> int:\n"
        f'    """Return the {name} after `{other}`."""\n'
        f"    if {other} >= {rng.randint(10, 5000)}:\n"
        f"        raise ValueError({other})\n"
        f"    return {other} * {rng.randint(2, 9)} + {rng.randint(1, 99)}\n```"
    )
