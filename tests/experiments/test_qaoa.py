"""QAOA: costs of bitstrings, approximation ratios known from theory, CVaR."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, Statevector

from experiments.qaoa import Cost, conditional_value_at_risk, counted_from, ratio, tally
from runner import compose, run
from runner.__main__ import main
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


@pytest.mark.parametrize(
    ("share", "mean"), [(0.375, (0 + 0.5 * 1) / 1.5), (0.6, (0 + 1 + 0.4 * 2) / 2.4), (0.1, 0.0)]
)
def test_cvar_of_a_share_that_is_no_whole_number_of_shots(share: float, mean: float) -> None:
    """The last shot counts with its fraction, by hand; at least one counts."""
    costs = np.array([3.0, 1.0, 0.0, 2.0])

    assert conditional_value_at_risk(costs, share)[0] == pytest.approx(mean)


def true_cvar(costs: np.ndarray, probabilities: np.ndarray, share: float) -> float:
    """Of a discrete distribution, level by level."""
    order = np.argsort(costs)
    before = np.concatenate([[0.0], np.cumsum(probabilities[order])[:-1]])
    weights = np.clip(share - before, 0.0, probabilities[order])
    return float(costs[order] @ weights / share)


@pytest.mark.parametrize("repetitions", [300, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.2, 0.1])
@pytest.mark.parametrize("couplings", ["continuous", "integer"])
def test_the_error_of_cvar_covers_the_true_one(couplings: str, share: float, repetitions: int) -> None:
    """1σ and 2σ hold the CVaR of the state's own probabilities, by dense algebra, as often as they say.

    The state is random, the costs are a spin glass's: all different, or a few integers with many ties.
    """
    rng = np.random.default_rng(7)
    signs = 1 - 2 * ((np.arange(1024)[:, None] >> np.arange(10)) & 1)
    draw = rng.normal if couplings == "continuous" else lambda size: rng.choice([-1.0, 1.0], size)
    costs = np.einsum("si,ij,sj->s", signs, np.triu(draw(size=(10, 10)), 1), signs)
    amplitudes = rng.normal(size=1024) + 1j * rng.normal(size=1024)
    probabilities = np.abs(amplitudes) ** 2 / np.vdot(amplitudes, amplitudes).real
    truth = true_cvar(costs, probabilities, share)

    found = np.array(
        [
            conditional_value_at_risk(rng.choice(costs, 601, p=probabilities), share)
            for _ in range(repetitions)
        ]
    )

    distance = np.abs(found[:, 0] - truth) / found[:, 1]
    slack = 4 / np.sqrt(repetitions)
    assert np.mean(distance <= 1) == pytest.approx(0.683, abs=0.466 * slack)
    assert np.mean(distance <= 2) == pytest.approx(0.954, abs=0.21 * slack)
    spread = np.sqrt(np.mean((found[:, 0] - truth) ** 2))
    assert np.sqrt(np.mean(found[:, 1] ** 2)) == pytest.approx(
        spread, rel=3 / np.sqrt(2 * repetitions) + 0.05
    )


def test_the_error_of_cvar_is_told_where_the_share_ends_between_two_levels() -> None:
    """Half of the mass at 0, half at 1, share 1/2: CVaR is 0, and a sample is off by (1/2 - p̂)₊ / (1/2)."""
    rng = np.random.default_rng(3)
    found = np.array([conditional_value_at_risk(rng.integers(0, 2, 400), 0.5) for _ in range(1000)])

    assert np.mean(found[:, 0] <= found[:, 1]) > 0.683
    assert np.sqrt(np.mean(found[:, 1] ** 2)) == pytest.approx(np.sqrt(np.mean(found[:, 0] ** 2)), rel=0.1)


def test_one_shot_has_the_widest_error() -> None:
    """It tells nothing of the spread: Σ|c| without the constant bounds it."""
    cost = Cost.of(SparsePauliOp(["II", "ZI", "ZZ"], [5.0, 1.0, -2.0]))

    assert conditional_value_at_risk(np.array([4.0]), 1.0, widest=cost.widest) == (4.0, 3.0)


def test_the_ratio_is_one_for_the_best_and_zero_for_the_worst() -> None:
    """Minus the cut: −10 is the best of a graph whose largest cut is 10, 0 cuts nothing."""
    assert ratio(-10, (-10, 0)) == 1
    assert ratio(0, (-10, 0)) == 0
    assert ratio(-9, None) is None


def test_with_negative_weights_ratios_are_counted_from_the_worst_cut(workdir: Path) -> None:
    """By hand: cuts of a path with weights 2, −3 have 0, 2, −3 or −1; 2 is the best, and none of them is 3 of 5."""
    edges = ("hamiltonian=maxcut", "hamiltonian.graph=edges", "hamiltonian.edges=[[0,1,2],[1,2,-3]]")
    result = run(compose(*QAOA, *edges, "ansatz.reps=1", "optimizer.max_evaluations=5"))

    expected = {-2: 1.0, 0: 0.6, 1: 0.4, 3: 0.0}
    told = {row["cost"]: row["ratio"] for row in result.table}
    assert told == pytest.approx(expected)
    assert result.stop_reason.endswith("; ratios are 0 at the highest cost, 3, and 1 at the lowest, -2")
    assert counted_from((-10.0, 0.0)) == ""


def test_one_layer_on_a_ring_reaches_three_quarters(workdir: Path) -> None:
    """Farhi et al.: QAOA with p layers on a ring longer than 2p + 2 cuts (2p + 1)/(2p + 2) of the edges."""
    result = run(compose(*QAOA, *RING, "ansatz.reps=1", "optimizer.max_evaluations=40"))

    best = result.table[0]
    assert best["mean_ratio"] == pytest.approx(0.75, abs=0.02)
    assert (best["bitstring"], best["cost"]) in {("010101", -6), ("101010", -6)}
    assert best["ratio"] == 1
    assert result.reference_energy == -6
    assert {event.program for event in events(result, "job.submitted")} == {"sampler"}


def test_cvar_looks_at_the_best_shots_only(workdir: Path) -> None:
    """What is minimized lies below the mean of the same shots; the result is the plain mean."""
    result = run(compose(*QAOA, *RING, "experiment.cvar=0.1", "optimizer.max_evaluations=6"))

    evaluations = events(result, "evaluation")
    assert all(event.energy < event.mean for event in evaluations)
    assert all(event.lowest >= -6 for event in evaluations)
    assert result.energy > min(event.energy for event in evaluations)


def test_on_a_noisy_device_the_screen_says_why_no_exact_cost_is_told(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line where the number would stand, and in result.json; docs/experiments.md has the same reason."""
    declared = (*QAOA, *RING, "backend=noisy", "optimizer.max_evaluations=4", "hydra.run.dir=noisy", "seed=3")

    assert main(list(declared)) == 0

    content = json.loads((workdir / "noisy" / "result.json").read_text())
    assert (content["energy_kind"], content["exact_energy"], content["exact_method"]) == (
        "measured",
        None,
        None,
    )
    assert "errors of the readout" in content["exact_note"]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("exact here")]
    assert line.split(maxsplit=4)[:4] == ["exact", "here", "not", "known"]
    assert "the samples have errors of the readout" in " ".join(line.split())


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_the_exact_cost_at_the_answer_is_that_of_the_state(workdir: Path, share: float) -> None:
    """Mean and CVaR of the state's own probabilities, by qiskit.quantum_info, level by level."""
    config = compose(*QAOA, *RING, "optimizer.max_evaluations=8", f"experiment.cvar={share}")
    result = run(config)

    circuit = config.ansatz.build(config.hamiltonian.build()).assign_parameters(result.parameters)
    probabilities = Statevector(circuit).probabilities()
    costs = np.diag(config.hamiltonian.build().to_matrix()).real
    assert result.exact_energy == pytest.approx(costs @ probabilities, abs=1e-9)
    assert result.exact_method == "statevector"
    assert abs(result.energy - result.exact_energy) < 5 * result.stddev
    told = (
        f"the mean of the best 0.2 is {true_cvar(costs, probabilities, share):.6f} there without shot noise"
    )
    assert (told in result.stop_reason) == (share < 1)


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


def test_bitstrings_are_sorted_by_cost_in_any_unit() -> None:
    """By hand: the cheapest first, however small costs are; those that only rounding tells apart by frequency."""
    bits = np.array([[0], [0], [0], [1]])

    assert [row[0] for row in tally(bits, np.array([2e-12, 2e-12, 2e-12, 1e-12]))] == ["1", "0"]
    assert [row[0] for row in tally(bits, np.array([1.0, 1.0, 1.0, 1.0 - 1e-15]))] == ["0", "1"]
