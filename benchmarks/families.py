"""Circuits of other families than the tables' one, each peer in its best idiom: `python -m benchmarks.families`.

Processor time, so that a busy machine counts for less: the least of several rounds, all contestants in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from benchmarks import arguments
from benchmarks.arguments import read
from benchmarks.measure import table
from runner import compose
from runner.ansatz.excitations import excitations
from runner.engine import Engine

Case = tuple[QuantumCircuit, SparsePauliOp]
Rows = dict[str, dict[str, float]]
generator = np.random.default_rng(1)
QUICK = read(__name__, __doc__, arguments.QUICK).quick
_ROUNDS, _SLICE = (3, 0.01) if QUICK else (5, 0.02)
_OPERATIONS = {
    "rx": "RX", "ry": "RY", "rz": "RZ", "rxx": "IsingXX", "ryy": "IsingYY", "rzz": "IsingZZ", "h": "Hadamard",
    "x": "PauliX", "cx": "CNOT", "cz": "CZ", "ccx": "Toffoli", "sx": "SX", "sxdg": "Adjoint(SX)", "u": "Rot",
}  # fmt: skip


def qaoa(size: int, layers: int = 10) -> Case:
    """Every vertex with both neighbours and the one across: three edges each."""
    edges = sorted({tuple(sorted((a, b % size))) for a in range(size) for b in (a + 1, a + size // 2)})
    angles = ParameterVector("θ", 2 * layers)
    circuit = QuantumCircuit(size)
    circuit.h(range(size))
    for layer in range(layers):
        for a, b in edges:
            circuit.rzz(angles[2 * layer], a, b)
        circuit.rx(angles[2 * layer + 1], range(size))
    return circuit, SparsePauliOp.from_sparse_list([("ZZ", list(edge), 1.0) for edge in edges], size)


def glass(size: int) -> Case:
    """QAOA of a Sherrington–Kirkpatrick glass, every edge with a weight of its own, five layers."""
    edges = [(a, b) for a in range(size) for b in range(a)]
    weights = generator.normal(size=len(edges))
    angles = ParameterVector("θ", 10)
    circuit = QuantumCircuit(size)
    circuit.h(range(size))
    for layer in range(5):
        for (a, b), weight in zip(edges, weights, strict=True):
            circuit.rzz(weight * angles[2 * layer], a, b)
        circuit.rx(angles[2 * layer + 1], range(size))
    terms = [("ZZ", list(edge), weight) for edge, weight in zip(edges, weights, strict=True)]
    return circuit, SparsePauliOp.from_sparse_list(terms, size)


def trotter(size: int) -> Case:
    """A hundred steps of the Ising chain in a transverse field."""
    circuit = QuantumCircuit(size)
    for _ in range(100):
        for qubit in range(size - 1):
            circuit.rzz(0.07, qubit, qubit + 1)
        circuit.rx(0.1, range(size))
    return circuit, SparsePauliOp.from_sparse_list([("Z", [qubit], 1 / size) for qubit in range(size)], size)


def bricks(size: int) -> Case:
    """Heisenberg's variational ansatz: rxx, ryy and rzz on even and odd bonds, four layers on singlets."""
    angles = ParameterVector("θ", 12)
    circuit = QuantumCircuit(size)
    for qubit in range(0, size, 2):
        circuit.x([qubit, qubit + 1])
        circuit.h(qubit)
        circuit.cx(qubit, qubit + 1)
    for layer in range(4):
        for parity in (0, 1):
            for qubit in range(parity, size - 1, 2):
                for gate, angle in zip(("rxx", "ryy", "rzz"), angles[3 * layer : 3 * layer + 3], strict=True):
                    getattr(circuit, gate)(angle, qubit, qubit + 1)
    pairs = [(p, [q, q + 1], 1.0) for q in range(size - 1) for p in ("XX", "YY", "ZZ")]
    return circuit, SparsePauliOp.from_sparse_list(pairs, size)


def toffolis(size: int) -> Case:
    """Layers of ry and of ccx."""
    angles = ParameterVector("θ", 4 * size)
    circuit = QuantumCircuit(size)
    for layer in range(4):
        for qubit in range(size):
            circuit.ry(angles[layer * size + qubit], qubit)
        for qubit in range(layer % 3, size - 2, 3):
            circuit.ccx(qubit, qubit + 1, qubit + 2)
    return circuit, SparsePauliOp.from_sparse_list([("ZZ", [q, q + 1], 1.0) for q in range(size - 1)], size)


MOLECULES = {
    "H4, 8 q": ("hamiltonian=h4",),
    "LiH, 12 q": ("hamiltonian=molecule", 'hamiltonian.geometry="Li 0 0 0; H 0 0 1.6"'),
    "H2O, 14 q": (
        "hamiltonian=molecule",
        'hamiltonian.geometry="O 0 0 0; H 0.757797 0.586749 0; H -0.757797 0.586749 0"',
    ),
}


def least(contestants: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least processor seconds of one call of each."""
    found = dict.fromkeys(contestants, float("inf"))
    for call in contestants.values():
        call()
    for _ in range(_ROUNDS):
        for name, call in contestants.items():
            start, calls = time.process_time(), 0
            while calls == 0 or time.process_time() - start < _SLICE:
                call()
                calls += 1
            found[name] = min(found[name], (time.process_time() - start) / calls)
    return found


def ours(circuit: QuantumCircuit, operator: SparsePauliOp, values: np.ndarray) -> dict[str, tuple]:
    """(energy, gradient) now, and gate by gate as before."""
    found = {}
    for name, fused in (("kernel", True), ("kernel, gate by gate", False)):
        loops = Engine(engine="kernel", fused=fused).estimator_plan(circuit, operator)._kernel
        found[name] = (
            lambda loops=loops: loops.energies(values[None]),
            (lambda loops=loops: loops.gradients(values[None])) if len(values) else None,
        )
    return found


def lightning(operations: Sequence[Any], operator: SparsePauliOp, *, sparse: bool = False) -> tuple:
    """(energy, gradient) of lightning.qubit, the tape built once."""
    import pennylane as qml

    size = operator.num_qubits
    device = qml.device("lightning.qubit", wires=size)
    words = [qml.pauli.string_to_pauli_word(label[::-1]) for label, _ in operator.to_list()]
    hamiltonian = qml.Hamiltonian([c.real for _, c in operator.to_list()], words)
    if sparse:
        hamiltonian = qml.SparseHamiltonian(hamiltonian.sparse_matrix(range(size)), wires=range(size))
    tape = qml.tape.QuantumScript(operations, [qml.expval(hamiltonian)])
    config = qml.devices.ExecutionConfig(gradient_method="adjoint", use_device_gradient=True)
    return (
        lambda: device.execute([tape]),
        lambda: device.compute_derivatives([tape], config),
    )


def translated(circuit: QuantumCircuit, values: np.ndarray) -> list[Any]:
    """A circuit's gates as PennyLane's."""
    import pennylane as qml

    found = []
    for item in circuit.assign_parameters(values).data:
        qubits = [circuit.find_bit(bit).index for bit in item.qubits]
        name = _OPERATIONS[item.name]
        kind = getattr(qml, name.removeprefix("Adjoint(").removesuffix(")"))
        operation = kind(*map(float, item.operation.params), wires=qubits)
        found.append(qml.adjoint(operation) if name.startswith("Adjoint") else operation)
    return found


def givens(moves: Sequence[tuple], size: int, values: np.ndarray) -> list[Any]:
    """UCCSD in PennyLane's own idiom, its excitation gates."""
    import pennylane as qml

    kinds = {1: qml.SingleExcitation, 2: qml.DoubleExcitation}
    state = np.array([1 if q in {o for move in moves for o in move[0]} else 0 for q in range(size)])
    return [
        qml.BasisState(state, wires=range(size)),
        *(
            kinds[len(emptied)](value, wires=[*emptied, *filled])
            for (emptied, filled), value in zip(moves, values, strict=True)
        ),
    ]


def measured(contestants: dict[str, tuple]) -> tuple[dict[str, float], dict[str, float]]:
    """Processor seconds of energies, and of gradients."""
    energies = least({name: pair[0] for name, pair in contestants.items()})
    slopes = {name: pair[1] for name, pair in contestants.items() if pair[1] is not None}
    return energies, least(slopes) if slopes else {}


def main() -> None:
    energy, gradient = Rows(), Rows()
    peers = find_spec("pennylane_lightning") is not None
    cases: dict[str, Case] = {}
    for size in (12, 16) if QUICK else (12, 16, 20):
        cases |= {f"QAOA p = 10, {size} q": qaoa(size), f"Trotter, 100 steps, {size} q": trotter(size)}
    for size in (12, 16):
        cases |= {f"bricks, {size} q": bricks(size), f"glass p = 5, {size} q": glass(size)}
    cases["ry and ccx, 16 q"] = toffolis(16)
    for label, (circuit, operator) in cases.items():
        values = generator.uniform(-3, 3, circuit.num_parameters)
        contestants = ours(circuit, operator, values)
        if peers:
            pair = lightning(translated(circuit, values), operator)
            contestants["lightning"] = pair if len(values) else (pair[0], None)
        energy[label], gradient[label] = measured(contestants)
    for label, typed in MOLECULES.items():
        config = compose(*typed, "ansatz=uccsd")
        operator = config.hamiltonian.build()
        circuit = config.ansatz.build(operator)
        values = generator.uniform(-0.3, 0.3, circuit.num_parameters)
        contestants = ours(circuit, operator, values)
        if peers:
            moves = excitations(operator)
            operations = givens(moves, circuit.num_qubits, values)
            contestants["lightning, Givens, sparse H"] = lightning(operations, operator, sparse=True)
            contestants["lightning, Givens"] = lightning(operations, operator)
        energy[f"UCCSD {label}"], gradient[f"UCCSD {label}"] = measured(contestants)
    rows = {label: row for label, row in gradient.items() if row}
    print(table("One exact evaluation, ms of processor time", "circuit", energy, 1e-3, "kernel"))
    print(table("One exact gradient, ms of processor time", "circuit", rows, 1e-3, "kernel"))


if __name__ == "__main__":
    main()
