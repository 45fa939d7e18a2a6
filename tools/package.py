"""Build the AWS Lambda artifact: pinned dependencies, library, functions and page in one reproducible zip."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tools.lock import find_uv

ROOT = Path(__file__).resolve().parent.parent
#: What serverless.yml asks for.
PLATFORM = "aarch64-manylinux_2_28"
PYTHON = "3.13"
#: The oldest time that a zip can hold; with fixed times the same content is the same file.
TIME = (1980, 1, 1, 0, 0, 0)


def build(target: Path, platform: str, python: str, generator: str = "") -> Path:
    """Make ``holdfast.zip``.

    Args:
        target: the folder that it is made in, emptied first; the tree that was zipped stays beside it.
        platform: uv's name of the platform that the wheels are for.
        python: the Python version that the wheels are for.
        generator: the user's own, ``package.module:function``; its package goes in too.

    Returns:
        The zip.
    """
    shutil.rmtree(target, ignore_errors=True)
    tree = target / "tree"
    subprocess.run(
        [
            find_uv(), "pip", "install", "--quiet", "--no-config", "--require-hashes", "--only-binary", ":all:",
            "--python-platform", platform, "--python-version", python, "--target", str(tree),
            "--requirements", str(ROOT / "requirements-lambda.lock"),
        ],
        check=True,
    )  # fmt: skip
    # Console scripts name the Python of this machine; nothing calls them.
    shutil.rmtree(tree / "bin", ignore_errors=True)
    for record in tree.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if (tree / line.partition(",")[0]).exists()))
    (tree / ".lock").unlink(missing_ok=True)
    for part, name in (("lib/holdfast", "holdfast"), ("functions", "functions"), ("public", "public")):
        if part == "public" and not (ROOT / part).is_dir():
            continue  # a deployment with another front end
        shutil.copytree(ROOT / part, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tools/lambda-web.sh", tree / "web.sh")
    for source in own_sources(ROOT, generator):
        if source.is_dir():
            shutil.copytree(source, tree / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree)
    return zipped(tree, target / "holdfast.zip")


def own_sources(root: Path, generator: str) -> list[Path]:
    """What the user added: the modules in the project's folder, and the package that the generator is in."""
    package = generator.partition(":")[0].partition(".")[0]
    found = sorted(root.glob("*.py"))
    if package and (root / package).is_dir() and package != "functions":
        found.append(root / package)
    return found


def zipped(tree: Path, target: Path) -> Path:
    """Zip a tree in a fixed order, with fixed times and rights; scripts may be executed."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(tree).as_posix(), TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (0o100755 if path.suffix == ".sh" else 0o100644) << 16
                archive.writestr(entry, path.read_bytes())
    return target


def main() -> None:
    """Build into ``build/lambda``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platform", default=PLATFORM)
    parser.add_argument("--python", default=PYTHON)
    options = parser.parse_args()
    generator = os.environ.get("HOLDFAST_GENERATOR", "")
    made = build(ROOT / "build/lambda", options.platform, options.python, generator)
    sys.stderr.write(f"{made.relative_to(ROOT)}: {made.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
