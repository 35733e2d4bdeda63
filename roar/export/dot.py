"""A lineage graph for Graphviz (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from roar.export.words import subtitle, title
from roar.records.job import Job
from roar.verbs.graph import Graph

_SHAPES = {"job": "box, style=filled, fillcolor=lightgrey", "file": "ellipse", "files": "folder"}


def lines(graph: Graph, jobs: Mapping[str, Job]) -> Iterator[str]:
    """The text, line by line."""
    names = {node.key: f"n{number}" for number, node in enumerate(graph.nodes)}
    yield "digraph lineage {"
    yield "    rankdir=LR;"
    for node in graph.nodes:
        label = _quoted(f"{title(node, jobs)}\n{subtitle(node, jobs)}")
        bold = ", penwidth=2" if node.key in graph.focus else ""
        yield f"    {names[node.key]} [label={label}, shape={_SHAPES[node.kind]}{bold}];"
    for start, end in graph.edges:
        yield f"    {names[start]} -> {names[end]};"
    yield "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
