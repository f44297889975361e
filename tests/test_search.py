"""Searches by Optuna: what is proposed, what the study holds, and that neither depends on interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.errors import ConfigError, StorageError
from runner.record import faults
from runner.sweep.entry import resume_sweep, sweep
from runner.sweep.optuna import SAMPLERS, OptunaSweeper
from runner.sweep.study import Trials
from tests.sweeps import numbers

optuna = pytest.importorskip("optuna")

SEARCH = (
    "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "optimizer=cobyla,spsa", "ansatz.reps=range(1,4)",
    "optimizer.max_evaluations=tag(log,int(interval(2,6)))",
    "tracking=off", "run.figures=false", "estimator.default_shots=100", "seed=3",
)  # fmt: skip
STORES = ("null", "sqlite:///study.db")


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    """No fault outlives its test."""
    yield
    faults.plan("")


def facts(folder: str) -> list[tuple[Any, ...]]:
    """Number, parameters, values and state of every trial of the study of a sweep, in order."""
    header = json.loads((Path(folder) / "sweep.json").read_text())
    name = f"{Path(folder).name} {header['id']}"
    study = optuna.load_study(study_name=name, storage=STORES[1])
    return [(trial.number, trial.params, trial.values, trial.state) for trial in study.trials]


def best(folder: str) -> list[int]:
    """Numbers of the best trials."""
    header = json.loads((Path(folder) / "sweep.json").read_text())
    study = optuna.load_study(study_name=f"{Path(folder).name} {header['id']}", storage=STORES[1])
    return [trial.number for trial in study.best_trials]


def broken(arguments: Sequence[str], folder: str, points: Sequence[str]) -> int:
    """Carry a search out, broken off at the k-th arrival of each of its lives at a point; how often it was."""
    for lives, point in enumerate(points):
        faults.plan(f"{point}:enospc")
        try:
            _go_on(arguments, folder)
        except (OSError, StorageError):
            continue
        return lives
    faults.plan("")
    _go_on(arguments, folder)
    return len(points)


def _go_on(arguments: Sequence[str], folder: str) -> None:
    if (Path(folder) / "sweep.json").exists():
        again = [word for word in arguments if word.startswith("hydra.sweeper.storage=")]
        resume_sweep(folder, overrides=again, quiet=True)
    else:
        sweep([*arguments, f"hydra.sweep.dir={folder}"], quiet=True)


def landscape(label: dict[str, str], number: int) -> dict[str, Any]:
    """The row of a run as it would be if the energy were known in advance; every seventh fails."""
    if number % 7 == 6:
        return {"number": number, "status": "failed"}
    x, choice = float(label["x"]), {"a": 0.0, "b": 0.3}[label["kind"]]
    return {
        "number": number, "status": "finished", "error": (x - 0.7) ** 2 + choice, "usage_seconds": int(label["n"]) + x,
    }  # fmt: skip


def proposed(sweeper: OptunaSweeper, batches: int, *, forgetful: bool) -> list[dict[str, str]]:
    """What a sampler proposes in so many batches of 4; `forgetful`: all is recalled from files before each."""
    space = {
        "x": optuna.distributions.FloatDistribution(0.0, 2.0),
        "n": optuna.distributions.IntDistribution(1, 64, log=True),
        "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
    }
    trials = Trials(sweeper, space)
    planned: list[tuple[Any, str, dict[str, Any]]] = []
    for batch in range(batches):
        if forgetful:
            trials = Trials(sweeper, space)
            for task, proposal, row in planned:
                trials.recall(task, json.loads(proposal), row)
        first = len(planned)
        asked = [
            (SimpleNamespace(number=number, label=label), json.dumps(proposal), landscape(label, number))
            for number, (label, proposal) in enumerate(trials.ask(4, seed=1000 + batch), first)
        ]
        for _, _, row in asked:
            trials.tell(row)
        planned += asked
    return [task.label for task, _, _ in planned]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_recalls_all_it_knew(sampler: str) -> None:
    """What it proposes is the same whether it lived all along or was recalled before every batch; two generations."""
    sweeper = OptunaSweeper(sampler=sampler, objective=["error", "usage_seconds"], n_jobs=4)
    found = proposed(sweeper, 28, forgetful=True)

    assert found == proposed(sweeper, 28, forgetful=False)
    assert (
        len({tuple(label.items()) for label in found}) > 80
    )  # of 112, children like parents: no sequence begins again


@pytest.mark.parametrize(
    "storage",
    [
        pytest.param(STORES[0], marks=pytest.mark.nightly),
        STORES[1],
    ],  # tests/test_sweep.py breaks one off without
)
def test_a_search_broken_anywhere_is_the_unbroken_one(workdir: Path, storage: str) -> None:
    """Broken off between asking and planning, after planning and at writes to the study: the same study."""
    arguments = [*SEARCH, f"hydra.sweeper.storage={storage}"]
    assert sweep([*arguments, "hydra.sweep.dir=whole"], quiet=True) == 0

    stored = storage != "null"
    points = ("asked:2", *(["study:1"] if stored else []), "planned:1", *(["study:3"] if stored else []))

    assert broken(arguments, "again", points) == len(points)
    assert numbers("again") == numbers("whole")
    if stored:
        assert facts("again") == facts("whole")
        assert len(facts("again")) == 6
        assert best("again") == best("whole")


def test_a_killed_search_is_told_what_its_runs_stopped_with(workdir: Path) -> None:
    """`kill -9` in the second batch: trials whose session had ended keep their values; all the rest is the twin's."""
    arguments = [
        "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2", "seed=3",
        "optimizer.max_evaluations=int(interval(2,14))", "session.max_time=90s", "tracking=off",
        "run.figures=false", f"hydra.sweeper.storage={STORES[1]}",
    ]  # fmt: skip
    assert sweep([*arguments, "hydra.sweep.dir=whole"], quiet=True) == 3
    lines = [Path(f"whole/{number}/journal.jsonl").read_bytes().count(b"\n") for number in range(6)]
    killed = subprocess.run(
        [sys.executable, "-m", "runner", "-m", *arguments, "hydra.sweep.dir=again"],
        env=os.environ | {"RUNNER_FAULT": f"after_journal:{sum(lines[:3]) + 5}:kill9"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    stopped = [row["status"] for row in numbers("whole")]
    assert "stopped" in stopped[:3]
    assert not Path("again/4").exists()

    assert resume_sweep("again", overrides=[f"hydra.sweeper.storage={STORES[1]}"], quiet=True) == 3
    assert numbers("again") == numbers("whole")
    assert facts("again") == facts("whole")
    assert best("again") == best("whole")
    with pytest.raises(
        ConfigError, match=rf"nothing to resume; {stopped.count('stopped')} runs stopped, each of"
    ):
        resume_sweep("again", overrides=[f"hydra.sweeper.storage={STORES[1]}"], quiet=True)


def test_a_study_that_was_told_otherwise_is_written_anew(workdir: Path) -> None:
    """Trials that are stale, paired with values of others, or missing are put right by `resume`."""
    arguments = [*SEARCH, f"hydra.sweeper.storage={STORES[1]}", "hydra.sweeper.n_trials=4"]
    assert sweep([*arguments, "hydra.sweep.dir=whole"], quiet=True) == 0
    expected = facts("whole")
    name = f"whole {json.loads(Path('whole/sweep.json').read_text())['id']}"
    optuna.delete_study(study_name=name, storage=STORES[1])
    study = optuna.create_study(study_name=name, storage=STORES[1])
    study.ask()
    Path("whole/sweep.csv").unlink()

    assert resume_sweep("whole", overrides=arguments[-2:-1], quiet=True) == 0
    assert facts("whole") == expected


def test_a_search_that_is_not_tracked_writes_its_own_directory_alone(workdir: Path) -> None:
    """As `--help tracking=off` says, in the beginning and after `resume`: no study is kept beside it."""
    assert sweep([*SEARCH, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=sweep"], quiet=True) == 0
    (workdir / "sweep" / "sweep.csv").unlink()
    assert resume_sweep("sweep", quiet=True) == 0

    assert [path.name for path in workdir.iterdir()] == ["sweep"]
    assert (workdir / "sweep" / "sweep.csv").exists()


def test_a_study_of_another_search_is_left_alone(workdir: Path) -> None:
    """Its name is refused before anything is created."""
    optuna.create_study(study_name="mine", storage=STORES[1]).ask()
    arguments = [*SEARCH, f"hydra.sweeper.storage={STORES[1]}", "hydra.sweeper.study_name=mine"]
    with pytest.raises(ConfigError, match=r"^hydra.sweeper.study_name: a study 'mine' is in the database"):
        sweep([*arguments, "hydra.sweep.dir=other"], quiet=True)

    assert not Path("other").exists()
