"""Gates of every kind, drawn at random, and what a circuit of them does by definition alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import (
    AnnotatedOperation,
    ControlModifier,
    Gate,
    InverseModifier,
    PowerModifier,
    QuantumCircuit,
)
from qiskit.circuit import library as lib
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Clifford, Pauli, SparsePauliOp, random_unitary
from qiskit.synthesis import LieTrotter, MatrixExponential, QDrift, SuzukiTrotter

Random = np.random.Generator


def unitary_by_definition(circuit: QuantumCircuit) -> NDArray:
    """The matrix of a circuit by nothing but definitions and the matrices of qiskit's standard gates."""
    size = circuit.num_qubits
    state = np.eye(1 << size, dtype=complex).reshape((2,) * size + (1 << size,))
    state = state * np.exp(1j * float(circuit.global_phase))
    for item in circuit.data:
        if item.name in ("barrier", "delay") and not isinstance(item.operation, Gate):
            continue
        where = [size - 1 - circuit.find_bit(bit).index for bit in item.qubits][::-1]
        state = _applied(_matrix(item), where, state)
    return state.reshape(1 << size, 1 << size)


def _matrix(item: Any) -> NDArray:
    if item.is_standard_gate() or isinstance(item.operation, lib.UnitaryGate | AnnotatedOperation | Clifford):
        return np.asarray(item.operation.to_matrix())
    definition = item.operation.definition
    return np.asarray(item.operation) if definition is None else unitary_by_definition(definition)


def _applied(matrix: NDArray, where: list[int], state: NDArray) -> NDArray:
    if not where:
        return state * matrix.reshape(-1)[0]
    k = len(where)
    moved = np.tensordot(matrix.reshape((2,) * (2 * k)), state, axes=(list(range(k, 2 * k)), where))
    return np.moveaxis(moved, list(range(k)), where)


def pick(random: Random, *choices: Any) -> Any:
    """One of these; numpy would make an array of them."""
    return choices[int(random.integers(len(choices)))]


def operator(random: Random, qubits: int, terms: int) -> SparsePauliOp:
    """A random sum of Paulis."""
    labels = ["".join(random.choice(list("IXYZ"), qubits)) for _ in range(terms)]
    return SparsePauliOp(labels, random.normal(size=terms))


def evolution(random: Random, qubits: int) -> Gate:
    """An evolution by any synthesis."""
    reps = int(random.integers(1, 4))
    syntheses: list[Callable[[], Any]] = [
        lambda: LieTrotter(reps=reps),
        lambda: LieTrotter(reps=reps, preserve_order=False),
        lambda: SuzukiTrotter(order=2, reps=reps),
        lambda: SuzukiTrotter(order=4, reps=reps, cx_structure="fountain"),
        lambda: QDrift(reps=reps),
        MatrixExponential,
    ]
    terms = operator(random, qubits, int(random.integers(2, 6)))
    gate = lib.PauliEvolutionGate(terms, float(random.normal()), synthesis=pick(random, *syntheses)())
    if isinstance(gate.synthesis, QDrift):
        gate.definition  # noqa: B018 - drawn now; otherwise whoever asks draws another
    return gate


def body(random: Random, qubits: int, depth: int = 0) -> QuantumCircuit:
    """A small random circuit, always of the same name."""
    circuit = QuantumCircuit(qubits, name="rx" if random.random() < 0.3 else "body")
    for _ in range(int(random.integers(1, 4))):
        if depth < 2 and random.random() < 0.3:
            circuit.append(body(random, qubits, depth + 1).to_gate(), range(qubits))
        else:
            circuit.rx(float(random.normal()), int(random.integers(qubits)))
            circuit.rz(float(random.normal()), int(random.integers(qubits)))
            if qubits > 1:
                circuit.cx(*random.choice(qubits, 2, replace=False).tolist())
    return circuit


def named(random: Random, qubits: int) -> Gate:
    """A user's gate under the name of a standard one, with parameters that its definition does not look at."""
    name = str(
        random.choice(["rx", "h", "cx", "rzz", "barrier", "measure", "unitary", "mcx", "delay", "u", "pauli"])
    )
    gate = Gate(name, qubits, [float(value) for value in random.normal(size=int(random.integers(3)))])
    gate.definition = body(random, qubits)
    return gate


class Dense(Gate):
    """A gate that has a matrix and no definition."""

    def __init__(self, matrix: NDArray) -> None:
        super().__init__("dense", int(matrix.shape[0]).bit_length() - 1, [])
        self._matrix = matrix

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.array(self._matrix, dtype=dtype or complex)


def standard(random: Random) -> Gate:
    """One of qiskit's standard gates, with random angles."""
    mapping = get_standard_gate_name_mapping()
    gates = [gate for gate in mapping.values() if isinstance(gate, Gate) and 1 <= gate.num_qubits <= 4]
    gate = pick(random, *gates)
    return gate.base_class(*[float(value) for value in random.normal(size=len(gate.params))])


def controlled(random: Random) -> Gate:
    """A gate with one or two controls, some of them open."""
    base = standard(random)
    while base.num_qubits > 2:
        base = standard(random)
    count = int(random.integers(1, 3))
    return base.control(count, ctrl_state=int(random.integers(1 << count)), annotated=False)


def multi_controlled(random: Random) -> Gate:
    """An X or a phase with three controls, some of them open."""
    state = int(random.integers(8))
    if random.random() < 0.5:
        return lib.MCXGate(3, ctrl_state=state)
    return lib.MCPhaseGate(float(random.normal()), 3, ctrl_state=state)


def annotated(random: Random) -> AnnotatedOperation:
    """An operation with modifiers."""
    base = pick(random, lib.RXGate(float(random.normal())), lib.SGate(), lib.U3Gate(*_angles(random, 3)))
    modifiers = [InverseModifier(), PowerModifier(int(random.integers(1, 4)))]
    modifiers.insert(int(random.integers(3)), ControlModifier(1, int(random.integers(2))))
    return AnnotatedOperation(base, modifiers)


def _vector(random: Random, size: int) -> NDArray:
    vector = random.normal(size=size) + 1j * random.normal(size=size)
    return vector / np.linalg.norm(vector)


def _unitary(random: Random, size: int) -> NDArray:
    return random_unitary(size, seed=int(random.integers(1 << 30))).data


def _angles(random: Random, size: int) -> list[float]:
    return [float(value) for value in random.normal(size=size)]


KINDS: dict[str, Callable[[Random], Any]] = {
    "standard": standard,
    "controlled": controlled,
    "multi-controlled": multi_controlled,
    "evolution of one": lambda random: evolution(random, 1),
    "evolution": lambda random: evolution(random, int(random.integers(2, 4))),
    "sub-circuit": lambda random: body(random, 2).to_gate(),
    "named like another": lambda random: named(random, int(random.integers(1, 4))),
    "matrix only": lambda random: Dense(_unitary(random, 1 << int(random.integers(1, 3)))),
    "annotated": annotated,
    "clifford": lambda random: Clifford(pick(random, lib.HGate(), lib.SdgGate(), lib.SXGate())),
    "unitary": lambda random: lib.UnitaryGate(_unitary(random, 1 << int(random.integers(1, 4)))),
    "diagonal": lambda random: lib.DiagonalGate(np.exp(1j * random.normal(size=8)).tolist()),
    "hamiltonian": lambda random: lib.HamiltonianGate(
        operator(random, 2, 4).to_matrix(), float(random.normal())
    ),
    "pauli": lambda random: lib.PauliGate("".join(random.choice(list("IXYZ"), 3))),
    "permutation": lambda random: lib.PermutationGate(random.permutation(4).tolist()),
    "multiplexer": lambda random: lib.UCGate([_unitary(random, 2) for _ in range(4)]),
    "multiplexed rotation": lambda random: pick(random, lib.UCRXGate, lib.UCRYGate, lib.UCRZGate)(
        _angles(random, 4)
    ),
    "isometry": lambda random: lib.Isometry(_unitary(random, 4), 0, 0),
    "state preparation": lambda random: lib.StatePreparation(
        _vector(random, 8), inverse=bool(random.random() < 0.5)
    ),
    "linear function": lambda random: lib.LinearFunction(np.eye(3, dtype=int)[random.permutation(3)]),
    "fourier": lambda random: lib.QFTGate(int(random.integers(2, 5))),
    "global rotation": lambda random: lib.MSGate(3, float(random.normal())),
    "rotation about an axis": lambda random: lib.RVGate(*_angles(random, 3)),
    "pauli rotations": lambda random: lib.LinearPauliRotationsGate(2, *_angles(random, 2)),
    "adder": lambda random: pick(random, lib.HalfAdderGate, lib.ModularAdderGate)(1),
    "multi-controlled many": lambda random: lib.MCMTGate(lib.RYGate(float(random.normal())), 2, 1),
    "pauli rotation": lambda random: lib.PauliProductRotationGate(Pauli("XZY"), float(random.normal())),
}
"""Kinds of gates on up to four qubits."""


def circuit_with(operation: Any, random: Random, qubits: int = 4) -> QuantumCircuit:
    """The operation among rotations that show what it does to any state."""
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits):
        circuit.u(*random.normal(size=3).tolist(), qubit)
    circuit.append(operation, random.choice(qubits, operation.num_qubits, replace=False).tolist())
    for qubit in range(qubits):
        circuit.u(*random.normal(size=3).tolist(), qubit)
    return circuit
