"""The scripts of ``git-hooks/``, called by git itself, and how they are put beside the user's own."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import make
import pytest
from conftest import ROOT, Git, Roar
from make import commit, job_on

from roar.git import gclock
from roar.git.repository import Repository, discover
from roar.journal import spool

CLIENT = ["post-checkout", "post-merge", "post-rewrite", "pre-push"]
PRE_RECEIVE = ROOT / "git-hooks" / "pre-receive"


@pytest.fixture(autouse=True)
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``roar`` in it, first on PATH, as a user has it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "roar"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m roar "$@"\n')
    program.chmod(0o755)
    others = [entry for entry in os.environ["PATH"].split(os.pathsep) if not (Path(entry) / "roar").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), *others]))
    return program


def on(folder: Path, *words: str, code: int | None = 0) -> str:
    """Call git and give what it says on standard error."""
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert code is None or done.returncode == code, done.stderr
    return done.stderr


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), stat.S_IMODE(p.stat().st_mode)) for p in folder.iterdir() if p.is_file()}


# ---- pre-push


def test_a_push_reminds_of_records_that_are_not_there_yet(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    roar("init", "--hooks")
    commit(roar.folder, git, "a")
    assert "roar" not in on(roar.folder, "push", "origin", "main")
    make.job(repo, "python a.py")
    make.job(repo, "python b.py")
    commit(roar.folder, git, "b")
    said = [line for line in on(roar.folder, "push", "origin", "main").splitlines() if "roar" in line]
    assert said == ["roar: 2 records of this clone are not on origin yet (next: roar sync origin)"]
    assert git(hub, "rev-parse", "main") == git(roar.folder, "rev-parse", "main")
    assert "roar:" not in on(roar.folder, "push", "origin", "refs/roar/*")  # they are just going there
    roar("sync")
    commit(roar.folder, git, "c")
    assert "roar" not in on(roar.folder, "push", "origin", "main")


def test_a_push_may_bring_the_records_along(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    roar("init", "--hooks")
    git(roar.folder, "config", "roar.sync.auto", "push")
    make.job(repo, "python a.py")
    commit(roar.folder, git, "a")
    said = on(roar.folder, "push", "origin", "main")
    assert "roar: 1 record goes to origin in the background" in said
    deadline = time.monotonic() + 60
    while not git(hub, "for-each-ref", "refs/roar/jobs/"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_push_is_never_in_the_way(hub: Path, roar: Roar, repo: Repository, git: Git, on_path: Path) -> None:
    roar("init", "--hooks")
    make.job(repo, "python a.py")
    git(roar.folder, "config", "roar.sync.auto", "never")
    commit(roar.folder, git, "a")
    assert "roar" not in on(roar.folder, "push", "origin", "main")
    git(roar.folder, "config", "--unset", "roar.sync.auto")
    on_path.write_text("#!/bin/sh\nexit 70\n")  # roar itself is broken
    commit(roar.folder, git, "b")
    on(roar.folder, "push", "origin", "main")
    on_path.unlink()
    commit(roar.folder, git, "c")
    assert "roar" not in on(roar.folder, "push", "origin", "main")
    assert git(hub, "rev-parse", "main") == git(roar.folder, "rev-parse", "main")


# ---- post-checkout, post-merge


@pytest.mark.parametrize("how", ["checkout", "merge"])
def test_what_waits_comes_in(how: str, roar: Roar, repo: Repository, git: Git, on_path: Path) -> None:
    roar("init", "--hooks")
    git(roar.folder, "branch", "side")
    git(roar.folder, "checkout", "-q", "side")
    commit(roar.folder, git, "side")
    git(roar.folder, "checkout", "-q", "main")
    with gclock.hold(repo):
        waiting = make.job(repo, "python a.py")
    assert len(spool.entries(repo.own_dir)) == 1
    git(roar.folder, *(["checkout", "-q", "side"] if how == "checkout" else ["merge", "-q", "side"]))
    assert spool.entries(repo.own_dir) == []
    assert waiting in git(roar.folder, "log", "--format=%B", "--glob=refs/roar/jobs/*")
    on_path.write_text("#!/bin/sh\necho started >&2\n")
    said = on(roar.folder, "checkout", "-q", "side" if how == "merge" else "main")
    assert "started" not in said  # without anything to bring in, roar does not start


# ---- post-rewrite


@pytest.mark.parametrize("by_git", [True, False], ids=["notes.rewriteRef", "hook"])
def test_notes_follow_an_amend_and_a_rebase_once(by_git: bool, roar: Roar, repo: Repository, git: Git) -> None:
    roar("init", "--hooks")
    if not by_git:
        git(roar.folder, "config", "--unset-all", "notes.rewriteRef")
    first, second = commit(roar.folder, git, "one"), commit(roar.folder, git, "two")
    a, b = job_on(repo, first), job_on(repo, second)
    git(roar.folder, "commit", "-q", "--amend", "-m", "two, amended")
    c = job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    git(roar.folder, "checkout", "-q", "--orphan", "elsewhere")
    git(roar.folder, "commit", "-qm", "another root")
    git(roar.folder, "rm", "-qrf", ".")
    git(roar.folder, "commit", "-qm", "empty")
    git(roar.folder, "checkout", "-q", "main")
    git(roar.folder, "rebase", "-q", "--onto", "elsewhere", "HEAD~2")
    shown = git(roar.folder, "log", "--format=%s:%N", "--notes=roar")
    assert [shown.count(i) for i in (a, b, c)] == [1, 1, 1]
    assert shown.index(b) < shown.index("one:") < shown.index(a)
    assert git(roar.folder, "fsck", "--strict", "--no-dangling") == ""


def expire(folder: Path, git: Git) -> None:
    git(folder, "reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    git(folder, "gc", "-q", "--prune=now")


@pytest.mark.parametrize("how", ["hook", "next append", "status", "sync"])
def test_the_code_of_a_record_outlives_amend_rebase_and_gc(
    how: str, hub: Path, roar: Roar, repo: Repository, git: Git
) -> None:
    if how == "hook":
        roar("init", "--hooks")
    else:
        roar("init")
    old = commit(roar.folder, git, "one")
    job_on(repo, old)
    held = commit(roar.folder, git, "two")
    git(roar.folder, "reset", "-q", "--hard", "HEAD~1")
    git(roar.folder, "commit", "-q", "--amend", "-m", "one, amended")
    if how == "next append":
        job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    elif how != "hook":
        roar(how)
    expire(roar.folder, git)
    assert git(roar.folder, "cat-file", "-t", old) == "commit"
    git(roar.folder, "cat-file", "-t", held, ok=False)
    (ref,) = git(roar.folder, "for-each-ref", "--format=%(refname)", "refs/roar-keep/").split()
    assert git(roar.folder, "rev-parse", f"{ref}^@").split() == [old]
    assert git(roar.folder, "fsck", "--strict") == ""
    git(roar.folder, "commit", "-q", "--amend", "-m", "once more")
    roar("status")
    assert old in git(roar.folder, "rev-parse", f"{ref}^@").split()
    roar("sync")
    assert not git(hub, "for-each-ref", "refs/roar-keep/")


def test_what_a_branch_a_tag_or_another_worktree_holds_is_not_kept(
    roar: Roar, repo: Repository, git: Git, tmp_path: Path
) -> None:
    places = []
    for name in ("branch", "tag", "worktree"):
        git(roar.folder, "checkout", "-q", "--detach", "main")
        places.append(commit(roar.folder, git, name))
        job_on(repo, places[-1])
        if name == "worktree":
            git(roar.folder, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
        else:
            git(roar.folder, name, f"a-{name}")
    git(roar.folder, "checkout", "-q", "main")
    job_on(repo, git(roar.folder, "rev-parse", "HEAD"))
    roar("status")
    assert not git(roar.folder, "for-each-ref", "refs/roar-keep/")
    git(roar.folder, "branch", "-qD", "a-branch")
    git(roar.folder, "tag", "-d", "a-tag")
    git(roar.folder, "worktree", "remove", "-f", str(tmp_path / "linked"))
    roar("status")
    (ref,) = git(roar.folder, "for-each-ref", "--format=%(refname)", "refs/roar-keep/").split()
    assert set(git(roar.folder, "rev-parse", f"{ref}^@").split()) == set(places)


# ---- pre-receive


@pytest.fixture
def guarded(hub: Path, roar: Roar) -> Path:
    """The hub with pre-receive installed by roar itself."""
    Roar(hub)("init", "--hooks")
    assert (hub / "hooks" / "pre-receive").read_bytes() == PRE_RECEIVE.read_bytes()
    return hub


def test_a_server_takes_what_roar_writes(guarded: Path, roar: Roar, repo: Repository, git: Git) -> None:
    head = git(roar.folder, "rev-parse", "HEAD")
    make.session(repo, name="a session")
    job_on(repo, head)
    many = {f"data/d{n % 9}/{n}": str(n) for n in range(300)}
    make.job(repo, "python b.py", many, {"out": "x"}, code={"commit": head, "overlay": [make.overlaid("b.py", "x")]})
    commit(roar.folder, git, "branch, too")
    git(roar.folder, "push", "-q", "origin", "main", "refs/roar/*")
    make.job(repo, "python c.py")
    roar("sync")
    shown = git(guarded, "for-each-ref", "--format=%(objectname) %(refname)", "refs/roar/")
    assert shown == git(roar.folder, "for-each-ref", "--format=%(objectname) %(refname)", "refs/roar/")
    assert git(guarded, "fsck", "--strict") == ""


def test_a_server_takes_code_that_goes_along(guarded: Path, roar: Roar, repo: Repository, git: Git) -> None:
    for text in ("one", "two"):
        job_on(repo, commit(roar.folder, git, text))
        roar("register", "--all", "--with-code")
    assert git(guarded, "cat-file", "-t", git(roar.folder, "rev-parse", "HEAD")) == "commit"


def test_replaced_objects_do_not_deceive_the_server(guarded: Path, roar: Roar, repo: Repository, git: Git) -> None:
    tree = roar.folder
    job_on(repo, git(tree, "rev-parse", "HEAD"))
    good, bad = git(tree, "for-each-ref", "--format=%(objectname)", "refs/roar/jobs/"), git(tree, "rev-parse", "main")
    git(tree, "push", "-q", "origin", f"{good}:refs/replace/{bad}")
    assert "its tree holds no record" in on(tree, "push", "origin", f"{bad}:refs/roar/jobs/2026/abc", code=1)
    assert git(guarded, "for-each-ref", "refs/roar/") == ""


def record_commit(folder: Path, body: bytes, message: str = "roar: x", *parents: str) -> str:
    """The id of a commit whose tree is a ``record.json`` with this body."""

    def git(*words: str, stdin: bytes = b"") -> str:
        done = subprocess.run(["git", *words], cwd=folder, input=stdin, capture_output=True, check=True)
        return done.stdout.decode().strip()

    blob = git("hash-object", "-w", "--stdin", stdin=body)
    tree = git("mktree", stdin=f"100644 blob {blob}\trecord.json\n".encode())
    return git("commit-tree", tree, "-m", message, *(word for p in parents for word in ("-p", p)))


def bad_pushes(tree: Path, repo: Repository, git: Git) -> dict[str, tuple[str, str]]:
    """What to push to which ref, by the words with which it is refused."""
    job_on(repo, git(tree, "rev-parse", "HEAD"))
    (ref,) = git(tree, "for-each-ref", "--format=%(refname)", "refs/roar/jobs/").split()
    body = subprocess.run(["git", "show", f"{ref}:record.json"], cwd=tree, capture_output=True, check=True).stdout
    jobs = "refs/roar/jobs/2026/abc"
    return {
        "is no name of roar's": (ref, "refs/roar/other/x"),
        "is no name of roar's (": (ref, "refs/roar/jobs/２０２６/abc"),
        "is a blob, not a commit": (git(tree, "rev-parse", f"{ref}:record.json"), jobs),
        "its tree holds no record": ("main", jobs),
        "not JSON": (record_commit(tree, b"{"), jobs),
        "clock": (record_commit(tree, b'{"format":1,"kind":"job"}'), jobs),
        "format 7 is newer": (record_commit(tree, b'{"format":7,"kind":"job"}'), jobs),
        "says that its record is": (record_commit(tree, body, f"roar: x\n\nRoar-Id: {'0' * 26}"), jobs),
        "several parents": (record_commit(tree, body, "roar: x", ref, record_commit(tree, body)), jobs),
        "'README' is no note": ("main", "refs/roar/notes/abc"),
    }


def test_a_server_names_what_it_refuses(guarded: Path, tree: Path, repo: Repository, git: Git) -> None:
    before = git(guarded, "for-each-ref")
    for words, (source, ref) in bad_pushes(tree, repo, git).items():
        said = on(tree, "push", "origin", f"{source}:{ref}", code=1)
        lines = [line.removeprefix("remote: ").rstrip() for line in said.splitlines() if "roar: refs/" in line]
        assert len(lines) == 1, said
        assert words in lines[0]
        assert lines[0].startswith(f"roar: {ref}")
    assert git(guarded, "for-each-ref") == before
    on(tree, "push", "origin", "main:another", "main:refs/elsewhere/x")


def test_a_server_loses_nothing_unless_its_owner_says_so(guarded: Path, tree: Path, repo: Repository, git: Git) -> None:
    for n in range(2):
        make.job(repo, f"python {n}.py")
    git(tree, "push", "-q", "origin", "refs/roar/*")
    (ref,) = git(tree, "for-each-ref", "--format=%(refname)", "refs/roar/jobs/").split()
    back, away = ("push", "origin", f"+{ref}~1:{ref}"), ("push", "origin", f":{ref}")
    assert "would lose records" in on(tree, *back, code=1)
    assert "may not be deleted" in on(tree, *away, code=1)
    git(guarded, "config", "roar.receive.rewrites", "true")
    on(tree, *back)
    on(tree, *away)
    assert not git(guarded, "for-each-ref", "refs/roar/jobs/")


def test_a_server_without_roar_takes_nothing_unchecked(
    guarded: Path, tree: Path, repo: Repository, git: Git, on_path: Path
) -> None:
    make.job(repo, "python a.py")
    on_path.unlink()
    commit(tree, git, "a")
    git(tree, "push", "-q", "origin", "main")
    assert "this server has no roar" in on(tree, "push", "origin", "refs/roar/*", code=1)


def test_a_large_object_is_refused(guarded: Path, tree: Path, repo: Repository, git: Git, on_path: Path) -> None:
    make.job(repo, "python a.py")
    code = "import sys; from roar.git import objects; objects.MAX_BYTES = 1000; from roar.__main__ import main; main()"
    on_path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    assert "more than 1000" in on(tree, "push", "origin", "refs/roar/*", code=1)


# ---- installing


def test_hooks_come_and_go(roar: Roar, git: Git) -> None:
    folder = roar.folder / ".git" / "hooks"
    before = state(folder)
    said = roar("init", "--hooks").stdout.decode()
    assert all(f"hook {folder / name}" in said for name in CLIENT)
    for name in CLIENT:
        assert (folder / name).read_bytes() == (ROOT / "git-hooks" / name).read_bytes()
        assert os.access(folder / name, os.X_OK)
    assert roar("init", "--hooks").stdout == b""
    roar("init")
    assert state(folder).keys() == before.keys() | set(CLIENT)
    roar("init", "--no-hooks")
    assert state(folder) == before
    assert roar("init", "--no-hooks").stdout == b""


def test_who_shares_a_server_can_run_its_hook(tmp_path: Path, git: Git) -> None:
    for shared, mode in (("group", 0o775), ("umask", 0o700)):
        hub = tmp_path / f"{shared}.git"
        old = os.umask(0o077)
        try:
            git(tmp_path, "init", "-q", "--bare", f"--shared={shared}", str(hub))
            Roar(hub)("init", "--hooks")
        finally:
            os.umask(old)
        found = stat.S_IMODE((hub / "hooks" / "pre-receive").stat().st_mode)
        assert (found & 0o770, found & 0o002) == (mode & 0o770, 0)


def own_hooks(folder: Path) -> None:
    """The user's hooks: a shell script, a Python program, a link to a file, and one switched off."""
    scripts = {
        "pre-push": '#!/bin/sh\necho own "$@" >>log\ncat >>log\nexit 0\n',
        "post-rewrite": f'#!{sys.executable}\nimport sys\nopen("log", "a").write("own " + sys.stdin.read())\n',
        "post-merge": "#!/bin/sh\necho off >>log\n",
        "shared": '#!/bin/sh\necho own "$3" >>log\n',
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644 if name == "post-merge" else 0o750)
    (folder / "post-checkout").symlink_to("shared")


def test_hooks_that_are_there_go_on_as_before(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    folder = roar.folder / ".git" / "hooks"
    own_hooks(folder)
    before = state(folder)
    log = roar.folder / "log"

    def use() -> str:
        log.unlink(missing_ok=True)
        head = git(roar.folder, "rev-parse", "HEAD")
        git(roar.folder, "branch", "-q", "side")
        commit(roar.folder, git, "more")
        git(roar.folder, "commit", "-q", "--amend", "--reset-author", "-m", f"more {time.time_ns()}")
        on(roar.folder, "push", "origin", "main")
        git(roar.folder, "checkout", "-q", "side")
        git(roar.folder, "merge", "-q", "main")
        git(roar.folder, "checkout", "-q", "main")
        git(roar.folder, "branch", "-q", "-D", "side")
        git(roar.folder, "reset", "-q", "--hard", head)
        git(roar.folder, "push", "-qf", "--no-verify", "origin", "main")
        lines = log.read_text().splitlines()
        return "\n".join(" ".join(w if len(w) < 40 else "ID" for w in line.split()) for line in lines)

    make.job(repo, "python a.py")
    without = use()
    assert without.count("own") == 4
    roar("init", "--hooks")
    roar("init", "--hooks")
    assert use() == without
    commit(roar.folder, git, "told")
    assert "1 record of this clone is not on origin" in on(roar.folder, "push", "origin", "main")
    roar("init", "--no-hooks")
    assert state(folder) == before
    assert (folder / "post-checkout").is_symlink()


def test_a_failing_hook_of_the_user_still_stops_the_push(hub: Path, roar: Roar, git: Git) -> None:
    for text in ("#!/bin/sh\nexit 1\n", f"#!{sys.executable}\nraise SystemExit(1)\n"):
        hook = roar.folder / ".git" / "hooks" / "pre-push"
        hook.write_text(text)
        hook.chmod(0o755)
        roar("init", "--hooks")
        commit(roar.folder, git, text)
        on(roar.folder, "push", "origin", "main", code=1)
        roar("init", "--no-hooks")


def test_hooks_path_of_the_repository_is_used(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    """As husky has it: scripts that find their own by $0, in a folder that git ignores."""
    inner = roar.folder / ".husky" / "_"
    inner.mkdir(parents=True)
    (inner / ".gitignore").write_text("*")
    (inner / "h").write_text(
        'n=$(basename "$0")\ns=$(dirname "$(dirname "$0")")/$n\n[ -f "$s" ] || exit 0\nsh -e "$s" "$@"\n'
    )
    for name in ("pre-push", "post-merge"):
        (inner / name).write_text('#!/usr/bin/env sh\n. "$(dirname "$0")/h"\n')
        (inner / name).chmod(0o755)
    (roar.folder / ".husky" / "pre-push").write_text("echo husky >>log\n")
    git(roar.folder, "config", "core.hooksPath", ".husky/_")
    before = state(inner)
    roar("init", "--hooks")
    make.job(repo, "python a.py")
    commit(roar.folder, git, "a")
    assert "not on origin yet" in on(roar.folder, "push", "origin", "main")
    assert (roar.folder / "log").read_text() == "husky\n"
    roar("init", "--no-hooks")
    assert state(inner) == before


def test_what_is_not_ours_to_change_is_left(roar: Roar, git: Git, tmp_path: Path) -> None:
    folder = roar.folder / "hooks"
    folder.mkdir()
    (folder / "pre-push").write_text("#!/bin/sh\nexit 0\n")
    (folder / "pre-push").chmod(0o755)
    git(roar.folder, "add", "hooks")
    git(roar.folder, "commit", "-qm", "hooks of the team")
    git(roar.folder, "config", "core.hooksPath", "hooks")
    said = roar("init", "--hooks").stderr.decode()
    assert "is tracked by git; add to it: command -v roar" in said
    assert git(roar.folder, "status", "--porcelain", "--untracked-files=no") == ""
    git(roar.folder, "config", "core.hooksPath", str(tmp_path / "everywhere"))
    said = roar("init", "--hooks", code=1).stderr.decode()
    assert said.count("\n") == 1
    assert "hooks of other repositories" in said


def test_pre_commit_goes_on_beside_ours(hub: Path, roar: Roar, repo: Repository, git: Git) -> None:
    pytest.importorskip("pre_commit")
    (roar.folder / ".pre-commit-config.yaml").write_text(
        "repos:\n- repo: local\n  hooks:\n  - {id: own, name: own, language: system, entry: touch ran, "
        "stages: [pre-push], always_run: true, pass_filenames: false}\n"
    )
    git(roar.folder, "add", ".pre-commit-config.yaml")
    make.job(repo, "python a.py")
    tool = [sys.executable, "-m", "pre_commit"]
    install, uninstall = ([*tool, verb, "-t", "pre-push"] for verb in ("install", "uninstall"))

    def pushes(text: str) -> tuple[bool, bool]:
        commit(roar.folder, git, text)
        (roar.folder / "ran").unlink(missing_ok=True)
        said = on(roar.folder, "push", "origin", "main")
        return (roar.folder / "ran").exists(), "not on origin yet" in said

    subprocess.run(install, cwd=roar.folder, check=True, capture_output=True)
    before = state(roar.folder / ".git" / "hooks")
    roar("init", "--hooks")
    assert pushes("pre-commit was first") == (True, True)
    roar("init", "--no-hooks")
    assert state(roar.folder / ".git" / "hooks") == before
    subprocess.run(uninstall, cwd=roar.folder, check=True, capture_output=True)
    roar("init", "--hooks")
    subprocess.run(install, cwd=roar.folder, check=True, capture_output=True)
    assert pushes("roar was first") == (True, True)
    subprocess.run(uninstall, cwd=roar.folder, check=True, capture_output=True)
    assert pushes("roar alone") == (False, True)


def test_worktrees_share_the_hooks(hub: Path, roar: Roar, repo: Repository, git: Git, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(roar.folder, "worktree", "add", "-q", "-b", "linked", str(linked))
    Roar(linked)("init", "--hooks")
    assert (roar.folder / ".git" / "hooks" / "pre-push").exists()
    make.job(discover(str(linked)), "python a.py")
    old = commit(linked, git, "a")
    job_on(discover(str(linked)), old)
    git(linked, "commit", "-q", "--amend", "-m", "b")
    assert "not on origin yet" in on(linked, "push", "origin", "linked")
    assert old in git(roar.folder, "log", "--format=%P", "--glob=refs/roar-keep/*", "-1")


def test_wrong_calls_of_a_hook_say_so(roar: Roar, tmp_path: Path) -> None:
    assert b"one of: post-checkout" in roar("hook", "commit-msg", code=2).stderr
    assert b"lines of OLD NEW REF" in roar("hook", "pre-receive", stdin=b"nonsense\n", code=2).stderr
    roar("hook", "pre-push", "origin", "url", stdin=b"\xff\n")
    roar("hook", "post-rewrite", "amend", stdin=b"x y\n\n-o z\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    assert roar("hook", "post-merge", cwd=outside).stderr == b""


@pytest.mark.parametrize("name", [*CLIENT, "pre-receive"])
def test_scripts_are_plain_sh(name: str) -> None:
    script = ROOT / "git-hooks" / name
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/bin/sh\n# ")
    for shell in filter(shutil.which, ("dash", "bash", "busybox")):
        words = [shell, "sh"] if shell == "busybox" else [shell]
        subprocess.run([*words, "-n", str(script)], check=True)
