"""The outcome of a reproduction as one page that works from the disk. No request leaves it and nothing runs in it."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from html import escape
from importlib import resources

from roar.records.summary import command_line, duration, printable
from roar.verbs.plan import Plan, Step
from roar.verbs.repeated import WORDS
from roar.verbs.reproduce import Outcome
from roar.verbs.resolve import SHORT_HASH, SHORT_ID
from roar.verbs.verdict import Verdict

_STYLE = """
.identical, .equivalent { color: #1a7f37 } .differs, .missing, .not { color: #cf222e; font-weight: 600 }
"""


def lines(made: Plan, outcome: Outcome) -> Iterator[str]:
    """The page, line by line."""
    style = resources.files("roar.export").joinpath("page.css").read_text("utf-8") + _STYLE
    digest = "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    heading = f"Reproduction of {printable(made.asked.name)}"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    policy = escape(f"default-src 'none'; style-src '{digest}'")
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(heading)}</title>\n<style>{style}</style>\n</head>\n<body>"
    yield f"<main>\n<h1>{escape(heading)}</h1>"
    often = f", {outcome.times} times" if outcome.times > 1 else ""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    ran = f"{len(outcome.ran)} of {len(made.steps) + len(made.left_out)} steps ran{often}"
    yield f'<p class="lead">{_summary(outcome)}: {ran}, {when}</p>'
    yield from _files(outcome)
    yield "<h2>Steps</h2>"
    for step in made.steps:
        yield from _step(step, outcome)
    yield "</main>\n</body>\n</html>"


def _summary(outcome: Outcome) -> str:
    if not outcome.complete:
        return "It could not all be run"
    if outcome.identical:
        return "Identical"
    return "Equivalent, not identical" if outcome.equivalent else "Something differs"


def _files(outcome: Outcome) -> Iterator[str]:
    yield '<h2>Files</h2>\n<div class="scroll"><table><thead><tr><th>Verdict</th><th>File</th><th>Step</th>'
    yield "<th>Recorded</th><th>Now</th><th>How they compare</th></tr></thead><tbody>"
    for verdict in sorted(outcome.verdicts, key=lambda v: (not v.asked, v.step)):
        yield (
            f'<tr><td class="{verdict.state.partition(" ")[0]}">{verdict.state}</td>'
            f'<td class="path">{escape(printable(verdict.file.path))}</td><td>@{verdict.step}</td>'
            f'<td class="hash" title="{verdict.file.hash or ""}">{(verdict.file.hash or "unknown")[:SHORT_HASH]}</td>'
            f'<td class="hash" title="{verdict.found or ""}">{(verdict.found or "none")[:SHORT_HASH]}</td>'
            f"<td>{escape(_words(verdict))}</td></tr>"
        )
    yield "</tbody></table></div>"


def _words(verdict: Verdict) -> str:
    first = f"first at {verdict.where}" if verdict.where else ""
    return "; ".join(part for part in (verdict.by, first, verdict.note) if part)


def _step(step: Step, outcome: Outcome) -> Iterator[str]:
    yield f"<h3>@{step.number} <code>{escape(command_line(step.job.command))}</code></h3>"
    ran = outcome.ran.get(step.number)
    again = f", again as {ran.identifier[:SHORT_ID]}" if ran and ran.identifier else ""
    took = f", {duration(ran.job.duration_ns)}" if ran and ran.job else ""
    commit = (step.job.code.commit or "no commit")[:SHORT_HASH]
    yield f'<p class="dim">job {step.identifier[:SHORT_ID]}{again}{took}; code {commit}</p>'
    said = [f"failed: {outcome.failed[step.number]}"] if step.number in outcome.failed else []
    steady = outcome.steady.get(step.number)
    said += [f"It {WORDS[steady]}."] if steady in WORDS else []
    yield from (f"<p>{escape(printable(text))}</p>" for text in said)
    causes = outcome.causes.get(step.number, [])
    if causes:
        yield "<p>What was not the same, the likeliest reason first:</p><ol>"
        yield from (f"<li>{escape(cause.words)}</li>" for cause in causes)
        yield "</ol>"
