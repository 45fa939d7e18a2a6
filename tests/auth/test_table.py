"""Every route called by everybody: docs/security.md says what comes, and this is what comes."""

from __future__ import annotations

import pytest

from holdfast.openapi import OPERATIONS, Operation
from tests.auth.table import CALLERS, DOCS, cell, scene, table, within
from tests.clocks import virtual

#: Who may have what of an owner's stream or chat; nobody else gets a success.
_READERS = {"owner", "read token", "share token"}
_MACHINES = {"QStash", "cron"}
#: What the other routes give is the caller's own, or everybody's.
_OTHERS_COULD_WANT = [
    operation
    for operation in OPERATIONS
    if "{id}" in operation.path or operation.path.startswith(("/api/publish", "/api/cleanup"))
]


def test_the_document_s_table_is_what_comes() -> None:
    """``python -m tests.auth.table`` writes it anew."""
    _, found, _ = within(DOCS.read_text("utf-8"))
    assert found.strip() == table().strip()


@pytest.mark.parametrize("operation", _OTHERS_COULD_WANT, ids=lambda operation: operation.id)
def test_nobody_else_succeeds(operation: Operation) -> None:
    """Reading is for the owner and the stream's tokens, changing for the owner, machines' routes for machines."""
    if operation.path.startswith(("/api/publish", "/api/cleanup")):
        allowed = {"QStash"} if "publish" in operation.path else _MACHINES
        refused = {"401"}
    else:
        reads = operation.method == "get" and "/streams/" in operation.path
        allowed = _READERS if reads else {"owner"}
        # A chat without an answer to resume is 204 for everybody.
        refused = {"401", "204", "401, `?token=` 204"} if operation.id == "resumeChat" else {
            "401", "404", "401, `?token=` 404",
        }  # fmt: skip
    for caller in CALLERS:
        came = cell(operation, caller)
        assert came in {"200", "201", "202", "204"} if caller in allowed else came in refused, f"{caller}: {came}"


@virtual
async def test_lists_hold_nothing_of_others() -> None:
    """A success that gives the caller their own is no way to the owner's."""
    made = await scene()
    mine = (await made.owner.ask("GET", "/api/chats")).body
    assert b"a-chat" in mine
    assert b"a-chat" not in (await made.other.ask("GET", "/api/chats")).body
