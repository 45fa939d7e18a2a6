"""``make run``: the whole system on one machine, with a stand-in for each service that has no real credentials."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from holdfast.adapters.qstash import QStashQueue
from holdfast.errors import HoldfastError, SettingsError
from standins.plan import HOST, Plan, Service, make_plan, read_env
from standins.reload import watch
from standins.supervisor import RunError, Spec, Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent
FUNCTIONS = "functions"
SCHEDULE_ID = "holdfast-cleanup"


def main() -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SystemExit: the environment is wrong, a port is taken or a process does not start.
    """
    parser = argparse.ArgumentParser(prog="standins.local", description=__doc__)
    parser.add_argument(
        "--env-file", metavar="FILE", type=Path, default=ROOT / ".env", help="settings, by default .env"
    )
    env_file = parser.parse_args().env_file
    try:
        plan = make_plan(read_env(os.environ, env_file, ROOT / ".holdfast"), ROOT, Path.cwd())
        listener = listen(plan)
        asyncio.run(_run(plan, listener))
    except (SettingsError, RunError) as error:
        sys.exit(f"holdfast: {error}")


def listen(plan: Plan) -> socket.socket:
    """Open the functions' port and see that the stand-ins' are free.

    The socket outlives the processes that serve on it, so a connection made between two of them waits instead of
    being refused, as it would at a platform's front door.

    Raises:
        RunError: a port is taken.
    """
    for service in (plan.redis, plan.qstash, plan.model):
        if service.port:
            _bind(service.port, f"the {service.name} stand-in").close()
    listener = _bind(plan.port, "the functions")
    listener.listen(1024)
    return listener


def _bind(port: int, owner: str) -> socket.socket:
    candidate = socket.socket()
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((HOST, port))
    except OSError as error:
        candidate.close()
        raise RunError(
            f"port {port}, for {owner}, cannot be used: {error.strerror}. PORT sets the first of four ports in a row: "
            "make run PORT=9000"
        ) from None
    return candidate


def specs(plan: Plan, listener: socket.socket) -> tuple[Spec, ...]:
    """The processes of a run."""
    redis_options = ("--redis", plan.redis_server) if plan.redis_server else ()
    lost = "" if plan.redis_server else "everything in it, every stream and chat"
    found = [
        Spec(
            name=FUNCTIONS,
            argv=("standins.functions", str(listener.fileno())),
            env=plan.env,
            url=plan.url,
            health=f"{plan.url}/healthz",
            fds=(listener.fileno(),),
        )
    ]
    for service, module, options, loses in (
        (plan.redis, "standins.redis_rest", redis_options, lost),
        (plan.qstash, "standins.qstash", (), "its messages and schedules; cleanup asks for what is still owed"),
        (plan.model, "standins.model", (), "its record of calls"),
    ):
        if service.port:
            base = f"http://{HOST}:{service.port}"
            found.append(
                Spec(
                    name=service.name,
                    argv=(module, "--port", str(service.port), *options),
                    env=plan.standin_env,
                    url=base,
                    health=f"{base}/__standin/health",
                    loses=loses,
                )
            )
    return tuple(found)


def block(plan: Plan) -> str:
    """What the user sees when everything is ready."""
    generator = plan.env.get("HOLDFAST_GENERATOR", "")
    in_redis = plan.redis_server.rpartition("@")[2].removeprefix("redis://")
    rows = [
        ("Page", plan.url + "/", ""),
        ("API", plan.url + "/api/streams", f"public as {plan.public_url}" if plan.public_url != plan.url else ""),
        ("Redis", *_shown(plan.redis, f"data in {in_redis}" if in_redis else "data in memory, gone when this ends")),
        ("QStash", *_shown(plan.qstash)),
        ("Model", *_shown(plan.model, "for your generator, if it asks one" if generator else "")),
    ]
    if generator:
        rows.append(("Generator", generator, "starts anew when a source is saved" if _reloads(plan) else ""))
    lines = [f"  {name:<10} {value:<36} {note}".rstrip() for name, value, note in rows]
    notes = [f"  Note: {note}" for note in plan.notes]
    hint = f'  Try: .venv/bin/holdfast ask {"" if plan.port == 8000 else f"--url {plan.url} "}"Why do knots hold?"'
    return "\n".join(["", "Holdfast is ready. Ctrl-C stops everything.", "", *lines, *notes, "", hint, ""])


def _shown(service: Service, note: str = "") -> tuple[str, str]:
    kind = "stand-in" if service.port else "real service"
    return service.url, f"{kind}, {note}" if note and service.port else kind


def _reloads(plan: Plan) -> bool:
    return bool(plan.env.get("GENERATOR"))


async def _run(plan: Plan, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    served: set[str] = set()

    def on_ready(name: str) -> None:
        if name in served:
            _say(f"{name} is ready again.")
        served.add(name)
        # A stand-in that started anew has forgotten its schedules.
        if name == "QStash":
            tasks.add(loop.create_task(_schedule(plan)))

    supervisor = Supervisor(
        specs(plan, listener),
        record=ROOT / f".holdfast/run-{plan.port}.json",
        say=_say,
        on_ready=on_ready,
        waits_for_change=FUNCTIONS if _reloads(plan) else "",
    )
    running = asyncio.create_task(supervisor.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    tasks.add(loop.create_task(_announce(supervisor, plan)))
    if _reloads(plan):
        tasks.add(loop.create_task(_reload(supervisor, plan)))
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await running
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _announce(supervisor: Supervisor, plan: Plan) -> None:
    await supervisor.wait_ready()
    _say(block(plan))


async def _schedule(plan: Plan) -> None:
    """Have the stand-in call cleanup every minute."""
    destination = f"{plan.public_url}/api/cleanup"
    queue = QStashQueue(url=plan.env["QSTASH_URL"], token=plan.env["QSTASH_TOKEN"], destination=destination)
    try:
        await queue.schedule("* * * * *", destination, SCHEDULE_ID)
    except HoldfastError as error:
        _say(f"The schedule that calls cleanup could not be made: {error}")
    finally:
        await queue.close()


async def _reload(supervisor: Supervisor, plan: Plan) -> None:
    async with contextlib.aclosing(watch(plan.env["GENERATOR"], ROOT, Path.cwd())) as saved:
        async for name in saved:
            _say(f"{name} was saved: starting the functions anew.")
            await supervisor.restart(FUNCTIONS)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
