"""The ``holdfast`` command: asks, follows and stops answers, and looks after a deployment."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from holdfast._cli.problem import BROKEN_PIPE, FAILED, INTERRUPTED, TERMINATED, USAGE, Problem
from holdfast.errors import HoldfastError, SettingsError

_EPILOG = """\
exit codes: 0 done · 1 the answer or the request failed · 2 wrong usage or setting · 3 the answer was stopped ·
4 gave up on the server (the answer may go on) · 130 interrupted (the answer goes on)

environment: HOLDFAST_URL (server, default http://127.0.0.1:8000), HOLDFAST_API_KEY (who you are there; without it, a
session that is kept for you), XDG_STATE_HOME (where sessions and started streams are kept)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments after the command's name; by default those of this process.

    Returns:
        The exit code, as ``holdfast --help`` lists them.
    """
    args = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What is written to a pipe is the answer's UTF-8 and its newlines, whatever the locale says.
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="replace", newline="\n")
    try:
        return _run(_command(args, os.environ))
    except Problem as problem:
        return _fail(str(problem), problem.code)
    except SettingsError as error:
        return _fail(str(error), USAGE)
    except HoldfastError as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has left; Python would complain once more when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _command(args: argparse.Namespace, env: Mapping[str, str]) -> Coroutine[Any, Any, int]:
    # Each command loads only what it needs, so that `holdfast --help` and mistakes are answered at once.
    if args.command in {"schedule", "doctor"}:
        from holdfast._cli import operate

        return operate.schedule(args, env) if args.command == "schedule" else operate.doctor(args, env)
    from holdfast._cli import answers

    match args.command:
        case "ask":
            return answers.ask(args, env)
        case "tail":
            return answers.tail(args, env)
        case "stop":
            return answers.stop(args, env)
        case _:
            return answers.status(args, env)


def _run(command: Coroutine[Any, Any, int]) -> int:
    """Run a command so that SIGTERM and SIGHUP, like Ctrl-C, let it put the terminal in order."""
    ended_by_signal = False

    async def guarded() -> int:
        nonlocal ended_by_signal
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def end() -> None:
            nonlocal ended_by_signal
            ended_by_signal = True
            if task is not None:
                task.cancel()

        for name in ("SIGTERM", "SIGHUP"):
            try:
                loop.add_signal_handler(getattr(signal, name), end)
            except (AttributeError, NotImplementedError, RuntimeError, ValueError):
                break  # not on this platform, or not in the main thread: the default stays
        return await command

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if ended_by_signal:
            return TERMINATED
        raise


def _fail(message: str, code: int) -> int:
    print(f"holdfast: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast",
        description="Ask for answers that survive anything, and look after the functions that write them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    server = argparse.ArgumentParser(add_help=False)
    server.add_argument("--url", metavar="URL", help="the server; by default HOLDFAST_URL, else http://127.0.0.1:8000")
    server.add_argument(
        "--api-key", metavar="KEY", help="who you are; by default HOLDFAST_API_KEY, which `ps` shows nobody"
    )
    following = argparse.ArgumentParser(add_help=False)
    following.add_argument("--json", action="store_true", help="print each part as one line of JSON, with its cursor")
    following.add_argument("-q", "--quiet", action="store_true", help="no status line")
    following.add_argument(
        "--give-up",
        type=_seconds,
        default=180.0,
        metavar="SECONDS",
        help="end after so long without a sign of life from the server (default 180)",
    )
    deployment = argparse.ArgumentParser(add_help=False)
    deployment.add_argument("--env-file", metavar="FILE", help="settings besides the environment; by default .env")

    ask = commands.add_parser("ask", parents=[server, following], help="start an answer and follow it to its end")
    ask.add_argument("prompt", help="the question; - reads it from standard input")
    ask.add_argument("--chat", metavar="ID", help="the conversation that the question belongs to")
    ask.add_argument("--model", metavar="NAME", help="the model, where the server lets the caller choose")

    tail = commands.add_parser("tail", parents=[server, following], help="follow an answer that was started before")
    tail.add_argument("id", nargs="?", help="the stream, or the beginning of its id; by default the newest one")
    tail.add_argument("--from", dest="cursor", metavar="CURSOR", help="show only what comes after this cursor")

    stop = commands.add_parser("stop", parents=[server], help="stop an answer; what was written stays")
    stop.add_argument("id", help="the stream, or the beginning of its id")

    status = commands.add_parser("status", parents=[server], help="show the state of an answer")
    status.add_argument("id", nargs="?", help="the stream, or the beginning of its id; by default the newest one")
    status.add_argument("--json", action="store_true", help="print what the server said")

    schedule = commands.add_parser("schedule", parents=[deployment], help="have QStash call cleanup regularly")
    schedule.add_argument(
        "--cron", default="* * * * *", metavar="EXPRESSION", help="when, in UTC (default every minute)"
    )
    schedule.add_argument("--name", metavar="NAME", help="the schedule's id, for several deployments on one account")

    commands.add_parser("doctor", parents=[deployment], help="check the settings and the services behind them")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 10**7:
        raise ValueError(text)
    return value


class _Version(argparse.Action):
    """Finding the version out takes longer than everything else here, so only who asks waits for it."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            text = version("holdfast")
        except PackageNotFoundError:
            text = "(run from its source, not installed)"
        print(f"holdfast {text}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
