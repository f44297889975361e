"""Frequencies of parameters: what a dense computation sees of an expectation value along a parameter, and no less."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import (
    HamiltonianGate,
    PauliEvolutionGate,
    PhaseGate,
    RYGate,
    RZXGate,
    RZZGate,
    U2Gate,
    UGate,
    XXMinusYYGate,
    XXPlusYYGate,
)
from qiskit.quantum_info import SparsePauliOp, Statevector, random_clifford, random_hermitian
from qiskit.synthesis import SuzukiTrotter

from runner.engine.frequencies import frequencies
from tests.choices import choice

A, B = Parameter("a"), Parameter("b")


def controlled(gate, controls=1, state=None):
    """The gate under control, written out as a gate of its own."""
    return gate.control(controls, ctrl_state=state, annotated=False)


def built(*gates):
    """Three qubits and these gates, each with the qubits it acts on."""
    circuit = QuantumCircuit(3)
    for gate, *qubits in gates:
        circuit.append(gate, qubits)
    return circuit


@pytest.mark.parametrize(
    ("circuit", "expected"),
    [
        (built((RYGate(A), 0)), {"a": (1,)}),
        (built((RYGate(2 * A), 0)), {"a": (2,)}),
        (built((RYGate(-A / 2 + 0.3), 0)), {"a": (0.5,)}),
        (built((PhaseGate(A + 3 * B), 0)), {"a": (1,), "b": (3,)}),
        (built((RZXGate(A), 0, 1)), {"a": (1,)}),
        (built((controlled(RYGate(A), 1), 0, 1)), {"a": (0.5, 1)}),
        (built((controlled(RYGate(A), 1, 0), 0, 1)), {"a": (0.5, 1)}),
        (built((controlled(RYGate(A), 2), 0, 1, 2)), {"a": (0.5, 1)}),
        (built((controlled(PhaseGate(A), 1), 0, 1)), {"a": (1,)}),
        (built((controlled(PhaseGate(A), 2), 0, 1, 2)), {"a": (1,)}),
        (built((UGate(A, B, 0.2), 0)), {"a": (1,), "b": (1,)}),
        (built((U2Gate(A, B), 0)), {"a": (1,), "b": (1,)}),
        (built((RYGate(A), 0), (RYGate(A), 0)), {"a": (2,)}),
        (built((RYGate(A), 0), (RYGate(A), 1)), {"a": (1, 2)}),
        (built((RYGate(A), 0), (RZZGate(A), 0, 1)), {"a": (1, 2)}),
        (built((RYGate(A), 0), (RYGate(-A), 0)), {"a": ()}),
        (built((PauliEvolutionGate(SparsePauliOp(["XX", "YY"], [0.5, 0.5]), A), 0, 1)), {"a": (1, 2)}),
        (built((HamiltonianGate(np.diag([0, 1, 3, 3]), A), 0, 1)), {"a": (1, 2, 3)}),
        (built((RYGate(A * B), 0), (RYGate(B.sin()), 1)), {"a": None, "b": None}),
        (built((RYGate(A.sign()), 0)), {"a": None}),
        (built((Gate("mine", 1, [A]), 0)), {"a": None}),
    ],
)
def test_frequencies_by_hand(circuit, expected):
    """Differences of the generator's eigenvalues (±½ of a rotation, 0 too where controlled), times the slope, added."""
    assert {p.name: found for p, found in frequencies(circuit).items()} == expected


@pytest.mark.parametrize("molecule", ["h2", "lih_4q", "lih"])
def test_excitations_have_two_frequencies(molecule):
    """exp(θ(T − T†)) has the eigenvalues 1, e^(±iθ) (Romero et al. 2018), however many Pauli strings write it."""
    hamiltonian = choice("hamiltonian", molecule).build()
    circuit = choice("ansatz", "uccsd").build(hamiltonian)

    assert set(frequencies(circuit).values()) == {(1.0, 2.0)}


def test_branches_loops_and_resets():
    """A branch adds what is in its bodies, a loop repeats its own, one of unknown length cannot be known."""
    circuit = QuantumCircuit(2, 1)
    circuit.rx(A, 0)
    circuit.reset(0)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.rx(A, 1)
    with circuit.for_loop(range(3)):
        circuit.ry(B, 1)
        circuit.h(1)
        circuit.t(1)
    assert {p.name: found for p, found in frequencies(circuit).items()} == {"a": (1, 2), "b": (1, 2, 3)}

    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.rx(A, 1)
        circuit.measure(1, 0)

    assert frequencies(circuit)[A] is None


def gates(rng, parameters):
    """One random instruction: a gate and its number of qubits."""
    angle = lambda: float(rng.choice([1, 1, 2, -1, 0.5])) * rng.choice(parameters) + rng.choice([0, 0.4])  # noqa: E731
    strings = ["XXY", "ZIZ", "YZX", "IXZ"]
    hermitian = SparsePauliOp(list(rng.choice(strings, 2, replace=False)), [0.5, 1.0])
    body = QuantumCircuit(2)
    body.rzz(angle(), 0, 1)
    body.rx(angle(), 1)
    own = body.to_gate()
    clifford = random_clifford(3, seed=int(rng.integers(2**31))).to_circuit().to_gate()
    suzuki = SuzukiTrotter(order=2)
    return [
        lambda: (RYGate(0.7), 1),
        lambda: (RYGate(angle()), 1),
        lambda: (RZZGate(angle()), 2),
        lambda: (RZXGate(angle()), 2),
        lambda: (controlled(RYGate(angle())), 2),
        lambda: (controlled(RYGate(angle()), 2, 1), 3),
        lambda: (controlled(PhaseGate(angle())), 2),
        lambda: (controlled(UGate(angle(), angle(), 0.3)), 2),
        lambda: (XXPlusYYGate(angle(), angle()), 2),
        lambda: (XXMinusYYGate(angle(), 0.3), 2),
        lambda: (PauliEvolutionGate(hermitian, angle()), 3),
        lambda: (PauliEvolutionGate(hermitian, angle(), synthesis=suzuki), 3),
        lambda: (clifford, 3),
        lambda: (own, 2),
        lambda: (controlled(own), 3),
        lambda: (own.inverse(), 2),
    ]


def energies(circuit, parameter, points, observable):
    """⟨observable⟩ along one parameter by dense matrices, the others at 0.1, 0.2, …

    Evolutions are written out first: as a matrix qiskit takes them as exact, and what is executed is their definition.
    """
    circuit = circuit.decompose(["PauliEvolution"])
    values = {p: 0.1 * (k + 1) for k, p in enumerate(circuit.parameters)}
    found = []
    for point in points:
        state = Statevector(circuit.assign_parameters({**values, parameter: point})).data
        found.append((state.conj() @ observable @ state).real)
    return np.array(found)


def misfit(circuit, seed):
    """Largest residual of a fit with the frequencies, over more points than unknowns, of every known parameter."""
    observable = random_hermitian(8, seed=seed).data
    rng = np.random.default_rng(seed)
    worst, known = 0.0, 0
    for parameter, own in frequencies(circuit).items():
        if own is None or len(own) > 12:
            continue
        known += 1
        points = rng.uniform(0, 2 * np.pi / min((1.0, *own)), 2 * len(own) + 6)
        waves = np.outer(points, own)
        matrix = np.hstack([np.ones((len(points), 1)), np.cos(waves), np.sin(waves)])
        seen = energies(circuit, parameter, points, observable)
        solution = np.linalg.lstsq(matrix, seen, rcond=None)[0]
        worst = max(worst, float(np.abs(matrix @ solution - seen).max()))
    return worst, known


def check_random_circuits(seeds):
    """No expectation value leaves the span of the frequencies, on random circuits of every kind of gate."""
    total = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        circuit = QuantumCircuit(3)
        for _ in range(6):
            kinds = gates(rng, [A, B])
            gate, count = kinds[rng.integers(len(kinds))]()
            circuit.append(gate, rng.permutation(3)[:count].tolist())
        worst, known = misfit(circuit, seed)
        assert worst < 1e-8, seed
        total += known
    assert total > len(seeds) / 2


def test_no_frequency_is_missing():
    """Dense matrices of qiskit.quantum_info on 12 random circuits."""
    check_random_circuits(range(12))


@pytest.mark.nightly
def test_no_frequency_is_missing_at_length():
    """The same on 1 500 others."""
    check_random_circuits(range(1000, 2500))
