"""Refuse what no file of the project may contain: addresses of package registries and paths of one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Put together from pieces, so that this file passes its own check.
_REGISTRIES = (
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "registry" + r"\.npmjs\.org",
    "registry" + r"\.yarnpkg\.com",
)
_OPTIONS = ("--index" + "-url", "--extra-index" + "-url", "--find" + "-links", "--trusted" + "-host")
# Those of the machine at hand: each who works on the project checks their own.
_FOLDERS = [str(folder) for folder in (ROOT, Path.home()) if len(folder.parts) > 1]

FORBIDDEN = {
    "the address of a package registry": re.compile("|".join(_REGISTRIES), re.IGNORECASE),
    "an option that chooses a package registry": re.compile("^ *(?:" + "|".join(_OPTIONS) + ")", re.MULTILINE),
    "a path of this machine": re.compile(
        "|".join(rf"{re.escape(folder)}(?=[/\s\"'])" for folder in _FOLDERS) or "(?!)"
    ),
}


def problems(name: str, text: str) -> list[str]:
    """What a file contains that it may not, one line each, with its place."""
    found = []
    for what, pattern in FORBIDDEN.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{name}:{line}: {what}")
    return found


def files() -> list[Path]:
    """Every file that is in the repository or would be, were everything added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def main() -> None:
    """Check every text file; end with 1 and the places if something is found."""
    found: list[str] = []
    for path in files():
        try:
            text = path.read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # an image, or deleted and not yet committed
        found += problems(path.relative_to(ROOT).as_posix(), text)
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
