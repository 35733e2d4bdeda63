r"""A directed graph as rows of text, in the manner of ``git log --graph``.

Each node is a ``*`` in a lane; its parents stand below it. A lane leads to exactly one node and is joined as early
as possible, so a graph is as wide as it must be and a node is reached by one lane:

    *    compare
    |\
    | *  train b
    * |  train a
    |/
    *    prepare
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple


class Link(NamedTuple):
    """A line through one row, from a lane at its top to one at its bottom, on its way to a node."""

    top: int
    bottom: int
    target: str


class Row(NamedTuple):
    """One row: a node in a lane (or None), and the lines that pass. Columns are counted in lanes from 0."""

    node: str | None
    lane: int
    links: list[Link]


def layout(nodes: Sequence[str], parents: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """The rows that show the nodes in this order, and lines from each to its parents further down.

    A parent that is not among the nodes, or stands above its child (a cycle), gets no line.
    """
    position = {node: number for number, node in enumerate(nodes)}
    lanes: list[str] = []
    for node in nodes:
        if node not in lanes:
            lanes.append(node)
        lane = lanes.index(node)
        yield Row(node, lane, [link for link in _straight(lanes) if link.top != lane])
        below = [p for p in dict.fromkeys(parents.get(node, ())) if position.get(p, -1) > position[node]]
        known = [parent for parent in below if parent in lanes]
        new = [parent for parent in below if parent not in lanes]
        if new:
            lanes[lane] = new[0]
            for parent in known:
                yield from _line(lane, lanes.index(parent), parent, _straight(lanes), _straight(lanes))
            for parent in reversed(new[1:]):
                yield _fork(lanes, lane, parent)
        elif known:
            lanes[lane] = known[-1]
            for parent in known[:-1]:
                yield from _line(lane, lanes.index(parent), parent, _straight(lanes), _straight(lanes))
            yield from _join(lanes, known[-1])
        else:
            yield from _end(lanes, lane)


def _straight(lanes: Sequence[str]) -> list[Link]:
    return [Link(lane, lane, target) for lane, target in enumerate(lanes)]


def _line(lane: int, goal: int, target: str, before: list[Link], after: list[Link]) -> Iterator[Row]:
    """A line from one lane to another: one row between neighbours, else two with ``_`` across what lies between."""
    if abs(goal - lane) == 1:
        yield Row(None, lane, [*before, Link(lane, goal, target)])
        return
    last = goal + (1 if goal < lane else -1)
    yield Row(None, lane, [*before, Link(lane, last, target)])
    yield Row(None, lane, [*after, Link(last, goal, target)])


def _fork(lanes: list[str], lane: int, parent: str) -> Row:
    """Open a lane for a parent right of the node's; those beyond make room."""
    stay, move = _straight(lanes)[: lane + 1], _straight(lanes)[lane + 1 :]
    lanes.insert(lane + 1, parent)
    return Row(None, lane, [*stay, Link(lane, lane + 1, parent), *(Link(k, k + 1, target) for k, _, target in move)])


def _join(lanes: list[str], target: str) -> Iterator[Row]:
    """Make one lane of the two that lead to the same node: the left one; those beyond the other close up."""
    goal = lanes.index(target)
    lane = lanes.index(target, goal + 1)
    stay, move = _straight(lanes)[:lane], _straight(lanes)[lane + 1 :]
    del lanes[lane]
    before = [*stay, *(Link(k, k - 1, beyond) for k, _, beyond in move)]
    yield from _line(lane, goal, target, before, _straight(lanes))


def _end(lanes: list[str], lane: int) -> Iterator[Row]:
    """Close a lane that leads nowhere further."""
    stay, move = _straight(lanes)[:lane], _straight(lanes)[lane + 1 :]
    del lanes[lane]
    if move:
        yield Row(None, lane, [*stay, *(Link(k, k - 1, target) for k, _, target in move)])


def text(row: Row) -> str:
    """A row as characters, two columns a lane."""
    cells: dict[int, str] = {}
    for top, bottom, _ in row.links:
        cells.update(_cells(top, bottom))
    if row.node is not None:
        cells[2 * row.lane] = "*"
    return "".join(cells.get(column, " ") for column in range(max(cells, default=-1) + 1))


def _cells(top: int, bottom: int) -> dict[int, str]:
    if top == bottom:
        return {2 * top: "|"}
    if bottom < top:
        return {2 * top - 1: "/", **{2 * lane + 1: "_" for lane in range(bottom, top - 1)}}
    return {2 * top + 1: "\\", **{2 * lane + 1: "_" for lane in range(top + 1, bottom)}}
