"""Sweeps in processes of their own, on every engine, with workers that die and signals that arrive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from runner.sweep.entry import resume_sweep, sweep
from tests.sweeps import FOUR, PLAIN, TWO_WORKERS, energies, members, numbers, paused_sweep, table, wait_for

pytestmark = pytest.mark.nightly

SUBMITTED = ("hydra/launcher=submitit_local", "hydra.launcher.array_parallelism=2")

MORTAL = '''
"""An experiment that evaluates three times and may then be the end of the process it is in."""
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from experiments.vqe import Vqe


@dataclass(kw_only=True)
class Mortal(Vqe):
    """VQE; with seed 2, its process dies as often as the file `deaths` says."""

    def run(self, lab):
        energy = lab.objective(lab.workload("before"))
        for _ in range(3):
            energy(lab.problem.initial_point)
        if lab.config.seed == 2 and (left := int(Path("deaths").read_text())):
            Path("deaths").write_text(str(left - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(lab)


SCHEMAS = {"experiment": {"mortal": Mortal}}
'''


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of four runs, carried out one after the other."""
    folder = tmp_path_factory.mktemp("serial") / "sweep"
    assert sweep([*FOUR, *PLAIN, f"hydra.sweep.dir={folder}"], quiet=True) == 0
    return folder


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_results_do_not_depend_on_the_launcher(serial: Path, tmp_path: Path, launcher: str) -> None:
    """Worker processes, submitit jobs, Ray tasks: every energy the same as serial, to the last bit."""
    if find_spec(launcher.partition("_")[0]) is None:
        pytest.skip(f"{launcher} is not installed")
    folder = tmp_path / "sweep"
    engine = [f"hydra/launcher={launcher}", f"hydra.sweep.dir={folder}"]

    assert sweep([*FOUR, *PLAIN, *engine], quiet=True) == 0
    assert numbers(folder) == numbers(serial)
    assert energies(folder) == energies(serial)


def runner(folder: Path, *arguments: str) -> int:
    """The exit code of a command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "runner", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, text=True)
    # shown if the test fails
    print(*command, f"exit code {done.returncode}", done.stdout, done.stderr, sep="\n")
    return done.returncode


@pytest.mark.parametrize(
    ("deaths", "engine", "told"),
    [
        (1, TWO_WORKERS, ""),
        (2, TWO_WORKERS, "its worker process died twice"),
        (1, SUBMITTED, ""),
        (2, SUBMITTED, "its job died"),
    ],
)
def test_a_dying_worker_costs_its_own_run_at_most(
    workdir: Path, deaths: int, engine: tuple[str, ...], told: str
) -> None:
    """A run whose worker is killed once is continued; killed again, it is a failure that `resume` can undo."""
    if engine is SUBMITTED:
        pytest.importorskip("submitit")
    (workdir / "mortal.py").write_text(MORTAL)
    arguments = ["-m", "plugins=[mortal]", "experiment=mortal", "seed=1,2,3", *PLAIN]

    (workdir / "deaths").write_text("0")
    assert runner(workdir, *arguments, "hydra.sweep.dir=serial") == 0
    (workdir / "deaths").write_text(str(deaths))
    code = runner(workdir, *arguments, *engine, "hydra.sweep.dir=mine")

    assert (workdir / "deaths").read_text() == "0"
    if deaths == 1:
        assert code == 0
    else:
        assert code == 137
        assert [row["status"] for row in table("mine")] == ["finished", "failed", "finished"]
        assert told in table("mine")[1]["reason"]
        assert runner(workdir, "resume", "mine", "plugins=[mortal]", "hydra/launcher=basic") == 0
    assert numbers("mine") == numbers("serial")
    assert energies(workdir / "mine") == energies(workdir / "serial")


def test_workers_that_die_again_and_again(
    workdir: Path, serial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process dies at its third event: every run is a failure, the sweep ends, `resume` undoes it."""
    monkeypatch.setenv("RUNNER_FAULT", "after_journal:3:kill9")
    assert sweep([*FOUR, *PLAIN, *TWO_WORKERS, "hydra.sweep.dir=mine"], quiet=True) == 137
    assert {row["status"] for row in table("mine")} == {"failed"}

    monkeypatch.delenv("RUNNER_FAULT")
    assert resume_sweep("mine", overrides=["hydra/launcher=basic"], quiet=True) == 0
    assert energies(workdir / "mine") == energies(serial)


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the sweep", "to all its processes"])
def test_sigterm_in_a_parallel_sweep(serial: Path, tmp_path: Path, send: Callable[[int, int], None]) -> None:
    """Forked workers complete their jobs and end; exit 143, no process is left, `resume` brings the same numbers."""
    folder = tmp_path / "sweep"
    process = paused_sweep(folder, seconds=3)
    send(process.pid, signal.SIGTERM)

    assert process.wait(60) == 143
    wait_for(lambda: not members(process.pid), 20)
    rows = table(folder)
    assert sorted(row["status"] for row in rows) == ["interrupted", "interrupted", "waiting", "waiting"]
    assert resume_sweep(folder, quiet=True) == 0
    assert numbers(folder) == numbers(serial)
    assert energies(folder) == energies(serial)
