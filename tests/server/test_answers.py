"""What a real server answers to programs and to people, on both engines: two teams, and what one of them keeps."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import make
import pytest

from roar.cache.index import open_index
from roar.git.repository import Repository, discover
from roar.verbs.labels import label
from roar.verbs.resolve import Target
from server.browser import chromium, page_of
from server.cluster import Cluster
from server.serving import ADMIN, ROOT, Glaas, until


class Teams(NamedTuple):
    """A server with a public project of one team and a private one of another, and a user who is in neither."""

    glaas: Glaas
    jobs: dict[str, str]
    clones: dict[str, Repository]
    stranger: str

    def get(self, path: str, token: str | None = None) -> Any:
        status, body = self.glaas.api(path, token)
        assert status == 200, body
        return body

    def push(self, project: str) -> None:
        clone = self.clones[project]
        words = ["git", f"--git-dir={clone.git_dir}", "push", "-q", self.glaas.remote(f"team/{project}"), "refs/roar/*"]
        subprocess.run(words, check=True)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def teams(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teams]:
    folder = tmp_path_factory.mktemp("teams")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            patch.setenv(f"{name}_NAME", "Ada Recorder")
            patch.setenv(f"{name}_EMAIL", "ada@example.org")
        patch.setenv("HOME", str(folder))
        words: tuple[str, ...] = ()
        if request.param == "postgres":
            running: Cluster = request.getfixturevalue("postgres")
            words = ("--database", running.database())
        glaas = Glaas(folder, *words)
        if words:
            call = [sys.executable, "-m", "roar", "serve", "--data", str(glaas.data), *words]
            refused = subprocess.run(call, env=glaas.env, capture_output=True, text=True)
            assert "roar serve --migrate" in refused.stderr
            subprocess.run([*call, "--migrate"], env=glaas.env, check=True)
        found = Teams(glaas, {}, {}, "sam")
        glaas.user("sam", folder)
        glaas.people.add_project("team/open", by="tests", visibility="public", owner=ADMIN)
        glaas.people.add_project("team/closed", by="tests", owner=ADMIN)
        glaas.start()
        for project in ("open", "closed"):
            subprocess.run(["git", "init", "-q", str(folder / project)], check=True)
            found.clones[project] = discover(str(folder / project))
        fill(found)
        yield found
        glaas.stop()
        assert "Traceback" not in glaas.log.read_text()


def fill(teams: Teams) -> None:
    """The open team makes a model; the closed one uses it in a pipeline of its own."""
    jobs, (one, two) = teams.jobs, (teams.clones["open"], teams.clones["closed"])
    session = make.session(one, name="night")
    jobs["prepare"] = make.job(one, "prepare", {"raw.csv": "raw"}, {"train.csv": "train"}, session=session)
    for number in (1, 2):
        words = ["train", "--depth", str(number)]
        made = {"model.pkl": "model" * number}
        jobs[f"train {number}"] = make.job(one, words, {"train.csv": "train"}, made, at=60 * number, session=session)
    with open_index(one) as index:
        label(index, one, Target("artifact", make.digest("model" * 2)), {"stage": "gold"})
        label(index, one, Target("session", session), {"sweep": "7"})
    jobs["secret use"] = make.job(two, "secret-use", {"in/model": "model"}, {"scores.csv": "scores"}, at=900)
    jobs["secret report"] = make.job(
        two, "secret-report", {"scores.csv": "scores"}, {"report.pdf": "report"}, at=960, code={"commit": "ab" * 20}
    )
    for project in ("open", "closed"):
        teams.push(project)
    for name in ("train 2", "secret report"):
        until(lambda name=name: teams.glaas.api(f"jobs/{jobs[name]}", teams.glaas.token())[0] == 200)


def test_an_artifact_and_how_to_make_it_again(teams: Teams) -> None:
    found = teams.get(f"artifacts/{make.digest('model')[:10]}", teams.glaas.token())
    assert found["hash"] == make.digest("model")
    assert found["projects"] == ["team/closed", "team/open"]
    assert [job["id"] for job in found["made_by"]] == [teams.jobs["train 1"]]
    assert [job["id"] for job in found["used_by"]] == [teams.jobs["secret use"]]
    fetch, again = found["commands"]
    assert fetch.startswith(f"git fetch {teams.glaas.url}/team/open.git '+refs/roar/*:")
    assert again == f"roar reproduce {make.digest('model')[:12]}"


def test_two_teams_show_one_joined_graph(teams: Teams) -> None:
    found = teams.get(f"artifacts/{make.digest('report')}/lineage", teams.glaas.token())
    assert [job["id"] for job in found["jobs"]] == [
        teams.jobs[name] for name in ("prepare", "train 1", "secret use", "secret report")
    ]
    assert {edge["path"] for edge in found["edges"]} == {"train.csv", "scores.csv", "in/model"}
    down = teams.get(f"artifacts/{make.digest('raw')}/lineage?direction=down", teams.glaas.token())
    assert {job["id"] for job in down["jobs"]} == set(teams.jobs.values())


def test_a_lineage_comes_page_by_page(teams: Teams) -> None:
    path = f"artifacts/{make.digest('report')}/lineage?limit=3"
    first = teams.get(path, teams.glaas.token())
    second = teams.get(f"{path}&cursor={first['next']}", teams.glaas.token())
    assert len(first["jobs"]) == 3
    assert [job["id"] for job in second["jobs"]] == [teams.jobs["secret report"]]
    assert second["next"] is None
    near = teams.get(f"artifacts/{make.digest('report')}/lineage?depth=2", teams.glaas.token())
    assert near["truncated"]
    assert near["beyond"] == [teams.jobs["train 1"]]


@pytest.mark.parametrize("who", ["nobody", "stranger", "token of another project"])
def test_what_is_private_answers_as_what_is_not_there(teams: Teams, who: str) -> None:
    token = {
        "nobody": None,
        "stranger": teams.glaas.token(teams.stranger),
        "token of another project": teams.glaas.token(project="team/open"),
    }[who]
    secret, none = make.digest("scores"), make.digest("no such thing")
    job, no_job = teams.jobs["secret use"], "0" * 26
    for private, unknown in (
        (f"artifacts/{secret}", f"artifacts/{none}"),
        (f"artifacts/{secret[:8]}", f"artifacts/{none[:8]}"),
        (f"artifacts/{secret}/lineage", f"artifacts/{none}/lineage"),
        (f"jobs/{job}", f"jobs/{no_job}"),
        (f"jobs/{job}/diff/{teams.jobs['prepare']}", f"jobs/{no_job}/diff/{teams.jobs['prepare']}"),
        ("projects/team/closed", "projects/team/nothing"),
        (f"projects/team/closed/records?id={job}", f"projects/team/nothing/records?id={job}"),
        ("search?command=secret", "search?command=nothing-like-it"),
        ("search?path=scores.csv", "search?path=nothing-like-it"),
    ):
        found, missing = teams.glaas.api(private, token), teams.glaas.api(unknown, token)
        assert found[0] == missing[0], private
        same = repr(found[1])
        for ours, theirs in ((secret, none), (secret[:8], none[:8]), (job, no_job), ("closed", "nothing")):
            same = same.replace(ours, theirs)
        assert same == repr(missing[1]), private
    everything = repr(
        [teams.glaas.api(path, token)[1] for path in ("projects", "search", f"artifacts/{make.digest('model')}")]
    )
    everything += repr(teams.glaas.api(f"artifacts/{make.digest('raw')}/lineage?direction=down", token)[1])
    assert "closed" not in everything
    assert "secret" not in everything
    assert job not in everything
    for page in (
        "/",
        "/search?q=model.pkl",
        f"/a/{make.digest('model')}",
        "/p/team/open",
        f"/j/{teams.jobs['train 1']}",
    ):
        text = fetch(teams.glaas.url + page, token)
        assert "secret" not in text
        assert "closed" not in text


def fetch(url: str, token: str | None = None, **headers: str) -> str:
    asked = urllib.request.Request(url, headers={"Accept": "text/html", **headers})
    if token:
        asked.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return str(answer.read().decode())


def test_a_bad_token_is_not_taken_for_nobody(teams: Teams) -> None:
    for token in ("x", teams.glaas.token(seconds=1, at_ns=1)):
        status, body = teams.glaas.api("projects", token)
        assert (status, body["error"]["code"]) == (401, "unauthorized")


def test_jobs_sessions_differences_and_projects(teams: Teams) -> None:
    job = teams.get(f"jobs/{teams.jobs['train 2']}")
    assert (job["step"], job["projects"], job["command"]) == ("3", ["team/open"], "train --depth 2")
    assert job["inputs"][0]["made_by"] == teams.jobs["prepare"]
    assert job["record"]["environment"]["machine"]["hostname"] == "workstation"
    session = teams.get(f"sessions/{job['session']}?limit=2")
    assert (session["name"], session["job_count"], len(session["jobs"])) == ("night", 3, 2)
    rest = teams.get(f"sessions/{job['session']}?limit=2&cursor={session['next']}")
    assert [j["id"] for j in rest["jobs"]] == [teams.jobs["prepare"]]
    diff = teams.get(f"jobs/{teams.jobs['train 1']}/diff/{teams.jobs['train 2']}")
    assert diff["command"] == [{"name": "command", "before": "train --depth 1", "after": "train --depth 2"}]
    assert [(f["path"], f["state"]) for f in diff["outputs"]] == [("model.pkl", "changed")]
    assert teams.get("projects")["projects"] == ["team/open"]
    assert teams.get("projects/team/open")["url"] == f"{teams.glaas.url}/team/open.git"
    asked = teams.get(f"projects/team/open/records?id={job['id']}&id={'0' * 26}")
    assert asked == {"here": [job["id"]], "missing": ["0" * 26]}


def test_search(teams: Teams) -> None:
    def ids(words: str) -> list[str]:
        return [job["id"] for job in teams.get(f"search?{words}", teams.glaas.token())["jobs"]]

    both = [teams.jobs["train 2"], teams.jobs["train 1"]]
    assert ids("command=TRAIN") == both
    assert ids("path=model.pkl") == both
    assert ids("path=*.pkl&limit=1") == both[:1]
    assert ids(f"path=*.pkl&cursor={both[0]}") == both[1:]
    assert ids("author=ada&command=report") == [teams.jobs["secret report"]]
    assert ids("package=package-2&command=train") == both
    assert ids("package=package-2==1.2.0&command=train") == both
    assert ids("package=package-2==9&command=train") == []
    assert ids("label=stage") == ids("label=stage=gold") == both[:1], "of a file that it wrote"
    assert ids("label=sweep=7") == [*both, teams.jobs["prepare"]], "of its session"
    assert ids("label=stage=lead") == ids("label=gold") == []
    assert ids("commit=abab") == ids(f"commit={'ab' * 20}") == [teams.jobs["secret report"]]
    assert ids("commit=abac") == []
    assert ids("failed=true") == []
    assert ids(f"since={make.START + 900 * make.SECOND}") == [teams.jobs["secret report"], teams.jobs["secret use"]]
    assert ids(f"until={make.START}") == [teams.jobs["prepare"]]
    first = teams.get("search?limit=4", teams.glaas.token())
    second = teams.get(f"search?limit=4&cursor={first['next']}", teams.glaas.token())
    assert len(first["jobs"]) == 4
    assert [job["id"] for job in second["jobs"]] == [teams.jobs["prepare"]]


def test_a_search_goes_on_from_its_cursor(teams: Teams) -> None:
    token = teams.glaas.token()
    whole = [job["id"] for job in teams.get("search?limit=500", token)["jobs"]]
    assert len(whole) > 3
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = teams.get(f"search?limit=2{cursor and '&cursor='}{cursor}", token)
        found += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
    assert found == whole
    assert [job["id"] for job in teams.get("search?cursor=~team/open", token)["jobs"]] == [
        job["id"] for job in teams.get("search")["jobs"]
    ], "from a project on, by name"
    assert teams.glaas.api("search?cursor=~../x")[0] == 422
    assert teams.get("search?cursor=~z")["jobs"] == []


def test_answers_that_have_not_changed_are_not_sent_again(teams: Teams) -> None:
    url = f"{teams.glaas.url}/api/v1/artifacts/{make.digest('model')}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        tag, headers = answer.headers["ETag"], answer.headers
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Access-Control-Allow-Origin"] is None
    with pytest.raises(urllib.error.HTTPError, match="304"):
        urllib.request.urlopen(urllib.request.Request(url, headers={"If-None-Match": tag}), timeout=30)


def test_health_and_numbers(teams: Teams) -> None:
    assert teams.get("health") == {"status": "ok"}
    asked = urllib.request.Request(f"{teams.glaas.url}/api/v1/health", method="HEAD")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert (answer.status, answer.read()) == (200, b"")
    text = fetch(f"{teams.glaas.url}/api/v1/metrics")
    assert re.search(r"^# TYPE roar_projects gauge\nroar_projects 3$", text, re.MULTILINE)
    assert re.search(r"^process_start_time_seconds \d{10}", text, re.MULTILINE), "no digits are rounded away"
    assert re.search(r"^roar_records 8$", text, re.MULTILINE)


def test_errors_are_said_in_one_way(teams: Teams) -> None:
    for path, status, code in (
        ("artifacts/xyz", 422, "invalid"),
        ("search?comand=train", 422, "invalid"),
        ("artifacts/" + "0" * 64, 404, "not_found"),
        ("nothing/like/it", 404, "not_found"),
        ("search?limit=0", 422, "invalid"),
        (f"artifacts/{make.digest('raw')}/lineage?cursor={'0' * 26}", 400, "bad_request"),
        ("projects/team/open/records?id=x", 400, "bad_request"),
    ):
        found, body = teams.glaas.api(path)
        assert (found, body["error"]["code"]) == (status, code), (path, body)


def workers(server: int) -> list[int]:
    """The processes of workers that a server has."""
    children = Path(f"/proc/{server}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    return [pid for pid in pids if b"roar.server.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_killed_worker_is_replaced_and_nothing_is_missed(teams: Teams) -> None:
    (old,) = workers(teams.glaas.pid)
    os.kill(old, signal.SIGKILL)
    new = make.job(teams.clones["open"], "after-the-kill", {"model.pkl": "model"}, {"late": "late"}, at=1200)
    teams.push("open")
    until(lambda: teams.glaas.api(f"jobs/{new}")[0] == 200)
    assert workers(teams.glaas.pid) != [old]


def test_two_servers_on_one_data_directory_and_one_database(teams: Teams) -> None:
    words = [sys.executable, "-m", "roar", "serve", "--data", str(teams.glaas.data), "--port", "0", *teams.glaas.words]
    env = {**teams.glaas.env, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
        assert second.stdout is not None
        url = second.stdout.readline().rpartition(" ")[2].strip()
        new = make.job(teams.clones["open"], "for-both", {"model.pkl": "model"}, {"both": "both"}, at=1300)
        teams.push("open")
        until(lambda: teams.glaas.api(f"jobs/{new}")[0] == 200)
        assert "for-both" in fetch(f"{url}/j/{new}")
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) in (0, -signal.SIGTERM)


def test_the_pages_of_a_server(teams: Teams) -> None:
    with chromium() as browser:
        with page_of(browser, teams.glaas.url) as page:
            page.goto(teams.glaas.url)
            assert page.locator("ul.plain a").all_inner_texts() == ["team/open"]
            data = page.evaluate_handle(
                "() => { const d = new DataTransfer(); d.items.add(new File(['model'], 'm')); return d; }"
            )
            page.dispatch_event("#drop", "drop", {"dataTransfer": data})
            page.wait_for_url(f"**/a/{make.digest('model')}")
            assert f"git fetch {teams.glaas.url}/team/open.git" in page.inner_text(".commands pre")
            page.goto(f"{teams.glaas.url}/p/team/open")
            assert "git remote add glaas" in page.inner_text(".commands pre")
        with page_of(browser, teams.glaas.url) as page:
            page.goto(f"{teams.glaas.url}/enter#{teams.glaas.code()}")
            page.click(f"button:has-text('Enter as {ADMIN}')")
            page.wait_for_url(teams.glaas.url + "/")
            assert "team/closed" in page.inner_text("main")
            page.goto(f"{teams.glaas.url}/a/{make.digest('report')}")
            rows = page.locator("#up + .scroll tbody tr").all_inner_texts()
            assert [row.split()[1] for row in rows] == ["secret-report", "secret-use", "train", "prepare"]
            assert [row.split()[-1] for row in rows] == ["team/closed", "team/closed", "team/open", "team/open"]
            again = f"git -c roar.glaas.url={teams.glaas.url} roar reproduce {make.digest('report')[:12]}"
            assert page.inner_text(".commands pre") == again  # two projects have what it takes
            page.click("a:has-text('secret-use') >> nth=0")


def test_the_whole_is_the_same_when_it_is_made_anew(teams: Teams) -> None:
    paths = [f"artifacts/{make.digest('report')}/lineage?direction=both", "search", f"artifacts/{make.digest('model')}"]
    before = [teams.get(path, teams.glaas.token()) for path in paths]
    call = [sys.executable, "-m", "roar", "serve", "--data", str(teams.glaas.data), *teams.glaas.words, "--reindex"]
    subprocess.run(call, env=teams.glaas.env, check=True)
    until(lambda: [teams.glaas.api(path, teams.glaas.token())[1] for path in paths] == before)
