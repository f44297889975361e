"""|⟨ψ(a)|ψ(b)⟩|² by compute–uncompute, for methods that measure distances between states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

from runner import compose, run
from runner.record.journal import Journal
from runner.record.replay import Record
from runner.run.execution import Preparation
from runner.run.overlap import Overlap
from runner.run.signals import StopFlag


@pytest.mark.parametrize("backend", ["ideal", "generic"])
@pytest.mark.parametrize(("estimator", "tolerance"), [("exact", 1e-9), ("shots", 0.03)])
def test_overlaps_are_those_of_the_state_vectors(
    tmp_path: Path, backend: str, estimator: str, tolerance: float
) -> None:
    """Exact where energies are exact, from Sampler shots where they are sampled; 1 for a state with itself."""
    config = compose(
        "tracking=off",
        "run.figures=false",
        f"estimator={estimator}",
        f"backend={backend}",
        "backend.optimization_level=2",
    )
    preparation = Preparation(config)
    assert preparation.problem is not None
    ansatz = preparation.problem.ansatz
    first, second = np.random.default_rng(5).uniform(-1, 1, size=(2, 3, ansatz.num_parameters))
    second[0] = first[0]
    expected = [
        abs(Statevector(ansatz.assign_parameters(a)).inner(Statevector(ansatz.assign_parameters(b)))) ** 2
        for a, b in zip(first, second, strict=True)
    ]

    with (
        Journal.create(tmp_path / "journal.jsonl") as journal,
        StopFlag() as stop,
        preparation.lab(Record(journal), stop) as lab,
    ):
        found = Overlap.of(ansatz, lab, lab.stream("overlap"))(first, second)

    noise = 0.1 if backend == "generic" else 0.0
    assert found == pytest.approx(expected, abs=tolerance + noise)


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=adapt_vqe", "hamiltonian=h2", "gradient=auto", "experiment.max_operators=1"],
        ["experiment=dissociation_curve", "experiment.values=[0.7]"],
    ],
)
def test_methods_that_measure_overlaps_work_where_the_circuit_is_not_the_problems(
    workdir: Path, overrides: list[str]
) -> None:
    """QN-SPSA in experiments that make circuits of their own: its metric is measured in them."""
    result = run(
        compose(
            "tracking=off",
            "run.figures=false",
            *overrides,
            "optimizer=qn_spsa",
            "optimizer.max_evaluations=25",
        )
    )

    assert result.status == "finished"
    assert result.evaluations > 10
