"""Letting a browser in: ``roar auth browse`` opens ``/enter#CODE``, and one click there makes it a visit.

The code stands behind the ``#``, which no browser sends: so no log, of this server or of one before it, has it, and
nobody who looks at links beforehand uses it up. A script of ours, or a person, puts it into a form. What the form
answers names the user, and only what is clicked there lets the browser in: nobody is led in as somebody else unseen.
"""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response

from roar.server import audit, tokens, visits
from roar.server.access import Denied
from roar.server.asked import welcome
from roar.server.auth_api import address_of, audience_of
from roar.server.pages import HEADERS, html
from roar.server.people import People
from roar.server.storage import Storage

router = APIRouter(include_in_schema=False, dependencies=[Depends(welcome)])

_MOST_FIELDS = 10


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form that one of our pages has sent. Raises ``Denied`` for any other."""
    if not visits.is_own(request):
        raise Denied(403, "this form was not sent from a page of this server")
    try:
        return dict(parse_qsl((await request.body()).decode(errors="replace"), max_num_fields=_MOST_FIELDS))
    except (ClientDisconnect, ValueError) as error:
        raise Denied(400, "this is no form of a page of this server") from error


Form = Annotated[dict[str, str], Depends(_form)]


@router.get("/enter")
def ask(request: Request) -> Response:
    """How to be let in, and a place for the code."""
    return html(request, "enter.html", {"code": None, "entering": None})


@router.post("/enter")
def enter(request: Request, form: Form) -> Response:
    """Say whom a code lets in; when its form comes back with that name, let them in."""
    storage: Storage = request.app.state.storage
    code = form.get("code", "").rpartition("#")[2].strip()
    made = _good(request, code)
    if form.get("as") != made.user:
        return html(request, "enter.html", {"code": code, "entering": made.user})
    if not tokens.spend(storage.place("nonces"), made, time.time_ns()):
        raise _refused(request, "this code was used before", made)
    audit.note(storage, "enter", user=made.user, address=address_of(request), key=made.fingerprint)
    answer = RedirectResponse(made.page, 303, HEADERS)
    visit = tokens.visit(storage.secret(), user=made.user, fingerprint=made.fingerprint, now_ns=time.time_ns())
    visits.begin(answer, request.app.state.url, visit)
    return answer


@router.post("/leave")
def leave(request: Request, form: Form) -> Response:
    """End a visit: the browser forgets it, and whoever has copied it is not let in any more."""
    del form
    storage: Storage = request.app.state.storage
    visit = visits.given(request, storage)
    if visit:
        tokens.spend(storage.place("nonces"), visit, time.time_ns())
    answer = RedirectResponse("/", 303, HEADERS)
    visits.end(answer, request.app.state.url)
    return answer


def _good(request: Request, text: str) -> tokens.Code:
    """What a code says that lets somebody in now. Raises ``Denied``."""
    storage: Storage = request.app.state.storage
    people: People = request.app.state.people
    made = tokens.decoded(storage.secret(), text, audience=audience_of(request), now_ns=time.time_ns())
    if made is None:
        raise _refused(request, "this code is not this server's, or has expired")
    if tokens.is_spent(storage.place("nonces"), made):
        raise _refused(request, "this code was used before", made)
    user = people.user_of_key(made.fingerprint)
    if user is None or user.name != made.user:
        raise _refused(request, "the key that got this code is no longer its user's", made)
    return made


def _refused(request: Request, why: str, made: tokens.Code | None = None) -> Denied:
    user, key = (made.user, made.fingerprint) if made else (None, None)
    storage: Storage = request.app.state.storage
    audit.note(storage, "refused", user=user, address=address_of(request), reasons=["enter"], key=key)
    return Denied(403, why, f"roar auth browse {audience_of(request)}")
