"""Every route in one ASGI app: the entry point of Vercel, of the local run and of the streaming Lambda."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.deploy import entry

app, handler = entry(os.environ, ["start", "subscribe", "publish", "cleanup"], Path(__file__).parent.parent / "public")
