"""The audit of dependencies: what is vulnerable fails the check, and what was not looked up is never called clean."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tools import audit
from tools.audit import LOCKS, ROOT, npm_outcome, python_outcome
from tools.lock import LOCKS as MADE


def _python(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


CLEAN = {"name": "good", "version": "1", "vulns": []}
UNKNOWN = {"name": "unheard", "skip_reason": "Dependency not found on PyPI and could not be audited"}
FLAW = {"id": "PYSEC-1", "fix_versions": ["3"], "aliases": [], "description": ""}


def test_a_vulnerable_package_fails() -> None:
    """It is named with its release, the vulnerability and the release that mends it."""
    outcome = python_outcome(_python(CLEAN, UNKNOWN, {"name": "bad", "version": "2", "vulns": [FLAW]}), "")
    assert outcome.vulnerable
    assert outcome.said == ["audit of Python: bad 2: PYSEC-1, fixed in 3"]


def test_what_is_accepted_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vulnerability with a reason why it does no harm is passed over; any other of the same package is not."""
    monkeypatch.setattr(audit, "ACCEPTED", {"PYSEC-1": "not reachable"})
    other = {**FLAW, "id": "PYSEC-2"}
    assert not python_outcome(_python({"name": "bad", "version": "2", "vulns": [FLAW]}), "").vulnerable
    assert python_outcome(_python({"name": "bad", "version": "2", "vulns": [FLAW, other]}), "").vulnerable


def test_clean_packages_are_counted() -> None:
    """One line says how many were looked up."""
    outcome = python_outcome(_python(CLEAN, CLEAN), "")
    assert (outcome.said, outcome.vulnerable) == (["audit of Python: 2 packages have no known vulnerability"], False)


@pytest.mark.parametrize(
    ("report", "errors"),
    [
        (_python(UNKNOWN, UNKNOWN), "No known vulnerabilities found"),
        (_python(), "No known vulnerabilities found"),
        ("", "ERROR: could not connect"),
        ("<html>", ""),
        ("[]", ""),
    ],
    ids=["a mirror without a list", "nothing", "offline", "a page", "another shape"],
)
def test_what_was_not_looked_up_is_not_clean(report: str, errors: str) -> None:
    """Where no package could be looked up one line says so and why; the check goes on, since nothing is wrong."""
    outcome = python_outcome(report, errors)
    (line,) = outcome.said
    assert line.startswith("audit of Python SKIPPED, nothing was looked up: ")
    assert not line.endswith(": ")
    assert not outcome.vulnerable


def test_single_packages_that_were_not_looked_up_are_named() -> None:
    """They do not hide behind those that were."""
    (line,) = python_outcome(_python(CLEAN, UNKNOWN), "").said
    assert line.endswith("1 packages have no known vulnerability; NOT AUDITED: unheard")


@pytest.mark.parametrize(
    ("report", "vulnerable", "said"),
    [
        ({"auditReportVersion": 2, "vulnerabilities": {}}, False, "none high or critical, 0 below"),
        ({"auditReportVersion": 2, "vulnerabilities": {"x": {"name": "x", "severity": "low"}}}, False, "1 below"),
        ({"auditReportVersion": 2, "vulnerabilities": {"x": {"name": "x", "severity": "high"}}}, True, "x: high"),
        ({"message": "405 Method Not Allowed - POST https://registry.example/x"}, False, "looked up: 405 Method Not"),
        ({"error": {"code": "ENOTFOUND", "summary": "request failed"}}, False, "looked up: request failed"),
        ([], False, "SKIPPED"),
    ],
)  # fmt: skip
def test_npm_reports(report: object, said: str, *, vulnerable: bool) -> None:
    """High and critical ones fail; a registry without audits is said to be one."""
    outcome = npm_outcome("web/package-lock.json", json.dumps(report))
    assert outcome.vulnerable is vulnerable
    assert said in outcome.said[0]
    assert "registry" not in outcome.said[0], "the address of a registry differs from machine to machine"


def test_a_network_that_answers_nothing_does_not_hold_the_check_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time the audit is skipped, and says so."""

    def hang(*_args: object, **given: Any) -> None:
        raise subprocess.TimeoutExpired("pip-audit", given["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    (line,) = audit.audit_python().said
    assert line.startswith("audit of Python SKIPPED")
    assert "within 90 seconds" in line


def test_every_pin_is_in_what_is_audited() -> None:
    """The locks that are left out hold nothing that the audited ones do not."""

    def pins(name: str) -> set[str]:
        return {line.split(" ")[0] for line in (ROOT / name).read_text("utf-8").splitlines() if "==" in line[:80]}

    audited = set().union(*(pins(name) for name in LOCKS))
    assert len(audited) > 50
    for lock in {*MADE, *(path.name for path in ROOT.glob("requirements*.lock"))}:
        assert pins(lock) <= audited, lock
