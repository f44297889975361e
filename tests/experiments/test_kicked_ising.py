"""The kicked Ising model: published exact values, state vectors, stabilizer states, and refusals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer.noise import NoiseModel, depolarizing_error, pauli_error

from experiments.kicked_ising import (
    WEIGHT_10,
    WEIGHT_17,
    WEIGHT_17_KICKED,
    Extrapolated,
    added,
    clifford,
    coupled,
    extrapolated,
    folded,
    kicked,
    letters,
    stabilizer_values,
    strings_of,
    told_of,
)
from runner import compose, run
from runner.engine import Engine, ProductStates, Propagated, amplified
from runner.errors import ConfigError
from runner.whatif.forecast import forecast

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


def errors(name: str, numbers: list[int], strings: int, smallest: float) -> np.ndarray:
    """What five steps of 127 qubits miss of the published values; none is more than what was left out."""
    angles = [[math.pi / 32 * number] for number in numbers]
    circuit = kicked(127, kyiv(), 5)
    found, lost = Propagated.of(circuit, [operator(name, 127)], strings, smallest).values(angles)
    missed = np.abs(found[:, 0] - [EXACT[name][number] for number in numbers])

    assert (missed <= lost[:, 0] + 1e-9).all()
    return missed


def test_published_values() -> None:
    """What others computed exactly with tensor networks, where few strings are many enough."""
    assert errors("magnetization", [4, 14], 100_000, 1e-3).max() < 1e-3
    assert errors(WEIGHT_10, [14], 100_000, 1e-4).max() < 2e-4


@pytest.mark.nightly
@pytest.mark.parametrize("name", EXACT)
def test_all_published_values(name: str) -> None:
    """With a million strings."""
    assert errors(name, list(EXACT[name]), 1_000_000, 1e-5).max() < 2e-4


def test_stabilizers_of_the_device() -> None:
    """At θ = π/2 the publication's strings of ten and seventeen letters are stabilizers: 1 and −1; at 0 all Z are 1."""
    couplings = kyiv()
    observables = [operator(name, 127) for name in ("magnetization", WEIGHT_10, WEIGHT_17)]

    assert stabilizer_values(127, couplings, 5, 1, observables) == pytest.approx([0.0, 1.0, -1.0])
    assert stabilizer_values(127, couplings, 5, 0, observables) == pytest.approx([1.0, 0.0, 0.0])


def test_a_run(tmp_path: Path) -> None:
    """Exact values are the state vector's, the device's noise shrinks them, and points are within their bars."""
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
            assert abs(row[name] - exact) <= row[f"{name} stddev"] + 1e-6
    first = result.table[0]
    assert first["magnetization noisy"] < 0.99
    assert first["magnetization"] == pytest.approx(
        1, abs=1e-9
    )  # every string of the sum decays exponentially
    assert first["magnetization stabilizer"] == 1


def test_amplified_noise() -> None:
    """Twice the noise of depolarizing gates is every string's factor squared, as a density matrix of both has it."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.04, 2), ["cz"])
    noise.add_all_qubit_quantum_error(pauli_error([("X", 0.01), ("I", 0.99)]), ["rx"])
    twice = NoiseModel()
    twice.add_all_qubit_quantum_error(depolarizing_error(1 - 0.96**2, 2), ["cz"])
    twice.add_all_qubit_quantum_error(
        pauli_error([("X", (1 - 0.98**2) / 2), ("I", (1 + 0.98**2) / 2)]), ["rx"]
    )
    circuit = kicked(4, [[(0, 1), (2, 3)], [(1, 2)]], 2)
    observable = SparsePauliOp(["ZIIZ", "IXYI"], [0.5, 1.0])
    plan = Engine(None, noise, engine="pauli").estimator_plan(amplified(circuit, 2.0), observable)
    density = Engine(None, twice).estimator_plan(circuit, observable)
    angle = np.array([0.7])

    assert plan.run(angle, shots=None, seed=1).evs == pytest.approx(
        float(density.run(angle, shots=None, seed=1).evs), abs=1e-12
    )
    with pytest.raises(ConfigError, match="engine=pauli only"):
        Engine(None, noise).estimator_plan(amplified(circuit, 2.0), observable)


def test_the_same_bits_again(tmp_path: Path) -> None:
    """Shots of single strings are the same in a second run."""
    words = [*SMALL, "estimator=shots", "experiment.observables=[Z2,X1 Y2]", "experiment.points=2"]
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
    gains, nothing = [1.0, 2.0, 3.0], [0.0] * 3
    decay = extrapolated(
        gains, [0.8 * math.exp(-0.3 * gain) for gain in gains], [1e-3] * 3, nothing, "exponential"
    )
    line = extrapolated(gains, [0.1, 0.0, -0.1], [1e-3] * 3, nothing, "exponential")

    assert (decay.fit, line.fit) == ("exponential", "linear")
    assert decay.value == pytest.approx(0.8)
    assert line.value == pytest.approx(0.2)
    assert 1e-3 < decay.spread < 1e-2


def test_bars_of_an_extrapolation() -> None:
    """By pencil: a line through three points has weights 4/3, 1/3, −2/3 at 0; bounds add up, errors by squares.

    Of the parabola 1 + g² the line gives −7/3 at 0, 10/3 away, and the next order finds that; it counts twice.
    """
    gains = [1.0, 2.0, 3.0]
    bounds = extrapolated(gains, [1.0, 1.0, 1.0], [0.0] * 3, [0.3] * 3, "linear")
    errors = extrapolated(gains, [1.0, 1.0, 1.0], [0.3] * 3, [0.0] * 3, "linear")
    parabola = extrapolated(gains, [2.0, 5.0, 10.0], [0.0] * 3, [0.0] * 3, "linear")

    assert bounds.spread == pytest.approx(0.7)
    assert errors.spread == pytest.approx(0.1 * math.sqrt(21))
    assert parabola.value == pytest.approx(-7 / 3)
    assert parabola.spread == pytest.approx(20 / 3)


def test_two_points_do_not_tell_how_good_their_fit_is() -> None:
    """By pencil: 1 and 1/2 at gains 1 and 2 are 3/2 on a line, 2 on an exponential; that has changed 1 by 1.

    Of 0.3 and −0.1, which no exponential has, the line makes 0.7. At 1, 2, 3, 4 the line through g³ gives −27 and
    the cubic 0, but the parabola 10.5, which is farther away.
    """
    decay = extrapolated([1.0, 2.0], [1.0, 0.5], [0.0] * 2, [0.0] * 2, "exponential")
    steep = extrapolated([1.0, 2.0], [0.5, 0.05], [0.0] * 2, [0.0] * 2, "exponential")
    line = extrapolated([1.0, 2.0], [0.3, -0.1], [0.0] * 2, [0.0] * 2, "exponential")
    cubic = extrapolated([1.0, 2.0, 3.0, 4.0], [1.0, 8.0, 27.0, 64.0], [0.0] * 4, [0.0] * 4, "linear")

    assert (decay.value, decay.spread) == pytest.approx((2.0, 1.0))
    assert (steep.value, steep.spread) == pytest.approx((5.0, 2 * (5.0 - 0.95)))
    assert (line.value, line.spread) == pytest.approx((0.7, 0.4))
    assert (cubic.value, cubic.spread) == pytest.approx((-27.0, 2 * 37.5))


@pytest.mark.parametrize("gains", ["[1,1.5]", "[1,1.2,1.5,2]"])
def test_bars_hold_whatever_the_gains(tmp_path: Path, gains: str) -> None:
    """Of a ring of six in twelve steps, whose terms are sums of many decays; exact values are the state vector's."""
    names = ("Z3", "Y0 Y3")
    result = run(
        compose(
            "experiment=kicked_ising", "tracking=off", "run.figures=false", "backend=generic", "backend.num_qubits=6",
            "backend.topology=ring", "experiment.depth=12", "experiment.points=6", f"experiment.noise_gains={gains}",
            "experiment.observables=[Z3,Y0 Y3]",
        ),
        directory=str(tmp_path / "run"),
    )  # fmt: skip
    circuit = kicked(6, [[(0, 1), (2, 3), (4, 5)], [(1, 2), (3, 4), (0, 5)]], 12)

    for row in result.table:
        state = Statevector(circuit.assign_parameters([row["theta"]]))
        for name in names:
            exact = float(state.expectation_value(operator(name, 6)).real)

            assert abs(row[name] - exact) <= 2 * row[f"{name} stddev"] + 1e-9
    assert result.stop_reason == f"6 angles at {gains.count(',') + 1} noise gains"


def test_pairs_that_do_not_work() -> None:
    """Five gates of the snapshot have an error of 1; the model leaves those pairs out, and no others."""
    from qiskit_ibm_runtime.fake_provider import FakeKyiv

    left_out = {pair for layer in kyiv() for pair in layer} - {
        pair for layer in coupled(FakeKyiv(), working=True) for pair in layer
    }

    assert left_out == {(79, 80), (80, 81), (109, 114), (120, 121), (121, 122)}


def test_a_sum_is_the_sum_of_its_strings() -> None:
    """By pencil: 0.25·(1 ± 0.1) − 0.5·(0.4 ± 0.2), the second with 50 % from its calibration, are off together."""
    strings, parts = strings_of(
        [SparsePauliOp(["ZI", "IZ"], [0.25, -0.5]), SparsePauliOp(["IZ", "XX"], [1.0, 2.0])]
    )
    found = [Extrapolated(1.0, 0.1, "linear"), Extrapolated(0.4, 0.15, "exponential")]
    total = added({0: 0.25, 1: -0.5}, found, [0.0, 0.5])

    assert [one.paulis.to_labels() for one in strings] == [["ZI"], ["IZ"], ["XX"]]
    assert parts == [{0: 0.25, 1: -0.5}, {1: 1.0, 2: 2.0}]
    assert total.value == pytest.approx(0.05)
    assert total.spread == pytest.approx(0.25 * 0.1 + 0.5 * 0.25)
    assert total.fit == "both"


def test_the_last_kick() -> None:
    """After a sixth kick the publication's other string of seventeen letters is a stabilizer, too."""
    observable = operator(WEIGHT_17_KICKED, 127)

    assert abs(stabilizer_values(127, kyiv(), 5, 1, [observable], last_kick=True)[0]) == pytest.approx(1.0)
    assert kicked(5, [[(0, 1)]], 2, last_kick=True).count_ops() == {"rx": 15, "sdg": 4, "cz": 2}


@pytest.mark.parametrize("bond", [2, 16])
def test_matrix_products(bond: int) -> None:
    """Values of light cones are the state vector's within their bounds, and are them where every cut has room."""
    couplings = [[(0, 1), (2, 3), (4, 5)], [(1, 2), (3, 4), (5, 6)], [(0, 4)]]
    observables = [operator("X1 Y2", 7), operator("magnetization", 7)]
    circuit = kicked(7, couplings, 3)
    found = ProductStates.of(circuit, observables, bond).values([0.6])
    state = Statevector(circuit.assign_parameters([0.6]))
    missed = np.abs(found.values - [state.expectation_value(one).real for one in observables])

    assert (missed <= found.bounds + 1e-12).all()
    assert (found.discarded > 1e-4).any() == (bond == 2)
    assert bond == 2 or missed.max() < 1e-12


def test_what_says_nothing_is_not_printed() -> None:
    """A reference that may be off by more than a tenth of an observable's largest value has its bound only."""
    assert told_of("Z", 0.3, 0.0, 1.0) == {"Z exact": 0.3, "Z truncation": 0.0}
    assert told_of("Z", 0.3, 0.05, 1.0) == {"Z reference": 0.3, "Z truncation": 0.05}
    assert told_of("Z", 0.3, 0.2, 1.0) == {"Z truncation": 0.2}


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
        (["backend.engine=auto"], "pea needs backend.engine=pauli"),
        (["backend.engine=auto", "experiment.amplifier=folding"], "trex needs backend.engine=pauli"),
        (["experiment.mps_bond_dimension=0"], "must be from 1 to 4096|at least 1"),
        (["backend=ideal"], "couples every pair"),
        (["experiment.amplifier=zne"], "available: pea, folding"),
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
    """Every pair of the device once, in three layers, which leaving out pairs makes no more of."""
    from qiskit_ibm_runtime.fake_provider import FakeKyiv

    layers = kyiv()

    assert len(layers) == len(coupled(FakeKyiv(), working=True)) == 3
    assert sorted(pair for layer in layers for pair in layer) == sorted(
        {(min(pair), max(pair)) for layer in layers for pair in layer}
    )
    assert sum(map(len, layers)) == 144
    assert all(len(np.unique(np.array(layer))) == 2 * len(layer) for layer in layers)


LEARNS = (
    "experiment.only_learns=true", "experiment.layers=aligned", "experiment.depth=1", "backend.num_qubits=3",
    "experiment.observables=[Z1]", "backend.engine=auto", "estimator.twirling.strategy=active-circuit",
)  # fmt: skip


def test_noise_is_learned_and_used(tmp_path: Path) -> None:
    """One job learns both layers of a line; deeper circuits are then simulated with them.

    At θ = 0 what is left of ⟨Z1⟩ after s steps is f^s, for all steps are alike and made of Clifford gates.
    """
    how = [f"estimator.layer_noise_learning.{word}" for word in
           ("num_randomizations=8", "shots_per_randomization=64", "layer_pair_depths=[0,2,4]")]  # fmt: skip
    declared = compose(*SMALL, *LEARNS, "estimator=pea", *how)
    learned = run(declared, directory=str(tmp_path / "learned"))
    left = []
    for depth in (1, 2, 4):
        words = [
            *SMALL, "experiment.layers=aligned", f"experiment.depth={depth}", "backend.num_qubits=3",
            "experiment.observables=[Z1]", "experiment.noise_gains=[1]", "experiment.readout=none",
            f"backend.layer_noise_model=run:{tmp_path / 'learned'}",
        ]  # fmt: skip
        left.append(run(compose(*words), directory=str(tmp_path / f"run{depth}")).table[0]["Z1"])
    read = left[0] ** 2 / left[1]  # what misreading takes is the same at all depths

    assert learned.mitigation["setting"].startswith("none")
    assert [row["gates"] for row in learned.table] == [1, 1]
    assert (tmp_path / "learned" / "noise_model.json").is_file()
    assert 0.5 < left[2] < left[1] < left[0] < 1
    assert left[2] / read == pytest.approx((left[0] / read) ** 4, abs=1e-12)
    assert forecast(declared).usage_seconds == pytest.approx(learned.usage_seconds)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["estimator=level2"], "learns as estimator=pea or pec says"),
        (
            ["estimator=pea", "estimator.twirling.strategy=active"],
            "add estimator.twirling.strategy=active-circuit",
        ),
        (["estimator=pea", "backend.engine=pauli"], "no samples, from which noise is learned"),
        (["estimator=pea", "estimator.layer_noise_model=run:none"], "names no noise model"),
    ],
)
def test_learning_is_refused(words: list[str], told: str, tmp_path: Path) -> None:
    """Where nothing says how, or where something is known already."""
    with pytest.raises(ConfigError, match=told):
        run(compose(*SMALL, *LEARNS, *words), directory=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
