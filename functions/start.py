"""Starts and stops answers; serves the page."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.deploy import entry

app, handler = entry(os.environ, ["start"], Path(__file__).parent.parent / "public")
