"""``roar ui`` as people use it: the real program over a real repository, in a real browser."""

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

from roar.git.repository import discover
from server.browser import chromium, page_of
from server.serving import ROOT

HOSTILE = '</script><script>document.title="owned"</script>"><img src=http://192.0.2.1/x>'

NAMELESS = """[...document.querySelectorAll("a, button, input, summary")]
    .filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).length"""


class Ui(NamedTuple):
    """A running ``roar ui``: the address it printed, its origin, and the jobs of the repository."""

    address: str
    origin: str
    jobs: dict[str, str]

    def get(self, path: str, cookie: str = "", **headers: str) -> tuple[int, str]:
        asked = urllib.request.Request(self.origin + path, headers={"Cookie": cookie, **headers})
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def pipeline(top: Path) -> dict[str, str]:
    """A repository with a preparation that makes many parts, two trainings, and two uses of a model."""
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    repo = discover(str(top))
    session = make.session(repo, name="night")
    parts = {f"parts/{n}.csv": f"part {n}" for n in range(9)}
    jobs = {"prepare": make.job(repo, "prepare", {"raw.csv": "raw"}, parts, session=session)}
    for name, rate, model in (("train", "0.1", "model"), ("again", "0.2", "better")):
        code = {
            "commit": "d" * 40,
            "branch": "main",
            "remote": "https://example.org/team/digits.git",
            "overlay": [make.overlaid("train.py", f"rate = {rate}\n")],
        }
        words = ["train", "--rate", rate, HOSTILE]
        read = {**parts, "train.py": f"rate = {rate}\n"}
        metrics = [{"path": "m.json", "values": {"accuracy": "0.9" + rate[-1]}}]
        made = {"model.pkl": model}
        jobs[name] = make.job(repo, words, read, made, at=60, session=session, code=code, metrics=metrics)
    jobs["evaluate"] = make.job(repo, "evaluate", {"model.pkl": "model"}, {"metrics.json": "metrics"}, at=120)
    lost = make.fields("lossy", {"raw.csv": "raw", "seen": None}, {"lost": None, "kept.bin": "kept"}, at=180)
    lost["inputs"].append(make.file("lib.py", "def lib(): ...", blob="b" * 40))
    lost["code"] = {"commit": "e" * 40, "overlay": [make.overlaid("lossy", "lossy = 1\n")]}
    lost["inputs"].append(make.file("lossy", "lossy = 1\n"))
    lost["incomplete"] = [{"reason": "io-uring", "detail": "a ring of process 7", "count": 3}]
    lost["metrics"] = [{"path": "n.json", "values": {f"n{k}": "1" for k in range(25)}}]
    jobs["lossy"] = make.put(repo, lost)
    make.job(repo, "cp b.bin a.bin", {"b.bin": "copied"}, {"a.bin": "copied"}, at=185)
    jobs["copy"] = make.job(repo, "cp a.bin b.bin", {"a.bin": "copied"}, {"b.bin": "copied"}, at=186)
    jobs["many"] = make.job(repo, "many", {}, {f"many/{n:02}": f"many {n}" for n in range(80)}, at=190)
    for n in range(60):  # more than a drawing shows
        jobs[f"use {n}"] = make.job(repo, f"use {n}", {"metrics.json": "metrics"}, {f"used/{n}": f"used {n}"}, at=200)
    return jobs


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            patch.setenv(f"{name}_NAME", "Ada Recorder")
            patch.setenv(f"{name}_EMAIL", "ada@example.org")
        patch.setenv("HOME", str(folder))
        patch.setenv("PYTHONPATH", str(ROOT))
        jobs = pipeline(folder / "project")
        process = subprocess.Popen(
            [sys.executable, "-m", "roar", "ui"], cwd=folder / "project", stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        yield Ui(address, address.partition("/?")[0], jobs)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(ui: Ui, browser: Any) -> Iterator[Any]:
    """The front page, opened by the printed address."""
    with page_of(browser, ui.origin) as opened:
        opened.goto(ui.address)
        assert opened.url == ui.origin + "/"
        yield opened


def test_nobody_gets_in_without_the_key_or_by_another_name(ui: Ui) -> None:
    port = ui.origin.rpartition(":")[2]
    key = ui.address.partition("=")[2]
    good = f"roar_ui_{port}={key}"
    assert ui.get("/")[0] == 403
    assert ui.get("/", f"roar_ui_{port}=wrong")[0] == 403
    assert ui.get("/?token=wrong")[0] == 403
    assert ui.get("/api/v1/projects")[0] == 403
    assert ui.get("/", good)[0] == 200
    assert ui.get("/", good, Host=f"evil.example:{port}")[0] == 403


def test_search_and_the_page_of_an_artifact(ui: Ui, page: Any) -> None:
    page.fill("input[name=q]", make.digest("model")[:8])
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/a/{make.digest('model')}")
    assert page.inner_text("h1") == "model.pkl"
    assert f"roar reproduce {make.digest('model')[:12]}" in page.inner_text(".commands pre")
    assert [row.split()[1] for row in page.locator("#up + .scroll tbody tr").all_inner_texts()] == ["train", "prepare"]
    assert "raw.csv" in page.inner_text("h3 + .scroll")
    assert page.locator("#down + .scroll tbody tr").count() == 61
    assert page.inner_text("#versions + ul").endswith("what differs")
    page.click("text=what differs")
    assert "/diff/" in page.url


def test_an_artifact_is_called_what_its_maker_called_it(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.origin}/a/{make.digest('copied')}")
    made = page.locator(".lead a").get_attribute("href")
    assert (made, page.inner_text("h1")) == (f"/j/{ui.jobs['copy']}", "b.bin")


def test_a_path_and_a_command_are_found(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.origin}/search?q=model.pkl")
    assert page.locator("a.hash").count() == 2
    page.goto(f"{ui.origin}/search?q=evalu")
    assert page.locator("tbody tr").count() == 1
    page.goto(f"{ui.origin}/search?q=3.csv")
    assert page.inner_text("tbody td >> nth=0") == "parts/3.csv"
    page.goto(f"{ui.origin}/search?q=nothing-like-it")
    assert "Nothing in sight" in page.inner_text("main")


def test_a_file_is_hashed_in_the_browser_and_never_sent(ui: Ui, page: Any, tmp_path: Path) -> None:
    bodies: list[Any] = []
    page.on("request", lambda request: bodies.append(request.post_data_buffer))
    data = page.evaluate_handle(
        "() => { const d = new DataTransfer(); d.items.add(new File(['model'], 'm')); return d; }"
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    page.wait_for_url(f"**/a/{make.digest('model')}")
    page.go_back()
    (tmp_path / "chosen").write_text("metrics")
    page.set_input_files("#file", str(tmp_path / "chosen"))
    page.wait_for_url(f"**/a/{make.digest('metrics')}")
    assert not any(bodies)


def test_the_hash_of_the_browser_is_ours(ui: Ui, page: Any) -> None:
    from blake3 import blake3

    page.add_script_tag(url="/static/blake3.js")
    lengths = [0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 5000, 7168, 8192, 31744, 102400]
    found = page.evaluate(
        """(lengths) => lengths.map((length) => {
            const bytes = Uint8Array.from({ length }, (_, n) => n % 251);
            const whole = new Blake3(); whole.update(bytes);
            const parts = new Blake3();
            for (let at = 0; at < length; at += 777) parts.update(bytes.subarray(at, at + 777));
            return [whole.hex(), parts.hex()];
        })""",
        lengths,
    )
    for length, pair in zip(lengths, found, strict=True):
        assert pair == [blake3(bytes(n % 251 for n in range(length))).hexdigest()] * 2, length


def test_the_drawing_unfolds_and_opens_in_place(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.origin}/a/{make.digest('metrics')}")
    drawing = page.locator(".drawing")
    assert drawing.locator(".focus").count() == 1
    assert drawing.locator(".node.more").count() >= 1
    before = drawing.locator(".node.job").count()
    shown = {node.split("\n")[0] for node in drawing.locator(".node title").all_text_contents()}
    said = page.inner_text("#drawn")
    drawing.locator(".node.more", has_text=re.compile("[0-9]{2} more")).click()
    drawing.locator(".node.job").nth(before).wait_for()
    assert "?open=" in page.url
    drawing.locator(".node:focus").wait_for()
    assert drawing.locator(".node:focus title").text_content().split("\n")[0] not in shown
    assert page.inner_text("#drawn") not in (said, "")
    page.click("text=Fold what was opened")
    page.wait_for_url(f"**/a/{make.digest('metrics')}#drawing")
    assert page.inner_text("#drawn") == said
    page.goto(f"{ui.origin}/a/{make.digest('model')}")
    assert "9 files in parts/" in drawing.inner_text()
    boxes = drawing.locator(".node:not(.more)").count()
    drawing.locator(".node.files").focus()
    page.keyboard.press("Enter")
    drawing.locator(".node.files").wait_for(state="detached")
    assert drawing.locator(".node:not(.more)").count() == boxes + 8
    assert drawing.get_by_text("parts/8.csv").count() >= 1
    page.reload()
    assert page.locator(".drawing .node.files").count() == 0
    drawing.locator("a", has_text="parts/8.csv").click()
    page.wait_for_url(f"**/a/{make.digest('part 8')}")


def test_what_no_drawing_holds_leads_to_the_table(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.origin}/j/{ui.jobs['many']}")
    drawing = page.locator(".drawing")
    drawing.locator(".node.files").click()
    drawing.locator(".node.more", has_text="20 more").click()
    drawing.locator(".node.more[href$='#outputs']").click()
    page.wait_for_url(f"**/j/{ui.jobs['many']}#outputs")


def test_a_job_and_what_differs_from_the_one_before(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.origin}/j/{ui.jobs['again'][:12]}")
    assert page.url.endswith(ui.jobs["again"])
    assert HOSTILE in page.inner_text("h1")
    assert page.title() != "owned"
    code = page.locator("a[rel~=noreferrer]").get_attribute("href")
    assert code == f"https://example.org/team/digits/commit/{'d' * 40}"
    page.click("summary >> nth=0")
    assert "package-3" in page.inner_text("details[open]")
    page.fill("input[name=with]", ui.jobs["train"])
    page.click("button:has-text('Compare')")
    page.wait_for_url(f"**/j/{ui.jobs['train']}/diff/{ui.jobs['again']}")
    assert page.locator("pre.patch .removed").inner_text().strip() == "-rate = 0.1"
    assert page.locator("pre.patch .added").inner_text().strip() == "+rate = 0.2"
    assert "accuracy" in page.inner_text("main")


def test_sessions_commits_and_pages_of_jobs(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.origin}/j/{ui.jobs['train']}")
    page.click("dd a[href^='/s/']")
    assert page.inner_text("h1") == "night"
    assert page.locator("tbody tr").count() == 3
    page.goto(f"{ui.origin}/c/{'d' * 40}")
    assert page.locator("tbody tr").count() == 2
    page.goto(f"{ui.origin}/p/project")
    first = page.locator("tbody tr").all_inner_texts()
    page.click("a[rel=next]")
    assert not {*first} & {*page.locator("tbody tr").all_inner_texts()}


@pytest.mark.parametrize("how", [{"java_script_enabled": False}, {"color_scheme": "dark"}, {"viewport": None}])
def test_without_scripts_in_the_dark_and_on_a_phone(ui: Ui, browser: Any, how: dict[str, Any]) -> None:
    phone = "viewport" in how
    with page_of(browser, ui.origin, **({} if phone else how)) as page:
        if phone:
            page.set_viewport_size({"width": 320, "height": 740})
        page.goto(ui.address)
        page.fill("input[name=q]", make.digest("metrics"))
        page.keyboard.press("Enter")
        page.wait_for_url("**/a/*")
        assert page.inner_text("h1") == "metrics.json"
        assert page.locator("#down + .scroll tbody tr").count() == 60
        if "color_scheme" in how:
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 30)"
        if phone:
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
        if "java_script_enabled" in how:
            page.goto(ui.origin + page.locator(".drawing .node.more").last.get_attribute("href"))
            assert page.locator(".drawing .node.job").count() > 30
            page.goto(ui.origin + "/")
            assert page.locator("#drop").is_hidden()


def test_what_is_not_known_is_not_shown_as_known(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.origin}/j/{ui.jobs['lossy']}")
    assert "a ring of process 7 (3 times)" in page.inner_text(".warning")
    row = page.locator("#outputs + .scroll tr", has_text="lost")
    assert row.inner_text().split("\t") == ["lost", "unknown", "unknown", "unknown: changed during the run"]
    assert "and 5 more" in page.inner_text("dl.about >> nth=0")
    assert "content unknown" in page.inner_text(".drawing")
    page.goto(f"{ui.origin}/a/{make.digest('kept')}")
    assert "lossy (ok incomplete)" in page.inner_text(".lead")
    assert page.inner_text("a[href='#outside']") == "1 file from outside and 1 of unknown content"
    assert "One record on the way here does not know everything" in page.inner_text(".warning")


def test_a_file_of_the_code_says_where_git_has_it(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.origin}/a/{make.digest('def lib(): ...')}")
    assert page.locator(".commands").count() == 0
    assert page.inner_text("#again + p") == f"Nothing to run: git has it as lib.py at commit {'e' * 12}."
    assert "lossy" in page.inner_text(".drawing")
    page.goto(f"{ui.origin}/a/{make.digest('lossy = 1' + chr(10))}")
    assert ui.jobs["lossy"][:12] in page.inner_text("#again + p")


def test_by_keyboard_alone(ui: Ui, page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    page.goto(f"{ui.origin}/j/{ui.jobs['evaluate']}")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('svg') ? 'drawing' : document.activeElement.tagName"))
    assert {"drawing", "SUMMARY", "A", "INPUT"} <= reached


def test_every_table_and_picture_has_words(ui: Ui, page: Any) -> None:
    """What a screen reader needs: one heading above all, headers that say for what, names of all that can be used."""
    for path in (
        "/",
        f"/a/{make.digest('model')}",
        f"/j/{ui.jobs['train']}",
        f"/j/{ui.jobs['train']}/diff/{ui.jobs['again']}",
    ):
        page.goto(ui.origin + path)
        assert page.locator("h1").count() == 1
        assert page.locator("html[lang]").count() == 1
        assert page.locator("th:not([scope])").count() == 0
        assert page.evaluate(NAMELESS) == 0
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))


def test_axe_finds_nothing(ui: Ui, page: Any) -> None:
    """All that axe-core can tell of a page, with everything unfolded; in the dark, of its colours."""
    from axe_playwright_python.sync_playwright import Axe

    jobs = ui.jobs
    for path in (
        "/search?q=model.pkl",
        f"/a/{make.digest('kept')}",
        f"/j/{jobs['lossy']}",
        f"/j/{jobs['train']}/diff/{jobs['again']}",
        f"/c/{'d' * 40}",
    ):
        page.goto(ui.origin + path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)
            wrong = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
            assert [(path, scheme, rule["id"], rule["nodes"][0]["html"]) for rule in wrong] == []


def test_unknown_things_are_said_to_be_so(ui: Ui, browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(ui.address)
    for path in ("/a/" + "0" * 64, "/j/" + "0" * 26, "/s/0000", "/c/0000", "/p/other", "/nothing", "/a/xyz"):
        answer = page.goto(ui.origin + path)
        assert answer.status in (400, 404), path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert page.locator("h1").count() == 1
    context.close()


def test_without_the_extra_one_sentence_says_so(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    code = (
        "import importlib.util as u, sys; find = u.find_spec; u.find_spec = lambda n: n != 'fastapi' and find(n)\n"
        "from roar.cli.main import main; sys.exit(main(['ui']))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"roar: roar ui needs .* \(next: pip install 'roar\[server\]'\)\n", done.stderr)
