"""What goes wrong with a request, said once: as JSON below ``/api/``, as a page to browsers, else in one line."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from roar.errors import AmbiguousError, NotFoundError, RoarError, UnavailableError, UsageError
from roar.server import pages
from roar.server.access import Denied

log = logging.getLogger(__name__)

_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "ambiguous",
    422: "invalid",
    429: "too_many_requests",
    500: "failed",
    503: "unavailable",
}
_KINDS: tuple[tuple[type[RoarError], int], ...] = (
    (NotFoundError, 404),
    (AmbiguousError, 409),
    (UsageError, 400),
    (UnavailableError, 503),
)


def handle(app: FastAPI) -> None:
    """Let an application answer so."""
    for kind, handler in (
        (RoarError, _expected),
        (HTTPException, _http),
        (RequestValidationError, _invalid),
        (Exception, _bug),
    ):
        app.add_exception_handler(kind, handler)


def _expected(request: Request, error: Exception) -> Response:
    assert isinstance(error, RoarError)
    kinds = (status for kind, status in _KINDS if isinstance(error, kind))
    return _answer(request, error.status if isinstance(error, Denied) else next(kinds, 400), error.message, error.hint)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _answer(request, error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
    return _answer(request, 422, "; ".join(said[:5]))


def _bug(request: Request, error: Exception) -> Response:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _answer(request, 500, "a bug in roar; the server's log has more")


def _answer(request: Request, status: int, message: str, hint: str | None = None) -> Response:
    whole = f"{message} (next: {hint})" if hint else message
    if request.url.path.startswith("/api/"):
        said = {"error": {"code": _CODES.get(status, "failed"), "message": whole}}
        answer: Response = JSONResponse(said, status)
    elif "text/html" in request.headers.get("accept", ""):
        answer = pages.error_page(request, status, message, hint)
    else:
        answer = PlainTextResponse(f"roar: {whole}\n", status)
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Basic realm="roar", charset="UTF-8"'
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    return answer
