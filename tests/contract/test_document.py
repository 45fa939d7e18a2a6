"""The OpenAPI document and the application say the same."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.routing import Route

from holdfast.errors import ApiError
from holdfast.openapi import OPERATIONS, PARAMETERS, document
from holdfast.openapi_schemas import ERRORS, SCHEMAS
from holdfast.web import application
from tests.clocks import run, virtual
from tests.fuzz.app import App
from tests.processes import ROOT


def _routes() -> set[tuple[str, str]]:
    """Each path and method that the application serves; HEAD comes with every GET."""

    async def made() -> list[Any]:
        return application(App().services, frozenset({"start", "subscribe", "publish", "cleanup"})).routes

    found = run(made())
    assert all(isinstance(route, Route) for route in found), "a route of another kind stands in no document"
    return {
        (re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path), method.lower())
        for route in found
        for method in route.methods or ()
        if method != "HEAD"
    }


def test_every_route_is_in_the_document_and_the_other_way_round() -> None:
    """No route is undocumented, and none is documented that is not there."""
    documented = [(operation.path, operation.method) for operation in OPERATIONS]
    assert len(documented) == len(set(documented))
    assert set(documented) == _routes()


@virtual
async def test_the_document_is_served() -> None:
    """``GET /api/openapi.json`` gives it to anybody, as JSON."""
    reply = await App().ask("GET", "/api/openapi.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert json.loads(reply.body) == document()


def test_what_it_refers_to_is_there_and_what_is_there_is_used() -> None:
    """Every reference leads somewhere; nothing in the components is left over; ids are unique."""
    text = json.dumps(document())
    used = set(re.findall(r'"#/components/(\w+)/(\w+)"', text))
    components = {(kind, name) for kind, held in document()["components"].items() for name in held}
    assert used == {(kind, name) for kind, name in components if kind != "securitySchemes"}
    ids = [operation.id for operation in OPERATIONS]
    assert len(ids) == len(set(ids))
    schemes = {name for operation in OPERATIONS for each in operation.security or [] for name in each}
    assert schemes == set(document()["components"]["securitySchemes"])


def test_every_parameter_of_a_path_is_described() -> None:
    """A name in braces has its parameter, and no other path parameter stands there."""
    for operation in OPERATIONS:
        described = [PARAMETERS[name] for name in operation.parameters]
        named = {each["name"] for each in described if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", operation.path)), operation.path


def test_every_status_that_the_code_raises_is_described() -> None:
    """Each ``ApiError(<status>, …`` of the library stands in the document's list of errors, and in the README's."""
    raised = {
        int(status)
        for path in (ROOT / "lib/holdfast").rglob("*.py")
        for status in re.findall(r"\bApiError\(\s*(\d{3}),", path.read_text("utf-8"))
    }
    assert {400, 401, 403, 404, 408, 413, 415, 500} <= raised
    assert raised <= set(ERRORS) | {405}  # 405 is every path's, for the methods that stand in no document
    listed = (ROOT / "README.md").read_text("utf-8")
    assert all(f"\n| {status} | `" in listed for status in raised)


def test_what_the_errors_carry() -> None:
    """The document's shape of an error is the one that errors have."""
    extra = {"stream": "s", "field": "f"}
    properties = SCHEMAS["Error"]["properties"]["error"]["properties"]
    assert set(properties) == {"code", "message", *ApiError(400, "c", "m", extra=extra).extra}
