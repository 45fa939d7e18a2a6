"""The catalogue of mutants fits the tree, and the trial tells a mutant that was found from one that was not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.__main__ import report
from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.trial import ROOT, Stale, copied_tree, mutated, try_mutant

#: The quickest ones: these are tried whenever the tests run, and all of them by ``make mutants``.
QUICK = ("a heartbeat with a blank line", "cursors compared as text", "a superseded publisher answers 2xx")


def named(name: str) -> Mutant:
    """A mutant of the catalogue."""
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == name]
    return mutant


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with copied_tree() as tree:
        yield tree


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_changes_one_place_and_is_python(mutant: Mutant) -> None:
    """The old text stands in its file exactly once, what takes its place compiles, and the rule is one of the docs."""
    text = (ROOT / mutant.file).read_text("utf-8")
    changed = mutated(mutant, text)
    assert changed != text
    compile(changed, mutant.file, "exec")
    assert f"**{mutant.rule}**" in (ROOT / "docs/protocol.md").read_text("utf-8")
    assert mutant.tests


def test_names_are_told_apart() -> None:
    """Each mutant is named once, and no two are the same change."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


def test_every_test_exists() -> None:
    """Each id in the catalogue is one that pytest collects; it refuses to collect anything where one is not."""
    tests = sorted({test for mutant in MUTANTS for test in mutant.tests})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(tests) <= set(done.stdout.splitlines())


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_found(tree: Path, name: str) -> None:
    """Its tests go red, and the copy is sound again afterwards."""
    mutant = named(name)
    outcomes, _ = try_mutant(tree, mutant)
    assert [outcome.test for outcome in outcomes] == [*mutant.tests]
    assert all(outcome.is_red for outcome in outcomes), outcomes
    assert (tree / mutant.file).read_text("utf-8").count(mutant.old) == 1


def test_a_change_that_breaks_nothing_survives(capsys: pytest.CaptureFixture[str]) -> None:
    """A test that stays green is shown as such, and the whole run fails."""
    harmless = named("a heartbeat with a blank line")
    harmless = replace(harmless, new=f"{harmless.old}  # as before")
    assert report([harmless]) == 1
    assert "GREEN!" in capsys.readouterr().out


def test_a_mutant_that_is_broken_itself_is_not_found(tree: Path) -> None:
    """Red proves nothing where the changed file cannot be imported, or stumbles over a name that it does not know."""
    sound = named("a heartbeat with a blank line")
    ((outcome,), _) = try_mutant(tree, replace(sound, new="HEARTBEAT = nobody"))
    assert (outcome.result, outcome.is_red) == ("not run", False)
    old = 'return f"id: {cursor}\\ndata: [DONE]\\n\\n".encode()'
    ((outcome,), _) = try_mutant(tree, replace(sound, old=old, new="return nobody"))
    assert (outcome.result, outcome.raised, outcome.is_red) == ("failed", "NameError", False)


def test_old_text_that_is_gone_or_doubtful_is_stale() -> None:
    """A catalogue that does not fit the tree is an error, and not a mutant that nobody finds."""
    mutant = named("no rescue")
    for text in ("", mutant.old * 2):
        with pytest.raises(Stale, match="no rescue"):
            mutated(mutant, text)
    with pytest.raises(Stale):
        report([replace(mutant, old="this stands nowhere")])
