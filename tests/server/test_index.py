"""The index of a server: several projects as one, on both engines; derived from the refs and nothing else."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make
import psycopg
import pytest
from alembic import command

from roar.cache import database as databases
from roar.cache import schema
from roar.cache.index import open_index, path_of
from roar.cache.search import Wanted
from roar.errors import RoarError, UnavailableError
from roar.git.repository import discover
from roar.lineage import downstream, upstream
from roar.server import migrate, worker
from roar.server.directory import SCHEMA, Directory
from roar.server.people import People
from roar.server.storage import Storage
from roar.server.team import Team
from roar.server.union import Union
from roar.verbs.withdraw import Chosen, withdraw
from server.cluster import Cluster
from server.state import rows


class Place:
    """A data directory with the projects ``one`` and ``two``, on a database, without any process."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.url = url
        self.storage = Storage(str(folder / "data"))
        self.storage.prepare()
        self.people = People(self.storage)
        migrate.migrate(self.storage, url)
        for project in ("one", "two"):
            self.people.add_project(project, by="tests", visibility="public")
        self.team = Team(self.storage, self.people, url, "http://127.0.0.1")
        self.folder = folder
        self.clones: dict[str, Path] = {}

    def clone(self, name: str) -> Any:
        """A repository whose records go to a project of this name."""
        if name not in self.clones:
            self.clones[name] = self.folder / name
            subprocess.run(["git", "init", "-q", str(self.clones[name])], check=True)
        return discover(str(self.clones[name]))

    def arrive(self, project: str, clone: str | None = None) -> None:
        """Bring the records of a clone in as a push would, without the gate, and queue the project."""
        bare = self.storage.repo(project).git_dir
        subprocess.run(
            ["git", f"--git-dir={bare}", "fetch", "-q", str(self.clones[clone or project]), "+refs/roar/*:refs/roar/*"],
            check=True,
        )
        self.storage.queue(project)

    def work(self) -> int:
        return worker.run_once(self.storage, self.url)

    def union(self, *projects: str) -> Union:
        return Union(self.team, projects or ("one", "two"))

    def dump(self) -> list[Any]:
        """All that is known, without the numbers that rows happen to have."""
        return rows(self.storage, self.url)


@pytest.fixture
def place(tmp_path: Path, database: str | None) -> Iterator[Place]:
    made = Place(tmp_path, database)
    yield made
    made.team.close()


def two_teams(place: Place) -> dict[str, str]:
    """The one team makes a data set and a model, the other uses the model, which it had from elsewhere."""
    one, two = place.clone("one"), place.clone("two")
    jobs = {"prepare": make.job(one, "prepare", {"raw.csv": "raw"}, {"train.csv": "train"})}
    jobs["train"] = make.job(one, "train", {"train.csv": "train"}, {"model.pkl": "model"}, at=60)
    jobs["use"] = make.job(two, "use", {"in/model": "model"}, {"scores.csv": "scores"}, at=120)
    jobs["report"] = make.job(two, "report", {"scores.csv": "scores"}, {"report.pdf": "report"}, at=180)
    place.arrive("one")
    place.arrive("two")
    place.work()
    return jobs


def test_two_projects_show_one_joined_graph(place: Place) -> None:
    jobs = two_teams(place)
    with place.union() as union:
        assert upstream(union, [jobs["report"]]).jobs == [jobs[n] for n in ("prepare", "train", "use", "report")]
        assert downstream(union, [jobs["prepare"]]).jobs == [jobs[n] for n in ("prepare", "train", "use", "report")]
        assert [job.command.argv for job in union.load_jobs(jobs.values()).values()] == [[n] for n in jobs]
        assert union.knowers([make.digest("model")]) == {make.digest("model"): ["one", "two"]}
        assert union.find_hashes(make.digest("scores")[:6]) == [make.digest("scores")]
        assert union.find_ids(jobs["use"][:20]) == [jobs["use"]]


def test_what_is_not_in_sight_joins_nothing_and_answers_nothing(place: Place) -> None:
    jobs = two_teams(place)
    with place.union("two") as union:
        assert upstream(union, [jobs["report"]]).jobs == [jobs["use"], jobs["report"]]
        assert union.producers(make.digest("model")) == []
        assert union.names(make.digest("train")) == []
        assert union.holders([jobs["train"]]) == {}
        assert union.find_ids(jobs["train"]) == union.find_hashes(make.digest("train")) == []
        assert union.load_jobs([jobs["train"]]) == {}
        assert union.search(Wanted(command="train")) == []
        assert union.labels([jobs["train"]]) == {}


def test_each_answer_is_that_of_the_local_index(place: Place) -> None:
    repo = place.clone("one")
    session = make.session(repo)
    make.bulk(repo, make.pipelines(48, code="c" * 40, session=session))
    place.arrive("one")
    place.work()
    with place.union("one") as union, open_index(repo) as index:
        jobs = index.jobs()
        hashes = index.find_hashes("0") + index.find_hashes("a")
        assert union.jobs() == jobs
        assert union.jobs(limit=5) == jobs[:5]
        assert union.count_jobs() == len(jobs)
        assert union.jobs_at("cccc") == index.jobs_at("cccc")
        assert {job: span._replace(homes=("",)) for job, span in union.spans(jobs).items()} == index.spans(jobs)
        assert union.uses(jobs) == index.uses(jobs)
        made = {content: [one._replace(home="") for one in found] for content, found in union.made(hashes).items()}
        assert made == index.made(hashes)
        assert {h: set(r) for h, r in union.read_by(hashes).items()} == {
            h: set(r) for h, r in index.read_by(hashes).items()
        }
        assert upstream(union, jobs[:1]) == upstream(index, jobs[:1])
        assert downstream(union, jobs[-1:], depth=4) == downstream(index, jobs[-1:], depth=4)
        assert union.steps(session) == index.steps(session)
        assert union.last_writers(session) == index.last_writers(session)
        assert union.search(Wanted(command="TRAIN.py")) == index.search(Wanted(command="TRAIN.py"))
        wanted = Wanted(since_ns=make.START + 60, author="ada", paths=["report.json"])
        assert union.search(wanted) == index.search(wanted)
        assert union.paths_like("runs/%") == index.paths_like("runs/%")
        for content in hashes[:10]:
            assert union.producers(content) == index.producers(content)
            assert union.consumers(content) == index.consumers(content)
            assert union.names(content) == index.names(content)


def test_reindexed_from_nothing_it_is_the_same(place: Place) -> None:
    two_teams(place)
    make.bulk(place.clone("one"), make.pipelines(24))
    place.arrive("one")
    place.work()
    before = place.dump()
    assert len(before) > 300
    assert not [row for row in before if "None, None" in row[-1] and row[1] == "holdings"], (
        "all are known to be accepted"
    )
    worker.reindex(place.storage, place.url)
    assert place.dump() == before


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_a_directory_of_an_older_version_is_brought_up_to_date(place: Place, version: str) -> None:
    two_teams(place)
    before = place.dump()
    place.team.close()
    schema_name = SCHEMA if place.url else None
    with schema.connected(migrate._address(place.storage, place.url), schema_name) as connection:
        config = migrate._config()
        config.attributes |= {"connection": connection, "schema": schema_name}
        command.downgrade(config, version)
    with pytest.raises(RoarError, match="are of another version"):
        migrate.check(place.storage, place.url)
    migrate.migrate(place.storage, place.url)
    migrate.check(place.storage, place.url)
    for project in place.storage.projects():  # as a worker does that starts
        place.storage.queue(project)
    place.work()
    assert place.dump() == before


def test_what_one_project_takes_back_another_keeps(place: Place) -> None:
    jobs = two_teams(place)
    place.arrive("two", "one")  # the same records in both
    place.work()
    with place.union() as union:
        assert union.holders([jobs["train"]]) == {jobs["train"]: ["one", "two"]}
    with open_index(place.clone("one")) as index:
        chosen = Chosen(index.load_jobs([jobs["train"]]), [], {})
    withdraw(place.clone("one"), chosen, "wrong data")
    place.arrive("one")
    place.work()
    with place.union("one") as union:
        assert union.producers(make.digest("model")) == []
        assert list(union.corrections("withdrawal", jobs.values())) == [jobs["train"]]
    with place.union() as union:
        assert union.producers(make.digest("model")) == [jobs["train"]]
        assert union.corrections("withdrawal", jobs.values()) == {}


def test_a_purge_reaches_the_directory(place: Place) -> None:
    jobs = two_teams(place)
    git_dir = place.storage.repo("one").git_dir
    refs = subprocess.run(
        ["git", f"--git-dir={git_dir}", "for-each-ref", "--format=%(refname)"], capture_output=True, text=True
    )
    for ref in refs.stdout.split():
        subprocess.run(["git", f"--git-dir={git_dir}", "update-ref", "-d", ref], check=True)
    place.storage.queue("one")
    place.work()
    with place.union() as union:
        assert union.holders(jobs.values()) == {jobs["use"]: ["two"], jobs["report"]: ["two"]}
        assert union.knowers([make.digest("train")]) == {}


def test_packages_that_jobs_read_are_found(place: Place) -> None:
    jobs = two_teams(place)
    directory = place.team.directory
    assert isinstance(directory, Directory)
    assert directory.with_package("package-3", None, ["one"]) == {jobs["prepare"], jobs["train"]}
    assert directory.with_package("package-3", "1.3.0", ["one", "two"]) == set(jobs.values())
    assert directory.with_package("package-3", "9", ["one", "two"]) == set()
    assert directory.with_package("other-3", None, ["one", "two"]) == set()


def test_two_workers_at_once_do_what_one_does(place: Place) -> None:
    for project in ("one", "two"):
        make.bulk(place.clone(project), make.pipelines(120), project)
        place.arrive(project)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for project in ("one", "two"):
                place.storage.queue(project)
            place.work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    place.work()
    assert errors == []
    once = place.dump()
    worker.reindex(place.storage, place.url)
    assert place.dump() == once


def test_texts_that_a_database_does_not_take(place: Place) -> None:
    job = make.job(place.clone("one"), ["a\0b", "\U0010ffff", "%s %(x)s ?"], {"p\0q%": "x"}, {"y": "y"}, at=1)
    place.arrive("one")
    assert place.work() == 1
    with place.union() as union:
        assert union.jobs() == [job]
        assert union.load_job(job).command.argv[0] == "a\0b"


def test_the_planner_of_postgresql_knows_what_many_records_brought(tmp_path: Path, postgres: Cluster) -> None:
    place = Place(tmp_path, postgres.database())
    make.bulk(place.clone("one"), make.pipelines(1500))
    place.arrive("one")
    place.work()
    assert place.url is not None
    with psycopg.connect(place.url.replace("+psycopg", "")) as connection:
        known = {table for (table,) in connection.execute("SELECT tablename FROM pg_stats")}
    assert {"records", "files", "hashes", "contents", "holdings"} <= known


def test_an_index_that_was_deleted_or_damaged_is_made_again(tmp_path: Path) -> None:
    place = Place(tmp_path, None)
    jobs = two_teams(place)
    path = Path(path_of(place.storage.repo("one")))
    with place.union() as union:
        assert len(union.jobs()) == 4
    databases.delete(str(path))
    with place.union() as union:
        assert union.jobs() == [jobs["report"], jobs["use"]]  # until the worker has been there
    assert place.storage.queued() == ["one"]
    place.work()
    with place.union() as union:
        assert len(union.jobs()) == 4
    directory = tmp_path / "data" / "directory.db"
    databases.delete(str(directory))
    with place.union() as union, pytest.raises(UnavailableError, match="is being made again"):
        union.knowers([make.digest("train")])
    place.work()
    with place.union() as union:
        assert len(upstream(union, [jobs["report"]]).jobs) == 4
    databases.delete(str(directory))
    directory.write_bytes(b"this is no database" * 500)
    with place.union() as union, pytest.raises(UnavailableError, match="cannot be used") as refused:
        union.knowers([make.digest("train")])
    assert refused.value.hint == "roar serve --reindex"
    worker.reindex(place.storage, None)
    with place.union() as union:
        assert len(upstream(union, [jobs["report"]]).jobs) == 4


def test_while_the_database_is_down_nothing_is_lost(tmp_path: Path, postgres: Cluster) -> None:
    place = Place(tmp_path, postgres.database())
    busy = worker.Worker(place.storage, place.url)
    jobs = two_teams(place)
    postgres.stop()
    try:
        new = make.job(place.clone("one"), "late", {"train.csv": "train"}, {"late": "late"}, at=600)
        place.arrive("one")
        assert busy.run_once() == 0
        with pytest.raises(Exception, match="does not answer"), place.union() as union:
            union.jobs()
    finally:
        postgres.start()
    busy._again = {project: (0.0, pause) for project, (_, pause) in busy._again.items()}  # without the pause
    assert busy.run_once() == 1
    busy.close()
    with place.union() as union:
        assert union.jobs()[0] == new
        assert len(union.jobs()) == len(jobs) + 1
    place.team.close()


def test_a_search_asks_no_project_that_can_add_nothing_and_few_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[str] = []
    names = [f"many/p{number}" for number in range(6)]
    for number, name in enumerate(names):
        place.people.add_project(name, by="tests", visibility="public")
        clone = place.clone(f"c{number}")
        at = 1000 * number
        jobs += [make.job(clone, f"train {k}", {}, {"out/m": f"{number} {k}"}, at=at + k) for k in range(3)]
        place.arrive(name, f"c{number}")
    place.work()
    newest = sorted(jobs, reverse=True)
    with place.union(*names) as union:
        assert union.jobs(limit=4) == newest[:4]
        assert len(union._taken) == 2, "the others have nothing newer"
        assert union.jobs() == newest
    with place.union(*names) as union:
        wanted = Wanted(command="train", live=True, paths=["out/m", "no/where"])
        assert [job for job, _ in union.search(wanted, 5)] == newest[:5]
        assert len(union._taken) == 2
        assert [job for job, _ in union.search(wanted._replace(before=newest[4]), 5)] == newest[5:10]
        assert len(union._taken) < 6
    monkeypatch.setattr("roar.server.union.MOST_TOGETHER", 4)
    with place.union(*names) as union:
        part, left = union.part()
        assert (part.projects, left) == (names[:4], names[4])
        rest, left = union.part(names[4])
        assert (rest.projects, left) == (names[4:], None)
