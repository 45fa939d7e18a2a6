"""Look the pins up in the lists of known vulnerabilities, and say plainly where that was not possible."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Between them they hold every pin; the other locks are parts of the first (tools/lock.py).
LOCKS = ("requirements-dev.lock", "requirements-uv.lock")
#: Seconds for one audit; a network that answers nothing must not hold up everything else.
PATIENCE = 90
#: Vulnerabilities that are known and do no harm here: id → why not.
ACCEPTED: Mapping[str, str] = {}

_SEVERE = frozenset({"high", "critical"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an audit found.

    Attributes:
        said: one line, or one a vulnerability.
        vulnerable: whether the check must fail.
    """

    said: list[str]
    vulnerable: bool = False


def python_outcome(report: str, errors: str) -> Outcome:
    """Judge pip-audit's JSON.

    It ends with 0 and "no known vulnerabilities" also where it found none of the packages in its list, as behind a
    mirror without one: those were not audited, and that is said.

    Args:
        report: what it wrote on stdout.
        errors: what it wrote on stderr.
    """
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return _skipped("Python", _last_line(errors))
    found = [
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no release'}"
        for each in dependencies
        for flaw in each.get("vulns", ())
        if flaw["id"] not in ACCEPTED
    ]
    if found:
        return Outcome([f"audit of Python: {line}" for line in found], vulnerable=True)
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    if len(unknown) == len(dependencies):
        return _skipped("Python", "the package index gives no list of vulnerabilities")
    line = f"audit of Python: {len(dependencies) - len(unknown)} packages have no known vulnerability"
    return Outcome([line + (f"; NOT AUDITED: {', '.join(unknown)}" if unknown else "")])


def npm_outcome(name: str, report: str) -> Outcome:
    """Judge the JSON of ``npm audit``.

    Args:
        name: the lock file, for the message.
        report: what npm wrote on stdout.
    """
    try:
        told = json.loads(report)
    except ValueError:
        return _skipped(name, "npm did not answer with a report")
    if not isinstance(told, dict) or "auditReportVersion" not in told:
        error = told.get("message") or told.get("error") if isinstance(told, dict) else None
        summary = error.get("summary") if isinstance(error, dict) else error
        return _skipped(name, _last_line(str(summary or "npm did not answer with a report")))
    found = told["vulnerabilities"].values()
    severe = [f"audit of {name}: {each['name']}: {each['severity']}" for each in found if each["severity"] in _SEVERE]
    if severe:
        return Outcome(severe, vulnerable=True)
    return Outcome([f"audit of {name}: none high or critical, {len(found)} below that"])


def audit_python() -> Outcome:
    """Audit the Python pins."""
    locks = [option for lock in LOCKS for option in ("--requirement", lock)]
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", *locks]
    try:
        done = _run([*command, "--format", "json", "--progress-spinner", "off", "--timeout", "10"], ROOT)
    except subprocess.TimeoutExpired:
        return _skipped("Python", f"no answer within {PATIENCE} seconds")
    return python_outcome(done.stdout, done.stderr)


def audit_npm(lock: Path) -> Outcome:
    """Audit the pins of a ``package-lock.json``."""
    name = lock.relative_to(ROOT).as_posix()
    npm = shutil.which("npm")
    if npm is None:
        return _skipped(name, "npm is not installed")
    try:
        done = _run([npm, "audit", "--json", "--package-lock-only"], lock.parent)
    except subprocess.TimeoutExpired:
        return _skipped(name, f"no answer within {PATIENCE} seconds")
    return npm_outcome(name, done.stdout)


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)


def _skipped(what: str, why: str) -> Outcome:
    return Outcome([f"audit of {what} SKIPPED, nothing was looked up: {why}"])


def _last_line(text: str) -> str:
    # An address at the end of an error is the registry's, which differs from machine to machine.
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].partition("http")[0].strip(" -:")[:200] if lines else "no reason was given"


def main() -> None:
    """Audit everything; end with 1 where a vulnerability is known."""
    locks = sorted(path for path in (ROOT / "web").rglob("package-lock.json") if "node_modules" not in path.parts)
    outcomes = [audit_python(), *(audit_npm(lock) for lock in locks)]
    for outcome in outcomes:
        sys.stderr.write("".join(f"{line}\n" for line in outcome.said))
    if any(outcome.vulnerable for outcome in outcomes):
        sys.exit("A dependency is vulnerable: make lock UPGRADE=1, or say in tools/audit.py why it does no harm here.")


if __name__ == "__main__":
    main()
