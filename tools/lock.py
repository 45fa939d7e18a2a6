"""Write the pins anew: the two lock files with hashes, and the same pins as uv's constraints in pyproject.toml."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Each lock file and what it is compiled from; the first holds everything, the others are parts of it.
LOCKS = {
    "requirements-dev.lock": ("pyproject.toml", "--group", "dev"),
    "requirements.lock": ("pyproject.toml",),
    "requirements-lambda.lock": ("pyproject.toml", "--group", "lambda"),
}
CONSTRAINTS = "constraint-dependencies"
BUILD_CONSTRAINTS = "build-constraint-dependencies"
_PIN = re.compile(r"^([A-Za-z0-9][^\s;=]*==[^\s;]+)(?: ; (.+?))?(?: \\)?$")


def pins(lock: str) -> list[str]:
    """The requirements of a lock file's text, one ``name==version[ ; marker]`` each, without their hashes."""
    found = (_PIN.match(line) for line in lock.splitlines())
    return [f"{match[1]} ; {match[2]}" if match[2] else match[1] for match in found if match]


def written(pyproject: str, key: str, lines: list[str]) -> str:
    """The text of pyproject.toml with these requirements as the list of that name under ``[tool.uv]``."""
    entries = "".join(f"  {quoted(line)},\n" for line in lines)
    block = re.compile(rf"^{key} = \[\n(?:  .*\n)*\]\n", re.MULTILINE)
    return block.sub(lambda _: f"{key} = [\n{entries}]\n", pyproject, count=1)


def quoted(text: str) -> str:
    """A TOML string; markers hold single quotes, so double ones stand outside."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def compile_lock(folder: Path, name: str, *options: str) -> str:
    """Compile one lock file in a folder that holds pyproject.toml; what stands in the lock already is kept."""
    subprocess.run(
        [
            find_uv(), "pip", "compile", "--quiet", "--universal", "--python-version", "3.12",
            "--generate-hashes", "--no-emit-index-url", "--no-header", "--output-file", name, *options,
        ],
        cwd=folder,
        check=True,
    )  # fmt: skip
    path = folder / name
    # uv repeats options of the machine, such as folders of wheels, as lines of their own: they are no pins.
    kept = [line for line in path.read_text().splitlines() if not line.startswith("--")]
    text = "\n".join(["# Made by `make lock`; change pyproject.toml and run it.", *kept]).strip() + "\n"
    path.write_text(text)
    return text


def find_uv() -> str:
    """The uv that the set-up uses."""
    own = ROOT / ".tools/bin/uv"
    return str(own) if own.exists() else "uv"


def main(arguments: list[str] | None = None) -> None:
    """Write the lock files and the constraints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="move every pin to its newest release")
    upgrade = ["--upgrade"] if parser.parse_args(arguments).upgrade else []
    project = (ROOT / "pyproject.toml").read_text()
    dev, *others = LOCKS
    locks = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Without the constraints, since they would hold every pin where it is.
        bare = written(written(project, CONSTRAINTS, []), BUILD_CONSTRAINTS, [])
        (folder / "pyproject.toml").write_text(bare)
        (folder / "build.in").write_text("\n".join(tomllib.loads(project)["build-system"]["requires"]))
        for lock in LOCKS:
            if (ROOT / lock).exists():
                shutil.copy(ROOT / lock, folder)
        locks[dev] = compile_lock(folder, dev, *LOCKS[dev], *upgrade)
        for lock in others:
            locks[lock] = compile_lock(folder, lock, *LOCKS[lock], "--constraint", dev, *upgrade)
        build = compile_lock(folder, "build.lock", "build.in", "--constraint", dev)
    for lock, text in locks.items():
        (ROOT / lock).write_text(text)
        sys.stderr.write(f"{lock}: {len(pins(text))} pins\n")
    project = written(project, CONSTRAINTS, pins(locks[dev]))
    (ROOT / "pyproject.toml").write_text(written(project, BUILD_CONSTRAINTS, pins(build)))


if __name__ == "__main__":
    main()
