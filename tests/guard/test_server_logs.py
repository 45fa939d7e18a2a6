"""What a server of the deployed app writes, with its access log on as uvicorn has it by default."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.e2e.system import bare_environment
from tests.e2e.waiting import until
from tests.http.test_settings import GOOD
from tests.processes import ROOT


def test_a_server_with_an_access_log(tmp_path: Path) -> None:
    """Requests are listed by their paths; no token of a query, no prompt and no secret stands anywhere."""
    log = tmp_path / "server.log"
    env = {**bare_environment(), **GOOD, "HOLDFAST_LOG_LEVEL": "DEBUG", "HOLDFAST_REQUEST_TIMEOUT_SECONDS": "0.2"}
    with log.open("w") as out:
        command = [sys.executable, "-m", "uvicorn", "functions.app:app", "--port", "0", "--log-level", "debug"]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            (url,) = until(lambda: re.findall(r"running on (http://\S+)", log.read_text()), "server")
            with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
                assert client.get("/healthz?token=canary").status_code == 200
                assert client.get("/api/nothing?token=canary").status_code == 404
                # Nothing answers behind it: the store's and the queue's errors are logged as well, or not at all.
                assert client.post("/api/streams?token=canary", json={"prompt": "canary"}).status_code == 503
        finally:
            process.terminate()
            process.wait(20)
    text = log.read_text()
    assert '"GET /healthz?... HTTP/1.1" 200' in text
    assert re.search(r'"event": "refused".*"status": 503, "code": "not_started"', text)
    assert "canary" not in text
    assert "private-" not in text
