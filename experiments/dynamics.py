"""Evolution in time by Trotter steps: observables against time, beside the exact ones (Lloyd 1996; Suzuki 1991)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from runner.declare.checks import require_integer, require_positive
from runner.errors import ConfigError
from runner.run.experiment import Experiment
from runner.run.problem import MAX_EXACT_QUBITS, fit
from runner.run.results import Outcome

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.run.context import Lab
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

ORDERS = (1, 2, 4)
MAX_STEPS = 10_000


@dataclass(frozen=True)
class DeclaredEvolution:
    """What is evolved, and what is looked at."""

    hamiltonian: SparsePauliOp
    """On logical qubits."""
    bits: str
    """The initial state, qubit 0 last."""
    start: QuantumCircuit
    """Prepares it."""
    names: list[str]
    """The observables in words."""
    observables: list[SparsePauliOp]
    """On logical qubits."""
    exact: np.ndarray | None
    """Their exact values, shape (times, observables); None where the system is too large."""


@dataclass(kw_only=True)
class Dynamics(Experiment):
    """⟨O(t)⟩ after exp(−iHt) on a product state, t = 0 … total_time; `ansatz` and `optimizer` do not matter."""

    name: str = "dynamics"
    """Name of the experiment."""
    total_time: float = 2.0
    """Last moment, in 1/unit of the Hamiltonian."""
    steps: int = 20
    """Trotter steps to the last moment."""
    every: int = 1
    """Look at the observables after this many steps."""
    order: int = 2
    """Order of the product formula: 1 (Lie–Trotter) | 2 | 4 (Suzuki); the error falls as (time/steps)^order."""
    initial_state: str = ""
    """Bits of the initial product state, qubit 0 last; empty: all zeros."""
    observables: list[str] = field(default_factory=list)
    """Pauli labels; `mean_z` for Σ Z/n and `energy` for the Hamiltonian; empty: both of these."""

    needs_problem: ClassVar[bool] = False
    ignores: ClassVar[tuple[str, ...]] = ("ansatz", "optimizer", "gradient")

    def __post_init__(self) -> None:
        require_positive("experiment.total_time", self.total_time)
        require_integer("experiment.steps", self.steps, 1, MAX_STEPS)
        require_integer("experiment.every", self.every, 1, self.steps)
        if self.order not in ORDERS:
            raise ConfigError(f"must be 1, 2 or 4, got {self.order}; choose one", key="experiment.order")
        if not re.fullmatch(r"[01]*", self.initial_state):
            raise ConfigError(
                f"must be zeros and ones, got {self.initial_state!r}; write e.g. '0101'",
                key="experiment.initial_state",
            )
        for index, name in enumerate(self.observables):
            if name not in ("mean_z", "energy") and not re.fullmatch(r"[IXYZ]+", name):
                raise ConfigError(
                    f"{name!r} is no observable; write mean_z, energy or a word of I, X, Y, Z",
                    key=f"experiment.observables[{index}]",
                )

    @property
    def moments(self) -> list[int]:
        """Numbers of steps after which the observables are looked at."""
        return list(range(0, self.steps + 1, self.every))

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> DeclaredEvolution:  # noqa: ARG002
        """Initial state, observables and the exact solution.

        Raises:
            ConfigError: sizes differ, or the backend is too small.
        """
        from qiskit import QuantumCircuit

        hamiltonian = config.hamiltonian.build()
        qubits = hamiltonian.num_qubits
        bits = self.initial_state or "0" * qubits
        if len(bits) != qubits:
            raise ConfigError(
                f"has {len(bits)} bits, the hamiltonian {qubits} qubits; make them equal",
                key="experiment.initial_state",
            )
        start = QuantumCircuit(qubits)
        for qubit, bit in enumerate(reversed(bits)):
            if bit == "1":
                start.x(qubit)
        fit(start, backend, config)  # says whether the backend is large enough
        names = self.observables or ["mean_z", "energy"]
        observables = [self.observable(index, name, hamiltonian) for index, name in enumerate(names)]
        times = [self.total_time * moment / self.steps for moment in self.moments]
        exact = exact_values(hamiltonian, bits, observables, times) if qubits <= MAX_EXACT_QUBITS else None
        return DeclaredEvolution(hamiltonian, bits, start, names, observables, exact)

    def observable(self, index: int, name: str, hamiltonian: SparsePauliOp) -> SparsePauliOp:
        """The operator of a declared observable.

        Raises:
            ConfigError: a label has another number of qubits than the Hamiltonian.
        """
        from qiskit.quantum_info import SparsePauliOp

        qubits = hamiltonian.num_qubits
        if name == "energy":
            return hamiltonian
        if name == "mean_z":
            return SparsePauliOp.from_sparse_list(
                [("Z", [qubit], 1 / qubits) for qubit in range(qubits)], qubits
            )
        if len(name) != qubits:
            raise ConfigError(
                f"{name!r} has {len(name)} qubits, the hamiltonian {qubits}; make them equal",
                key=f"experiment.observables[{index}]",
            )
        return SparsePauliOp(name)

    def run(self, lab: Lab) -> Outcome:
        """One job per moment; one row with every observable, its exact value and the largest error."""
        evolution: DeclaredEvolution = lab.prepared
        stream = lab.stream("dynamics")
        pub = self.carried_on(lab, evolution)
        for number, moment in enumerate(self.moments):
            data = stream.estimate(pub(moment))[0].data
            row: dict[str, Any] = {"time": self.total_time * moment / self.steps, "steps": moment}
            for place, name in enumerate(evolution.names):
                row[name] = float(data.evs[place])
                row[f"{name} stddev"] = float(data.stds[place])
                if evolution.exact is not None:
                    row[f"{name} exact"] = float(evolution.exact[number, place])
            if evolution.exact is not None:
                row["error"] = float(abs(data.evs - evolution.exact[number]).max())
            lab.row(**row)
        return Outcome(
            energy=None,
            evaluations=len(self.moments),
            stop_reason=f"{self.steps} steps of order {self.order}",
            table=lab.table,
        )

    def carried_on(self, lab: Lab, evolution: DeclaredEvolution) -> Callable[[int], tuple[Any, ...]]:
        """What gives the PUB after so many steps: the last state carried on, where that can be, or all of them."""
        from qiskit import QuantumCircuit

        step = replace(evolution, start=QuantumCircuit(evolution.start.num_qubits))
        circuit = lab.fit(self.evolved(step, 1))
        moments = lab.moments(evolution.bits, circuit, evolution.observables)
        if moments is not None:
            return lambda steps: (circuit, moments(steps))

        def from_start(steps: int) -> tuple[Any, ...]:
            circuit = lab.fit(self.evolved(evolution, steps))
            layout = circuit.layout
            return circuit, [
                observable.apply_layout(layout) if layout else observable
                for observable in evolution.observables
            ]

        return from_start

    def evolved(self, evolution: DeclaredEvolution, steps: int) -> QuantumCircuit:
        """The initial state after this many Trotter steps."""
        time = self.total_time * steps / self.steps
        return trotterized(evolution.start, evolution.hamiltonian, time, steps, self.order)


def trotterized(
    start: QuantumCircuit, hamiltonian: SparsePauliOp, time: float, steps: int, order: int
) -> QuantumCircuit:
    """The start followed by exp(−iHt) as so many steps of a product formula of order 1, 2 or 4."""
    from qiskit.circuit.library import PauliEvolutionGate
    from qiskit.synthesis import LieTrotter, SuzukiTrotter

    circuit = start.copy()
    if steps:
        formula = LieTrotter(reps=steps) if order == 1 else SuzukiTrotter(order=order, reps=steps)
        circuit.append(PauliEvolutionGate(hamiltonian, time=time, synthesis=formula), circuit.qubits)
    return circuit


def exact_values(
    hamiltonian: SparsePauliOp, bits: str, observables: list[SparsePauliOp], times: list[float]
) -> np.ndarray:
    """⟨O⟩ in exp(−iHt)|bits⟩, shape (times, observables); the times are equally spaced from 0."""
    import numpy as np
    from scipy.sparse.linalg import expm_multiply

    state = np.zeros(2**hamiltonian.num_qubits, dtype=complex)
    state[int(bits, 2)] = 1
    states = [state]
    if len(times) > 1:
        generator = -1j * hamiltonian.to_matrix(sparse=True)
        states = list(expm_multiply(generator, state, start=0, stop=times[-1], num=len(times)))
    matrices = [observable.to_matrix(sparse=True) for observable in observables]
    return np.array([[np.vdot(psi, matrix @ psi).real for matrix in matrices] for psi in states])
