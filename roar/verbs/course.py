"""What a report says of the course of a run: when, which processes, how it ended, and what the tracer did not see."""

from __future__ import annotations

from typing import Any

from roar import redact
from roar.config.model import Redact
from roar.records.job import Endpoint, Exit, Incomplete, Process, Program, Tracer
from roar.trace.report import Report

MOST_WORDS_BYTES = 8 << 20
"""Of the arguments of all processes together: a reader refuses a record of more than 32 MiB."""


def history(report: Report, began_ns: int, rules: Redact) -> tuple[dict[str, Any], list[Incomplete]]:
    """What happened when: times, end, processes, network; and what of it the record has no room for.

    ``began_ns`` is for a tracer that died too early to say.
    """
    start, end = report.start, report.end
    cut = _cut_arguments(report.processes)
    began = start.get("time_ns", began_ns)
    happened = {
        "started_ns": began,
        "duration_ns": max(0, end.get("root_end_ns", end.get("time_ns", began)) - began),
        "exit": Exit(code=end.get("exit_code"), signal=end.get("signal")),
        "processes": [_process(line, rules) for line in report.processes],
        "process_count": report.process_count,
        "cpu_ns": end.get("user_ns", 0) + end.get("system_ns", 0),
        "peak_bytes": end.get("peak_bytes", 0),
        "temporaries": end.get("temporaries", 0),
        "network": [
            Endpoint(family=c["family"], address=c["address"], port=c.get("port") or 0)
            for c in report.connects
            if c["family"] != "unix"
        ],
        "tracer": Tracer(version=str(start.get("tracer", "unknown")), mechanism=str(start.get("mechanism", "unknown"))),
    }
    detail = f"of programs started when those before had {MOST_WORDS_BYTES >> 20} MiB of them"
    return happened, [Incomplete(reason="arguments-dropped", detail=detail, count=cut)] if cut else []


def _cut_arguments(processes: list[dict[str, Any]]) -> int:
    """Leave the programs that no longer fit only their names, and give their number."""
    left, cut = MOST_WORDS_BYTES, 0
    for program in (program for line in processes for program in line.get("programs", [])):
        argv = program.get("argv", [])
        size = sum(len(word.encode(errors="replace")) for word in argv)
        if size <= left:
            left -= size
        else:
            program["argv"] = argv[:1]
            cut += 1
    return cut


def _process(line: dict[str, Any], rules: Redact) -> Process:
    began = line.get("start_ns", 0)
    return Process(
        pid=line["pid"],
        parent=line.get("parent", 0),
        programs=[
            Program(path=p["path"], argv=redact.redact_argv(p.get("argv", []), rules)[0])
            for p in line.get("programs", [])
        ],
        exit=Exit(code=line.get("exit_code"), signal=line.get("signal")),
        started_ns=began,
        duration_ns=max(0, line.get("end_ns", began) - began),
        cpu_ns=line.get("user_ns", 0) + line.get("system_ns", 0),
        peak_bytes=line.get("peak_bytes", 0),
    )


def gaps(report: Report) -> list[Incomplete]:
    """What the tracer itself does not know."""
    found = [
        Incomplete(reason=str(b.get("reason")), detail=str(b.get("detail", "")), count=int(b.get("count", 1)))
        for b in report.blind
    ]
    if not report.end:
        found.append(
            Incomplete(reason="tracer-died", detail="the tracer ended before the command; what came after is not known")
        )
    if report.unreadable:
        found.append(
            Incomplete(reason="lost-events", detail="lines of the report could not be read", count=report.unreadable)
        )
    if report.end and report.started and not report.files:
        found.append(Incomplete(reason="nothing-seen", detail="the tracer saw no file at all"))
    dropped = report.end.get("failed_dropped", 0)
    if dropped:
        found.append(Incomplete(reason="lookups-dropped", detail="failed look-ups beyond the limit", count=dropped))
    return found
