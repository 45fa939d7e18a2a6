"""The rules of faults that all stand-ins share: how they are read, chosen and counted."""

from __future__ import annotations

from typing import Any

import pytest

from standins import model_faults, qstash_faults, redis_faults
from standins.faults import Fault, Faults, Kinds

ALL: dict[str, Kinds[Any]] = {"redis": redis_faults.KINDS, "qstash": qstash_faults.KINDS, "model": model_faults.KINDS}
PLAIN = Kinds(Fault, {"bang": (), "fizz": ()})


def struck(faults: Faults[Fault], times: int) -> list[bool]:
    return [faults.take(lambda _: True) is not None for _ in range(times)]


def plain(*rules: dict[str, Any]) -> Faults[Fault]:
    return Faults(PLAIN, [PLAIN.read(rule) for rule in rules])


def test_a_rule_strikes_once_unless_told_otherwise() -> None:
    """``skip`` of them pass first, ``count`` are struck, and null is for ever."""
    assert struck(plain({"kind": "bang"}), 3) == [True, False, False]
    assert struck(plain({"kind": "bang", "skip": 2, "count": 2}), 6) == [False, False, True, True, False, False]
    assert struck(plain({"kind": "bang", "count": None}), 50) == [True] * 50
    assert struck(plain({"kind": "bang", "count": 0}), 2) == [False, False]


def test_the_same_seed_chooses_the_same() -> None:
    """By ``rate``, whose choices follow from the seed alone; a seed that was drawn is shown."""
    rule = {"kind": "bang", "rate": 0.3, "count": None, "seed": 7}
    first = struck(plain(rule), 400)
    assert struck(plain(rule), 400) == first
    assert struck(plain({**rule, "seed": 8}), 400) != first
    assert 80 < sum(first) < 160
    drawn = Faults(PLAIN, [PLAIN.read({"kind": "bang", "rate": 0.5, "count": None})])
    seed = drawn.shown()["faults"][0]["seed"]
    assert struck(drawn, 60) == struck(plain({"kind": "bang", "rate": 0.5, "count": None, "seed": seed}), 60)
    assert struck(plain({"kind": "bang", "rate": 0, "count": None}), 50) == [False] * 50


def test_what_one_rule_passes_over_is_the_next_ones() -> None:
    """Rules strike in their order, one at a time, and count apart, by name."""
    faults = plain({"kind": "bang", "skip": 1}, {"kind": "fizz", "count": 2}, {"kind": "fizz", "name": "third"})
    assert struck(faults, 5) == [True, True, True, True, False]
    assert faults.fired() == {"bang": 1, "fizz": 2, "third": 1}


def test_rules_pass_over_what_they_cannot_strike() -> None:
    """What does not fit is neither skipped nor counted nor drawn for."""
    faults = plain({"kind": "bang", "skip": 1})
    assert faults.take(lambda _: False) is None
    assert struck(faults, 2) == [False, True]


def test_a_miss_is_not_counted_and_strikes_another() -> None:
    """A rule that found nothing to strike is as if it had not been chosen; one from before a reset changes nothing."""
    faults = plain({"kind": "bang"})
    taken = faults.take(lambda _: True)
    assert taken is not None
    faults.missed(taken)
    assert faults.fired() == {}
    assert struck(faults, 2) == [True, False]
    faults.reset()
    assert struck(faults, 1) == [True]
    faults.missed(taken)
    assert faults.fired() == {"bang": 1}


def test_the_list_shows_the_active_rules_and_every_count() -> None:
    """A spent or cleared rule is not listed; what it did stays counted until the reset, which brings back the first."""
    faults = plain({"kind": "bang", "seed": 1})
    faults.add(PLAIN.read({"kind": "fizz", "count": 3, "seed": 2}))
    struck(faults, 2)
    rule = {"name": "fizz", "kind": "fizz", "count": 3, "rate": 1.0, "skip": 0, "seed": 2, "fired": 1}
    assert faults.shown() == {"faults": [rule], "fired": {"bang": 1, "fizz": 1}}
    faults.clear()
    assert struck(faults, 2) == [False, False]
    assert faults.shown() == {"faults": [], "fired": {"bang": 1, "fizz": 1}}
    faults.reset()
    assert faults.fired() == {}
    assert struck(faults, 2) == [True, False]


@pytest.mark.parametrize("kinds", ALL.values(), ids=ALL)
def test_each_kind_is_read_from_what_it_shows(kinds: Kinds[Any]) -> None:
    """The JSON of a rule is the same in and out, whatever its kind."""
    for kind in kinds.fields:
        fault = kinds.read({"kind": kind})
        assert (fault.kind, fault.name, fault.count, fault.rate, fault.skip) == (kind, kind, 1, 1.0, 0)
        shown = kinds.shown(fault)
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in shown.items()}
        if listed.get("api") == "":
            del listed["api"]
        assert kinds.shown(kinds.read(listed)) == shown


@pytest.mark.parametrize(
    ("standin", "wrong", "named"),
    [
        ("redis", None, "kind is one of: drop, reset, error, html, hang, slow"),
        ("redis", [], "kind is one of: drop"),
        ("redis", {}, "kind is one of: drop"),
        ("redis", {"kind": ["drop"]}, "kind is one of: drop"),
        ("redis", {"kind": "fire"}, "kind is one of: drop"),
        ("redis", {"kind": "drop", "cuont": 1}, "Unknown fields: cuont. A fault of kind drop has: kind, name, count,"),
        ("redis", {"kind": "drop", "status": 500}, "Unknown fields: status."),
        ("redis", {"kind": "drop", "rate": "x"}, "rate must be a number from 0 to 1"),
        ("redis", {"kind": "drop", "rate": 1.5}, "rate must be a number from 0 to 1"),
        ("redis", {"kind": "drop", "count": -1}, "count must be a whole number from 0, or null"),
        ("redis", {"kind": "drop", "count": True}, "count must be a whole number from 0, or null"),
        ("redis", {"kind": "drop", "skip": None}, "skip must be a whole number from 0"),
        ("redis", {"kind": "drop", "applied": 1}, "applied must be true or false"),
        ("redis", {"kind": "drop", "commands": "SET"}, "commands must be a list of strings"),
        ("redis", {"kind": "error", "status": 200}, "status must be a status from 400 to 599"),
        ("redis", {"kind": "slow", "seconds": float("nan")}, "seconds must be a number of seconds from 0"),
        ("qstash", {"kind": "late", "seconds": -1}, "seconds must be a number of seconds from 0"),
        ("qstash", {"kind": "skew", "seconds": float("inf")}, "seconds must be a number"),
        ("qstash", {"twice": 1}, "kind is one of: twice, refused_duplicate, again, late, out_of_order, skew, cut, "),
        ("model", {"kind": "cut", "after": -1}, "after must be a whole number from 0, or null"),
        ("model", {"kind": "error", "api": "completions"}, 'api must be "chat" or "responses"'),
        ("model", {"kind": "explode"}, "kind is one of: error, hang, stall, cut, clean, error_chunk, empty, garbage."),
    ],
)
def test_what_makes_no_sense_is_refused_by_naming_what_does(standin: str, wrong: Any, named: str) -> None:
    """An unknown kind, field or value is an error that says what is valid."""
    with pytest.raises(ValueError, match=r"fault|field") as refused:
        ALL[standin].read(wrong)
    assert named in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "fire", "[" * 100_000])
def test_what_is_no_json_is_refused_alike(text: str) -> None:
    """Also when it is deep enough to break a parser."""
    with pytest.raises(ValueError, match="A fault is a JSON object"):
        PLAIN.read_text(text)
