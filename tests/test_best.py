"""One meaning of the best parameters, for forks, for circuits that are exported and for `run:DIR`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from qiskit import qpy

from runner.__main__ import main
from runner.ansatz.start import parameters_of_run
from runner.record.best import best_parameters
from runner.record.journal import Journal
from runner.run.fork import fork
from tests.journals import resulted, started, told


def evaluated(index: int, energy: float, parameters: list[float]) -> object:
    """An evaluation that was the lowest so far."""
    return told(
        "evaluation", workload="w", index=index, energy=energy, stddev=0.1, best=energy, parameters=parameters
    )


def left(directory: Path, *events: object) -> Path:
    """A run that was killed after some events."""
    directory.mkdir()
    with Journal.create(directory / "journal.jsonl") as journal:
        for event in (started(), *events):
            journal.write(event)
    return directory


def test_of_a_run_without_a_result_the_lowest_evaluation_counts(tmp_path: Path) -> None:
    """An energy that is no number is none; with the names of the problem where there are some."""
    posed = told("problem", kind_of="x", qubits=1, terms=1, parameters=1, parameter_names=["t"], circuits={})
    events = [evaluated(0, math.nan, [9.0]), evaluated(1, -0.5, [1.0]), evaluated(2, -0.7, [2.0])]
    best = best_parameters(left(tmp_path / "plain", *events))
    named = best_parameters(left(tmp_path / "named", posed, *events))

    assert best is not None
    assert (best.values, best.named) == ([2.0], [2.0])
    assert named is not None
    assert named.named == {"t": 2.0}
    assert best_parameters(left(tmp_path / "none")) is None


def test_what_was_measured_afresh_counts_before_a_lucky_evaluation(tmp_path: Path) -> None:
    """Until the run goes on: then its result is one of the past."""
    path = left(tmp_path / "a", evaluated(0, -0.9, [2.0]))
    result = resulted(energy=-0.5, stddev=0.01, parameters=[1.0], evaluations=1)
    (path / "result.json").write_text(json.dumps(result))
    journal = Journal.append_to(path / "journal.jsonl")
    journal.write(told("result", result=result))
    journal.write(told("run.ended", status="finished", stop_reason="done", exit_code=0))
    journal.close()
    ended = best_parameters(path)
    journal = Journal.append_to(path / "journal.jsonl")
    journal.write(told("run.resumed", pid=2))
    journal.close()
    going_on = best_parameters(path)

    assert ended is not None
    assert ended.values == [1.0]
    assert going_on is not None
    assert going_on.values == [2.0]


@pytest.mark.parametrize("seed", [1, 6])
def test_forks_exports_and_starts_agree_on_them(
    workdir: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """A noisy run that stopped with a candidate that is not its lowest evaluation: result.json says which."""
    words = ["experiment=vqe", "session.max_cost=300", "tracking=off", "run.figures=false", f"seed={seed}"]
    assert main([*words, "hydra.run.dir=a"]) == 3
    result = json.loads(Path("a/result.json").read_text())
    lines = [json.loads(line) for line in Path("a/journal.jsonl").read_text().splitlines()]
    lowest = min((one for one in lines if one["kind"] == "evaluation"), key=lambda one: one["energy"])
    assert main(["export", "a", "--format=qpy", "--bound", "-o", "a.qpy"]) == 0
    with Path("a.qpy").open("rb") as file:
        (circuit,) = qpy.load(file)
    angles = [float(angle) for item in circuit.decompose(reps=3).data for angle in item.operation.params]
    found = parameters_of_run("a", Path())

    assert lowest["parameters"] != result["parameters"]
    assert fork("a").config.ansatz.initial_values == result["parameters"]
    assert isinstance(found, dict)
    assert list(found.values()) == result["parameters"]
    assert {round(value, 9) for value in result["parameters"]} <= {round(angle, 9) for angle in angles}


def test_parameters_of_operators_that_an_ansatz_may_grow_by_are_nobodys_best(tmp_path: Path) -> None:
    """A run of adapt_vqe that was killed: 26 slopes were measured, and no circuit has so many angles yet."""
    pool = told(
        "evaluation", workload="pool", index=0, energy=-2.1, stddev=0.0, best=-2.1, parameters=[0.0] * 26
    )
    assert best_parameters(left(tmp_path / "begun", pool)) is None
    grown = best_parameters(left(tmp_path / "grown", pool, evaluated(0, -2.0, [0.5])))
    assert grown is not None
    assert grown.values == [0.5]
