"""Random circuits of 9 to 13 qubits whose gates the kernel takes together, against Aer's state vector gate by gate."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from runner.engine import Engine
from tests.engine.gates import Random, operator, pick

SCALES = (-1.3, -0.5, 0.7, 1.0, 2.0)
OFFSETS = (0.0, 0.0, 0.3, math.pi / 2, math.pi)


class Placed(NamedTuple):
    """A gate; its angle is scale · θ[which] + offset, or the offset alone where `which` is None."""

    kind: str
    qubits: tuple[int, ...]
    scale: float = 0.0
    which: int | None = None
    offset: float = 0.0
    terms: tuple[tuple[tuple[int, ...], float], ...] = ()
    """Of an evolution: the qubits of Z…Z, and its coefficient."""

    def angle(self, values: Any) -> Any:
        """With these θ."""
        return self.offset if self.which is None else self.scale * values[self.which] + self.offset

    def apply(self, circuit: QuantumCircuit, angle: Any) -> None:
        """Append it as it would be written by hand."""
        if self.kind == "evolution":
            strings = [("Z" * len(qubits), list(qubits), weight) for qubits, weight in self.terms]
            sums = SparsePauliOp.from_sparse_list(strings, circuit.num_qubits)
            circuit.append(PauliEvolutionGate(sums, angle), range(circuit.num_qubits))
        elif self.kind == "mcx":
            circuit.mcx(list(self.qubits[:-1]), self.qubits[-1])
        elif self.kind == "mcp":
            circuit.mcp(angle, list(self.qubits[:-1]), self.qubits[-1])
        elif self.kind in ("h", "t", "s", "sdg", "cx", "cz", "swap", "ccx", "ccz", "cswap"):
            getattr(circuit, self.kind)(*self.qubits)
        else:
            getattr(circuit, self.kind)(angle, *self.qubits)

    def apart(self) -> list[Placed]:
        """Gates with one frequency each: an evolution is the rotations about its strings, each by twice its weight."""
        return [
            Placed("string", qubits, 2 * weight * self.scale, self.which, 2 * weight * self.offset)
            for qubits, weight in self.terms
        ] or [self]


def random_circuit(random: Random) -> tuple[int, int, list[Placed]]:
    """Qubits, parameters and gates: layers of one style each, and rotations about x and y between them."""
    size, parameters = int(random.integers(9, 14)), int(random.integers(2, 5))

    def turned(kind: str, *qubits: int) -> Placed:
        return Placed(
            kind, qubits, pick(random, *SCALES), int(random.integers(parameters)), pick(random, *OFFSETS)
        )

    def constant(kind: str, *qubits: int) -> Placed:
        return Placed(kind, qubits, offset=float(random.uniform(-3, 3)))

    def some(number: int) -> tuple[int, ...]:
        return tuple(random.permutation(size)[:number].tolist())

    def layer() -> list[Placed]:
        where, one = some(size), turned("rzz", 0, 1)
        match pick(random, "ring", "all", "few", "evolution", "cx", "exchanges", "corners", "pairs"):
            case "ring":
                return [one._replace(qubits=(q, (q + 1) % size)) for q in range(size)]
            case "all":
                chosen = [pair for pair in itertools.combinations(range(size), 2) if random.random() < 0.5]
                return [constant("rzz", *pair) for pair in chosen] + [turned("rz", q) for q in where[:3]]
            case "few":
                found = [
                    turned(pick(random, "rzz", "cp"), *some(2)) for _ in range(int(random.integers(1, 8)))
                ]
                return [*found, Placed(pick(random, "t", "s", "sdg"), where[:1]), Placed("cz", where[1:3])]
            case "evolution":
                strings = {tuple(sorted(some(int(random.integers(1, 4))))) for _ in range(5)}
                terms = tuple((string, float(random.normal())) for string in sorted(strings))
                return [one._replace(kind="evolution", qubits=(), terms=terms)]
            case "cx":
                return [Placed("cx", pair) for pair in itertools.pairwise(where) if random.random() < 0.6]
            case "exchanges":
                gates = [Placed("ccx", where[:3]), Placed("swap", where[3:5]), Placed("cswap", where[5:8])]
                return [*gates, Placed("mcx", where[: int(random.integers(4, 6))])]
            case "corners":
                return [Placed("ccz", where[:3]), turned("mcp", *where[: int(random.integers(3, 6))])]
            case _:
                return [
                    turned(kind, *where[2 * k : 2 * k + 2]) for k, kind in enumerate(("rxx", "ryy", "rzx"))
                ]

    gates = [Placed("h", (q,)) if random.random() < 0.5 else constant("ry", q) for q in range(size)]
    for _ in range(int(random.integers(2, 5))):
        for _ in range(int(random.integers(1, 4))):
            gates += layer()
        for q in range(size):
            gates += [turned("rx", q)] if random.random() < 0.6 else [constant("ry", q)]
    return size, parameters, gates


def by_aer(
    size: int, gates: list[Placed], point: NDArray, observable: SparsePauliOp
) -> tuple[float, NDArray]:
    """⟨O⟩, and its derivatives by a shift of ±π/2 of every gate with a parameter: (f(+) - f(-))/2 for each angle."""
    apart = [gate for whole in gates for gate in whole.apart()]
    moved = [place for place, gate in enumerate(apart) if gate.which is not None]
    circuits = []
    for place, shift in [(None, 0.0), *itertools.product(moved, (math.pi / 2, -math.pi / 2))]:
        circuit = QuantumCircuit(size)
        for index, gate in enumerate(apart):
            angle = gate.angle(point) + (shift if index == place else 0.0)
            if gate.kind != "string":
                gate.apply(circuit, angle)
                continue
            chain = list(itertools.pairwise(gate.qubits))
            for pair in chain:
                circuit.cx(*pair)
            circuit.rz(angle, gate.qubits[-1])
            for pair in reversed(chain):
                circuit.cx(*pair)
        circuit.save_expectation_value(observable, range(size), label="value")
        circuits.append(circuit)
    result = AerSimulator(method="statevector", max_parallel_threads=1).run(circuits).result()
    values = [result.data(index)["value"] for index in range(len(circuits))]
    slopes = np.zeros(len(point))
    for place, up, down in zip(moved, values[1::2], values[2::2], strict=True):
        gate = apart[place]
        assert gate.which is not None
        slopes[gate.which] += gate.scale * (up - down) / 2
    return values[0], slopes


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(5, 205))]
)
def test_energies_and_gradients_are_those_of_aer(seed: int) -> None:
    """Aer takes one gate after the other and knows neither layers nor exchanges of ours."""
    random = np.random.default_rng(seed)
    size, parameters, gates = random_circuit(random)
    theta, point = ParameterVector("t", parameters), random.uniform(-3, 3, parameters)
    circuit = QuantumCircuit(size)
    for gate in gates:
        gate.apply(circuit, gate.angle(theta))
    used = [parameter.index for parameter in circuit.parameters]
    observable = operator(random, size, 8)
    plan = Engine(engine="kernel").estimator_plan(circuit, observable)
    energy, slopes = plan.gradient(point[used])
    run = plan.run(point[used], shots=None, seed=1).evs
    expected, derivatives = by_aer(size, gates, point, observable)

    assert float(run) == pytest.approx(expected, abs=1e-11)
    assert float(energy) == pytest.approx(expected, abs=1e-11)
    np.testing.assert_allclose(slopes, derivatives[used], rtol=0, atol=1e-10)
