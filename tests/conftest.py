"""What holds for every test."""

from __future__ import annotations

import signal

import pytest

# A shell without job control starts what runs in the background with SIGINT ignored, and so would every process that
# a test starts: its Ctrl-C would then reach nobody.
signal.signal(signal.SIGINT, signal.default_int_handler)

#: Folders whose tests share a system, a browser or npm's folders: they stay together when several processes run tests.
_TOGETHER = {"clients": "npm of web", "examples": "npm of web", "test_page.py": "npm of web"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests one process runs (pytest-xdist's ``--dist loadgroup``): those of a folder, as its fixtures do."""
    for item in items:
        parts = item.path.relative_to(item.config.rootpath).parts
        group = next((_TOGETHER[part] for part in parts if part in _TOGETHER), parts[1])
        item.add_marker(pytest.mark.xdist_group(group))
