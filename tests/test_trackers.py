"""Experiment trackers, notebook runners and schedulers: what a job's record says of them.

The tools are the real ones, offline, from the Python in ROAR_TEST_TRACKERS (a virtual environment with wandb, mlflow
or mlflow-skinny with sqlalchemy and alembic, neptune, tensorboardX, dvclive and papermill); without it those tests
are skipped.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from conftest import Git, Roar, needs_tracer
from test_run import last

from roar.environment import launchers, wandb_file
from roar.records.job import Tracker

pytestmark = needs_tracer
PYTHON = os.environ.get("ROAR_TEST_TRACKERS", "")


def needs(package: str) -> pytest.MarkDecorator:
    has = PYTHON and subprocess.run([PYTHON, "-c", f"import importlib.util as u; exit(not u.find_spec({package!r}))"])
    return pytest.mark.skipif(
        not has or bool(has.returncode), reason=f"ROAR_TEST_TRACKERS names no Python with {package}"
    )


def traced(roar: Roar, tree: Path, script: str, **env: str) -> list[Tracker]:
    """What the record of a Python script says."""
    (tree / "script.py").write_text(script)
    home = os.environ["HOME"]
    env = {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1", "HOME": home, **env}
    words = [f"{name}={value}" for name, value in env.items()]
    roar("run", *(f"--env={word}" for word in words), PYTHON, "script.py")
    return last(tree).trackers


def only(found: list[Tracker], tool: str) -> Tracker:
    return next(each for each in found if each.tool == tool)


@needs("wandb")
def test_wandb_offline(roar: Roar, tree: Path) -> None:
    script = (
        "import wandb\n"
        "long = {str(n): 'x' * 500 for n in range(90)}  # a record in several blocks\n"
        "run = wandb.init(project='digits', entity='team', mode='offline', config=long)\n"
        "run.log({'loss': 1}); print(run.id, file=open('id', 'w')); run.finish()\n"
    )
    run = only(traced(roar, tree, script, WANDB_API_KEY="a" * 40), "wandb")
    assert run.id == (tree / "id").read_text().strip()
    assert (run.project, run.mode, run.url) == ("team/digits", "offline", None)
    assert run.path and (tree / run.path).is_dir()
    assert "a" * 40 not in last(tree).model_dump_json()
    shown = roar("show", "@1").stdout.decode()
    assert f"Tracker  wandb {run.id}, project team/digits, offline, in wandb/offline-run-" in shown


@needs("mlflow")
@pytest.mark.parametrize("store", ["file:./mlruns", "sqlite:///book.db"])
def test_mlflow_stores(roar: Roar, tree: Path, store: str) -> None:
    script = (
        "import mlflow\n"
        f"mlflow.set_tracking_uri({store!r}); mlflow.set_experiment('digits')\n"
        "with mlflow.start_run() as run: mlflow.log_metric('m', 1)\n"
        "print(run.info.run_id, file=open('id', 'w'))\n"
    )
    run = only(traced(roar, tree, script, MLFLOW_ALLOW_FILE_STORE="true"), "mlflow")
    assert run.id == (tree / "id").read_text().strip()
    assert (run.project, run.mode) == ("digits", "offline")
    assert run.path == ("mlruns" if store.startswith("file") else "book.db")


@needs("neptune")
def test_neptune_offline(roar: Roar, tree: Path) -> None:
    script = "import neptune\nrun = neptune.init_run(mode='offline')\nrun['a'] = 1\nrun.stop()\n"
    run = only(traced(roar, tree, script, NEPTUNE_PROJECT="team/digits", NEPTUNE_API_TOKEN="t" * 40), "neptune")
    assert run.id and run.path and run.id in run.path
    assert (run.project, run.mode) == ("team/digits", "offline")
    assert "t" * 40 not in last(tree).model_dump_json()


@needs("tensorboardX")
def test_tensorboard(roar: Roar, tree: Path) -> None:
    script = "from tensorboardX import SummaryWriter as W\nw = W('runs/one'); w.add_scalar('a', 1, 1); w.close()\n"
    assert only(traced(roar, tree, script), "tensorboard").path == "runs/one"


@needs("dvclive")
def test_dvclive(roar: Roar, tree: Path) -> None:
    script = (
        "from dvclive import Live\nwith Live(save_dvc_exp=False) as live: live.log_metric('a', 1); live.next_step()\n"
    )
    run = only(traced(roar, tree, script), "dvclive")
    assert (run.mode, run.path) == ("offline", "dvclive")


@needs("papermill")
def test_notebooks(roar: Roar, tree: Path) -> None:
    cell = '{"cell_type":"code","execution_count":null,"metadata":{},"outputs":[],"source":"1"}'
    kernel = '"kernelspec":{"name":"python3","display_name":"p","language":"python"}'
    (tree / "in.ipynb").write_text(f'{{"cells":[{cell}],"metadata":{{{kernel}}},"nbformat":4,"nbformat_minor":4}}')
    folder = Path(PYTHON).parent
    env = {"PYTHONPATH": "", "PATH": f"{folder}:{os.environ['PATH']}"}
    words = [f"--env={name}={value}" for name, value in env.items()]
    roar("run", *words, str(folder / "papermill"), "in.ipynb", "out.ipynb", "-p", "a", "1")
    run = only(last(tree).trackers, "papermill")
    assert (run.path, run.more) == ("in.ipynb", {"output": "out.ipynb"})
    roar("run", *words, str(folder / "jupyter"), "execute", "in.ipynb")
    assert only(last(tree).trackers, "jupyter").path == "in.ipynb"


def test_schedulers_are_known_by_their_variables(roar: Roar, tree: Path, git: Git) -> None:
    around = {
        "SLURM_JOB_ID": "4711",
        "SLURM_ARRAY_TASK_ID": "3",
        "TORCHELASTIC_RUN_ID": "r1",
        "RANK": "0",
        "WORLD_SIZE": "8",
        "RAY_JOB_CONFIG_JSON_ENV_VAR": '{"runtime_env": {}, "metadata": {"job_submission_id": "raysubmit_x"}}',
        "RAY_ADDRESS": "http://ada:pw123456@head:8265",
    }
    done = roar("run", "true", **around)
    found = {each.tool: each for each in last(tree).trackers}
    assert (found["slurm"].id, found["slurm"].more) == ("4711", {"array_task": "3"})
    assert (found["torchrun"].id, found["torchrun"].more) == ("r1", {"rank": "0", "world_size": "8"})
    assert (found["ray"].id, found["ray"].url) == ("raysubmit_x", "http://head:8265")
    assert b"  via  slurm 4711, array task 3\n" in done.stderr
    git(tree, "config", "roar.analyzers.enabled", "false")
    roar("run", "-q", "true", **around)
    assert last(tree).trackers == []


@pytest.mark.parametrize(
    ("words", "tool", "path"),
    [
        (["/v/bin/papermill", "-p", "a", "1", "a.ipynb", "b.ipynb"], "papermill", "a.ipynb"),
        (["python3.11", "-u", "-m", "papermill", "a.ipynb", "b.ipynb"], "papermill", "a.ipynb"),
        (["python3", "/v/bin/jupyter", "execute", "--inplace", "a.ipynb"], "jupyter", "a.ipynb"),
        (["jupyter-nbconvert", "--to", "html", "a.ipynb"], None, None),
        (["jupyter", "lab"], None, None),
        (["torchrun", "--standalone", "--nproc_per_node=2", "train.py"], "torchrun", None),
        (["python", "-m", "torch.distributed.run", "--rdzv-id", "x", "train.py"], "torchrun", None),
        (["python"], None, None),
        ([], None, None),
    ],
)
def test_runners_are_known_by_their_words(words: list[str], tool: str | None, path: str | None) -> None:
    found = launchers.launchers_of({}, [words])
    assert [(each.tool, each.path) for each in found] == ([(tool, path)] if tool else [])


@pytest.mark.parametrize("data", [b"", b":W&B", b":W&B" + bytes(40), b":W&B" + b"\xff" * 70000, bytes(range(256)) * 9])
def test_a_broken_wandb_file_says_nothing(data: bytes) -> None:
    assert wandb_file.run_of(data) == {}


def test_what_is_nested_without_end_costs_no_record(roar: Roar, tree: Path) -> None:
    deep = "[" * 50_000
    folder = tree / ".neptune/offline/run__1"
    folder.mkdir(parents=True)
    (tree / "deep").write_text(deep)
    roar("run", "cp", "deep", str(folder / "metadata.json"), RAY_JOB_CONFIG_JSON_ENV_VAR=deep)
    job = last(tree)
    assert job.trackers == [] and [file.path for file in job.outputs] == [".neptune/offline/run__1/metadata.json"]
