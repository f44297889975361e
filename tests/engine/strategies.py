"""Random circuits, observables and Hamiltonians for the engine's tests."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate, UnitaryGate
from qiskit.quantum_info import SparsePauliOp, random_unitary

PLAIN = ("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg", "id")
ROTATIONS = ("rx", "ry", "rz", "p")
PAIRS = ("cx", "cz", "swap", "cy", "ch", "ecr", "iswap", "dcx")
PAIR_ROTATIONS = ("rxx", "ryy", "rzz", "rzx", "crx", "cry", "crz", "cp")


@st.composite
def circuits(draw: st.DrawFn, max_qubits: int = 5, max_gates: int = 30) -> QuantumCircuit:
    """Circuits of many gates with bare, repeated and composed parameters, and a few odd instructions."""
    size = draw(st.integers(1, max_qubits))
    circuit = QuantumCircuit(size)
    angles = ParameterVector("θ", 3)
    extra = Parameter("a")
    choices = [
        *angles,
        extra,
        -2 * extra + 0.3,
        angles[0] + angles[1],
        angles[2] * extra,
        (angles[0] * 2).sin() + angles[1] ** 2,
        0.7,
        -math.pi,
        math.pi / 2,
    ]
    qubit = st.integers(0, size - 1)
    angle = st.sampled_from(choices)
    kinds = ["plain", "rotation", "u"] + (
        ["pair", "pair rotation", "evolution", "unitary"] if size > 1 else []
    )
    kinds += ["ccx"] if size > 2 else []
    for _ in range(draw(st.integers(0, max_gates))):
        kind = draw(st.sampled_from(kinds))
        first = draw(qubit)
        if kind == "plain":
            getattr(circuit, draw(st.sampled_from(PLAIN)))(first)
        elif kind == "rotation":
            getattr(circuit, draw(st.sampled_from(ROTATIONS)))(draw(angle), first)
        elif kind == "u":
            circuit.u(draw(angle), draw(angle), draw(angle), first)
        else:
            others = draw(st.permutations(range(size)))
            a, b = others[:2]
            if kind == "pair":
                getattr(circuit, draw(st.sampled_from(PAIRS)))(a, b)
            elif kind == "pair rotation":
                getattr(circuit, draw(st.sampled_from(PAIR_ROTATIONS)))(draw(angle), a, b)
            elif kind == "evolution":
                circuit.append(
                    PauliEvolutionGate(SparsePauliOp(["XY", "ZZ"], [0.4, -0.3]), draw(angle)), [a, b]
                )
            elif kind == "unitary":
                circuit.append(UnitaryGate(random_unitary(4, seed=draw(st.integers(0, 99)))), [a, b])
            else:
                circuit.ccx(*others[:3])
    if draw(st.booleans()):
        circuit.global_phase = 0.4
    return circuit


@st.composite
def observables(draw: st.DrawFn, num_qubits: int, max_terms: int = 8) -> SparsePauliOp:
    """Pauli sums with repeated and identity terms."""
    label = st.text("IXYZ", min_size=num_qubits, max_size=num_qubits)
    labels = draw(st.lists(label, min_size=1, max_size=max_terms))
    labels.append("I" * num_qubits)
    weight = st.sampled_from([-1.7, -1.0, -0.3, 0.25, 0.5, 1.1, 2.0])
    weights = [*draw(st.lists(weight, min_size=len(labels) - 1, max_size=len(labels) - 1)), 3.1]
    return SparsePauliOp(labels, np.array(weights))


def heisenberg(num_qubits: int) -> SparsePauliOp:
    """The chain of the benchmarks: XX + YY + ZZ on neighbours, Z/2 on every site."""
    pairs = [(p, [i, i + 1], 1.0) for i in range(num_qubits - 1) for p in ("XX", "YY", "ZZ")]
    return SparsePauliOp.from_sparse_list([*pairs, *[("Z", [i], 0.5) for i in range(num_qubits)]], num_qubits)


def ising(num_qubits: int, field: float) -> SparsePauliOp:
    """The open transverse-field Ising chain, -ΣZZ - field ΣX."""
    pairs = [("ZZ", [i, i + 1], -1.0) for i in range(num_qubits - 1)]
    return SparsePauliOp.from_sparse_list(
        [*pairs, *[("X", [i], -field) for i in range(num_qubits)]], num_qubits
    )
