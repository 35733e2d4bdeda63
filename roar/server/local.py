"""The pages over the repository one stands in, for one person on one machine: ``roar ui``."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.responses import PlainTextResponse, RedirectResponse

from roar.cache.index import Index, open_index
from roar.errors import RoarError
from roar.git.repository import Repository
from roar.server import api, failures, pages
from roar.server.links import Place
from roar.server.union import Directory

_COOKIE = "roar_ui"


class LocalSite:
    """One repository as a site; and as its library: each request opens the index, which brings it up to date."""

    local = True
    origin = ""
    directory: Directory | None = None

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self.library = self
        self.name = os.path.basename(repo.work_tree or repo.common_dir.removesuffix("/.git")) or "repository"

    def visible(self, request: Request) -> list[str]:
        """The one project."""
        del request
        return [self.name]

    def user(self, request: Request) -> str | None:
        """Nobody logs in."""
        del request
        return None

    def place(self, project: str) -> Place:
        """Where one stands."""
        return Place(project, None)

    def metrics(self) -> dict[str, float]:
        """There is no server to look after."""
        return {}

    def is_signer(self, key: str) -> bool:
        """Nobody is known here, and there is one project alone."""
        del key
        return False

    def take(self, project: str) -> Index:
        """The index, up to date."""
        del project
        return open_index(self._repo)

    def give_back(self, project: str, index: Index) -> None:
        """Close it."""
        del project
        index.close()

    def repository(self, project: str) -> Repository:
        """The repository."""
        del project
        return self._repo


def serve(repo: Repository, port: int, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; ``tell`` is called with the address to open. Port 0 is any that is free.

    Raises ``RoarError`` when the port cannot be had.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:  # named, as in ``run``
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise RoarError(f"cannot listen on port {port}: {error.strerror}", "roar ui --port 0") from error
        listening.listen()
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(24)
        app = create_app(repo, token, port)
        tell(f"http://127.0.0.1:{port}/?token={token}")
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            uvicorn.Server(config).run(sockets=[listening])


def create_app(repo: Repository, token: str, port: int) -> FastAPI:
    """The application. Whoever knows the token may ask, under the names of this machine alone.

    Other users of the machine reach the port, and so does any page in the user's browser, if under a name that leads
    here. The token comes in the first address and is kept in a cookie, which no other site can send or read.
    """
    app = FastAPI(title="roar", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = LocalSite(repo)
    names = {f"{host}:{port}" for host in ("127.0.0.1", "localhost")}
    cookie = f"{_COOKIE}_{port}"

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.headers.get("host") not in names:
            return PlainTextResponse("not a name of this server\n", 403)
        words = dict(request.query_params)
        given = words.pop("token", None)
        if given is not None and hmac.compare_digest(given.encode(), token.encode()):
            rest = urlencode(words)
            answer: Response = RedirectResponse(request.url.path + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(cookie, token, httponly=True, samesite="strict")
            return answer
        if not hmac.compare_digest(request.cookies.get(cookie, "").encode(), token.encode()):
            return PlainTextResponse("open the address that roar ui printed: it holds the key\n", 403)
        return await call_next(request)

    app.include_router(pages.router)
    app.include_router(api.router)
    failures.handle(app)
    return app
