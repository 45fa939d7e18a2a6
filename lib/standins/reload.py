"""Watches the sources that a local run executes: the functions, the library and the user's generator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from watchfiles import PythonFilter, awatch


def folders(generator: str, root: Path, cwd: Path) -> tuple[list[Path], list[Path]]:
    """What to watch: folders alone, and folders with all that is in them.

    The generator's module may import others that stand beside it, so the folder is watched rather than the file;
    without its subfolders, since the project's own hold every installed package.

    Args:
        generator: ``package.module:function``.
        root: the project's folder.
        cwd: the user's folder.
    """
    shallow, deep = [], [root / "functions", root / "lib/holdfast"]
    top = generator.partition(":")[0].partition(".")[0]
    # The order in which Python looks for it.
    for folder in dict.fromkeys([root / "lib", root, cwd]):
        if (folder / top).is_dir():
            deep.append(folder / top)
            break
        if (folder / f"{top}.py").exists():
            shallow.append(folder)
            break
    return shallow, deep


async def watch(generator: str, root: Path, cwd: Path) -> AsyncGenerator[str, None]:
    """The name of a file that was saved, each time that one or several were."""
    shallow, deep = folders(generator, root, cwd)
    saved: asyncio.Queue[str] = asyncio.Queue()

    async def follow(paths: list[Path], *, recursive: bool) -> None:
        async for changes in awatch(*paths, watch_filter=PythonFilter(), debounce=200, recursive=recursive):
            saved.put_nowait(Path(min(path for _, path in changes)).name)

    async with asyncio.TaskGroup() as group:
        for paths, recursive in ((shallow, False), (deep, True)):
            if existing := [path for path in paths if path.is_dir()]:
                group.create_task(follow(existing, recursive=recursive))
        while True:
            yield await saved.get()
