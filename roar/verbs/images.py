"""Two pictures, pixel by pixel. Only formats of pixels are opened, never those that hold programs."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""Modes that RGBA holds without loss."""


def differing_pixels(pillow: Any, recorded: str, found: str, tolerance: float) -> str | None:
    """Where two pictures first differ by more than the tolerance, None when they do not; ``pillow`` is ``PIL.Image``.

    Raises what Pillow raises, mostly ``OSError`` without a number, for what is no picture.
    """
    with pillow.open(recorded, formats=_FORMATS) as one, pillow.open(found, formats=_FORMATS) as other:
        for number, (a, b) in enumerate(zip_longest(_frames(one), _frames(other)), 1):
            which = f"picture {number}: " if number > 1 else ""
            if a is None or b is None:
                return f"{which}{'gone' if b is None else 'new'}"
            if a.size != b.size or (a.mode != b.mode and not {a.mode, b.mode} <= {*_EIGHT_BITS}):
                return f"{which}{b.mode} {b.size[0]}x{b.size[1]}, recorded {a.mode} {a.size[0]}x{a.size[1]}"
            where = _frame(a, b, tolerance)
            if where:
                return which + where
    return None


def _frames(picture: Any) -> Any:
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        yield picture


def _frame(a: Any, b: Any, tolerance: float) -> str | None:
    if a.mode not in _EIGHT_BITS:
        return None if a.tobytes() == b.tobytes() else "pixels differ"
    width = a.size[0]
    one, other = (picture.convert("RGBA").tobytes() for picture in (a, b))
    if one == other:
        return None
    for at, (x, y) in enumerate(zip(one, other, strict=True)):
        if abs(x - y) > tolerance:
            row, column = divmod(at // 4, width)
            return f"the pixel at {column},{row} is {tuple(other[at // 4 * 4 :][:4])}, " + (
                f"recorded {tuple(one[at // 4 * 4 :][:4])}"
            )
    return None
