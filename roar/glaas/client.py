"""Asking a server over HTTP, by the standard library: JSON in and out, no redirects, nothing without bounds.

A token goes into one header of a request to its own origin and nowhere else: no redirect is followed, plain HTTP is for
this machine alone (``address.parse``) and takes no proxy.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import IO, Any, NoReturn
from urllib.parse import urlencode

import roar
from roar.errors import RoarError
from roar.records.summary import printable

API = "/api/v1"
SECONDS = 30
"""How long a server may be silent."""
_MOST_BYTES = 32 << 20
_LONGEST_REASON = 300


class UnreachableError(RoarError):
    """The server does not answer: no network, no such host, nothing listens, or its certificate is not trusted."""


class RefusedError(RoarError):
    """The server answered and said no; ``status`` is that of HTTP."""

    def __init__(self, status: int, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.status = status


class Client:
    """A server by its origin. ``authorities`` is a file of certificates to trust in place of the system's."""

    def __init__(self, origin: str, authorities: str | None = None) -> None:
        self.origin = origin
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if origin.startswith("http:"):
            handlers.append(urllib.request.ProxyHandler({}))
        else:
            try:
                context = ssl.create_default_context(cafile=authorities)
            except OSError as error:
                raise RoarError(f"cannot read the certificates in {authorities}: {error.strerror}") from error
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def get(
        self, path: str, query: Mapping[str, str | int | Sequence[str]] | None = None, token: str | None = None
    ) -> Any:
        """The JSON at a path below ``/api/v1``. Raises ``UnreachableError`` or ``RefusedError``."""
        words = urlencode(query or {}, doseq=True)
        return self._ask(urllib.request.Request(self._url(path) + (f"?{words}" if words else "")), token)

    def post(self, path: str, body: Any, token: str | None = None) -> Any:
        """The JSON that answers JSON. Raises as ``get`` does."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url(path), json.dumps(body).encode(), headers, method="POST")
        return self._ask(request, token)

    def _url(self, path: str) -> str:
        return self.origin + API + path

    def _ask(self, request: urllib.request.Request, token: str | None) -> Any:
        request.add_header("Accept", "application/json")
        request.add_header("User-Agent", f"roar/{roar.__version__}")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                body = answer.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(error.code, *_reason(self.origin, error)) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            why = printable(str(getattr(error, "reason", None) or error))
            raise UnreachableError(
                f"{self.origin} cannot be reached: {why}", "check the address and the network"
            ) from None
        if len(body) > _MOST_BYTES:
            raise RoarError(f"{self.origin} answers with more than {_MOST_BYTES} bytes")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise RoarError(f"{self.origin} does not answer as a roar server does", "check the address") from None


def _reason(origin: str, error: urllib.error.HTTPError) -> tuple[str, str | None]:
    """Why a server said no, in its own words when it has some; and what it says to do next."""
    try:
        said = json.loads(error.read(1 << 16))["error"]
        text = printable(str(said["message"]))[:_LONGEST_REASON]
    except (ValueError, LookupError, TypeError, RecursionError, OSError, http.client.HTTPException):
        return f"{origin} answers {error.code} {printable(str(error.reason))}", "check the address"
    text, _, hint = text.partition(" (next: ")
    return f"{origin}: {text}", hint.removesuffix(")") or None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> NoReturn:
        del fp, code, msg, headers
        raise RoarError(
            f"{req.host} sends us on to {printable(newurl)[:200]}, and no redirect is followed with a log-in",
            "use that address, if you trust it",
        )
