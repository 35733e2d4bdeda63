"""Git over HTTP: a request is handed to ``git http-backend``, as CGI (git-http-backend(1), RFC 3875), its answer back.

Nothing of git's protocol is understood here but the two services; bodies go through in pieces, either way. What bounds
a request: a time for the whole, a time for the next piece, the size of a body, the number of gits at once, and limits
of the kernel on each. When the client goes away git is told to end, and removes its quarantine.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from roar.git import program
from roar.server import access
from roar.server.gate import Gate, Pusher
from roar.server.limits import Limits
from roar.server.people import Role
from roar.server.storage import Storage

log = logging.getLogger(__name__)

SERVICES = {"git-upload-pack": Role.READ, "git-receive-pack": Role.WRITE}
PIECE = 1 << 16
"""Bytes read from git at once."""
_GRACE_SECONDS = 5.0
"""From the signal to end to the one that cannot be refused."""


async def serve(request: Request, project: str, rest: str) -> Response:
    """Answer one request of git's smart protocol for a project. Raises ``access.Denied``."""
    service = _service(request, rest)
    if service is None:
        return PlainTextResponse("roar: only git's smart protocol is spoken here\n", 404)
    storage: Storage = request.app.state.storage
    who = await asyncio.to_thread(access.caller, request, storage)
    pusher = Pusher(who.user or "", request.client.host if request.client else "")
    await asyncio.to_thread(access.let_in, storage, who, project, SERVICES[service], pusher.address)
    limits: Limits = request.app.state.limits
    make_gate = None
    if service == "git-receive-pack" and request.method == "POST":
        make_gate = functools.partial(Gate, storage, who.people, project, pusher, limits)
    variables = _variables(request, storage, project, rest, who.user)
    run = _Git(limits, make_gate, lambda: request.app.state.afterwards(project))
    # who takes all the time of a request, and need not say who they are, must not keep those waiting who do
    slots = [request.app.state.slots] if who.user else [request.app.state.slots_of_anybody, request.app.state.slots]
    return _Answer(run, variables, slots)


class _Answer(Response):
    """What git answers, piece by piece, while the request's body may still be on its way."""

    def __init__(self, run: _Git, variables: dict[str, str], slots: list[asyncio.Semaphore]) -> None:
        super().__init__()
        self._run = run
        self._variables = variables
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. The last piece goes out when all that a push brought is noted."""
        del scope
        run = self._run
        async with contextlib.AsyncExitStack() as turn:
            for slot in self._slots:
                await turn.enter_async_context(slot)
            feeding: asyncio.Task[None] | None = None
            started = False
            try:
                await run.start(self._variables)
                feeding = asyncio.create_task(run.feed(receive))
                status, headers = await run.head()
                raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
                await send({"type": "http.response.start", "status": status, "headers": raw})
                started = True
                async for piece in run.pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await run.heard()  # who is still sending does not listen
            except asyncio.TimeoutError:
                log.info("git took too long")
            finally:
                if feeding:
                    feeding.cancel()
                await asyncio.shield(run.end())
            if not started:
                await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})


class _Git:
    """One running ``git http-backend``, and everything it starts."""

    def __init__(self, limits: Limits, make_gate: Callable[[], Gate] | None, after: Callable[[], object]) -> None:
        self._limits = limits
        self._make_gate = make_gate
        self._gate: Gate | None = None
        self._after = after
        self._process: asyncio.subprocess.Process | None = None
        self._heard = asyncio.Event()
        self._deadline = 0.0

    async def start(self, variables: dict[str, str]) -> None:
        """Start it, with a gate beside one that receives: not before its turn, for each takes pipes and time."""
        self._deadline = asyncio.get_running_loop().time() + self._limits.push_seconds
        self._gate = self._make_gate() if self._make_gate else None
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            _backend(),
            stdin=pipe,
            stdout=pipe,
            stderr=None if log.isEnabledFor(logging.DEBUG) else asyncio.subprocess.DEVNULL,
            env=variables | (self._gate.environment if self._gate else {}),
            pass_fds=self._gate.fds if self._gate else (),
            start_new_session=True,  # so that all of it can be ended at once
            limit=PIECE,
        )
        if hasattr(resource, "prlimit"):  # before git reads a byte of what the client sends
            bounds = {resource.RLIMIT_AS: self._limits.git_memory_bytes, resource.RLIMIT_CPU: self._limits.push_seconds}
            with contextlib.suppress(ProcessLookupError):
                for what, most in bounds.items():
                    resource.prlimit(self._process.pid, what, (most, most))
        if self._gate:
            self._gate.watch()

    async def feed(self, receive: Receive) -> None:
        """Pass the body of a request on, and drop what git does not want to hear.

        When the client goes away git hears the end: one that receives then removes its quarantine, or, when it has
        heard all, lets the push in. (A signal would leave the quarantine where it is.) One that sends is ended.
        """
        assert self._process and self._process.stdin
        into = self._process.stdin
        wanted = True
        while (message := await receive())["type"] == "http.request":
            try:
                if wanted:
                    into.write(message["body"])
                    await into.drain()
            except (BrokenPipeError, ConnectionResetError):  # it has heard enough, and says why
                wanted = False
            if not message.get("more_body", False):
                break
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            into.close()
        self._heard.set()
        while self._gate is None and message["type"] != "http.disconnect":
            message = await receive()
        if self._gate is None:
            self._signal(signal.SIGTERM)

    async def heard(self) -> None:
        """Wait until the client has sent all of its request, or cannot any more."""
        await asyncio.wait_for(self._heard.wait(), self._left())

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        """Status and headers of the answer, as git gives them (RFC 3875, 6.3)."""
        status, headers = 200, []
        while line := (await self._out(lambda out: out.readline())).decode("latin-1").rstrip("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "status":
                status = int(value.split()[0])
            else:
                headers.append((name, value.strip()))
        return (status, headers) if headers else (500, [])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The rest of the answer."""
        while piece := await self._out(lambda out: out.read(PIECE)):
            yield piece

    async def _out(self, read: Callable[[asyncio.StreamReader], Awaitable[bytes]]) -> bytes:
        assert self._process and self._process.stdout
        return await asyncio.wait_for(read(self._process.stdout), self._left())

    async def end(self) -> None:
        """See to it that git and all it started has ended, and that what came in is noted."""
        if self._process is not None:
            if self._process.returncode is None:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._process.wait(), _GRACE_SECONDS)
            if self._gate is not None:
                await self._removed(self._gate)
            self._signal(signal.SIGKILL)
            await self._process.wait()
        if self._gate is not None and await asyncio.to_thread(self._gate.close):
            self._after()

    @staticmethod
    async def _removed(gate: Gate) -> None:
        """Give the git that receives the time to remove its quarantine: it may outlive the one that we started."""
        end = asyncio.get_running_loop().time() + _GRACE_SECONDS
        while gate.is_beside_git() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.002)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _left(self) -> float:
        return max(0.0, self._deadline - asyncio.get_running_loop().time())


@functools.cache
def _backend() -> str:
    """The program itself: `git http-backend` is one process more for each request."""
    return os.path.join(os.fsdecode(program.ask(["--exec-path"])).strip(), "git-http-backend")


def _service(request: Request, rest: str) -> str | None:
    """The service that a request is for; None for what is not git's smart protocol."""
    if request.method == "GET" and rest == "info/refs":
        name = request.query_params.get("service", "")
        return name if name in SERVICES else None
    kind = request.headers.get("content-type", "")
    if request.method == "POST" and rest in SERVICES and kind == f"application/x-{rest}-request":
        return rest
    return None


def _variables(request: Request, storage: Storage, project: str, rest: str, user: str | None) -> dict[str, str]:
    """The environment of ``git http-backend``: that of any git that serves, and what CGI says of the request.

    But for the length of the body: git reads to its end, which may come early, and would wait for the rest for ever.
    """
    found = storage.variables(request.app.state.limits.push_bytes) | {
        "GIT_PROJECT_ROOT": storage.place("projects"),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{project}.git/{rest}",
        "QUERY_STRING": f"service={request.query_params['service']}" if request.method == "GET" else "",
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "REMOTE_ADDR": request.client.host if request.client else "",
    }
    if user:
        found["REMOTE_USER"] = user
    if request.headers.get("content-encoding") in ("gzip", "x-gzip"):
        found["HTTP_CONTENT_ENCODING"] = "gzip"
    protocol = request.headers.get("git-protocol", "")
    if access.is_protocol(protocol):
        found["GIT_PROTOCOL"] = protocol
    return found
