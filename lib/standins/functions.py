"""Serves the project's functions in one process, on a socket that the supervisor opened."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import socket
import sys

import uvicorn
from starlette.types import ASGIApp

from holdfast.errors import SettingsError

#: The exit code for "the settings are wrong": starting again cannot help (EX_CONFIG of sysexits.h).
EXIT_SETTINGS = 78
#: Seconds that open streams get to end by themselves when the process is asked to end. Their readers resume.
GRACE_SECONDS = 1


def main() -> None:
    """Serve ``functions.app`` on the listening socket whose descriptor is the only argument."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    try:
        see_generator(os.environ.get("HOLDFAST_GENERATOR", ""))
        app = load_app()
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_SETTINGS)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def load_app() -> ASGIApp:
    """The app that is deployed.

    Raises:
        SettingsError: it refuses to start.
    """
    try:
        from functions.app import app
    except SystemExit as refusal:
        # Where it is deployed, it ends its process with one line.
        raise SettingsError(str(refusal.code)) from None
    return app


def see_generator(name: str) -> None:
    """Import the user's generator, so that its author sees at once, and not at the first question, that it fails to.

    Args:
        name: ``package.module:function``, or empty for none.

    Raises:
        SettingsError: there is no such module, or no such function in it.
        Exception: whatever the module raises; its traceback is what its author needs.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        return  # what is malformed is for the settings to say
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise SettingsError(f"HOLDFAST_GENERATOR: there is no module {top} in the project's folder or in this one.")
    if not callable(getattr(importlib.import_module(module), function, None)):
        raise SettingsError(f"HOLDFAST_GENERATOR: {module} has no function {function}.")


if __name__ == "__main__":
    main()
