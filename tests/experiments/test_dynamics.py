"""Trotter evolution against closed forms and against the order of its error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runner import RunResult, compose, run
from runner.errors import ConfigError

DYNAMICS = ("experiment=dynamics", "tracking=off", "run.figures=false", "estimator=exact")


def evolve(*overrides: str) -> RunResult:
    """A small evolution."""
    return run(compose(*DYNAMICS, *overrides))


def test_a_spin_in_a_transverse_field_precesses(workdir: Path) -> None:
    """H = X: ⟨Z⟩(t) = cos 2t from |0⟩, without Trotter error because nothing fails to commute."""
    result = evolve(
        "hamiltonian=pauli", "hamiltonian.terms=[[X,1.0]]", "experiment.steps=4", "experiment.total_time=1.0",
        "experiment.observables=[Z]",
    )  # fmt: skip

    times = [row["time"] for row in result.table]
    assert times == [0, 0.25, 0.5, 0.75, 1.0]
    assert [row["Z"] for row in result.table] == pytest.approx(np.cos(2 * np.array(times)), abs=1e-9)
    assert [row["Z exact"] for row in result.table] == pytest.approx(np.cos(2 * np.array(times)), abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_error_falls_as_the_order_says(workdir: Path, order: int) -> None:
    """Half the step, 2^order less error; ⟨Y⟩ is odd in time, so that no symmetry hides the first order."""
    errors = []
    for steps in (8, 16):
        result = evolve(
            "hamiltonian.shape=[3]", "experiment.total_time=1.0", f"experiment.steps={steps}",
            f"experiment.every={steps}", f"experiment.order={order}", "experiment.observables=[YII]",
            "experiment.initial_state='001'",
        )  # fmt: skip
        errors.append(result.table[-1]["error"])

    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("experiment.order=3", r"experiment\.order: must be 1, 2 or 4, got 3"),
        ("experiment.steps=0", r"experiment\.steps: must be at least 1"),
        ("experiment.every=21", r"experiment\.every: must be at most 20"),
        ("experiment.initial_state=01x", r"experiment\.initial_state: must be zeros and ones"),
        ("experiment.initial_state='01'", r"experiment\.initial_state: has 2 bits, the hamiltonian 8 qubits"),
        (
            "experiment.observables=[ZZ]",
            r"experiment\.observables\[0\]: 'ZZ' has 2 qubits, the hamiltonian 8",
        ),
        ("experiment.observables=[zz]", r"experiment\.observables\[0\]: 'zz' is no observable"),
    ],
)
def test_what_cannot_be_evolved_is_refused(workdir: Path, override: str, line: str) -> None:
    """One line, nothing created."""
    with pytest.raises(ConfigError, match=line):
        evolve(override)

    assert list(workdir.iterdir()) == []
