"""A lineage graph as a drawing, in SVG 1.1, by itself or inside a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape

from roar.draw.layers import Drawing, Point, layout
from roar.export.words import subtitle, title
from roar.records.job import Job
from roar.verbs.graph import Graph, Node

MOST_NODES = 150
"""More of them nobody reads in a drawing; ``graph.neighbourhood`` takes the nearest."""
_WIDTH = 230.0
_NARROW = 92.0
_HEIGHT = 44.0
_MARGIN = 12.0
_LETTERS = 29
STYLE = """
svg.lineage { font: 13px system-ui, sans-serif; }
.lineage rect { fill: #fff; stroke: #667; }
.lineage .job rect { fill: #e8eef7; }
.lineage .files rect { stroke-dasharray: 5 3; }
.lineage .focus rect { stroke-width: 3; stroke: #b4530a; }
.lineage text { fill: #222; }
.lineage text.small { fill: #556; font-size: 11px; font-family: ui-monospace, monospace; }
.lineage path { fill: none; stroke: #889; }
.lineage path.tip { fill: #889; stroke: none; }
"""


def lines(graph: Graph, jobs: Mapping[str, Job]) -> Iterator[str]:
    """A whole SVG file, line by line."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield from drawing(graph, jobs, style=STYLE)


def drawing(
    graph: Graph, jobs: Mapping[str, Job], style: str = "", link: Callable[[Node], str | None] | None = None
) -> Iterator[str]:
    """The ``svg`` element. Each node is a group with its number in the graph as ``data-node``, or leads to ``link``."""
    sizes = {node.key: (_NARROW if node.kind == "more" else _WIDTH, _HEIGHT) for node in graph.nodes}
    placed = layout([node.key for node in graph.nodes], graph.edges, sizes)
    width, height = placed.width + 2 * _MARGIN, placed.height + 2 * _MARGIN
    box = f"{-_MARGIN:g} {-_MARGIN:g} {width:g} {height:g}"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lineage" role="group" aria-label="lineage"'
        f' viewBox="{box}" width="{width:g}" height="{height:g}">'
    )
    yield from ([f"<style>{style}</style>"] if style else [])
    yield (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    )
    for points in placed.lines.values():
        yield f'<path d="{_curve(points)}" marker-end="url(#arrow)"/>'
    yield from _nodes(graph, jobs, placed, link)
    yield "</svg>"


def _nodes(
    graph: Graph, jobs: Mapping[str, Job], placed: Drawing, link: Callable[[Node], str | None] | None
) -> Iterator[str]:
    for number, node in enumerate(graph.nodes):
        box = placed.boxes[node.key]
        focus = " focus" if node.key in graph.focus else ""
        round_ = 4 if node.kind == "job" else box.height / 2
        whole = f"{title(node, jobs, 400)}\n{subtitle(node, jobs)}"
        to = link(node) if link else None
        start, end = (f'<a href="{escape(to)}"', "a") if to else (f'<g tabindex="0" data-node="{number}"', "g")
        if to and node.kind in ("files", "more"):
            start += ' aria-expanded="false"'
        yield f'{start} class="node {node.kind}{focus}"><title>{escape(whole)}</title>'
        yield f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="{round_:g}"/>'
        # an svg of its own cuts off what is wider than the box, in whatever letters
        yield f'<svg x="{box.x + 14:g}" y="{box.y:g}" width="{box.width - 20:g}" height="{box.height:g}">'
        yield f'<text y="19">{escape(title(node, jobs, _LETTERS))}</text>'
        yield f'<text class="small" y="35">{escape(subtitle(node, jobs))}</text></svg></{end}>'


def _curve(points: list[Point]) -> str:
    """A line that leaves and arrives level."""
    (x, y), *rest = points
    text = f"M{x:g} {y:g}"
    for next_x, next_y in rest:
        half = (x + next_x) / 2
        text += f" C{half:g} {y:g} {half:g} {next_y:g} {next_x:g} {next_y:g}"
        x, y = next_x, next_y
    return text
