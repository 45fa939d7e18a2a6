"""The table of a chaos run, and whether it passed."""

from __future__ import annotations

import os
import platform
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.plan import Options
from tests.chaos.run import Run
from tests.chaos.verdict import Fate, by_prompt, by_stream, emptied, explained, judge, struck
from tests.chaos.weather import Blow

#: The largest share of answers that may end with an error.
MOST_ERRORS = 0.05


@dataclass(frozen=True, slots=True)
class Report:
    """A run's outcome.

    Attributes:
        rows: the table, name and value.
        problems: everything that breaks a promise; none in a run that passed.
        fates: the answers.
        blows: what the processes suffered.
        logs: what the functions logged.
    """

    rows: Sequence[tuple[str, str]]
    problems: Sequence[str]
    fates: Sequence[Fate]
    blows: Sequence[Blow]
    logs: str

    def table(self) -> str:
        """The table as markdown."""
        return "\n".join(["| What | Measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in self.rows)])


def machine() -> str:
    """This machine, in a few words."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


async def report(run: Run, seconds: float) -> Report:
    """Gather what the services know and judge every answer.

    Args:
        run: one that is over and calm.
        seconds: how long it took.
    """
    system, options = run.system, run.options
    calls = by_prompt((await system.control("model", "calls"))["calls"])
    queue = by_stream((await system.control("qstash", "messages"))["messages"])
    fates = []
    for asked in run.asked:
        stored = await system.entries(asked.stream) if asked.stream else []
        fates.append(judge(asked, stored, calls.get(asked.prompt, []), queue.get(asked.stream, [])))
    fired = await run.weather.fired()
    problems = [f"answer {fate.asked.number} ({fate.asked.stream}): {each}" for fate in fates for each in fate.problems]
    problems += _enough(run, fates, fired)
    logs = "".join(functions.log() for functions in system.functions)
    for line in sorted({line for line in logs.splitlines() if "unforeseen_error" in line or "Traceback" in line}):
        problems.append(f"a function logged: {line[:200]}")
    rows = [
        ("seed", str(options.seed)),
        ("machine", machine()),
        ("time", f"{seconds:.0f} s"),
        *_answers(fates),
        *_readers(run, fates),
        *_model(fates),
        *_blows(run, fates),
        *[(f"{service}: {name}", str(count)) for service, kinds in fired.items() for name, count in kinds.items()],
    ]
    return Report(rows, problems, fates, run.weather.blows, logs)


def _enough(run: Run, fates: list[Fate], fired: dict[str, dict[str, int]]) -> list[str]:
    """Whether there were enough of everything, and not too many errors."""
    found = []
    each = run.options.each
    for service, kinds in fired.items():
        found += [f"{service}: {name} struck {count} times of {each}" for name, count in kinds.items() if count < each]
    known = {fate.asked.stream: fate for fate in fates}
    for what in ("SIGKILL", "SIGSTOP"):
        hits = sum(bool(struck(blow, known)) for blow in run.weather.blows if blow.what == what)
        if hits < each:
            found.append(f"{what} hit a live answer {hits} times of {each}")
    idle = sum(call["status"] == "running" for fate in fates for call in fate.calls)
    if idle:
        found.append(f"{idle} calls of the model still write, and bill, for nobody")
    errors = sum(fate.end == "error" for fate in fates)
    # In a small run the refused keys alone are a larger share.
    if errors > max(MOST_ERRORS * len(fates), run.options.shots + 2):
        found.append(f"{errors} of {len(fates)} answers ended with an error")
    return found


def _answers(fates: list[Fate]) -> list[tuple[str, str]]:
    ends = Counter(fate.end or "none" for fate in fates)
    errors = Counter(f"{fate.code}: {explained(fate) or 'unexplained'}" for fate in fates if fate.end == "error")
    terminals = Counter(fate.terminals for fate in fates)
    shown = ", ".join(f"{name} {ends[name]}" for name in ("finish", "error", "stop", "none") if ends[name])
    two = f"; two, a seal behind the end: {terminals[2]} (rule E1)" if terminals[2] else ""
    return [
        ("answers", str(len(fates))),
        ("ended with", shown),
        ("errors", ", ".join(f"{count} {name}" for name, count in sorted(errors.items())) or "none"),
        ("finished empty, as the model's last call said nothing", str(sum(map(_cut_short, fates)))),
        ("ends that count per log", f"exactly one: {sum(fate.terminals >= 1 for fate in fates)}"),
        ("terminal records per log", f"one: {terminals[1]}{two}"),
        ("claims behind the end, which called nobody (rule K3)", str(sum(fate.claims_behind for fate in fates))),
    ]


def _cut_short(fate: Fate) -> bool:
    texts = [call["text"] for call in fate.calls]
    return fate.end == "finish" and fate.text not in [text for text in texts if text] and emptied(fate)


def _readers(run: Run, fates: list[Fate]) -> list[tuple[str, str]]:
    sightings = [sighting for fate in fates for sighting in fate.asked.sightings]
    kinds = Counter(sighting.kind for sighting in sightings)
    late = sorted(
        max(0.0, sighting.ended - max(fate.ended, sighting.began))
        for fate in fates
        for sighting in fate.asked.sightings
        if sighting.ended
    )
    worst = f"median {statistics.median(late):.2f} s, longest {late[-1]:.1f} s" if late else "none"
    return [
        ("readers", ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))),
        ("their connections", str(sum(sighting.connections for sighting in sightings))),
        ("connections cut by their network", str(run.system.switch.cuts)),
        ("bytes lost", str(sum(fate.lost for fate in fates))),
        ("bytes twice", str(sum(fate.twice for fate in fates))),
        ("bytes that no log or model said", str(sum(fate.foreign for fate in fates))),
        ("readers hung", str(sum(sighting.hung or not sighting.ended for sighting in sightings))),
        ("from an answer's end to the reader's", worst),
    ]


def _model(fates: list[Fate]) -> list[tuple[str, str]]:
    calls = Counter(len(fate.calls) for fate in fates)
    attempts = Counter(fate.attempts for fate in fates)
    billed = sum(fate.tokens for fate in fates)
    quiet = [fate for fate in fates if fate.attempts == 1 and fate.end == "finish" and len(fate.calls) == 1]
    useful = sum(_useful(fate) for fate in fates)
    return [
        ("attempts per answer", ", ".join(f"{n}: {count}" for n, count in sorted(attempts.items()))),
        ("generator calls per answer", ", ".join(f"{n}: {count}" for n, count in sorted(calls.items()))),
        ("answers of one call, whole", str(len(quiet))),
        ("tokens billed per token shown", f"{billed / max(useful, 1):.3f} ({billed} of {useful})"),
    ]


def _useful(fate: Fate) -> int:
    """Tokens of the text that stands, by the share of the whole text that it is."""
    whole = max((call for call in fate.calls if call["text"].startswith(fate.text)), key=_length, default=None)
    if whole is None or not whole["text"]:
        return 0
    first = max(fate.calls, key=lambda call: call["tokens_sent"])
    per_character = first["tokens_sent"] / max(len(first["text"]) - first["offset"], 1)
    return round(len(fate.text) * per_character) if first["status"] == "completed" else round(len(fate.text) / 4)


def _length(call: dict[str, object]) -> int:
    return len(str(call["text"]))


def _blows(run: Run, fates: list[Fate]) -> list[tuple[str, str]]:
    known = {fate.asked.stream: fate for fate in fates}
    rows = []
    for what in ("SIGKILL", "SIGSTOP"):
        blows = [blow for blow in run.weather.blows if blow.what == what]
        hits = [struck(blow, known) for blow in blows]
        rows.append((what, f"{sum(map(bool, hits))} times with live answers, {sum(map(len, hits))} answers hit"))
    stops = [blow for blow in run.weather.blows if blow.what == "SIGSTOP"]
    zombies = sum(
        any(blow.at < begun <= blow.until for begun in fate.begins) for blow in stops for fate in struck(blow, known)
    )
    overtaken = f"{zombies} answers taken over while their publisher stood still, and then woke"
    return [*rows, ("zombies", overtaken)]


def options_line(options: Options) -> str:
    """The command that makes this run again."""
    return f"make chaos ANSWERS={options.answers} SEED={options.seed}"
