"""The steps of a plan run by Snakemake, in one work area; traced, compared and recorded as when roar runs them.

All of them see one tree. Where two steps read the same path with other content, no tree fits both, and it is refused.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator

from roar.errors import RoarError
from roar.git.objects import Reader
from roar.paths import fs, is_outside
from roar.records.summary import printable
from roar.verbs import rerun
from roar.verbs.interpreters import clean_environment
from roar.verbs.interrupts import held
from roar.verbs.plan import Need, Plan, Step
from roar.verbs.runner import Runner
from roar.verbs.surroundings import lay_over

_REPORT_FD = 9


def check(made: Plan) -> None:
    """Raise ``RoarError`` for a plan whose steps do not fit into one tree, or when there is no Snakemake."""
    _program()
    held_there: dict[str, tuple[int, str | None]] = {}
    for step in made.steps:
        deleted = [(entry.path, None) for entry, _ in step.lay if entry.state == "deleted"]
        read = [(need.file.path, need.file.hash) for need in step.needs if need.source.kind != "step"]
        for path, content in (*read, *deleted):
            other, before = held_there.setdefault(path, (step.number, content))
            if before != content:
                said = f"@{other} and @{step.number} read {printable(path)} with other content, which no one tree has"
                raise RoarError(said, "leave --engine out")
        if step.moves:
            said = f"{printable(step.moves[0].path)} has more than one version, which no one tree has"
            raise RoarError(said, "leave --engine out")
        if step.neighbours or step.moved:
            said = f"@{step.number} reads or writes files outside of the repository, which --engine does not lay out"
            raise RoarError(said, "leave --engine out")


def _program() -> str:
    where = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    found = shutil.which("snakemake", path=where)
    if found is None:
        raise RoarError(
            "--engine snakemake needs Snakemake, and there is no snakemake on PATH", "pip install snakemake"
        )
    return found


class EngineRunner(Runner):
    """Runs all steps by one call of Snakemake."""

    def run_all(self) -> None:
        """Lay everything out, run it, and compare each step that ran."""
        steps, area = self._plan.steps, self._area
        folder = os.path.join(area.folder, ".engine")
        os.mkdir(folder)
        for step in steps:
            self._stage.lay_out(step)
        self._all_at_once(steps)
        ready = {step.number: rerun.Ready(step, area, self._tools(step, area, self._stage), {}) for step in steps}
        for number, each in ready.items():
            _write(os.path.join(folder, f"{number}.sh"), _commands(each, folder))
        snakefile, write = os.path.join(folder, "Snakefile"), self._manner.engine
        assert write is not None
        _write(snakefile, write(self._plan, lambda step: shlex.join(["sh", os.path.join(folder, f"{step.number}.sh")])))
        self._call(snakefile)
        for step in steps:
            self._ended_step(ready[step.number], os.path.join(folder, f"{step.number}.report"))

    def _all_at_once(self, steps: list[Step]) -> None:
        """Put back what laying out a later step has taken from an earlier one."""
        area = self._area
        with Reader(area.user) as reader:
            for step in steps:
                lay_over(area.files, step.lay, reader)
                for need in step.needs:
                    if need.source.kind != "step" and not is_outside(need.file.path):
                        self._check(need, reader)

    def _check(self, need: Need, reader: Reader) -> None:
        file, area = need.file, self._area
        if file.hash is None or area.files.digest(file.path) == file.hash:
            return
        if file.blob:
            area.files.write(file.path, reader.body(file.blob, "blob"), file.mode)
        if area.files.digest(file.path) != file.hash:
            said = f"{printable(file.path)} cannot be had beside the files of the other steps"
            raise RoarError(said, "leave --engine out")

    def _call(self, snakefile: str) -> None:
        words = [_program(), "--snakefile", snakefile, "--directory", self._area.top, "--forceall", "--nolock"]
        words += ["--cores", str(self._manner.at_once), "--keep-going", "--quiet", "progress"]
        with held():
            process = subprocess.Popen(
                words,
                cwd=self._area.top,
                env=clean_environment(of_python=False),
                stdin=subprocess.DEVNULL,
                stdout=self._audience.output,
                stderr=self._audience.output,
                start_new_session=True,
            )
        try:
            process.wait()
        except BaseException:
            rerun.ended(process)
            raise

    def _ended_step(self, ready: rerun.Ready, report: str) -> None:
        if not os.path.exists(report):
            self.failed.setdefault(ready.step.number, "Snakemake did not run it")
            self.skip(ready.step)
            return
        try:
            with open(report, "rb") as file:
                ran = ready.recorded_from(file, self._session.identifier())
        except (RoarError, OSError) as error:
            self._failed_to_run(ready.step, error)
        else:
            self._compare(ready, ran)


def _write(path: str, lines: Iterable[str]) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"{line}\n" for line in lines)


def _commands(ready: rerun.Ready, folder: str) -> Iterator[str]:
    """A script that runs a step under the tracer and succeeds when it ends as recorded."""
    job, top = ready.step.job, ready.area.top
    yield f"cd -- {shlex.quote(ready.cwd)} || exit"
    if job.environment.umask is not None:
        yield f"umask {job.environment.umask & 0o777:03o}"
    report = shlex.quote(os.path.join(folder, f"{ready.step.number}.report"))
    redirects = [
        f"{r.fd}{'<' if r.fd == 0 else '>>' if r.append else '>'}{shlex.quote(os.path.join(top, fs(r.path)))}"
        for r in job.command.redirects
    ]
    if not any(r.fd == 0 for r in job.command.redirects):
        redirects.append("</dev/null")
    variables = [shlex.quote(f"{name}={value}") for name, value in sorted(ready.environ.items())]
    words = ["env", "-i", *variables, *map(shlex.quote, ready.traced(_REPORT_FD)), *redirects, f"{_REPORT_FD}>{report}"]
    yield " ".join(words)
    code = 128 + job.exit.signal if job.exit.signal is not None else job.exit.code
    if code is not None:
        yield f"[ $? -eq {code} ]"
