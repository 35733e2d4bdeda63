"""From what a person types to the recorded thing, and one line for everything that is none."""

from __future__ import annotations

import os
from pathlib import Path

import make
import pytest
from conftest import Git
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roar.cache.index import open_index
from roar.errors import AmbiguousError, NotFoundError, RoarError, UsageError
from roar.git.repository import Repository
from roar.records.summary import printable
from roar.verbs import sessions
from roar.verbs.resolve import Target, resolve


def ask(repo: Repository, text: str, folder: str = "") -> Target:
    with open_index(repo) as index:
        return resolve(index, repo, text, os.path.join(repo.require_work_tree(), folder))


def refused(repo: Repository, text: str, kind: type[RoarError], words: str, hint: str = "") -> None:
    with pytest.raises(kind) as caught:
        ask(repo, text)
    message = f"{caught.value.message} (next: {caught.value.hint})"
    assert words in message, message
    assert hint in message, message
    assert "\n" not in message


def test_a_job_by_id_prefix_and_in_small_letters(repo: Repository) -> None:
    made = make.job(repo, "true")
    for text in (made, made[:16], made.lower(), made[:14].lower().replace("0", "o").replace("1", "l")):
        assert ask(repo, text) == Target("job", made)


def test_an_artifact_by_digits(repo: Repository) -> None:
    make.job(repo, "make", {}, {"a": "text a"})
    content = make.digest("text a")
    for text in (content, content[:4], content[:9].upper()):
        assert ask(repo, text) == Target("artifact", content)


def test_a_session_by_id(repo: Repository) -> None:
    session = make.session(repo)
    assert ask(repo, session) == Target("session", session)


def test_a_commit_by_digits_and_by_any_name_git_knows(repo: Repository, tree: Path, git: Git) -> None:
    head = git(tree, "rev-parse", "HEAD")
    make.job(repo, "true", code={"commit": head})
    git(tree, "tag", "v1.0")
    for text in (head, head[:4], "HEAD", "main", "v1.0", "main~0"):
        assert ask(repo, text) == Target("commit", head)
    git(tree, "commit", "-q", "--allow-empty", "-m", "next")
    refused(repo, "HEAD", NotFoundError, "no recorded job ran at commit", "roar log")


def test_a_file_means_the_bytes_that_are_there(repo: Repository, tree: Path) -> None:
    make.job(repo, "make", {}, {"data/a.csv": "old"})
    make.job(repo, "make", {}, {"data/a.csv": "new"})
    (tree / "data").mkdir()
    (tree / "data/a.csv").write_text("old")
    assert ask(repo, "data/a.csv") == Target("artifact", make.digest("old"), "data/a.csv")
    assert ask(repo, "a.csv", "data") == ask(repo, "./a.csv", "data") == ask(repo, "data/a.csv")
    assert ask(repo, str(tree / "data" / "a.csv")) == ask(repo, "data/a.csv")
    (tree / "data/a.csv").write_text("mine")
    refused(repo, "data/a.csv", NotFoundError, "was changed since", f"roar show {make.digest('new')[:12]}")
    refused(repo, "data/a.csv", NotFoundError, "2 other versions")
    for number in range(3):
        make.job(repo, f"read {number}", {"data/read.csv": "same"})
    (tree / "data/read.csv").write_text("mine")
    refused(repo, "data/read.csv", NotFoundError, "(1 other version of it recorded)")


def test_a_file_that_is_gone_means_its_latest_version(repo: Repository) -> None:
    make.job(repo, "make", {"raw.csv": "raw"}, {"a.csv": "old"})
    make.job(repo, "make", {}, {"a.csv": "new"})
    assert ask(repo, "a.csv") == Target("artifact", make.digest("new"), "a.csv")
    assert ask(repo, "raw.csv") == Target("artifact", make.digest("raw"), "raw.csv")


def test_a_reproduction_that_differs_does_not_stand_for_the_file(repo: Repository) -> None:
    first = make.job(repo, "make", {"raw.csv": "raw"}, {"a.csv": "text"})
    make.job(repo, "make", {"raw.csv": "other"}, {"a.csv": "differs"}, at=60, reproduces=first)
    assert ask(repo, "a.csv") == Target("artifact", make.digest("text"), "a.csv")
    assert ask(repo, "raw.csv") == Target("artifact", make.digest("raw"), "raw.csv")
    latest = make.job(repo, "make", {}, {"a.csv": "newer"}, at=90)
    make.job(repo, "make", {}, {"a.csv": "newer"}, at=120, reproduces=latest)
    with open_index(repo) as index:
        assert index.versions("a.csv")[0] == (make.digest("newer"), latest)
        assert index.producers(make.digest("newer"))[0] == latest


def test_a_copy_is_known_by_its_content(repo: Repository, tree: Path) -> None:
    make.job(repo, "make", {}, {"a.csv": "text"})
    (tree / "copy").write_text("text")
    assert ask(repo, "copy") == Target("artifact", make.digest("text"), "copy")


def test_a_symbolic_link_is_itself_or_what_it_leads_to(repo: Repository, tree: Path) -> None:
    make.job(repo, "make", {}, {"real.csv": "text"})
    (tree / "real.csv").write_text("text")
    (tree / "link").symlink_to("real.csv")
    assert ask(repo, "link") == Target("artifact", make.digest("text"), "link")
    make.job(repo, "ln", {}, {"link": "real.csv"})  # the hash of a link is that of its target's name
    assert ask(repo, "link") == Target("artifact", make.digest("real.csv"), "link")


def test_names_that_are_not_plain(repo: Repository, tree: Path) -> None:
    name = os.fsdecode(b"caf\xe9 'x'\n.csv")
    make.job(repo, "make", {}, {"//bytes/caf%E9 'x'\n.csv": "text"})
    assert ask(repo, name).path == "//bytes/caf%E9 'x'\n.csv"
    (tree / name).write_text("text")
    assert ask(repo, name).id == make.digest("text")


def test_a_step_of_the_session(repo: Repository) -> None:
    refused(repo, "@1", NotFoundError, "the session has no steps", "roar run CMD")
    session = make.session(repo)
    make.job(repo, "one", session=session)
    two = make.job(repo, "two", session=session)
    again = make.job(repo, "one", session=session)
    assert (ask(repo, "@1").id, ask(repo, "@2").id) == (again, two)
    refused(repo, "@3", NotFoundError, "there is no step @3: the session has 2 steps", "roar dag")
    for text in ("@", "@0", "@x", "@-1", "@1.5", "@²"):
        refused(repo, text, UsageError, "is no step", "roar dag")


def test_a_step_by_its_name(repo: Repository) -> None:
    session = make.session(repo)
    make.job(repo, "train 1", session=session, command={"name": "fit"})
    latest = make.job(repo, "train 2", session=session, command={"name": "fit"})
    make.job(repo, "plot", session=session)
    assert ask(repo, "fit") == Target("job", latest)
    refused(repo, "fi", NotFoundError, "no recorded job, file, step or commit")


def test_the_active_session_goes_before_the_latest(repo: Repository) -> None:
    first, second = make.session(repo), make.session(repo)
    one = make.job(repo, "one", session=first)
    two = make.job(repo, "two", session=second)
    make.job(repo, "three", session=make.session(repo, purpose="reproduction"))
    assert ask(repo, "@1").id == two
    sessions.activate(repo, first)
    assert ask(repo, "@1").id == one


def test_what_may_be_several_things(repo: Repository, tree: Path) -> None:
    ids = make.bulk(repo, make.pipelines(24))
    refused(repo, ids[0][:5], AmbiguousError, "may be job", "type more of it")
    refused(repo, ids[0][:5], AmbiguousError, "python prepare.py")
    with open_index(repo) as index:
        with pytest.raises(AmbiguousError) as caught:
            resolve(index, repo, ids[0][:5], ".")
        assert caught.value.message.count("job 01") == 5
        assert caught.value.message.endswith("and others")
    name = make.digest("raw")[:6]
    make.job(repo, "make", {}, {name: "a file named like a hash"})
    refused(repo, name, AmbiguousError, f"the file {name}", "./")
    assert ask(repo, "./" + name).path == name


def hash_twins() -> tuple[str, str, str]:
    """Two texts whose hashes begin alike, and that beginning."""
    seen: dict[str, str] = {}
    for number in range(100_000):
        digits = make.digest(str(number))[:5]
        if digits in seen:
            return seen[digits], str(number), digits
        seen[digits] = str(number)
    raise AssertionError


def test_two_artifacts_that_begin_alike(repo: Repository) -> None:
    one, two, digits = hash_twins()
    make.job(repo, "make", {}, {"one": one, "two": two})
    refused(repo, digits, AmbiguousError, "(one)")
    refused(repo, digits, AmbiguousError, "(two)")
    assert ask(repo, make.digest(one)).id == make.digest(one)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", UsageError, "an empty name"),
        ("abc", UsageError, "too short for a hash"),
        ("abcd", NotFoundError, "no job, artifact or commit begins with abcd"),
        ("f" * 64, NotFoundError, "begins with"),
        ("f" * 99, NotFoundError, "begins with"),
        ("01JGGVSAG0ZZ", NotFoundError, "no job begins with 01JGGVSAG0ZZ"),
        ("nonsense", NotFoundError, "no recorded job, file, step or commit"),
        ("--all", NotFoundError, "no recorded job, file, step or commit"),
        ("a\nb\x1b[2J", NotFoundError, r"a\nb\x1b[2J"),
        ("README", NotFoundError, "no recorded job read or wrote README"),
        (".", NotFoundError, "is a folder"),
        ("../elsewhere", NotFoundError, "no recorded job, file, step or commit"),
        ("x" * 5000, NotFoundError, "no recorded job"),
    ],
)
def test_what_is_nothing_recorded(repo: Repository, text: str, kind: type[RoarError], words: str) -> None:
    make.job(repo, "true")
    refused(repo, text, kind, words)


def test_build_steps_are_counted_apart(repo: Repository) -> None:
    session = make.session(repo)
    run = make.job(repo, "one", session=session)
    build = make.job(repo, "one", session=session, role="build")
    assert (ask(repo, "@1").id, ask(repo, "@B1").id, ask(repo, "@b01").id) == (run, build, build)
    refused(repo, "@B2", NotFoundError, "there is no build step @B2: the session has 1 build step", "roar dag")
    refused(repo, "@" + "9" * 5000, NotFoundError, "the session has 1 step", "roar dag")
    for text in ("@B", "@B0", "@BB1", "@1B", "@B-1", "@B\u0661"):
        refused(repo, text, UsageError, "is no step", "roar dag")


NAMES = st.one_of(
    st.text(max_size=30),
    st.text("@B0123456789", max_size=12),
    st.text("0123456789abcdefABCDEF", max_size=70),
    st.text("./*?[]~^{}:@-HEAD\\ \n\x1b", max_size=20),
    st.binary(max_size=8).map(os.fsdecode),
)


# each example asks git; the repository stays the same
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=NAMES)
def test_any_text_means_one_thing_or_is_refused_in_one_line(repo: Repository, text: str) -> None:
    if not list_of_jobs(repo):
        session = make.session(repo)
        make.job(repo, "one", {"a": "text"}, {"b/c": "other"}, session=session, code={"commit": "c" * 40})
        make.job(repo, "one", session=session, role="build")
    try:
        assert ask(repo, text).id
    except RoarError as error:
        assert "\n" not in error.message + (error.hint or "")
        assert error.message == printable(error.message)


def list_of_jobs(repo: Repository) -> list[str]:
    with open_index(repo) as index:
        return index.jobs()
