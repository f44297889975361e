"""QAOA: costs of bitstrings, approximation ratios known from theory, CVaR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from experiments.qaoa import Cost, conditional_value_at_risk, ratio
from runner import compose, run
from runner.errors import ConfigError
from tests.test_run import events

QAOA = ("experiment=qaoa", "tracking=off", "run.figures=false", "estimator.default_shots=4000")
RING = ("hamiltonian.graph=cycle", "hamiltonian.nodes=6")


def test_the_cost_of_a_bitstring_is_its_diagonal_element() -> None:
    """All 16 bitstrings of an operator with odd, even and constant terms."""
    operator = SparsePauliOp(["IIII", "ZIIZ", "IZII", "ZZZI"], [0.5, 1.0, -2.0, 0.25])
    bits = (np.arange(16)[:, None] >> np.arange(4)) & 1

    cost = Cost.of(operator)

    assert cost(bits) == pytest.approx(np.diag(operator.to_matrix()).real)
    assert cost.extremes() == (min(cost(bits)), max(cost(bits)))


def test_cvar_is_the_mean_of_the_best_share() -> None:
    """Mean of the lowest half of 0…3 is 0.5; of all of them 1.5; at least one shot counts."""
    costs = np.array([3.0, 1.0, 0.0, 2.0])

    assert conditional_value_at_risk(costs, 0.5)[0] == 0.5
    assert conditional_value_at_risk(costs, 1.0)[0] == 1.5
    assert conditional_value_at_risk(costs, 0.01)[0] == 0.0


def test_the_ratio_is_one_for_the_best_and_zero_for_the_worst() -> None:
    """Minus the cut: −10 is the best of a graph whose largest cut is 10, 0 cuts nothing."""
    assert ratio(-10, (-10, 0)) == 1
    assert ratio(0, (-10, 0)) == 0
    assert ratio(-9, None) is None


def test_one_layer_on_a_ring_reaches_three_quarters(workdir: Path) -> None:
    """Farhi et al.: QAOA with p layers on a ring longer than 2p + 2 cuts (2p + 1)/(2p + 2) of the edges."""
    result = run(compose(*QAOA, *RING, "ansatz.reps=1", "optimizer.max_evaluations=40"))

    best = result.table[0]
    assert best["mean_ratio"] == pytest.approx(0.75, abs=0.02)
    assert (best["bitstring"], best["cost"]) in {("010101", -6), ("101010", -6)}
    assert best["ratio"] == 1
    assert result.reference_energy == -6
    assert {event["program"] for event in events(result, "job.submitted")} == {"sampler"}


def test_cvar_looks_at_the_best_shots_only(workdir: Path) -> None:
    """What is minimized lies below the mean of the same shots; the result is the plain mean."""
    result = run(compose(*QAOA, *RING, "experiment.cvar=0.1", "optimizer.max_evaluations=6"))

    evaluations = events(result, "evaluation")
    assert all(event["energy"] < event["mean"] for event in evaluations)
    assert all(event["lowest"] >= -6 for event in evaluations)
    assert result.energy > min(event["energy"] for event in evaluations)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["experiment.cvar=0"], r"experiment\.cvar: must be above 0"),
        (["experiment.cvar=1.5"], r"experiment\.cvar: must be in \(0, 1\], got 1\.5"),
        (
            ["optimizer=l_bfgs_b", "gradient=parameter_shift"],
            "gradient: qaoa samples bitstrings and has no parameter_shift gradient",
        ),
        (["hamiltonian=two_qubit", "ansatz=efficient_su2"], "hamiltonian: qaoa needs terms of Z and I only"),
    ],
)
def test_what_qaoa_cannot_do_is_refused(workdir: Path, overrides: list[str], line: str) -> None:
    """One line, nothing created."""
    with pytest.raises(ConfigError, match=line):
        run(compose(*QAOA, *overrides))

    assert list(workdir.iterdir()) == []
