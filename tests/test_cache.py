"""The index: the same whatever the order of arrival, made again when damaged, never more than the journal says."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import make
import pytest
from conftest import Git
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roar.cache import database, schema, tables
from roar.cache.database import delete
from roar.cache.index import open_index, path_of
from roar.cache.verify import CONTENT
from roar.errors import NotFoundError
from roar.git import objects, refs
from roar.git.repository import Repository, discover
from roar.journal import RECORD, spool
from roar.journal.entry import Entry
from roar.records.job import Job, Session


def content(repo: Repository) -> dict[str, list[Any]]:
    """Everything in the index's file that is not a matter of where."""
    open_index(repo).close()
    connection = sqlite3.connect(path_of(repo))
    found = {name: sorted(connection.execute(rows), key=repr) for name, rows in CONTENT.items()}
    connection.close()
    return found


def job(number: int, **more: Any) -> Job:
    reads, writes = {f"in{number % 3}": f"text {number % 3}"}, {f"out{number % 4}": f"text {number}"}
    values = make.fields(f"python step{number % 5}.py", reads, writes, at=number, **more)
    return make.draft(values, make.START // 1_000_000 + number, "w")


def jobs_of(repo: Repository) -> list[str]:
    with open_index(repo) as index:
        return index.jobs()


def test_nothing_recorded(repo: Repository) -> None:
    with open_index(repo) as index:
        assert (index.jobs(), index.count_jobs(), index.broken(), index.latest_session()) == ([], 0, [], None)
        with pytest.raises(NotFoundError):
            index.load("0" * 26)


def test_a_job_by_all_that_is_known_of_it(repo: Repository) -> None:
    session = make.session(repo, name="night")
    other = make.session(repo, purpose="reproduction")
    code = "c" * 40
    first = make.job(
        repo, "prepare", {"raw.csv": "raw"}, {"train.csv": "train"}, session=session, code={"commit": code}
    )
    second = make.job(repo, "train", {"train.csv": "train"}, {"m.pkl": "m1"}, at=60, session=session)
    third = make.job(repo, "train", {"train.csv": "train"}, {"m.pkl": "m2", "copy": "m1"}, at=120, session=session)
    again = make.job(repo, "train", {"train.csv": "train"}, {"m.pkl": "m1"}, at=180, reproduces=second, session=other)
    with open_index(repo) as index:
        assert index.jobs() == [again, third, second, first]
        assert index.jobs(session=session, limit=2) == [third, second]
        assert index.producers(make.digest("m1")) == [third, second, again]
        assert index.consumers(make.digest("train")) == [third, second, again]
        assert index.versions("m.pkl") == [
            (make.digest("m2"), third),
            (make.digest("m1"), second),
            (make.digest("m1"), again),
        ]
        assert index.jobs_at(code[:6]) == [first]
        assert index.reproductions(second) == [again]
        assert index.latest_session() == session
        assert index.find_hashes(make.digest("m1")[:8]) == [make.digest("m1")]
        assert index.find_ids(first[:10]) != []
        assert index.find_ids("") == index.find_hashes("") == index.jobs_at("") == []
        assert [use.path for use in index.names(make.digest("m1"))] == ["copy", "m.pkl"]
        loaded = index.load(session)
        assert isinstance(loaded, Session)
        assert loaded.name == "night"
        assert index.load_job(first).command.argv == ["prepare"]
        assert repo.ask("cat-file", "-t", index.place_of(first)).strip() == b"commit"
        assert [f.path for side in index.files(second) for f in side] == ["train.csv", "m.pkl"]
        assert [run.job for run in index.steps(session)] == [first, second, third]


def test_long_file_lists_are_indexed_from_their_manifests(repo: Repository) -> None:
    inputs = {f"images/{n % 3}/{n}.png": f"image {n}" for n in range(400)}
    made = make.job(repo, "train", inputs, {"m.pkl": "m"})
    with open_index(repo) as index:
        assert index.load_job(made).inputs == []
        assert index.consumers(make.digest("image 399")) == [made]
        assert len(index.files(made)[0]) == len(index.uses([made])[made][0]) == 400
        assert index.broken() == []


def test_a_step_is_a_command_in_a_place(repo: Repository) -> None:
    session = make.session(repo)
    here: dict[str, Any] = {"root": "/home/ada/project"}
    there: dict[str, Any] = {"root": "/srv/copy"}
    runs = [
        make.job(repo, "train /home/ada/project/a.csv", command=here, session=session),
        make.job(repo, "train /srv/copy/a.csv", {"a.csv": "other data"}, command=there, session=session),
        make.job(repo, "train /home/ada/project2/a.csv", command=here, session=session),
        make.job(repo, "train /home/ada/project/a.csv", command=here, session=session, cwd="src"),
        make.job(repo, "train /home/ada/project/a.csv", command={**here, "name": "big"}, session=session),
    ]
    for to in (
        {"fd": 1, "path": "a"},
        {"fd": 1, "path": "b"},
        {"fd": 2, "path": "a"},
        {"fd": 1, "path": "a", "append": True},
    ):
        command = {**here, "redirects": [to]}
        runs.append(make.job(repo, "train /home/ada/project/a.csv", command=command, session=session))
    with open_index(repo) as index:
        keys = {run.job: run.key for run in index.steps(session)}
    assert keys[runs[0]] == keys[runs[1]]
    assert len(set(keys.values())) == 8


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_grown_is_rebuilt_and_order_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Records arrive on any chain, in any order, some on several; questions are asked in between."""
    pool = [job(n) for n in range(8)]
    arrivals = data.draw(st.lists(st.tuples(st.integers(0, 7), st.sampled_from("abc"), st.booleans()), max_size=14))
    grown, at_once = (new_repository(tmp_path_factory.mktemp("r")) for _ in range(2))
    for which, writer, ask in arrivals:
        make.on_chain(grown, writer, pool[which])
        if ask:
            jobs_of(grown)
    shuffled = data.draw(st.permutations(sorted({which for which, _, _ in arrivals})))
    make.on_chain(at_once, "z", *(pool[which] for which in shuffled))
    before = content(grown)
    assert delete(path_of(grown))
    assert before == content(grown) == content(at_once)


def new_repository(folder: Path) -> Repository:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return discover(str(folder))


def test_what_a_removed_or_rewritten_chain_held_is_forgotten(repo: Repository, git: Git, tree: Path) -> None:
    ids = make.on_chain(repo, "a", job(1), job(2), job(3)) + make.on_chain(repo, "b", job(4))
    assert jobs_of(repo) == ids[::-1]
    ref = "refs/roar/jobs/2025/a"
    git(tree, "update-ref", ref, ref + "~1")
    assert jobs_of(repo) == [ids[3], ids[1], ids[0]]
    git(tree, "update-ref", "-d", "refs/roar/jobs/2025/b")
    assert jobs_of(repo) == [ids[1], ids[0]]


def test_a_chain_under_another_name_is_not_read_again(repo: Repository, git: Git, tree: Path, caplog: Any) -> None:
    ids = make.on_chain(repo, "a", job(1), job(2))
    jobs_of(repo)
    git(tree, "update-ref", "refs/roar-remote/origin/jobs/2025/a", "refs/roar/jobs/2025/a")
    git(tree, "update-ref", "-d", "refs/roar/jobs/2025/a")
    with caplog.at_level("DEBUG"):
        assert jobs_of(repo) == ids[::-1]
    assert "read again" not in caplog.text


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 99, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_made_again(repo: Repository, damage: bytes) -> None:
    ids = make.on_chain(repo, "a", job(1), job(2))
    before = content(repo)
    Path(path_of(repo)).write_bytes(damage)
    assert jobs_of(repo) == ids[::-1]
    assert content(repo) == before


def test_damage_found_in_the_midst_of_a_question(repo: Repository) -> None:
    ids = make.on_chain(repo, "a", *(job(n) for n in range(300)))
    content(repo)
    size = os.path.getsize(path_of(repo))
    with open(path_of(repo), "r+b") as file:  # the first pages, with the tips, stay whole
        file.seek(4096 * 6)
        file.write(b"\xa5" * (size - 4096 * 6))
    with open_index(repo) as index:
        assert index.jobs() == ids[::-1]
        assert index.versions("out1")
        assert len(index.uses(ids)) == 300
        assert index.path is not None


def test_another_programs_database_of_that_name_is_replaced(repo: Repository) -> None:
    ids = make.on_chain(repo, "a", job(1))
    os.makedirs(repo.own_dir, exist_ok=True)
    other = sqlite3.connect(path_of(repo))
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    assert jobs_of(repo) == ids
    assert content(repo)["records"]


def test_a_missing_table_is_made_again(repo: Repository) -> None:
    ids = make.on_chain(repo, "a", job(1))
    content(repo)
    broken = sqlite3.connect(path_of(repo))
    broken.execute("DROP TABLE records")
    broken.commit()
    broken.close()
    assert jobs_of(repo) == ids


def test_a_locked_file_is_waited_for(repo: Repository) -> None:
    make.on_chain(repo, "a", job(1))
    jobs_of(repo)
    ids = make.on_chain(repo, "b", job(2))
    holder = sqlite3.connect(path_of(repo), check_same_thread=False, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    threading.Timer(0.4, holder.rollback).start()
    began = time.monotonic()
    with open_index(repo) as index:
        assert index.path is not None
        assert index.jobs()[0] == ids[0]
    assert time.monotonic() - began > 0.3


def test_where_no_file_can_be_kept_the_index_is_in_memory(repo: Repository) -> None:
    ids = make.on_chain(repo, "a", job(1))
    os.makedirs(os.path.join(path_of(repo), "in the way"))
    with open_index(repo) as index:
        assert index.path is None
        assert index.jobs() == ids


def commit(repo: Repository, ref: str, tree: str) -> str:
    who = "A <a@example.org> 1 +0000"
    oid = objects.write(repo, "commit", objects.commit_body(tree, [], who, who, "x"))
    assert refs.compare_and_swap(repo, ref, oid, None)
    return oid


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{not json", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"format":99,"kind":"job"}', "newer"),
        (b'{"clock":1,"format":1,"kind":"later","writer":"w"}', "'later'"),
        (b'{"clock":1,"format":1,"kind":"job","writer":"w","inputs":5}', "Field required"),
        (b'{"clock":281474976710656,"format":1,"kind":"session","writer":"w","user":"u"}', "clock"),
    ],
)
def test_what_cannot_be_read_is_counted_and_hides_nothing(repo: Repository, body: bytes, reason: str) -> None:
    ids = make.on_chain(repo, "a", job(1))
    oid = commit(repo, "refs/roar-remote/origin/jobs/2025/x", objects.write_files(repo, {RECORD: body}))
    for _ in range(2):
        with open_index(repo) as index:
            assert index.jobs() == ids
            ((where, why),) = index.broken()
        assert (where, reason in why) == (oid, True), why
        delete(path_of(repo))


def test_foreign_and_missing_objects_hide_nothing(repo: Repository, tree: Path) -> None:
    ids = make.on_chain(repo, "a", job(1), job(2))
    foreign = commit(repo, "refs/roar-remote/o/jobs/2025/x", objects.write_files(repo, {b"README": b"hello"}))
    blob = objects.write(repo, "blob", b"no commit")
    lost = commit(repo, "refs/roar-remote/o/jobs/2025/z", objects.write(repo, "tree", b""))
    for name, oid in (("y", blob), ("v", "1" * 40)):
        path = Path(repo.common_dir, f"refs/roar-remote/o/jobs/2025/{name}")
        path.write_text(oid + "\n")
    Path(repo.objects_dir, lost[:2], lost[2:]).unlink()
    for _ in range(2):
        with open_index(repo) as index:
            assert index.jobs() == ids[::-1]
            assert foreign in dict(index.broken())


def test_a_broken_chain_hides_no_other_and_is_read_when_it_is_whole_again(repo: Repository) -> None:
    ids = make.on_chain(repo, "a", job(1), job(2), job(3)) + make.on_chain(repo, "b", job(4))
    tip = refs.read(repo, "refs/roar/jobs/2025/a")
    first = repo.ask("rev-parse", f"{tip}~2").decode().strip()
    path = Path(repo.objects_dir, first[:2], first[2:])
    data = path.read_bytes()
    path.unlink()
    with open_index(repo) as index:
        assert index.jobs()[0] == ids[3]
        assert ids[0] not in index.jobs()
        assert "Failed to traverse" in index.broken()[0][1] or "walked" in index.broken()[0][1]
    path.write_bytes(data)
    with open_index(repo) as index:
        assert index.jobs() == ids[::-1]
        assert index.broken() == []


def test_a_spooled_record_is_brought_in_by_a_question(repo: Repository) -> None:
    entry = Entry(make.draft(make.fields("true"), make.START // 1_000_000, "w"), {})
    spool.save(repo, entry)
    assert jobs_of(repo) == [entry.identifier]
    assert spool.entries(repo.own_dir) == []


def test_many_processes_ask_at_once(repo: Repository, tree: Path) -> None:
    ids = make.bulk(repo, make.pipelines(400))
    words = [sys.executable, "-m", "roar", "log", "-n", "0", "--oneline"]
    running = [subprocess.Popen(words, cwd=tree, stdout=subprocess.PIPE) for _ in range(6)]
    for process in running:
        out, _ = process.communicate()
        assert process.returncode == 0
        assert [line[:12] for line in out.decode().splitlines()] == [i[:12] for i in reversed(ids)]


def test_every_statement_finds_its_rows_by_a_search(repo: Repository) -> None:
    """No question that is asked per file or per job may read a whole table."""
    ids = make.bulk(repo, make.pipelines(50))
    asked: list[str] = []
    with open_index(repo) as index:
        index._database.use(lambda connection: connection.set_trace_callback(asked.append))
        index.uses(ids[:3])
        index.made([make.digest("raw")])
        index.read_by([make.digest("raw")])
        index.nearby(ids[-1:], down=False, limit=10)
        index.versions("report.json")
        index.producers(make.digest("raw"))
        index.find_hashes("3fa9")
        index.jobs(limit=5)
    plans = sqlite3.connect(path_of(repo))
    assert len(asked) >= 8
    for statement in asked:
        for row in plans.execute(f"EXPLAIN QUERY PLAN {statement}"):
            assert not (row[3].startswith("SCAN") and "files" in row[3] and "INDEX" not in row[3]), (row[3], statement)
    plans.close()


def test_the_version_is_in_the_name(repo: Repository) -> None:
    assert path_of(repo) == os.path.join(repo.own_dir, f"index-{database.VERSION}.db")


def test_the_written_statements_are_those_of_the_declared_tables() -> None:
    """`python scripts/make_tables.py` writes them."""
    for written, declared in (
        (tables.TABLES, schema.tables()),
        (tables.SEARCHES, schema.searches()),
        (tables.IN_POSTGRES, schema.for_postgres()),
    ):
        assert [text.split() for text in written] == [text.split() for text in declared]
