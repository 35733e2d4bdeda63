"""What roar writes with its own writer, read by dulwich: an implementation of git that shares no code with either."""

from __future__ import annotations

import stat
from pathlib import Path

from conftest import Git
from dulwich import porcelain
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit
from dulwich.repo import Repo
from test_journal import draft

from roar.git.repository import Repository
from roar.journal import read
from roar.journal.append import append
from roar.records import codec


def test_chain_tree_and_notes_are_what_another_implementation_expects(repo: Repository, tree: Path, git: Git) -> None:
    head = git(tree, "rev-parse", "HEAD")
    made = [append(repo, draft(head, str(i)), {b"files/a b/caf\xe9.py": b"x = %d\n" % i}) for i in range(3)]
    (ref, tip), *_ = read.tips(repo).items()
    with Repo(str(tree)) as other:
        assert other.refs[ref.encode()] == tip.encode()
        chain = [entry.commit for entry in other.get_walker(include=[tip.encode()])]
        assert [c.message.rpartition(b"Roar-Id: ")[2].strip().decode() for c in reversed(chain)] == [
            entry.identifier for entry in made
        ]
        for commit, entry in zip(reversed(chain), made, strict=True):
            assert isinstance(commit, Commit)
            commit.check()
            assert commit.author == commit.committer == b"Ada Recorder <ada@example.org>"
            files = {item.path: item for item in iter_tree_contents(other.object_store, commit.tree)}
            assert set(files) == {b"record.json", b"files/a b/caf\xe9.py"}
            assert all(stat.S_ISREG(item.mode or 0) for item in files.values())
            body = other[files[b"record.json"].sha or b""]
            assert isinstance(body, Blob)
            assert codec.identify(codec.decode(body.data), body.data) == entry.identifier
        note = porcelain.notes_show(other, head, ref=b"roar")
        assert [line.split()[0] for line in note.decode().splitlines()] == [entry.identifier for entry in made]
