"""Tries mutants on a temporary copy of the tree: the tests run there, in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.catalogue import Mutant
from tests.mutants.outcomes import VARIABLE

ROOT: Final = Path(__file__).resolve().parents[2]

#: What the tests of the catalogue need of the tree.
_COPIED: Final = ("lib", "tests", "functions", "tools", "pyproject.toml")
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis")

#: Seconds for one mutant's tests; they take a few.
_PATIENCE: Final = 90.0

#: What a mutant raises that is broken itself: its test is red, but for nothing that the test looks at.
_BROKEN: Final = frozenset(
    {"NameError", "UnboundLocalError", "AttributeError", "TypeError", "ImportError", "SyntaxError"}
)


class Stale(Exception):
    """The catalogue does not fit the tree any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test ended.

    Attributes:
        test: its id.
        result: ``passed``, ``failed``, or what kept it from being either.
        raised: the type of the exception that made it fail, or empty.
    """

    test: str
    result: str
    raised: str

    @property
    def is_red(self) -> bool:
        """Whether the test found something wrong, as opposed to not having run to its verdict."""
        return self.result == "failed" and self.raised not in _BROKEN


@contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of what the tests need, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        tree = Path(name).resolve()
        for part in _COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, tree / part, ignore=_LEFT_OUT)
            else:
                shutil.copy2(ROOT / part, tree / part)
        yield tree


def mutated(mutant: Mutant, text: str) -> str:
    """A file's text with the mutant in it.

    Raises:
        Stale: the old text does not stand in it exactly once.
    """
    count = text.count(mutant.old)
    if count != 1:
        raise Stale(f"{mutant.name}: {mutant.file} holds the old text {count} times: {mutant.old!r}")
    return text.replace(mutant.old, mutant.new)


@contextmanager
def infected(tree: Path, mutant: Mutant) -> Iterator[None]:
    """A copied tree with one mutant in it, until the block ends."""
    path = tree / mutant.file
    text = path.read_text("utf-8")
    path.write_text(mutated(mutant, text), "utf-8")
    try:
        yield
    finally:
        path.write_text(text, "utf-8")


def run_tests(tree: Path, tests: Iterable[str], seconds: float = _PATIENCE) -> dict[str, Outcome]:
    """Run tests of a copied tree in a process of their own → how each of them ended.

    Args:
        tree: the copy.
        tests: ids of tests.
        seconds: how long they may take.
    """
    wanted = list(dict.fromkeys(tests))
    told = tree / "outcomes.json"
    told.unlink(missing_ok=True)
    # No bytecode is written: a file that changes twice within a second may look unchanged to its stamp.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE_"))}
    env |= {"PYTHONPATH": f"{tree / 'lib'}{os.pathsep}{tree}", "PYTHONDONTWRITEBYTECODE": "1", VARIABLE: str(told)}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"]
    command += ["-p", "tests.mutants.outcomes", *wanted]
    why = "not run"
    try:
        subprocess.run(command, cwd=tree, env=env, capture_output=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        why = "too slow"
    if not told.exists():
        return {test: Outcome(test, why, "") for test in wanted}
    found = json.loads(told.read_text("utf-8"))
    if not Path(found["library"]).is_relative_to(tree):
        raise Stale("The tests did not import the copied library.")
    outcomes = found["outcomes"]
    return {test: Outcome(test, *outcomes.get(test, (why, ""))) for test in wanted}


def try_mutant(tree: Path, mutant: Mutant) -> tuple[list[Outcome], float]:
    """Put one mutant into a copied tree, run its tests, take it out → how they ended, and the seconds it took."""
    began = time.monotonic()
    with infected(tree, mutant):
        outcomes = run_tests(tree, mutant.tests)
    return list(outcomes.values()), time.monotonic() - began
