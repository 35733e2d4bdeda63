"""A lineage as one page that works from the disk: tables first, then the drawing of what is near.

No request leaves it, and nothing runs in it but its own script, whatever a record holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources
from typing import Any

from roar.export import svg
from roar.export.words import subtitle, title
from roar.records.job import Job
from roar.records.summary import command_line, duration, outcome, printable
from roar.verbs.ancestry import Ancestry, Product
from roar.verbs.graph import Graph, Node, neighbourhood
from roar.verbs.resolve import SHORT_HASH, SHORT_ID


def lines(found: Ancestry, graph: Graph, heading: str) -> Iterator[str]:
    """The page, line by line."""
    near = neighbourhood(graph, svg.MOST_NODES)
    style, script = (
        resources.files("roar.export").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js")
    )
    style += svg.STYLE
    policy = f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(heading)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>"
    yield f"<h1>{escape(heading)}</h1>"
    yield f'<p class="lead">{_count(len(found.jobs), "job")}, {_count(len(found.products), "file")}</p>'
    yield '<p id="controls" hidden><input id="search" type="search" placeholder="Search files, hashes, commands"'
    yield 'aria-label="Search"> <span id="found" class="dim" role="status"></span></p>'
    yield from _files(found)
    yield from _jobs(found)
    yield "<h2>Drawing</h2>"
    if near.left_out:
        yield f'<p class="dim">{near.left_out} nodes farther away are not drawn; they are in the tables.</p>'
    yield '<div class="scroll" id="drawing">'
    yield from svg.drawing(near, found.jobs)
    yield '</div>\n</main>\n<aside id="panel" hidden aria-label="Details"></aside>'
    data = json.dumps({"nodes": [_node(node, found.jobs) for node in near.nodes], "jobs": _all_jobs(found)})
    # so that no text of a record can end the element
    yield f'<script id="data" type="application/json">{data.translate(_ESCAPED)}</script>'
    yield f"<script>{script}</script>\n</body>\n</html>"


_MOST_READERS = 6
"""Of one file, in the table: data that all jobs read would push all else aside."""
_ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _files(found: Ancestry) -> Iterator[str]:
    yield '<h2>Files</h2>\n<div class="scroll"><table id="files"><thead><tr><th>File</th><th>Hash</th>'
    yield '<th class="size">Bytes</th>'
    yield "<th>Made by</th><th>Read by</th></tr></thead><tbody>"
    for product in reversed(found.products):
        use = product.use
        maker = _button(product.made_by, found) if product.made_by else "no recorded job"
        readers = " ".join(_button(job, found) for job in product.used_by[:_MOST_READERS])
        more = len(product.used_by) - _MOST_READERS
        readers += f' <span class="dim">and {more} more</span>' if more > 0 else ""
        taken = " (withdrawn)" if use.hash in found.withdrawn else ""
        size = f"{use.size:,}" if use.hash or use.size else "unknown"
        yield (
            f'<tr><td class="path">{escape(printable(use.path))}{taken}</td>'
            f'<td class="hash" title="{use.hash or ""}">{(use.hash or "unknown")[:SHORT_HASH]}</td>'
            f'<td class="size">{size}</td><td>{maker}</td><td>{readers}</td></tr>'
        )
    yield "</tbody></table></div>"


def _jobs(found: Ancestry) -> Iterator[str]:
    yield '<h2>Jobs</h2>\n<div class="scroll"><table id="jobs"><thead><tr><th>Job</th><th>When</th><th>Outcome</th>'
    yield "<th>Took</th><th>Command</th></tr></thead><tbody>"
    for identifier in reversed(found.lineage.jobs):
        job = found.jobs[identifier]
        taken = " (withdrawn)" if identifier in found.withdrawn else ""
        gaps = " (incomplete)" if job.incomplete else ""
        yield (
            f"<tr><td>{_button(identifier, found)}{taken}</td><td>{_when(job)}</td>"
            f"<td>{escape(outcome(job))}{gaps}</td><td>{duration(job.duration_ns)}</td>"
            f'<td class="path"><code>{escape(command_line(job.command))}</code></td></tr>'
        )
    yield "</tbody></table></div>"


def _button(identifier: str, found: Ancestry) -> str:
    short = identifier[:SHORT_ID]
    if identifier not in found.jobs:
        return f"<code>{short}</code>"
    return f'<button class="link" data-job="{identifier}">{short}</button>'


def _when(job: Job) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(job.started_ns // 1_000_000_000))


def _node(node: Node, jobs: Mapping[str, Job]) -> dict[str, Any]:
    whole = title(node, jobs, 400)
    if node.kind == "job":
        return {"kind": "job", "key": node.key, "text": f"{whole} {subtitle(node, jobs)}".lower()}
    files = [_file(product) for product in node.files]
    first = node.files[0]
    return {
        "kind": node.kind,
        "title": whole,
        "text": f"{whole} {' '.join(files)}".lower(),
        "made_by": first.made_by,
        "used_by": first.used_by,
        "files": files,
    }


def _file(product: Product) -> str:
    return f"{product.use.hash or 'content unknown'}  {printable(product.use.path)}"


def _all_jobs(found: Ancestry) -> dict[str, dict[str, Any]]:
    return {identifier: _job(identifier, job, found) for identifier, job in found.jobs.items()}


def _job(identifier: str, job: Job, found: Ancestry) -> dict[str, Any]:
    inputs, outputs = found.uses.get(identifier, ([], []))
    machine = job.environment.machine
    return {
        "command": command_line(job.command),
        "outcome": f"{outcome(job)} in {duration(job.duration_ns)}",
        "when": _when(job),
        "user": printable(job.user),
        "cwd": printable(job.command.cwd),
        "code": (job.code.commit or "no commit") + (" with changes" if job.code.overlay else ""),
        "incomplete": [printable(f"{gap.reason}: {gap.detail}") for gap in job.incomplete],
        "inputs": [f"{(use.hash or 'unknown')[:SHORT_HASH]}  {printable(use.path)}" for use in inputs],
        "outputs": [f"{(use.hash or 'unknown')[:SHORT_HASH]}  {printable(use.path)}" for use in outputs],
        "metrics": [f"{m.path}: {name} {value}" for m in job.metrics for name, value in m.values.items()],
        "packages": [f"{p.name} {p.version}" for python in job.environment.pythons for p in python.read],
        "machine": ", ".join(part for part in (machine.system, machine.architecture, machine.cpu) if part),
        "again": [f"roar reproduce {use.hash[:SHORT_HASH]}" for use in outputs if use.hash][:1],
    }
