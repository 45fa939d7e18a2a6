"""The pins: one set of versions, wherever it is written, and nothing of this machine in it."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.processes import ROOT
from tools.check_tree import problems
from tools.lock import LOCKS, pins, written


def _pins(name: str) -> list[str]:
    return pins((ROOT / name).read_text())


def _project() -> dict[str, dict[str, dict[str, list[str]]]]:
    found: dict[str, dict[str, dict[str, list[str]]]] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return found


def test_the_constraints_are_the_pins() -> None:
    """What Vercel's builder is held to is what requirements-dev.lock says."""
    assert _project()["tool"]["uv"]["constraint-dependencies"] == _pins("requirements-dev.lock")


def test_every_lock_holds_the_same_versions() -> None:
    """The locks of the functions and the build's constraints are parts of requirements-dev.lock."""
    everything = set(_pins("requirements-dev.lock"))
    for lock in LOCKS:
        found = _pins(lock)
        assert len(found) > 20
        assert not set(found) - everything, lock
    assert not set(_project()["tool"]["uv"]["build-constraint-dependencies"]) - everything


def test_every_dependency_is_pinned() -> None:
    """Each dependency that pyproject.toml names, for running or for development, has its pin."""
    text = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r'"([A-Za-z0-9_-]+)(?:\[\w+\])?(?:>=[\d.]+)?"', text[: text.index("[tool.hatch")])
    pinned = {re.split(r"==", pin)[0] for pin in _pins("requirements-dev.lock")}
    wanted = {name.lower() for name in named} - {"examples", "holdfast", "local"}
    assert len(wanted) > 15
    assert not wanted - pinned, "run make lock"


@pytest.mark.parametrize("name", [*LOCKS, "requirements-uv.lock"])
def test_every_pin_has_hashes(name: str) -> None:
    """Each requirement of a lock carries hashes, and no option stands beside them."""
    text = (ROOT / name).read_text()
    assert not re.search(r"^-", text, re.MULTILINE), "an option of this machine"
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_rewriting_the_constraints_keeps_the_rest() -> None:
    """Only the list that is named changes; markers keep their quotes."""
    before = 'a = 1\nconstraint-dependencies = [\n  "old==1",\n]\nbuild-constraint-dependencies = [\n]\nb = 2\n'
    after = written(before, "constraint-dependencies", ["new==2 ; sys_platform == 'win32'"])
    assert after == before.replace('"old==1"', "\"new==2 ; sys_platform == 'win32'\"")
    assert tomllib.loads(after)["constraint-dependencies"] == ["new==2 ; sys_platform == 'win32'"]


@pytest.mark.parametrize(
    "line",
    [
        "see https://py" + "pi.org/simple",
        '"resolved": "https://registry.np' + 'mjs.org/x/-/x-1.0.0.tgz"',
        "--find" + "-links /somewhere",
        f"cd {ROOT}/docs",
    ],
)
def test_the_check_of_the_tree_finds(line: str) -> None:
    """Registry addresses, options for them and paths of this machine are found, with their line."""
    assert problems("file", f"first\n{line}\n")[0].startswith("file:2: ")


def test_the_check_of_the_tree_lets_the_rest_pass() -> None:
    """Words about packages are no addresses."""
    assert problems("file", "uv pip compile --no-emit-index" + "-url\nhttps://github.com/npm/cli\n") == []
