"""Runs a module as ``python -m`` does, in a process that ends when the one that started it is gone."""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    """Wait for the end of standard input, which the parent holds open for as long as it lives, however it dies."""
    while os.read(0, 4096):
        pass
    # Not sys.exit: nobody is left to hear of it, and a busy main thread must not hold this up.
    os._exit(1)


def main() -> None:
    """Run the module that the first argument names, with the arguments after it as its own."""
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
