"""A lineage graph for Mermaid (https://mermaid.js.org/syntax/flowchart.html), which git hosts draw in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from roar.export.words import subtitle, title
from roar.records.job import Job
from roar.verbs.graph import Graph

_SHAPES = {"job": ("[", "]"), "file": ("([", "])"), "files": ("[[", "]]")}


def lines(graph: Graph, jobs: Mapping[str, Job]) -> Iterator[str]:
    """The text, line by line."""
    names = {node.key: f"n{number}" for number, node in enumerate(graph.nodes)}
    yield "flowchart LR"
    for node in graph.nodes:
        opening, closing = _SHAPES[node.kind]
        text = f"{_escaped(title(node, jobs))}<br/>{_escaped(subtitle(node, jobs))}"
        yield f'    {names[node.key]}{opening}"{text}"{closing}'
    for start, end in graph.edges:
        yield f"    {names[start]} --> {names[end]}"
    for key in sorted(graph.focus & names.keys()):
        yield f"    style {names[key]} stroke-width:3px"


def _escaped(text: str) -> str:
    """Entities by number, the form that Mermaid has for characters of its own syntax."""
    return "".join(c if c.isalnum() or c in " ./_-=+,:…@%" else f"#{ord(c)};" for c in text)
