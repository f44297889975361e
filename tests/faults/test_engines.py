"""Simulations, optimizers and memory that fail, in process; the campaign does the same to processes of their own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import compose, errors, resume, run
from runner.__main__ import main
from runner.record import faults
from runner.run.objective import JobStream
from runner.run.preflight import Preparation
from runner.sweep.entry import resume_sweep, sweep
from tests.faults.trial import identity

SMALL = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=8", "backend.engine=aer")


@pytest.fixture
def plan() -> Iterator[Any]:
    """`faults.plan`, with nothing planned any more when the test is over."""
    yield faults.plan
    faults.plan("")


def test_the_next_run_of_a_sweep_is_carried_out(workdir: Path, plan: Any) -> None:
    """Aer fails in the first run: it is told as failed with the cause, the others finish, and resuming mends it."""
    arguments = [*SMALL, "-m", "seed=1,2", "estimator=exact", "tracking=off"]
    plan("aer:3:raise")

    code = sweep([word for word in arguments if word != "-m"], quiet=True)

    (directory,) = Path("outputs/sweeps").iterdir()
    results = [json.loads((directory / str(number) / "result.json").read_text()) for number in (0, 1)]
    assert code == 1
    assert [result["status"] for result in results] == ["failed", "finished"]
    assert "its simulation failed: AerError: a fault for tests" in results[0]["stop_reason"]
    assert results[0]["evaluations"] == 3  # of two jobs: the start, then two more along the first angle

    assert resume_sweep(directory, quiet=True) == 0

    whole = run(compose(*SMALL, "estimator=exact", "seed=1"), directory="whole")
    assert identity(directory / "0") == identity(whole.directory)


def test_an_optimizer_that_throws_in_the_middle_can_go_on(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had evaluated is kept; once it is mended the run ends as if nothing had been."""
    whole = run(compose(*SMALL), directory="whole")
    honest, calls = JobStream.observe, itertools.count(1)

    def throwing(*arguments: Any, **more: Any) -> None:
        honest(*arguments, **more)
        if next(calls) == 5:
            raise ZeroDivisionError("in the middle of a step")

    monkeypatch.setattr(JobStream, "observe", throwing)
    broken = run(compose(*SMALL), directory="broken")

    assert (broken.status, broken.evaluations) == ("failed", 5)
    assert broken.stop_reason == "ZeroDivisionError: in the middle of a step"
    assert resume("broken").energy == whole.energy
    assert identity(Path("broken")) == identity(Path("whole"))


def test_one_that_does_not_converge_says_so(workdir: Path) -> None:
    """An exhausted budget is no failure: the best point is the result, and the reason tells how it ended."""
    result = run(compose(*SMALL, "optimizer=nelder_mead", "optimizer.tolerance=1e-12"))

    assert (result.status, result.exit_code) == ("finished", 0)
    assert result.stop_reason == "max_evaluations 8 used up"


@pytest.mark.parametrize(
    "told",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        ImportError("/lib/_rust.abi3.so: failed to map segment from shared object"),
        SystemError("error return without exception set"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_memory_before_the_run_is_one_line(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: Exception
) -> None:
    """Memory that runs out while everything is prepared leaves a line and no directory, whoever's thread it was for."""

    def exhausted(*_: Any, **__: Any) -> None:
        raise told

    monkeypatch.setattr(Preparation, "__init__", exhausted)
    monkeypatch.setattr(errors, "_has_room", lambda: False)

    assert main([*SMALL]) == 1
    assert capsys.readouterr().err == "error: out of memory; take a smaller problem, or free some\n"
    assert not list(workdir.iterdir())
