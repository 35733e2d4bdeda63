"""What a node of a lineage graph is called, in every format."""

from __future__ import annotations

from collections.abc import Mapping

from roar.records.job import Job
from roar.records.summary import command_line, duration, outcome, printable
from roar.verbs.graph import Node
from roar.verbs.resolve import SHORT_HASH, SHORT_ID


def title(node: Node, jobs: Mapping[str, Job], width: int = 40) -> str:
    """The command of a job, the path of a file, how many files and from where."""
    if node.kind == "job":
        return command_line(jobs[node.key].command, width)
    if node.kind == "more":
        return f"{len(node.hidden)} more"
    path = printable(node.files[0].use.path)
    if node.kind == "file":
        return path if len(path) <= width else "…" + path[len(path) - width + 1 :]
    return f"{len(node.files)} files in {_common(node)}"


def subtitle(node: Node, jobs: Mapping[str, Job]) -> str:
    """The short id and outcome of a job, the short hash of a file."""
    if node.kind == "job":
        job = jobs[node.key]
        return f"{node.key[:SHORT_ID]}  {outcome(job)}  {duration(job.duration_ns)}"
    if node.kind == "file":
        content = node.files[0].use.hash
        return content[:SHORT_HASH] if content else "content unknown"
    if node.kind == "more":
        return "not drawn"
    return f"{printable(node.files[0].use.path.rpartition('/')[2])}, …"


def _common(node: Node) -> str:
    parts = [product.use.path.split("/")[:-1] for product in node.files]
    shared = []
    for names in zip(*parts, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return printable("/".join(shared) or ".") + "/"
