"""Clones that record, push, fetch, collect garbage, are killed and copied in any order: a property-based test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from test_journal import draft, ids

from roar.cache.index import open_index
from roar.git.repository import Repository, discover
from roar.journal import segments
from roar.journal.append import append
from roar.verbs import sync

EXAMPLES = int(os.environ.get("ROAR_HISTORIES", "10"))
MOST_CLONES = 4
RECORDS = "+refs/roar/*:refs/roar-remote/origin/*"


def git(folder: str, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout.strip()


class Clones(RuleBasedStateMachine):
    """Some clones of one bare repository, and the records that their users were told of."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=self.template))
        self.clones: list[Repository] = []
        self.told: set[str] = set()
        self.perhaps: set[str] = set()
        """Records whose recorder was killed before it could tell."""
        self.count = 0

    @initialize()
    def begin(self) -> None:
        shutil.copytree(self.template / "hub.git", self.place / "hub.git")
        for name in ("a", "b", "c"):
            shutil.copytree(self.template / "clone", self.place / name, symlinks=True)
            self.clones.append(discover(str(self.place / name)))

    def pick(self, data: st.DataObject) -> Repository:
        return data.draw(st.sampled_from(self.clones))

    def append(self, repo: Repository) -> str:
        self.count += 1
        return append(repo, draft(git(repo.require_work_tree(), "rev-parse", "HEAD"), f"{self.count}")).identifier

    @rule(data=st.data(), number=st.integers(1, 3))
    def record(self, data: st.DataObject, number: int) -> None:
        repo = self.pick(data)
        for _ in range(number):
            self.told.add(self.append(repo))

    @rule(data=st.data())
    def push_with_git(self, data: st.DataObject) -> None:
        repo = self.pick(data)
        if ids(repo):
            git(repo.require_work_tree(), "push", "-q", "origin", "refs/roar/*")

    @rule(data=st.data())
    def fetch_with_git(self, data: st.DataObject) -> None:
        git(self.pick(data).require_work_tree(), "fetch", "-q", "origin", RECORDS)

    @rule(data=st.data())
    def sync(self, data: st.DataObject) -> None:
        assert sync.sync(self.pick(data), "origin").refused == {}

    @rule(
        data=st.data(),
        how=st.sampled_from((("gc", "--quiet", "--prune=now"), ("pack-refs", "--all"), ("repack", "-qad"))),
    )
    def tidy(self, data: st.DataObject, how: tuple[str, ...]) -> None:
        git(self.pick(data).require_work_tree(), *how)

    @rule(data=st.data(), at=st.integers(1, 9))
    def kill(self, data: st.DataObject, at: int) -> None:
        """A recorder dies when it is about to give the ``at``-th thing its name."""
        repo, (out, told) = self.pick(data), os.pipe()
        child = os.fork()
        if child == 0:
            left, replace = [at], os.replace

            def deadly(*names: Any) -> None:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                replace(*names)

            os.replace = deadly  # type: ignore[assignment]
            try:
                os.write(told, self.append(repo).encode())
            finally:
                os._exit(0)
        self.count += 1
        os.close(told)
        with os.fdopen(out, "rb") as pipe:
            said = pipe.read().decode()
        os.waitpid(child, 0)
        self.told.update([said] if said else [])
        for lock in Path(repo.common_dir).rglob("*.lock"):  # a minute passes
            os.utime(lock, (1, 1))
        self.perhaps.update(ids(repo))

    @precondition(lambda self: 0 < len(self.clones) < MOST_CLONES)
    @rule(data=st.data())
    def copy(self, data: st.DataObject) -> None:
        """The whole clone, as cp -a does it. The copy notices at its first record."""
        source = self.pick(data)
        place = self.place / f"copy{len(self.clones)}"
        shutil.copytree(source.require_work_tree(), place, symlinks=True)
        self.clones.append(discover(str(place)))
        self.told.add(self.append(self.clones[-1]))

    def teardown(self) -> None:
        try:
            for _ in range(2):
                for repo in self.clones:
                    assert sync.sync(repo, "origin").refused == {}
            answers = []
            for repo in self.clones:
                held = set(ids(repo))
                assert self.told <= held
                assert held <= self.told | self.perhaps
                with open_index(repo) as index:
                    answers.append(index.jobs(limit=1000))
                assert set(answers[-1]) == held
                assert git(repo.require_work_tree(), "fsck", "--strict", "--no-dangling", "--no-progress") == ""
            assert all(answer == answers[0] for answer in answers)
        finally:
            shutil.rmtree(self.place)


def test_any_history_of_clones_ends_in_the_same_records_everywhere(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments.seal, "__defaults__", (2,))  # three unpushed records are sealed already
    template = tree.parent
    git(str(template), "clone", "-q", "--bare", str(tree), "hub.git")
    git(str(template), "clone", "-q", "hub.git", "clone")
    git(str(template / "clone"), "remote", "set-url", "origin", "../hub.git")
    monkeypatch.setattr(Clones, "template", template, raising=False)
    Clones.TestCase.settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=14,
        derandomize=EXAMPLES <= 10,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    Clones.TestCase().runTest()
