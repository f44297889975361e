"""A circuit is executed as what it says, however it came about: built, copied, transpiled or read from a file.

Qiskit makes a new object at every access to some instructions of a copied circuit (control flow, unitaries, Pauli
rotations), so that one object's id soon is another's.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy, transpile
from qiskit.circuit.library import PauliProductRotationGate, UnitaryGate
from qiskit.quantum_info import Pauli, SparsePauliOp, random_unitary

from runner.engine import Engine
from tests.engine.branches import density

OBSERVABLE = SparsePauliOp(["XZ", "ZY", "YX", "IZ"], [0.7, -0.4, 0.9, 1.3])
ENGINES = {name: Engine(engine=name) for name in ("kernel", "aer")}


def loaded(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit written to a QPY file and read again."""
    file = io.BytesIO()
    qpy.dump(circuit, file)
    file.seek(0)
    return qpy.load(file)[0]


FORMS: dict[str, Callable[[QuantumCircuit], QuantumCircuit]] = {
    "built": lambda circuit: circuit,
    "copied": QuantumCircuit.copy,
    "transpiled": lambda circuit: transpile(circuit, optimization_level=0),
    "loaded": loaded,
}


def many_blocks(random: np.random.Generator, number: int, kinds: str) -> QuantumCircuit:
    """Instructions that differ in their data alone: branches, loops, boxes, unitaries and rotations about Paulis."""
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    if "i" in kinds:
        circuit.measure(0, 0)
        circuit.ry(1.0, 0)
    for kind in random.choice(list(kinds), number):
        angle, qubit = random.uniform(0, 3), int(random.integers(2))
        if kind == "i":
            with circuit.if_test((circuit.clbits[0], int(random.integers(2)))):
                circuit.ry(angle, qubit)
        elif kind == "f":
            with circuit.for_loop(range(2)):
                circuit.rx(angle, qubit)
        elif kind == "b":
            with circuit.box():
                circuit.crx(angle, qubit, 1 - qubit)
        elif kind == "u":
            circuit.append(UnitaryGate(random_unitary(2, seed=int(random.integers(1 << 30)))), [qubit])
        else:
            letters = str(random.choice(["XX", "ZY", "YX", "ZZ", "IY"]))
            circuit.append(PauliProductRotationGate(Pauli(letters), angle), [0, 1])
    return circuit


@pytest.mark.parametrize("kinds", ["if", "u", "p", "ifbup"])
def test_instructions_of_any_origin_keep_their_places(kinds: str) -> None:
    """20 to 40 of them in every form, two circuits each: the value of every course by dense algebra, twice."""
    for seed in range(2):
        random = np.random.default_rng(seed)
        circuit = many_blocks(random, int(random.integers(20, 41)), kinds)
        wanted = np.trace(OBSERVABLE.to_matrix() @ _density(circuit)).real
        for name, form in FORMS.items():
            for engine in ENGINES.values():
                for _ in range(2):
                    plan = engine.estimator_plan(form(circuit), OBSERVABLE)
                    found = float(plan.run(np.zeros(0), shots=None, seed=1).evs)
                    assert found == pytest.approx(wanted, abs=1e-9), f"seed {seed}, {name}"


@pytest.mark.parametrize("kinds", ["ifb", "up"])
def test_the_same_circuit_has_the_same_digest_every_time(kinds: str) -> None:
    """Six copies, with objects made and dropped in between, in an engine that remembers nothing of them."""
    random = np.random.default_rng(7)
    circuit = many_blocks(random, 30, kinds)
    for name, form in FORMS.items():
        digests = set()
        for _ in range(6):
            between = [UnitaryGate(random_unitary(2, seed=1)) for _ in range(int(random.integers(20)))]
            digests.add(Engine().estimator_plan(form(circuit), OBSERVABLE).digest)
            del between
        assert len(digests) == 1, name


def _density(circuit: QuantumCircuit) -> np.ndarray:
    """The oracle's, which knows no boxes: what is in one stands in its place."""
    flat = circuit.copy_empty_like()
    for item in circuit.data:
        if item.operation.name == "box":
            flat.compose(item.operation.blocks[0], item.qubits, item.clbits, inplace=True)
        else:
            flat._append(item)
    return density(flat)
