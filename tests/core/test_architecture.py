"""Imports go one way, the core knows no service, and what a function does not need is not loaded."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.processes import ROOT

_LIB = ROOT / "lib"
_LONGEST = 320

#: Modules around the core: services, the web, the command. Everything else in the library is core.
_OUTER = frozenset(
    {
        "", "adapters", "auth", "chat_handlers", "cli", "_cli", "client", "client_handlers", "client_reader",
        "client_types", "deploy", "doctor", "doctor_services", "envfile", "eventstream", "guard", "handlers", "logs",
        "machine_handlers", "named", "observed", "openapi", "openapi_schemas", "origins", "replies", "seats",
        "services", "session_handlers", "settings", "share_handlers", "site", "_testing", "testing", "web",
    }
)  # fmt: skip
#: What people do with an answer; none of these knows another one, and what lies below knows none of them.
_DOERS = frozenset({"start", "publish", "subscribe", "retention"})
#: Ports and the words they are written in: all that an adapter may know.
_PORTS = frozenset({"clock", "drain", "errors", "generation", "operations", "queue", "records"})
#: Parts of the standard library through which a core would reach around its ports.
_REACHING = frozenset(
    {"http", "multiprocessing", "os", "pathlib", "random", "shutil", "socket", "subprocess", "sys", "urllib"}
)


def _name(path: Path) -> str:
    """The module that a file is, from its source root: ``holdfast.adapters.memory``."""
    parts = path.relative_to(_LIB).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


_FILES = {_name(path): path for path in sorted((_LIB / "holdfast").rglob("*.py"))}


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside of functions, but for types alone."""
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            submodules = [f"{module}.{alias.name}" for alias in node.names if f"{module}.{alias.name}" in _FILES]
            yield from submodules or [module]


_GRAPH = {name: set(_imports(path)) for name, path in _FILES.items()}


def _short(module: str) -> str:
    """The first name below ``holdfast``."""
    return module.removeprefix("holdfast").removeprefix(".").split(".")[0]


_CORE = {name for name in _FILES if _short(name) not in _OUTER}


def _reached(module: str) -> set[str]:
    """Everything of the library that a module imports, directly or through others."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        new = {name for name in _GRAPH[waiting.pop()] if name in _FILES} - seen
        seen |= new
        waiting += new
    return seen


def test_the_core_is_what_it_should_be() -> None:
    """The modules that the protocol is made of are core, and all the names above are modules that exist."""
    names = {_short(name) for name in _CORE}
    assert names >= {
        "answer",
        "attempt",
        "batching",
        "compose",
        "history",
        "log",
        "message",
        "records",
        "rescue",
        "sse",
    }
    assert names >= _DOERS | _PORTS
    assert {_short(name) for name in _FILES} >= _OUTER


@pytest.mark.parametrize("module", sorted(_CORE))
def test_the_core_imports_itself_and_plain_python(module: str) -> None:
    """The core imports no redis, openai, qstash, starlette, httpx or os, nor anything around it."""
    for imported in _GRAPH[module]:
        top = imported.split(".")[0]
        if top == "holdfast":
            assert imported in _CORE, f"{module} imports {imported}, which is not core"
        else:
            assert top in sys.stdlib_module_names - _REACHING, f"{module} imports {imported}"


@pytest.mark.parametrize("module", sorted(name for name in _FILES if name.startswith("holdfast.adapters.")))
def test_adapters_know_ports_alone(module: str) -> None:
    """An adapter imports ports, records, errors and other adapters, and nothing else of the library."""
    ours = {name for name in _GRAPH[module] if name.split(".")[0] == "holdfast"}
    assert {_short(name) for name in ours} <= _PORTS | {"adapters"}


@pytest.mark.parametrize("doer", sorted(_DOERS))
def test_doers_do_not_know_each_other(doer: str) -> None:
    """Publishing and subscribing (and starting, and cleaning up) never import each other, not through others either."""
    reached = {_short(name) for name in _reached(f"holdfast.{doer}")}
    assert not reached & (_DOERS - {doer})
    assert "log" in reached


def test_what_lies_below_knows_nobody_above() -> None:
    """Imports go down: the log, records and folding know no doer; sans-io parts know no log."""
    below = _CORE - {f"holdfast.{doer}" for doer in _DOERS}
    for module in below:
        assert not {_short(name) for name in _reached(module)} & _DOERS, module
    for name in ("batching", "compose", "message", "records", "requests", "sse"):
        assert not {_short(found) for found in _reached(f"holdfast.{name}")} & {"log", "operations", "clock"}


def test_imports_go_round_in_no_circle() -> None:
    """The core's modules can be put in an order in which each imports only earlier ones."""
    order = list(TopologicalSorter({name: _GRAPH[name] & _CORE for name in _CORE}).static_order())
    assert set(order) == _CORE


def test_nothing_deployed_knows_the_stand_ins() -> None:
    """Neither the library nor the functions import the stand-ins or the tests."""
    deployed = [*_FILES.values(), *(ROOT / "functions").glob("*.py")]
    assert len(deployed) > len(_FILES)
    for path in deployed:
        assert not {name.split(".")[0] for name in _imports(path)} & {"standins", "tests"}, path


@pytest.mark.parametrize("path", sorted(_LIB.rglob("*.py")), ids=lambda path: str(path.relative_to(_LIB)))
def test_files_are_short_and_say_what_they_are(path: Path) -> None:
    """No file of the library is longer than 320 lines, and each begins with a docstring of one paragraph or more."""
    text = path.read_text("utf-8")
    assert text.count("\n") <= _LONGEST
    assert ast.get_docstring(ast.parse(text))


_ENV = {
    "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:9",
    "UPSTASH_REDIS_REST_TOKEN": "redis-token",
    "QSTASH_TOKEN": "qstash-token",
    "QSTASH_CURRENT_SIGNING_KEY": "sig-current",
    "QSTASH_NEXT_SIGNING_KEY": "sig-next",
    "CRON_SECRET": "cron-secret-of-the-tests",
    "HOLDFAST_SECRET": "holdfast-secret-of-the-tests",
    "HOLDFAST_PUBLIC_URL": "https://chat.example.com",
    "OPENAI_API_KEY": "model-key",
}


def _loaded(module: str, *without: str) -> set[str]:
    """The top-level packages that importing a module loads, in a process of its own."""
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    env = {name: value for name, value in _ENV.items() if name not in without}
    env |= {"PYTHONPATH": f"{_LIB}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_importing_the_library_imports_no_sdk() -> None:
    """``import holdfast`` is light: no SDK, no web framework, no HTTP client."""
    loaded = _loaded("holdfast")
    assert "holdfast" in loaded
    assert not loaded & {
        "httpx",
        "httpx2",
        "mangum",
        "openai",
        "pydantic",
        "qstash",
        "starlette",
        "upstash_redis",
        "uvicorn",
    }


def test_subscribing_imports_no_model_and_no_queue() -> None:
    """``functions.subscribe`` starts without openai, pydantic and qstash, and without the others' settings."""
    loaded = _loaded("functions.subscribe", "CRON_SECRET", "OPENAI_API_KEY", "QSTASH_CURRENT_SIGNING_KEY")
    assert "starlette" in loaded
    assert not loaded & {"cryptography", "jwt", "openai", "pydantic", "qstash", "standins", "upstash_ratelimit"}


@pytest.mark.parametrize("function", ["app", "start", "publish", "cleanup"])
def test_functions_start_without_stand_ins(function: str) -> None:
    """Every function can be imported by itself and loads no stand-in, nor what the stand-ins are made of; what only a
    start needs comes with the first start.
    """
    loaded = _loaded(f"functions.{function}")
    assert "upstash_ratelimit" not in loaded
    assert not loaded & {"fakeredis", "redis", "standins", "uvicorn", "watchfiles"}
