"""Deletes, rescues and seals on a schedule."""

from __future__ import annotations

import os

from holdfast.deploy import entry

app, handler = entry(os.environ, ["cleanup"])
