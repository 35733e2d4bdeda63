"""How the text of a setting is read, by kind. Standard library only: see ``roar.config.model``."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple


class Kind(NamedTuple):
    """How the text of a value is read. ``parse`` raises ``ValueError``."""

    wants: str
    """What a right value is, for people: "expected <wants>"."""
    parse: Callable[[str], Any]
    many: bool = False
    """Several values may be given; an empty one forgets those before it, as in git."""
    show: Callable[[Any], str] = str
    """A value as it may be written."""


_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off", "")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _flag(text: str) -> bool:
    """As git-config(1) reads a boolean."""
    lowered = text.lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    return int(text) != 0


def _size(text: str) -> int:
    """As git-config(1) reads an integer, of 64 bits; not negative."""
    found = re.fullmatch(r"([0-9]{1,15})([kmg]?)", text.lower())
    if found is None:
        raise ValueError(text)
    size = int(found[1]) * _UNITS[found[2]]
    if size >= 1 << 63:
        raise ValueError(text)
    return size


def seconds_text(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def _size_words(size: int) -> str:
    unit = next((u for u in "gmk" if size and size % _UNITS[u] == 0), "")
    return f"{size // _UNITS[unit]}{unit}"


def _color(text: str) -> str:
    """As git-config(1) reads a colour switch."""
    if text.lower() in ("auto", "always", "never"):
        return text.lower()
    return "auto" if _flag(text) else "never"


def _glob(text: str) -> str:
    if "\0" in text or len(text) > 1024:
        raise ValueError(text)
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.*?\[\]!-]{1,256}", text):
        raise ValueError(text)
    return text


def _text(text: str) -> str:
    if len(text) < 4:  # would be found everywhere
        raise ValueError(text)
    return text


def key_text(text: str) -> str:
    if text.startswith("-") or "\n" in text:
        raise ValueError(text)
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(text) from error
    return text


def auto_text(text: str) -> str:
    """``remind``, or a boolean that says to push or not."""
    if text.lower() in ("remind", "push", "never"):
        return text.lower()
    return "push" if _flag(text) else "never"


def branch_text(text: str) -> str:
    """A name below which branches may lie, as git-check-ref-format(1) has it and no narrower than people use."""
    name = text.removesuffix("/")
    parts = name.split("/") if name else []
    plain = all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}", part) for part in parts)
    if not plain or ".." in name or any(part.endswith((".", ".lock")) for part in parts):
        raise ValueError(text)
    return name


def remote_text(text: str) -> str:
    if not re.fullmatch(r"[^\s\x00-\x1f:~^?*\[\\-][^\s\x00-\x1f:~^?*\[\\]{0,255}", text):
        raise ValueError(text)
    return text


def address_text(text: str) -> str:
    if "\0" in text or "\n" in text or text.startswith("-"):
        raise ValueError(text)
    return text


def choice_text(words: tuple[str, ...]) -> Kind:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return Kind(" or ".join(filter(None, [", ".join(words[:-1]), words[-1]])), parse)


FLAG = Kind("true or false", _flag, show=lambda value: str(value).lower())
Size = Annotated[int, Kind("a size in bytes, such as 500, 64k, 16m or 1g", _size, show=_size_words)]
Color = Annotated[Literal["auto", "always", "never"], Kind("auto, always or never", _color)]
Globs = Annotated[tuple[str, ...], Kind("a glob of paths", _glob, many=True)]
Names = Annotated[tuple[str, ...], Kind("a name or a glob of names", _name, many=True)]
Patterns = Annotated[tuple[str, ...], Kind("a regular expression", _pattern, many=True)]
Texts = Annotated[tuple[str, ...], Kind("a text of four characters or more", _text, many=True)]
Path = Annotated[str, Kind("the path of a file", str)]
Algorithms = Annotated[tuple[str, ...], choice_text(("sha256", "sha512", "md5"))._replace(many=True)]
