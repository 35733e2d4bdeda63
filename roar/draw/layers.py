"""A graph in layers from left to right: where each node stands, and through which points each edge goes.

The method is Sugiyama's (1981) in its simple form: layers by the longest way, edges over several layers cut by
invisible nodes, and the order within a layer by the middle of the neighbours, swept back and forth.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Point = tuple[float, float]

_SWEEPS = 6
_GAP_X = 70.0
_GAP_Y = 18.0
_THIN = 10.0
"""The height that an edge keeps where it passes through a layer."""


class Box(NamedTuple):
    """A node's place: its upper left corner and its size, in pixels."""

    x: float
    y: float
    width: float
    height: float


class Drawing(NamedTuple):
    """Where everything is; the points of an edge lead from the right of its start to the left of its end."""

    boxes: dict[str, Box]
    lines: dict[tuple[str, str], list[Point]]
    width: float
    height: float


def layout(keys: Sequence[str], edges: Iterable[tuple[str, str]], sizes: Mapping[str, tuple[float, float]]) -> Drawing:
    """Place nodes of the given (width, height). ``keys`` are in order of dependency; edges against it go back."""
    place = {key: n for n, key in enumerate(keys)}
    forward = {edge: edge if place[edge[0]] <= place[edge[1]] else (edge[1], edge[0]) for edge in edges}
    forward = {edge: way for edge, way in forward.items() if way[0] != way[1]}
    layer = _layers(keys, set(forward.values()))
    chains = {way: _chain(way, layer) for way in dict.fromkeys(forward.values())}
    columns: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for key in keys:
        columns[layer[key]].append(key)
    neighbours: dict[str, list[str]] = {}
    for (start, _), chain in chains.items():
        for offset, key in enumerate(chain[1:-1], layer[start] + 1):
            columns[offset].append(key)
        for one, other in itertools.pairwise(chain):
            neighbours.setdefault(one, []).append(other)
            neighbours.setdefault(other, []).append(one)
    _order(columns, neighbours)
    return _place(columns, chains, forward, sizes)


def _layers(keys: Sequence[str], edges: set[tuple[str, str]]) -> dict[str, int]:
    """The length of the longest way to each node; sources stand right before what needs them first."""
    followers: dict[str, list[str]] = {}
    waits = dict.fromkeys(keys, 0)
    for start, end in edges:
        followers.setdefault(start, []).append(end)
        waits[end] += 1
    layer = dict.fromkeys(keys, 0)
    ready = deque(key for key in keys if not waits[key])
    sources = list(ready)
    while ready:
        key = ready.popleft()
        for end in followers.get(key, ()):
            layer[end] = max(layer[end], layer[key] + 1)
            waits[end] -= 1
            if not waits[end]:
                ready.append(end)
    for key in sources:
        layer[key] = min((layer[end] - 1 for end in followers.get(key, ())), default=0)
    return layer


def _chain(edge: tuple[str, str], layer: Mapping[str, int]) -> list[str]:
    start, end = edge
    between = range(layer[start] + 1, layer[end])
    return [start, *(f"\0{start}\0{end}\0{n}" for n in between), end]


def _order(columns: list[list[str]], neighbours: Mapping[str, list[str]]) -> None:
    """Sort each layer by the mean place of the neighbours in the layer before, then in the one after, and again."""
    for sweep in range(_SWEEPS):
        order = range(1, len(columns)) if sweep % 2 == 0 else range(len(columns) - 2, -1, -1)
        for n in order:
            fixed = {key: place for place, key in enumerate(columns[n - 1 if sweep % 2 == 0 else n + 1])}
            middle: dict[str, float] = {}
            for place, key in enumerate(columns[n]):
                near = [fixed[other] for other in neighbours.get(key, ()) if other in fixed]
                middle[key] = sum(near) / len(near) if near else place
            columns[n].sort(key=middle.__getitem__)


def _place(
    columns: list[list[str]],
    chains: Mapping[tuple[str, str], list[str]],
    forward: Mapping[tuple[str, str], tuple[str, str]],
    sizes: Mapping[str, tuple[float, float]],
) -> Drawing:
    boxes: dict[str, Box] = {}
    heights = [sum(sizes.get(key, (0, _THIN))[1] + _GAP_Y for key in column) - _GAP_Y for column in columns]
    tallest = max(heights, default=0.0)
    x = 0.0
    for column, height in zip(columns, heights, strict=True):
        width = max((sizes[key][0] for key in column if key in sizes), default=0.0)
        y = (tallest - height) / 2
        for key in column:
            size = sizes.get(key, (width, _THIN))
            boxes[key] = Box(x, y, *size)
            y += size[1] + _GAP_Y
        x += width + _GAP_X
    lines = {}
    for edge, way in forward.items():
        points = _points([boxes[key] for key in chains[way]])
        lines[edge] = points if edge == way else points[::-1]
    shown = {key: box for key, box in boxes.items() if key in sizes}
    return Drawing(shown, lines, max(x - _GAP_X, 0.0), max(tallest, 0.0))


def _points(boxes: list[Box]) -> list[Point]:
    first, *between, last = boxes
    points = [(first.x + first.width, first.y + first.height / 2)]
    for box in between:
        middle = box.y + box.height / 2
        points += [(box.x, middle), (box.x + box.width, middle)]
    return [*points, (last.x, last.y + last.height / 2)]
