"""Serves answers to readers."""

from __future__ import annotations

import os

from holdfast.deploy import entry

app, handler = entry(os.environ, ["subscribe"])
