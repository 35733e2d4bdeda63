"""Record ids: 48 bits of the record's clock and 80 bits of the BLAKE3 of its bytes.

Written as 26 characters of Crockford's base 32 (https://www.crockford.com/base32.html), as a ULID is, so that
ids sort by time. Anybody who has the bytes can check the id, whatever chain, segment or archive they came from.
"""

from __future__ import annotations

from blake3 import blake3

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26
LAST_CLOCK = (1 << 48) - 1
"""The largest clock that an id has room for, in the year 10889."""
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_READ_ALIKE = str.maketrans("OIL", "011")


def record_id(clock: int, body: bytes) -> str:
    """The id of the record with this clock (milliseconds since the epoch) and these canonical bytes."""
    number = clock << 80 | int.from_bytes(blake3(body).digest(length=10), "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def clock_of(identifier: str) -> int:
    """The clock, in milliseconds since the epoch, that an id begins with."""
    number = 0
    for character in identifier:
        number = number << 5 | ALPHABET.index(character)
    return number >> 80


def normalise(text: str) -> str | None:
    """An id, or the beginning of one, as people type it, in canonical letters; None when it cannot be one."""
    canonical = text.upper().translate(_READ_ALIKE)
    if not 0 < len(canonical) <= LENGTH or any(c not in ALPHABET for c in canonical):
        return None
    return canonical
