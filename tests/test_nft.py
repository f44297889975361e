"""NFT: as many harmonics as an angle has, taken from the circuit, or refused before a session opens."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector
from scipy.optimize import minimize

from runner import run
from runner.declare.composer import compose
from runner.errors import ConfigError
from runner.optimizer.nft import Wave, common_divisor, lowest_of_wave
from tests.choices import choice

A, B, C = (Parameter(name) for name in "abc")
TERMS = [("ZZ", 1.0), ("XI", 0.5), ("IX", 0.3), ("YZ", 0.2)]
START = [0.37, -0.52, 0.81]
QUIET = ("tracking=off", "run.figures=false", "estimator=exact")


def shared():
    """Angles that stand twice, scaled and added up."""
    circuit = QuantumCircuit(2)
    circuit.ry(A, 0)
    circuit.cx(0, 1)
    circuit.ry(A, 1)
    circuit.rz(B, 0)
    circuit.rx(2 * A + B / 3, 0)
    circuit.ry(C, 1)
    return circuit


def controlled():
    """Controlled rotations and a controlled phase."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cry(A, 0, 1)
    circuit.crx(B, 1, 0)
    circuit.cp(C, 0, 1)
    circuit.ry(C, 0)
    return circuit


def nonlinear():
    """An angle that is the square of its parameter."""
    circuit = QuantumCircuit(2)
    circuit.ry(A * A, 0)
    circuit.cx(0, 1)
    return circuit


def declared(folder, circuit, *overrides, start=True):
    """The configuration of NFT on a circuit from a file."""
    path = folder / "circuit.qpy"
    with path.open("wb") as file:
        qpy.dump(circuit, file)
    terms = ",".join(f"[{pauli},{value}]" for pauli, value in TERMS)
    values = f"ansatz.initial_values={START[: circuit.num_parameters]}"
    return compose(
        "experiment=vqe", "optimizer=nft", "ansatz=file", f"ansatz.path='{path}'", "hamiltonian=pauli",
        f"hamiltonian.terms=[{terms}]", *(("ansatz.initial=values", values) if start else ()), *QUIET, *overrides,
    )  # fmt: skip


def dense(circuit):
    """The energy of a circuit by qiskit.quantum_info."""
    operator = SparsePauliOp.from_list(TERMS)
    return lambda x: Statevector(circuit.assign_parameters(list(x))).expectation_value(operator).real


@pytest.mark.parametrize("make", [shared, controlled])
def test_converged_means_stationary(make, workdir):
    """SciPy's BFGS on the dense energy finds nothing lower from the reported point."""
    circuit = make()
    result = run(declared(workdir, circuit))
    energy = dense(circuit)
    refined = minimize(energy, result.parameters, method="BFGS")

    assert result.converged
    assert result.energy == pytest.approx(energy(result.parameters), abs=1e-9)
    assert refined.fun == pytest.approx(result.energy, abs=1e-5)


@pytest.mark.parametrize("molecule", ["h2", "lih_4q"])
def test_excitations_reach_the_ground_state(molecule, workdir):
    """Two harmonics per excitation: the FCI energy, and four energies per angle and one per sweep."""
    result = run(compose("optimizer=nft", f"hamiltonian={molecule}", "ansatz=uccsd", *QUIET))

    assert result.converged
    assert result.error == pytest.approx(0, abs=2e-6)
    assert (result.evaluations - 1) % (4 * 3 + 1) == 0


@pytest.mark.parametrize(
    ("make", "overrides", "message"),
    [
        (nonlinear, (), "optimizer: nft cannot tell how the energy depends on a; use cobyla"),
        (
            shared,
            ("optimizer.harmonics=3",),
            "optimizer.harmonics: is 3, but the energy has 4 in a; set it to null",
        ),
        (controlled, ("optimizer.harmonics=1",), "optimizer.harmonics: is 1, but the energy has 2 in a"),
    ],
)
def test_what_cannot_be_fitted_is_refused(make, overrides, message, workdir):
    """One line, and no directory is made."""
    with pytest.raises(ConfigError, match=f"^{message}"):
        run(declared(workdir, make(), *overrides))

    assert not (workdir / "outputs").exists()


def test_frequencies_without_a_period_are_refused(workdir):
    """Slopes 1 and √2 of one parameter have no common period."""
    circuit = QuantumCircuit(2)
    circuit.ry(A, 0)
    circuit.ry(2**0.5 * A, 0)
    circuit.rx(A, 1)

    with pytest.raises(ConfigError, match=r"harmonics of one period.*frequencies of a are .*; use cobyla"):
        run(declared(workdir, circuit))


def test_declared_harmonics_of_the_unknown_are_not_called_converged(workdir):
    """The square of a parameter is no polynomial, whatever is declared."""
    result = run(declared(workdir, nonlinear(), "optimizer.harmonics=4"))

    assert result.converged is False
    assert "declared, not known" in result.stop_reason


def test_a_sweep_limit_is_no_convergence(workdir):
    """One sweep is the end of the budget, not of the descent."""
    result = run(declared(workdir, shared(), "optimizer.sweeps=1"))

    assert (result.converged, result.stop_reason) == (False, "1 sweep done")


@pytest.mark.parametrize(
    "overrides",
    [
        ("experiment=qaoa", "hamiltonian=maxcut", "ansatz=qaoa", "experiment.cvar=0.5", "estimator=shots"),
        ("experiment=adapt_vqe", "hamiltonian=h2", "gradient=auto", "optimizer.harmonics=1"),
        ("experiment=vqd", "hamiltonian=h2", "ansatz=uccsd", "optimizer.harmonics=1"),
        ("experiment=dissociation_curve", "hamiltonian=hydrogen", "ansatz=uccsd", "optimizer.harmonics=1"),
    ],
)
def test_every_experiment_refuses_before_a_session(overrides, workdir):
    """The other objectives are checked as the energy of a VQE is."""
    with pytest.raises(ConfigError, match=r"^(optimizer.harmonics|experiment.cvar): "):
        run(compose("optimizer=nft", *QUIET, *overrides))

    assert not (workdir / "outputs").exists()


@pytest.mark.parametrize(
    ("overrides", "exact"),
    [
        (("experiment=adapt_vqe", "hamiltonian=h2", "gradient=auto"), -1.137306),
        (("experiment=vqd", "hamiltonian=two_qubit", "experiment.levels=2"), -0.702930),
    ],
)
def test_growing_and_weighted_energies(overrides, exact, workdir):
    """FCI (PySCF) of H2 by ADAPT's excitations, and the lowest eigenvalue of the page's Hamiltonian below a penalty."""
    result = run(compose("optimizer=nft", *QUIET, *overrides))

    assert result.converged
    assert result.energy == pytest.approx(exact, abs=2e-6)
    assert all(abs(row["error"]) < 1e-5 for row in result.table if row.get("exact") is not None)


@pytest.mark.parametrize(
    ("frequencies", "divisor"),
    [((1.0,), 1), ((0.5, 1.0), 0.5), ((2 / 3, 1.0, 1 / 3), 1 / 3), ((4.0, 6.0), 2), ((1.0, 2**0.5), None)],
)
def test_the_common_divisor(frequencies, divisor):
    """By hand."""
    assert common_divisor(frequencies) == (None if divisor is None else pytest.approx(divisor))


@pytest.mark.parametrize(
    ("orders", "points"), [((1,), 3), ((1, 2), 5), ((1, 3), 5), ((1, 4), 6), ((2, 3), 7), ((3, 5, 8), 7)]
)
def test_waves_with_gaps_are_fitted_from_few_points(orders, points):
    """The minimum of random waves against a fine grid; the numbers of points by hand, from residues."""
    rng = np.random.default_rng(points)
    amplitudes, phases = rng.normal(size=(2, len(orders)))

    def energy(angle):
        return 0.3 + (amplitudes * np.cos(np.multiply.outer(angle, orders) + phases)).sum(-1)

    wave = Wave.of(1.0, orders)
    angle, value = lowest_of_wave(energy(2 * np.pi * np.arange(wave.points) / wave.points), orders)

    assert wave.points == points
    assert value == pytest.approx(energy(np.linspace(0, 2 * np.pi, 20001)).min(), abs=1e-5)
    assert energy(angle) == pytest.approx(value, abs=1e-9)


def test_many_harmonics_are_fitted():
    """Fifty harmonics: the minimum of a random wave against a fine grid."""
    rng = np.random.default_rng(3)
    orders = np.arange(1, 51)
    amplitudes, phases = rng.normal(size=(2, 50)) / orders

    def energy(angle):
        return (amplitudes * np.cos(np.multiply.outer(angle, orders) + phases)).sum(-1)

    angle, value = lowest_of_wave(energy(2 * np.pi * np.arange(101) / 101), orders)

    assert value == pytest.approx(energy(np.linspace(0, 2 * np.pi, 200001)).min(), abs=1e-4)
    assert energy(angle) == pytest.approx(value, abs=1e-9)


def test_an_angle_without_effect_costs_nothing():
    """No energies are spent on it, and it stays where it is."""
    asked = []

    def energy(points):
        rows = np.atleast_2d(points)
        asked.extend(rows.tolist())
        values = np.cos(rows[:, 0])
        return float(values[0]) if points.ndim == 1 else values

    found = (
        choice("optimizer", "nft")
        .build()
        .minimize(
            energy,
            np.array([0.3, 0.7]),
            frequencies=[(1.0,), ()],
            rng=np.random.default_rng(1),
            callback=lambda _: None,
        )
    )

    assert found.energy == pytest.approx(-1)
    assert {row[1] for row in asked} == {0.7}
    assert len(asked) == found.evaluations == 1 + 3 * 3
