"""The application: git for those who push and fetch, the API and the pages for those who ask."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import Response

import roar
from roar.server import api, auth_api, enter, failures, gate, limits, log_api, pages, smart_http
from roar.server.edge import Edge
from roar.server.people import People
from roar.server.storage import Storage
from roar.server.team import Team

_ANSWERING = 4
"""Threads that answer: more of them only take turns, and everybody waits for the slowest."""


def create_app(storage: Storage, database: str | None, *, url: str) -> FastAPI:
    """The application over a data directory and (None: SQLite beside the repositories) a database.

    ``url`` is the origin that people type, which log-ins are for.
    """
    bounds = limits.limits(os.environ)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        app.state.slots = asyncio.Semaphore(bounds.gits)
        app.state.slots_of_anybody = asyncio.Semaphore(max(1, bounds.gits // 2))
        to_thread.current_default_thread_limiter().total_tokens = _ANSWERING
        with ThreadPoolExecutor(1, "afterwards") as pool:
            app.state.afterwards = lambda project: pool.submit(gate.finish, storage, project)
            for project in storage.projects():  # a server that was killed may have left this undone
                app.state.afterwards(project)
            yield
            app.state.site.close()
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
    app.state.site = Team(storage, app.state.people, database, url)
    app.add_middleware(Edge, limits=bounds)

    @app.api_route("/{project:path}.git/{rest:path}", methods=["GET", "POST"], include_in_schema=False)
    async def git(request: Request, project: str, rest: str) -> Response:
        return await smart_http.serve(request, project, rest)

    for router in (auth_api.router, log_api.router, api.router, enter.router, pages.router):
        app.include_router(router)
    failures.handle(app)
    return app
