"""The edge of the server, around every request: headers of each answer, and an end to bodies that never end."""

from __future__ import annotations

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roar.server.limits import Limits

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer: pages load nothing from elsewhere and run nothing that is not a file of ours."""
_MARGIN = 1 << 20
"""What a body may have beyond the bytes of a push, of which git itself says that they are too many."""
_WORDS = 1 << 20
"""The most that a request may have which is not git's."""


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # what GET answers, of which uvicorn sends the head alone
            scope = {**scope, "method": "GET"}
        is_git = scope["path"].endswith(("/git-receive-pack", "/git-upload-pack"))
        body = _Body(receive, self._limits, self._limits.push_bytes + _MARGIN if is_git else _WORDS)
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if has_body and not body.is_whole:
                    headers["Connection"] = "close"  # nobody will read the rest
            await send(message)

        await self._app(scope, body.receive, with_headers)


class _Body:
    """The body of a request. One that is too long, or comes too slowly, is as if the client had gone away."""

    def __init__(self, receive: Receive, limits: Limits, most: int) -> None:
        self._receive = receive
        self._left = most
        self._idle = limits.idle_seconds
        self._deadline = asyncio.get_running_loop().time() + limits.push_seconds
        self.is_whole = False

    async def receive(self) -> Message:
        """The next piece."""
        if self.is_whole:
            return await self._receive()
        left = self._deadline - asyncio.get_running_loop().time()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, min(left, self._idle)))
        except asyncio.TimeoutError:
            return {"type": "http.disconnect"}
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            return {"type": "http.disconnect"}
        self.is_whole = message["type"] == "http.request" and not message.get("more_body", False)
        return message
