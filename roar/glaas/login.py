"""What is signed for a log-in. The client writes it from what its user typed, never from what a server says, so that a
server in the middle cannot have something signed that is good elsewhere.
"""

from __future__ import annotations

NAMESPACE = "auth@roar"
READ, WRITE, ADMIN, JOIN, BROWSE = "read", "write", "admin", "join", "browse"
"""What a log-in is for: a token of that scope, to become a user by an invitation, or to let a browser in."""
PAGE = r"/([ajscp]/[A-Za-z0-9][A-Za-z0-9._/-]*)?"
"""The path of a page that a browser may be let in to, at most 300 characters: never one elsewhere."""


def message(audience: str, project: str, operation: str, challenge: str) -> bytes:
    """The text of a log-in. Raises ``ValueError`` for a field that does not fit on a line of ASCII."""
    fields = {"audience": audience, "project": project, "operation": operation, "challenge": challenge}
    for name, value in fields.items():
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"a log-in cannot have this {name}")
    return ("roar log-in 1\n" + "".join(f"{name}: {value}\n" for name, value in fields.items())).encode()
