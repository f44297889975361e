"""Evolution in time by Trotter steps: observables against time, beside the exact ones (Lloyd 1996; Suzuki 1991)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from runner import engine
from runner.declare.checks import require_integer, require_positive
from runner.display.words import counted
from runner.errors import ConfigError
from runner.run.answer import EXACT, MEASURED, TRUNCATED, worth
from runner.run.experiment import FORMAT, Experiment
from runner.run.problem import MAX_EXACT_QUBITS, fit
from runner.run.results import Outcome

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.declare.plain import Values
    from runner.run.context import Lab
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

ORDERS = (1, 2, 4)
MAX_STEPS = 10_000
MAX_MULTIPLE = 100
MAX_FORMULAS = 6


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
    simulation: str | None = None
    """How the longest circuit is simulated, in words; None where that is a state vector."""


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
    """Look at the observables after this many steps, and after the last one."""
    order: int = 2
    """Order of the product formula: 1 (Lie–Trotter) | 2 | 4 (Suzuki); the error falls as (time/steps)^order."""
    initial_state: str = ""
    """Bits of the initial product state, qubit 0 last; empty: all zeros."""
    multi_product: list[int] = field(default_factory=list)
    """Combine formulas of so many times the steps, as [1, 2, 4], so that the leading errors of the step cancel; two of
    them are Richardson's extrapolation. Each is measured by itself. Empty: the one of `steps`."""
    observables: list[str] = field(default_factory=list)
    """Pauli labels; `mean_z` for Σ Z/n and `energy` for the Hamiltonian; empty: both of these."""

    needs_problem: ClassVar[bool] = False
    states_jump: ClassVar[bool] = True
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
        self._check_multi_product()
        if len(set(self.observables)) < len(self.observables):
            raise ConfigError("must name each once; leave one out", key="experiment.observables")
        for index, name in enumerate(self.observables):
            if name not in ("mean_z", "energy") and not re.fullmatch(r"[IXYZ]+", name):
                raise ConfigError(
                    f"{name!r} is no observable; write mean_z, energy or a word of I, X, Y, Z",
                    key=f"experiment.observables[{index}]",
                )

    def _check_multi_product(self) -> None:
        key = "experiment.multi_product"
        for index, multiple in enumerate(self.multi_product):
            require_integer(f"{key}[{index}]", multiple, 1, MAX_MULTIPLE)
        if self.multi_product and not 2 <= len(set(self.multi_product)) <= MAX_FORMULAS:
            raise ConfigError(
                f"must be 2 to {MAX_FORMULAS} different numbers, got {self.multi_product}; write e.g. [1,2,4]",
                key=key,
            )
        if len(set(self.multi_product)) < len(self.multi_product):
            raise ConfigError(f"names a number twice: {self.multi_product}; leave one out", key=key)

    @property
    def multiples(self) -> list[int]:
        """Of the declared steps, how many times so many each formula takes."""
        return self.multi_product or [1]

    @property
    def moments(self) -> list[int]:
        """Numbers of steps after which the observables are looked at; the last one is among them."""
        return [*range(0, self.steps, self.every), self.steps]

    def quantity(self, prepared: DeclaredEvolution, problem: Problem | None) -> str:  # noqa: ARG002
        """The energy where nothing else is looked at."""
        return "energy" if self.observables == ["energy"] else "expectation value"

    def magnitude(self, prepared: DeclaredEvolution, problem: Problem | None) -> float:  # noqa: ARG002
        """That of the smallest observable."""
        return min(float(abs(one.coeffs).sum()) for one in prepared.observables)

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> DeclaredEvolution:  # noqa: ARG002
        """Initial state, observables and the exact solution.

        Raises:
            ConfigError: sizes differ, the backend is too small, or a standard error is declared that a combination of
                formulas has not.
        """
        if self.multi_product and config.estimator.target is not None:
            raise ConfigError(
                "is the standard error of each formula, not of their combination; declare estimator=level0 with "
                "estimator.default_shots, or experiment.multi_product=[]",
                key="estimator.target_stddev",
            )
        hamiltonian = config.hamiltonian.build()
        qubits = hamiltonian.num_qubits
        bits = self.initial_state or "0" * qubits
        if len(bits) != qubits:
            raise ConfigError(
                f"has {len(bits)} bits, the hamiltonian {qubits} qubits; make them equal",
                key="experiment.initial_state",
            )
        start = initial_product_state(bits)
        fit(start, backend, config)  # says whether the backend is large enough
        names = self.observables or ["mean_z", "energy"]
        observables = [self.observable(index, name, hamiltonian) for index, name in enumerate(names)]
        times = [self.total_time * moment / self.steps for moment in self.moments]
        exact = exact_values(hamiltonian, bits, observables, times) if qubits <= MAX_EXACT_QUBITS else None
        evolution = DeclaredEvolution(hamiltonian, bits, start, names, observables, exact)
        return replace(evolution, simulation=self.simulated(evolution, config, backend))

    def simulated(self, evolution: DeclaredEvolution, config: RunConfig, backend: Backend) -> str | None:
        """How the longest circuit is simulated, in words; None where a state is carried on, or that is not known here.

        Raises:
            ConfigError: it cannot be.
        """
        from qiskit import QuantumCircuit

        plain = backend.ideal and not config.backend.noisy
        if backend.planner is None or (plain and len(evolution.bits) <= MAX_EXACT_QUBITS):
            return None  # a state vector, which is compiled once
        multiple = max(self.multiples)
        step = replace(evolution, start=QuantumCircuit(evolution.start.num_qubits))
        repeated = fit(self.evolved(step, 1, multiple), backend, config)
        if backend.planner.moments(evolution.bits, repeated, evolution.observables) is not None:
            return None
        circuit = fit(self.evolved(evolution, self.moments[-1] * multiple, multiple), backend, config)
        plan = backend.planner.estimator_plan(circuit, in_layout(circuit, evolution.observables))
        exact = config.estimator.precision == 0
        plan.require(exact=exact)
        return plan.simulation(None if exact else config.estimator.options["default_shots"])

    def simulation(self, prepared: DeclaredEvolution) -> str | None:
        """As the backend says of the longest circuit."""
        return prepared.simulation

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

    def circuit_of(self, config: RunConfig, result: Values) -> QuantumCircuit:
        """That of the last moment.

        Raises:
            ConfigError: several formulas are combined, each of which has its own.
        """
        if self.multi_product:
            times = ", ".join(map(str, self.multi_product))
            raise ConfigError(
                f"the result combines circuits of {times} times the steps; take csv for the hamiltonian, or run one "
                "formula: experiment.multi_product=[]",
                key=FORMAT,
            )
        hamiltonian = self.hamiltonian_of(config, result)
        start = initial_product_state(self.initial_state or "0" * hamiltonian.num_qubits)
        return trotterized(start, hamiltonian, self.total_time, self.steps, self.order)

    def run(self, lab: Lab) -> Outcome:
        """One job per moment; one row with every observable, its exact value and the largest error."""
        import numpy as np

        evolution: DeclaredEvolution = lab.prepared
        stream = lab.stream("dynamics")
        coefficients = np.array(multi_product_coefficients(self.multiples, self.order))
        formulas = [self.carried_on(lab, evolution, multiple) for multiple in self.multiples]
        biases = None if lab.rehearsing or not self.multi_product else self.biases(evolution, coefficients)
        most = 0.0
        kind = EXACT if lab.config.estimator.precision == 0 else MEASURED
        for number, moment in enumerate(self.moments):
            weights = coefficients if moment else np.ones(1)  # nothing has evolved: no step to extrapolate in
            results = stream.estimate(*(pub(moment) for pub in formulas[: len(weights)]))
            parts = [result.data for result in results]
            values = weights @ np.array([data.evs for data in parts])
            stddevs = np.sqrt(weights**2 @ np.array([data.stds for data in parts]) ** 2)
            lost = [part.metadata.get("truncation", np.zeros(values.shape)) for part in results]
            bounds = abs(weights) @ np.array(lost)
            most = max(most, float(bounds.max()))
            row: dict[str, Any] = {"time": self.total_time * moment / self.steps, "steps": moment}
            for place, name in enumerate(evolution.names):
                row[name] = float(values[place])
                row[f"{name} stddev"] = float(stddevs[place])
                if worth(kind, float(stddevs[place]), float(bounds[place])) == TRUNCATED:
                    row[f"{name} truncation"] = float(bounds[place])
                if evolution.exact is not None:
                    row[f"{name} exact"] = float(evolution.exact[number, place])
            if evolution.exact is not None:
                row["error"] = float(abs(values - evolution.exact[number]).max())
            if biases is not None:
                row["bias"] = float(abs(biases[number]).max())
            lab.row(**row)
        return Outcome(
            energy=None,
            truncation=most,
            stop_reason=f"{counted(self.steps, 'step')} of order {self.order}"
            + self.in_words(coefficients, known=biases is not None),
            table=lab.table,
        )

    def in_words(self, coefficients: np.ndarray, *, known: bool) -> str:
        """What is combined, and by how much that can enlarge an error of every formula; empty where nothing is.

        Args:
            coefficients: of the formulas.
            known: whether rows have what the combination leaves of their errors.
        """
        if not self.multi_product:
            return ""
        times = ", ".join(map(str, self.multi_product))
        left = (
            ""
            if known
            else "; how far the combination is off nobody knows here, and stddev does not count it"
        )
        return f", those times {times} combined; condition number {abs(coefficients).sum():.3g}{left}"

    def biases(self, evolution: DeclaredEvolution, coefficients: np.ndarray) -> np.ndarray | None:
        """What the combination leaves of the formulas' errors, without noise: shape (times, observables).

        None where the system is too large.
        """
        import numpy as np

        if evolution.exact is None:
            return None
        combined: np.ndarray = sum(
            coefficient * self.trotter_values(evolution, multiple)
            for coefficient, multiple in zip(coefficients, self.multiples, strict=True)
        )
        return np.asarray(combined - evolution.exact)

    def trotter_values(self, evolution: DeclaredEvolution, multiple: int) -> np.ndarray:
        """⟨O⟩ by one formula on a state vector, shape (times, observables)."""
        import numpy as np
        from qiskit import QuantumCircuit

        step = replace(evolution, start=QuantumCircuit(evolution.start.num_qubits))
        kernel = engine.StateVectorKernel(
            self.evolved(step, 1, multiple).decompose(reps=2), [], from_zero=False
        )
        matrices = [observable.to_matrix(sparse=True) for observable in evolution.observables]
        state = kernel.basis_state(int(evolution.bits, 2))
        values = []
        for before, moment in pairwise([0, *self.moments]):
            if moment > before:
                kernel.carry_on(state, (moment - before) * multiple)
            parts = state.reshape(2, -1)[
                :, : matrices[0].shape[0]
            ]  # small systems have idle qubits behind theirs
            psi = parts[0] + 1j * parts[1]
            values.append([np.vdot(psi, matrix @ psi).real for matrix in matrices])
        return np.array(values)

    def carried_on(
        self, lab: Lab, evolution: DeclaredEvolution, multiple: int = 1
    ) -> Callable[[int], tuple[Any, ...]]:
        """What gives the PUB after so many steps: the last state carried on, where that can be, or all of them.

        Args:
            lab: where it is run.
            evolution: what `prepare` gave.
            multiple: how many steps are taken for each of the declared ones.
        """
        from qiskit import QuantumCircuit

        step = replace(evolution, start=QuantumCircuit(evolution.start.num_qubits))
        circuit = lab.fit(self.evolved(step, 1, multiple))
        moments = lab.moments(evolution.bits, circuit, evolution.observables)
        if moments is not None:
            return lambda steps: (circuit, moments(steps * multiple))

        def from_start(steps: int) -> tuple[Any, ...]:
            circuit = lab.fit(self.evolved(evolution, steps * multiple, multiple))
            return circuit, in_layout(circuit, evolution.observables)

        return from_start

    def evolved(self, evolution: DeclaredEvolution, steps: int, multiple: int = 1) -> QuantumCircuit:
        """The initial state after this many Trotter steps, of which `multiple` are one of the declared."""
        time = self.total_time * steps / (self.steps * multiple)
        return trotterized(evolution.start, evolution.hamiltonian, time, steps, self.order)


def initial_product_state(bits: str) -> QuantumCircuit:
    """Prepares it; qubit 0 is last."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(len(bits))
    for qubit, bit in enumerate(reversed(bits)):
        if bit == "1":
            circuit.x(qubit)
    return circuit


def in_layout(circuit: QuantumCircuit, observables: Sequence[SparsePauliOp]) -> list[SparsePauliOp]:
    """Observables on the qubits that a circuit was laid out on."""
    layout = circuit.layout
    return [observable.apply_layout(layout) if layout else observable for observable in observables]


def multi_product_coefficients(multiples: Sequence[int], order: int) -> list[float]:
    """Coefficients c_j of expectation values by formulas with k_j times the steps: Σ c_j = 1, leading errors cancel.

    Errors are a series in the step: powers 1, 2, 3 … for order 1 and χ, χ + 2, χ + 4 … for the symmetric formulas of
    order χ, so that Σ c_j k_j^(−p) = 0 for the first of them (Carrera Vazquez et al., Quantum 7, 1067 (2023)). Solved
    in fractions.

    Args:
        multiples: k_j, all different.
        order: of the formula, 1, 2 or 4.
    """
    size, pace = len(multiples), 1 if order == 1 else 2
    powers = [0, *(order + pace * index for index in range(size - 1))]
    rows = [[Fraction(1, multiple**power) for multiple in multiples] for power in powers]
    right = [Fraction(int(power == 0)) for power in powers]
    for pivot in range(size):  # positive, different numbers: no pivot vanishes
        for row in range(size):
            if row != pivot:
                factor = rows[row][pivot] / rows[pivot][pivot]
                rows[row] = [own - factor * other for own, other in zip(rows[row], rows[pivot], strict=True)]
                right[row] -= factor * right[pivot]
    return [float(right[place] / rows[place][place]) for place in range(size)]


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
    """⟨O⟩ in exp(−iHt)|bits⟩, shape (times, observables); the times are equally spaced from 0, up to the last one."""
    import numpy as np
    from scipy.sparse.linalg import expm_multiply

    state = np.zeros(2**hamiltonian.num_qubits, dtype=complex)
    state[int(bits, 2)] = 1
    states = [state]
    generator = -1j * hamiltonian.to_matrix(sparse=True)
    # a shorter way to the last time is taken by itself
    even = len(times) - (len(times) > 2 and not math.isclose(times[-1] - times[-2], times[1], rel_tol=1e-9))
    if even > 1:
        states = list(expm_multiply(generator, state, start=0, stop=times[even - 1], num=even))
    if even < len(times):
        states.append(expm_multiply((times[-1] - times[-2]) * generator, states[-1]))
    matrices = [observable.to_matrix(sparse=True) for observable in observables]
    return np.array([[np.vdot(psi, matrix @ psi).real for matrix in matrices] for psi in states])
