"""What the command's tests share: an environment of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.doctor import VARIABLES


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder per test, no settings of this machine, and a working folder without a ``.env``."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("HOLDFAST_URL", raising=False)
    monkeypatch.delenv("HOLDFAST_API_KEY", raising=False)
    for name in (name for variable in VARIABLES for name in variable.names):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"
