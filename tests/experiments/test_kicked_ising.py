"""The kicked Ising model: published exact values, state vectors, stabilizer states, and refusals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, Statevector

from experiments.kicked_ising import (
    WEIGHT_10,
    WEIGHT_17,
    clifford,
    coupled,
    extrapolated,
    folded,
    kicked,
    letters,
    stabilizer_values,
)
from runner import compose, run
from runner.engine import propagated
from runner.errors import ConfigError

SMALL = (
    "experiment=kicked_ising", "tracking=off", "run.figures=false", "backend=generic", "backend.num_qubits=5",
    "backend.topology=line", "backend.engine=pauli", "experiment.depth=2", "experiment.points=3",
    "experiment.observables=[magnetization,X1 Y2]",
)  # fmt: skip
EXACT = {
    "magnetization": {4: 0.90484270746719, 8: 0.45280386917341503, 14: 0.0029363586750777927},
    WEIGHT_10: {14: 0.7490256994307637},
}
"""Observable → number of 32nds of π → exact value after five steps, as T. Begušić, J. Gray and G. K.-L. Chan, Sci. Adv.
10, eadk4321 (2024) publish them with their data."""


def operator(name: str, size: int) -> SparsePauliOp:
    """A declared observable."""
    if name == "magnetization":
        return SparsePauliOp.from_sparse_list([("Z", [qubit], 1 / size) for qubit in range(size)], size)
    found = letters(name, "")
    return SparsePauliOp.from_sparse_list([("".join(found.values()), list(found), 1.0)], size)


def kyiv() -> list[list[tuple[int, int]]]:
    """The publication's machine, 127 qubits in heavy hexagons."""
    from qiskit_ibm_runtime.fake_provider import FakeKyiv

    return coupled(FakeKyiv())


@pytest.mark.parametrize("name", EXACT)
def test_published_values(name: str) -> None:
    """127 qubits, five steps: what others computed exactly with tensor networks."""
    circuit = kicked(127, kyiv(), 5)
    angles = [[math.pi / 32 * number] for number in EXACT[name]]
    found, lost = propagated(circuit, [operator(name, 127)], angles, 1_000_000, 1e-5)

    errors = np.abs(found[:, 0] - list(EXACT[name].values()))

    assert (errors <= lost[:, 0] + 1e-9).all()
    assert errors.max() < 2e-4


def test_stabilizers_of_the_device() -> None:
    """At θ = π/2 the publication's strings of ten and seventeen letters are stabilizers: 1 and −1; at 0 all Z are 1."""
    couplings = kyiv()
    observables = [operator(name, 127) for name in ("magnetization", WEIGHT_10, WEIGHT_17)]

    assert stabilizer_values(127, couplings, 5, 1, observables) == pytest.approx([0.0, 1.0, -1.0])
    assert stabilizer_values(127, couplings, 5, 0, observables) == pytest.approx([1.0, 0.0, 0.0])


def test_a_run(tmp_path: Path) -> None:
    """Exact values are the state vector's, the device's noise shrinks them, and extrapolation undoes most of that."""
    result = run(compose(*SMALL), directory=str(tmp_path / "run"))
    circuit = kicked(5, [[(0, 1), (2, 3)], [(1, 2), (3, 4)]], 2)

    assert result.status == "finished"
    assert "twirled" in str(result.simulation)
    for row in result.table:
        state = Statevector(circuit.assign_parameters([row["theta"]]))
        for name in ("magnetization", "X1 Y2"):
            exact = float(state.expectation_value(operator(name, 5)).real)

            assert row[f"{name} exact"] == pytest.approx(exact, abs=1e-9)
            assert abs(row[f"{name} noisy"]) <= abs(exact) + 1e-9
    first = result.table[0]
    assert abs(first["magnetization"] - 1) < abs(first["magnetization noisy"] - 1) / 2
    assert first["magnetization stabilizer"] == 1


def test_the_same_bits_again(tmp_path: Path) -> None:
    """Shots of single strings are the same in a second run."""
    words = [*SMALL, "estimator=shots", "experiment.observables=[Z2]", "experiment.points=2"]
    tables = [run(compose(*words), directory=str(tmp_path / name)).table for name in ("a", "b")]

    assert tables[0] == tables[1]
    assert tables[0][0]["Z2 noisy stddev"] > 0


def test_folding() -> None:
    """Gains of 1.5 and 4 fold a quarter of the gates, and all of them once and half of them once more."""
    circuit = kicked(5, [[(0, 1), (2, 3)], [(1, 2), (3, 4)]], 2)
    gates = circuit.count_ops()["cz"]
    half, four = (folded(circuit, gain, 1).count_ops()["cz"] for gain in (1.5, 4.0))

    assert half == gates + 2 * round(gates / 4)
    assert four == gates + 2 * (gates + gates // 2)
    assert folded(circuit, 1.5, 1) == folded(circuit, 1.5, 1)


def test_extrapolation() -> None:
    """Exponentials and lines are found again; what changes its sign is taken as a line."""
    gains = [1.0, 2.0, 3.0]
    decay, width, way = extrapolated(
        gains, [0.8 * math.exp(-0.3 * gain) for gain in gains], [1e-3] * 3, "exponential"
    )
    line, _, other = extrapolated(gains, [0.1, 0.0, -0.1], [1e-3] * 3, "exponential")

    assert (way, other) == ("exponential", "linear")
    assert decay == pytest.approx(0.8)
    assert line == pytest.approx(0.2)
    assert 1e-3 < width < 1e-2


def test_quarter_turns() -> None:
    """Angles at which the circuit is made of Clifford gates."""
    assert [clifford(angle) for angle in (0.0, math.pi / 2, 0.3)] == [0, 1, None]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["experiment.observables=[W3]"], "is no observable"),
        (["experiment.observables=[X3 Z3]"], "names a qubit twice"),
        (["experiment.observables=[Z7]"], "looks at qubit 7"),
        (["experiment.noise_gains=[2,1]"], "must rise from 1"),
        (["estimator=shots"], "single Pauli strings only"),
        (["backend=ideal"], "couples every pair"),
    ],
)
def test_refusals(words: list[str], told: str, tmp_path: Path) -> None:
    """One line each, before anything is created."""
    kept = [word for word in SMALL if "backend" not in word or "backend=ideal" not in words]
    place = tmp_path / "run"

    with pytest.raises(ConfigError, match=told):
        run(compose(*kept, *words), directory=str(place))
    assert not place.exists()


def test_the_layers_meet_no_qubit_twice() -> None:
    """Every pair of the device once, in three layers."""
    layers = kyiv()

    assert sorted(pair for layer in layers for pair in layer) == sorted(
        {(min(pair), max(pair)) for layer in layers for pair in layer}
    )
    assert sum(map(len, layers)) == 144
    assert all(len(np.unique(np.array(layer))) == 2 * len(layer) for layer in layers)
