"""How putting and getting are shown."""

from __future__ import annotations

from collections.abc import Iterable

import click

from roar.cli import present
from roar.cli.say import Counter, write_json
from roar.errors import RoarError
from roar.verbs.stored import Done, Item

_MOST = 5


class Meter:
    """How much was copied, on a terminal."""

    def __init__(self, what: str, items: Iterable[Item] = ()) -> None:
        self._counter = Counter(what)
        total = sum(item.size for item in items)
        self._of = f" of {present.size(total)}" if total else ""
        self._copied = 0

    def __enter__(self) -> Meter:
        return self

    def tell(self, count: int) -> None:
        """Add bytes."""
        self._copied += count
        self._counter.show(present.size(self._copied) + self._of)

    def __exit__(self, *_: object) -> None:
        self._counter.__exit__()


def show(done: list[Done], store: str, *, as_json: bool, quiet: bool = False) -> None:
    """What became of each file. Raises ``RoarError`` when something failed."""
    if as_json:
        write_json(
            {
                "store": store,
                "files": [
                    {
                        "path": each.item.shown,
                        "hash": each.item.content,
                        "size": each.item.size,
                        "state": each.state,
                        "error": each.why.message if each.why else None,
                    }
                    for each in done
                ],
            }
        )
    elif not quiet:
        style = present.style()
        for each in done:
            if each.state in ("stored", "fetched", "there"):
                known = style.cyan(present.short_hash(each.item.content))
                click.echo(f"{each.state:<7}  {known}  {each.item.shown}")
        for state, text in (("gone", "not here with the recorded content"), ("secret", "left out as secret")):
            names = [each.item.shown for each in done if each.state == state]
            if names:
                click.echo(f"roar: {text}: {present.some(names, _MOST)}", err=True)
    failed = [each.why for each in done if each.why]
    if failed:
        more = f" (and {len(failed) - 1} more of {len(done)} failed)" if len(failed) > 1 else ""
        raise RoarError(failed[0].message + more, failed[0].hint)
