"""A front end's own backend: it knows its visitors, and tells Holdfast who they are by a JWT of five minutes."""

import os
import time
import uuid
from pathlib import Path

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

HERE = Path(__file__).parent
OWN_KEY, HOLDFAST_SECRET = os.environ["SESSION_KEY"], os.environ["HOLDFAST_SECRET"]


async def page(request: Request) -> Response:
    response = FileResponse(HERE / "index.html")
    if "visitor" not in request.cookies:  # your own sign-in stands here
        visitor = jwt.encode({"sub": uuid.uuid4().hex}, OWN_KEY, "HS256")
        response.set_cookie("visitor", visitor, httponly=True, samesite="lax")
    return response


async def token(request: Request) -> Response:
    try:
        visitor = jwt.decode(request.cookies.get("visitor", ""), OWN_KEY, ["HS256"])
    except jwt.InvalidTokenError:
        return JSONResponse({"error": "sign in first"}, 401)
    claims = {"sub": visitor["sub"], "exp": int(time.time()) + 300}
    return JSONResponse({"token": jwt.encode(claims, HOLDFAST_SECRET, "HS256")})


client = StaticFiles(directory=HERE.parents[1] / "web/client/dist")
app = Starlette(routes=[Route("/", page), Route("/token", token, methods=["POST"]), Mount("/client", client)])
