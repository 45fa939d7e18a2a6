"""The page as it is committed is what web/ builds, and the functions serve it as a front door would."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest

from holdfast.site import FOREVER, TYPES, routes
from tests.browser.packages import LIMIT, WEB, packages
from tests.clocks import virtual
from tests.fuzz.app import App
from tests.processes import ROOT

PUBLIC = ROOT / "public"
#: Kilobytes that the first visit of the page takes, compressed as it travels.
MOST_KB = 330


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_public_is_what_the_sources_build(tmp_path: Path) -> None:
    """Types hold, and a build from the lock is the same as what is committed, byte for byte: `make page` renews it."""
    tools = packages() / ".bin"
    subprocess.run((str(tools / "tsc"), "--noEmit"), cwd=WEB, check=True, timeout=LIMIT)
    build = (str(tools / "vite"), "build", "--outDir", str(tmp_path), "--logLevel", "warn")
    subprocess.run(build, cwd=WEB, check=True, timeout=LIMIT)
    built, committed = _files(tmp_path), _files(PUBLIC)
    assert sorted(built) == sorted(committed)
    assert [name for name, content in built.items() if committed[name] != content] == []


def test_every_kind_of_file_is_served() -> None:
    """There is a route for each file of the build and for no other, and none for a page that is not there."""
    assert {path.suffix for path in PUBLIC.rglob("*") if path.is_file()} <= set(TYPES)
    paths = {route.path for route in routes(PUBLIC)}
    assert paths == {"/" if name == "index.html" else f"/{name}" for name in _files(PUBLIC)}
    assert routes(PUBLIC / "nowhere") == []


def test_the_first_visit_is_small() -> None:
    """What index.html asks for at once, compressed; what is wanted later is not part of it."""
    html = (PUBLIC / "index.html").read_text()
    wanted = set(re.findall(r'(?:src|href)="/([^"]+)"', html))
    total = sum(len(gzip.compress((PUBLIC / name).read_bytes())) for name in wanted)
    assert total < MOST_KB * 1024, f"{total / 1024:.0f} KB"


def test_the_page_names_the_licences_of_what_is_in_it() -> None:
    """Everything that the page is built on stands in THIRD-PARTY.txt in the version of the lock, under terms that are
    there in full.
    """
    text = (PUBLIC / "THIRD-PARTY.txt").read_text("utf-8")
    wanted = json.loads((WEB / "package.json").read_text("utf-8"))["dependencies"]
    lock = json.loads((WEB / "package-lock.json").read_text("utf-8"))["packages"]
    needed = {f"{name} {lock[f'node_modules/{name}']['version']} (" for name in (*wanted, "highlight.js")}
    assert {line for line in needed if f"\n{line}" not in text} == set()
    assert "SIL OPEN FONT LICENSE Version 1.1" in text
    assert "Copyright (c) 2006, Ivan Sagalaev." in text
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text
    # What the build itself is made with is no part of the page, apart from the bundlers' few lines.
    assert "\naxe-core " not in text
    assert "Licenses of bundled dependencies" not in text


@virtual
async def test_the_licences_are_text_that_a_browser_shows() -> None:
    """They are served as plain text, and can be asked for by name."""
    reply = await App().ask("GET", "/THIRD-PARTY.txt")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert reply.body == (PUBLIC / "THIRD-PARTY.txt").read_bytes()


def test_nothing_comes_from_elsewhere() -> None:
    """No file of the page names another host to load from: no CDN, no fonts, no counters."""
    html = (PUBLIC / "index.html").read_text()
    assert not re.search(r'(?:src|href)="(?!/)', html)
    for path in PUBLIC.rglob("*.css"):
        assert not re.search(r"url\((?!/|data:)|@import", path.read_text()), path


@virtual
async def test_what_changes_its_name_is_kept_for_ever() -> None:
    """Assets are immutable; the page is asked for again each time, and answered with 304 while it is the same."""
    app = App()
    page = await app.ask("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    tag = page.headers["etag"].encode()
    again = await app.ask("GET", "/", headers=[(b"if-none-match", tag)])
    assert (again.status, again.body) == (304, b"")
    script = next(name for name in _files(PUBLIC) if name.startswith("assets/index-") and name.endswith(".js"))
    asset = await app.ask("GET", f"/{script}")
    assert asset.headers["cache-control"] == FOREVER
    assert asset.body == (PUBLIC / script).read_bytes()
    packed = await app.ask("GET", f"/{script}", headers=[(b"accept-encoding", b"gzip, br")])
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == asset.body
    assert "accept-encoding" in packed.headers["vary"]
    assert (await app.ask("HEAD", "/")).body == b""


@pytest.mark.parametrize("path", ["/../pyproject.toml", "/assets/../../README.md", "/assets/", "/index.html/", "/.env"])
@virtual
async def test_no_other_file_is_served(path: str) -> None:
    """Paths that lead out of the page's folder, or to a folder, lead nowhere."""
    assert (await App().ask("GET", path)).status == 404


def test_vercel_keeps_assets_for_ever_too() -> None:
    """Its front door says the same of them as the functions do."""
    rules = {rule["source"]: rule["headers"] for rule in json.loads((ROOT / "vercel.json").read_text())["headers"]}
    assert rules["/assets/(.*)"] == [{"key": "cache-control", "value": FOREVER}]
