"""The application: git for those who push and fetch, the API and the pages for those who ask."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

import roar
from roar.errors import NotFoundError, RoarError
from roar.server import auth_api, gate, limits, log_api, smart_http
from roar.server.access import Denied
from roar.server.edge import Edge
from roar.server.people import People
from roar.server.storage import Storage


def create_app(storage: Storage, database: str | None, *, url: str) -> FastAPI:
    """The application over a data directory and (None: SQLite beside the repositories) a database.

    ``url`` is the origin that people type, which log-ins are for.
    """
    bounds = limits.limits(os.environ)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        app.state.slots = asyncio.Semaphore(bounds.gits)
        with ThreadPoolExecutor(1, "afterwards") as pool:
            app.state.afterwards = lambda project: pool.submit(gate.finish, storage, project)
            for project in storage.projects():  # a server that was killed may have left this undone
                app.state.afterwards(project)
            yield
            pool.shutdown(cancel_futures=True)

    app = FastAPI(
        title="GLaaS",
        summary="Where did this file come from, and can I make it again?",
        version=roar.__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
    )
    app.state.storage = storage
    app.state.people = People(storage)
    app.state.database = database
    app.state.url = url
    app.state.limits = bounds
    app.add_exception_handler(RoarError, _say)
    app.add_middleware(Edge, limits=bounds)

    app.include_router(auth_api.router)
    app.include_router(log_api.router)

    @app.api_route("/{project:path}.git/{rest:path}", methods=["GET", "POST"], include_in_schema=False)
    async def git(request: Request, project: str, rest: str) -> Response:
        return await smart_http.serve(request, project, rest)

    return app


def _say(request: Request, error: Exception) -> Response:
    """An expected failure, as one line for git and as JSON for programs."""
    assert isinstance(error, RoarError)
    status = error.status if isinstance(error, Denied) else 404 if isinstance(error, NotFoundError) else 400
    headers = {"WWW-Authenticate": 'Basic realm="roar", charset="UTF-8"'} if status == 401 else {}
    text = error.message + (f" (next: {error.hint})" if error.hint else "")
    if request.url.path.startswith("/api/"):
        body = {"error": {"code": _CODES.get(status, "refused"), "message": text}}
        return JSONResponse(body, status, headers)
    return PlainTextResponse(f"roar: {text}\n", status, headers)


_CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found"}
