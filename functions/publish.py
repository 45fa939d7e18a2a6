"""Writes answers; called by QStash alone."""

from __future__ import annotations

import os

from holdfast.deploy import entry

app, handler = entry(os.environ, ["publish"])
