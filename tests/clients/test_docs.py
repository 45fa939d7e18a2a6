"""docs/clients.md says what the tests have shown: its table is made from their names, its recipes are what they ran."""

from __future__ import annotations

import json

import pytest

from tests.clients import matrix, test_ai_sdk, test_event_clients
from tests.clients.stock import VERSIONS
from tests.processes import ROOT

TEXT = matrix.DOCS.read_text("utf-8")
MODULES = {
    "test_ai_sdk.py": (test_ai_sdk, VERSIONS),
    "test_event_clients.py": (test_event_clients, test_event_clients.CLIENTS),
}


def test_the_table_is_the_one_that_the_tests_make() -> None:
    """``python -m tests.clients.matrix`` changes nothing."""
    _, found, _ = matrix.within(TEXT)
    assert found.strip() == matrix.table().strip()


def test_every_cell_has_a_test_that_runs() -> None:
    """Each cell of each row is a test of that client; no client that is tested is missing in the table."""
    rows = matrix.rows()
    shown = set()
    for row in rows:
        assert len(row.cells) == len(row.tests) == len(matrix.COLUMNS)
        for test in row.tests:
            file, name = test.removesuffix("]").split("::")
            function, _, client = name.partition("[")
            module, clients = MODULES[file]
            assert callable(getattr(module, function)), test
            assert client in clients, test
            shown.add((file, client))
    assert shown == {(file, client) for file, (_, clients) in MODULES.items() for client in clients}


@pytest.mark.parametrize("name", sorted(matrix.recipes()))
def test_a_recipe_is_short_and_is_the_one_that_ran(name: str) -> None:
    """The page shows the code that the tests ran, of at most 15 lines."""
    code = matrix.recipes()[name]
    assert len(code.splitlines()) <= 15
    assert f"\n{code}\n```" in TEXT


def test_versions_are_those_of_the_lock() -> None:
    """What package.json asks for by a version is what the lock has."""
    wanted = json.loads((ROOT / "tests/clients/node/package.json").read_text("utf-8"))["dependencies"]
    lock = json.loads((ROOT / "tests/clients/node/package-lock.json").read_text("utf-8"))
    for name, version in wanted.items():
        if version[0].isdigit() or version.startswith("npm:"):
            assert lock["packages"][f"node_modules/{name}"]["version"] == version.rsplit("@", 1)[-1]
