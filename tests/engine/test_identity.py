"""Digests hold what is executed: different unitaries and channels have different ones, rebuilt circuits the same."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Gate
from qiskit.quantum_info import SparsePauliOp
from qiskit.synthesis import QDrift

from runner.engine.executed import as_executed
from runner.engine.identity import canonical_text, digest_of
from runner.runtime import EstimatorV2, LocalRuntimeService
from tests.engine.gates import KINDS, Random, circuit_with, unitary_by_definition

NOTHING = np.zeros(0)
OBSERVABLE = SparsePauliOp(["XYZX", "ZZII", "IIYX", "ZIXI"], [0.3, 0.5, 0.7, 0.2])


def digest(circuit: QuantumCircuit) -> str:
    """The identity of what is executed, as plans and jobs have it."""
    return digest_of(canonical_text(as_executed(circuit)))


def through_qpy(circuit: QuantumCircuit) -> QuantumCircuit:
    """Written and read again."""
    file = io.BytesIO()
    qpy.dump(circuit, file)
    file.seek(0)
    (read,) = qpy.load(file)
    return read


def nudged(circuit: QuantumCircuit, random: Random) -> QuantumCircuit:
    """The same with one angle changed by little, somewhere in it or in the gates it is made of."""
    result = circuit.copy()
    places = [
        index
        for index, item in enumerate(circuit.data)
        if item.params or getattr(item.operation, "params", [])
    ]
    index = int(random.choice(places))
    item = result.data[index]
    operation = item.operation
    definition = None if item.is_standard_gate() else getattr(operation, "definition", None)
    if definition is not None and any(inner.params for inner in definition.data):
        changed: Any = Gate(item.name, item.operation.num_qubits, [])
        changed.definition = nudged(definition, random)
    elif not item.is_standard_gate():
        return result
    else:
        params = list(item.params)
        place = int(random.integers(len(params)))
        params[place] = float(params[place]) + float(random.choice([1e-9, 1e-3, 0.3]))
        changed = operation.to_mutable()
        changed.params = params
    result.data[index] = item.replace(operation=changed)
    return result


def variants(random: Random) -> tuple[QuantumCircuit, QuantumCircuit]:
    """Two circuits that are alike: of two gates of one kind, or one with a changed angle."""
    kind = KINDS[str(random.choice(list(KINDS)))]
    where = int(random.integers(1 << 30))
    first = circuit_with(kind(random), np.random.default_rng(where))
    if random.random() < 0.3:
        return first, nudged(first, random)
    gate = kind(random)
    for _ in range(20):
        if gate.num_qubits == sum(len(item.qubits) for item in first.data) - 8:
            break
        gate = kind(random)
    return first, circuit_with(gate, np.random.default_rng(where))


def rebuilt(circuit: QuantumCircuit) -> list[QuantumCircuit]:
    """The same circuit, come about in other ways; a matrix without a definition does not go through QPY."""
    ways = [circuit.copy(), copy.deepcopy(circuit)]
    random_formula = any(isinstance(getattr(i.operation, "synthesis", None), QDrift) for i in circuit.data)
    if not random_formula and not any(
        item.name in ("dense", "annotated", "clifford") for item in circuit.data
    ):
        ways.append(pickle.loads(pickle.dumps(circuit)))
        with contextlib.suppress(
            TypeError, NotImplementedError
        ):  # qiskit cannot write or read some of its gates
            ways.append(through_qpy(circuit))
    return ways


def check_pairs(pairs: int, seed: int) -> tuple[int, int]:
    """Draw pairs and compare digests with dense algebra; how many were different, and how many the same."""
    service = LocalRuntimeService(seed=1)
    estimator = EstimatorV2(mode=service.backend("ideal"))
    different = 0
    for number in range(pairs):
        random = np.random.default_rng([seed, number])
        first, second = variants(random)
        matrices = [unitary_by_definition(one) for one in (first, second)]
        if np.abs(matrices[0] - matrices[1]).max() > 1e-12:
            different += 1
            values = [float((m[:, 0].conj() @ OBSERVABLE.to_matrix() @ m[:, 0]).real) for m in matrices]
            found = estimator.run([(first, OBSERVABLE), (second, OBSERVABLE)], precision=0).result()

            assert digest(first) != digest(second), number
            for value, result in zip(values, found, strict=True):
                assert float(result.data.evs) == pytest.approx(value, abs=2e-9), number
        if number % 4 == 0:
            for other in rebuilt(first):
                # an inverse state preparation comes back from QPY as another one
                if np.abs(unitary_by_definition(other) - matrices[0]).max() < 1e-12:
                    assert digest(other) == digest(first), number
    return different, pairs - different


def test_random_pairs_share_a_digest_only_if_they_are_the_same() -> None:
    """Gates of every kind; unitaries by multiplying the matrices of definitions."""
    different, _ = check_pairs(60, seed=1)

    assert different > 40


@pytest.mark.nightly
def test_five_thousand_random_pairs() -> None:
    """The same at length."""
    different, _ = check_pairs(5000, seed=2)

    assert different > 4000
