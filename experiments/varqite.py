"""Variational imaginary time: the ansatz follows exp(−Hτ) by McLachlan's principle (McArdle et al. 2019)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runner import engine
from runner.declare.checks import require_integer, require_positive
from runner.display.words import clock
from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.scale import largest
from runner.run.answer import EXACT, MEASURED
from runner.run.experiment import Experiment
from runner.run.overlap import MAX_PROJECTED_QUBITS
from runner.run.problem import MAX_EXACT_QUBITS, chosen_gradient
from runner.run.results import Outcome
from runner.run.tangent import MeasuredMetric, Tangents, rotations, velocity

if TYPE_CHECKING:
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.optimizer import OptimizerConfig
    from runner.run.context import Lab
    from runner.run.gradient import ParameterShift
    from runner.run.objective import JobStream, Objective
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

METHODS = {"euler": 1, "rk4": 4}
"""Gradients that a step takes."""
METRICS = ("auto", "state_vector", "measured")
MAX_STEPS = 10_000
ERROR_BARS = 3
"""Standard errors by which an energy has to rise before it counts as rising …"""
ROUNDING = 1e-9
"""… and in addition this, of the largest coefficient and the energy."""
LEAST, LEAST_MEASURED = 1e-6, 1e-2
"""Regularization where none is declared, of exact and of sampled tensors."""


@dataclass(frozen=True)
class ImaginaryFlow:
    """What the motion is computed from."""

    shift: ParameterShift
    """The ansatz in rotations."""
    metric: str
    """state_vector | measured."""
    regularization: float
    """Added to the tensor's eigenvalues."""


@dataclass(kw_only=True)
class Varqite(Experiment):
    """(A + λ) dθ/dτ = −½ ∂E/∂θ, A being the geometric tensor; `optimizer` does not matter."""

    name: str = "varqite"
    """Name of the experiment."""
    total_time: float = 5.0
    """Last imaginary time τ, in 1/unit of the Hamiltonian."""
    steps: int = 25
    """Steps of equal length to it."""
    method: str = "rk4"
    """How a step is made: euler (one gradient and tensor) | rk4 (four)."""
    metric: str = "auto"
    """Where the geometric tensor is from: state_vector (computed here; exact estimator, ideal backend) | measured
    (fidelities of states with shifted angles, one job for each) | auto: the first that is possible."""
    regularization: float | None = None
    """λ above; null: 1e-6, or 0.01 where the tensor is sampled."""
    longest: float = 24.0
    """Hours of tensors by state vectors on this computer, by estimate, above which a run is refused."""

    states_jump: ClassVar[bool] = True
    ignores: ClassVar[tuple[str, ...]] = ("optimizer", "gradient")

    def __post_init__(self) -> None:
        require_positive("experiment.total_time", self.total_time)
        require_integer("experiment.steps", self.steps, 1, MAX_STEPS)
        for key, value, choices in (("method", self.method, METHODS), ("metric", self.metric, METRICS)):
            if value not in choices:
                words = f"{', '.join(list(choices)[:-1])} or {list(choices)[-1]}"
                raise ConfigError(f"must be {words}, got {value!r}; choose one", key=f"experiment.{key}")
        if self.regularization is not None:
            require_positive("experiment.regularization", self.regularization)
        require_positive("experiment.longest", self.longest)

    def optimizers_of(self, config: RunConfig) -> Sequence[OptimizerConfig]:  # noqa: ARG002
        """None."""
        return ()

    def most_evaluations(self, config: RunConfig, problem: Problem | None) -> int:  # noqa: ARG002
        """One for each gradient, and the last energy."""
        return self.steps * METHODS[self.method] + 1

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> ImaginaryFlow:
        """How the tensor is had.

        Raises:
            ConfigError: the ansatz is not unitary or has no rotations, or no gradient or tensor can be had as declared.
        """
        assert problem is not None
        if words := engine.classify(problem.ansatz).in_words:
            raise ConfigError(f"{words}, and the tensor needs a unitary circuit; take another", key="ansatz")
        chosen_gradient("auto", config, backend, (problem.circuit, problem.observable))
        exact, qubits = config.estimator.precision == 0, problem.ansatz.num_qubits
        obstacle = None
        if not exact:
            obstacle = "needs estimator=exact"
        elif not follows_a_state(backend, problem):
            obstacle = "needs exact values of one state vector, as backend=ideal gives them"
        elif qubits > MAX_EXACT_QUBITS:
            obstacle = f"has at most {MAX_EXACT_QUBITS} qubits, got {qubits}"
        if self.metric == "state_vector" and obstacle is not None:
            raise ConfigError(f"state_vector {obstacle}; or take measured", key="experiment.metric")
        measured = self.metric == "measured" or obstacle is not None
        if measured and exact and qubits > MAX_PROJECTED_QUBITS:
            raise ConfigError(
                f"fidelities are exact on at most {MAX_PROJECTED_QUBITS} qubits, got {qubits}; make it smaller, "
                "or use estimator=shots",
                key="experiment.metric",
            )
        least = LEAST if exact else LEAST_MEASURED
        shift = rotations(problem.ansatz)
        if not measured:
            self.check_size(Tangents(shift))
        return ImaginaryFlow(
            shift=shift,
            metric="measured" if measured else "state_vector",
            regularization=least if self.regularization is None else self.regularization,
        )

    def check_size(self, tangents: Tangents) -> None:
        """Refuse tensors that take too much memory or time.

        Raises:
            ConfigError: they would, by estimate.
        """
        tangents.require()
        needed = tangents.seconds * self.steps * METHODS[self.method]
        if needed > 3600 * self.longest:
            raise ConfigError(
                f"so many steps take about {clock(needed)} here by estimate, and experiment.longest is "
                f"{self.longest:g} h; lower them, take fewer parameters, or raise that",
                key="experiment.steps",
            )

    def run(self, lab: Lab) -> Outcome:
        """One row per step: energy, and where a state vector can tell, the exact path's energy and the fidelity."""
        flow, problem = lab.prepared, lab.problem
        stream = lab.stream("varqite")
        objective = lab.objective(stream, sloped=True)
        stream.pursue(objective)
        tangents = Tangents(flow.shift)
        metric = tangents.metric
        if flow.metric == "measured":
            metric = MeasuredMetric.of(flow.shift, lab, stream).metric
        exact = None
        if not lab.rehearsing and problem.ansatz.num_qubits <= MAX_EXACT_QUBITS:
            exact = ImaginaryTime.of(problem.hamiltonian, tangents.at(problem.initial_point)[0])
        motion = Motion(objective, metric, flow.regularization, rehearsing=lab.rehearsing)
        parameters, step = problem.initial_point, self.total_time / self.steps
        descent = Descent(self, largest(problem.hamiltonian))
        for number in range(self.steps + 1):
            here = parameters
            if number < self.steps:
                energy, stddev, parameters = motion.advanced(here, step, METHODS[self.method])
            else:
                energy, stddev = objective(here), stream.stddev
            if not lab.rehearsing:
                descent.follow(number * step, energy, stddev)
            row: dict[str, Any] = {"imaginary_time": number * step, "energy": energy}
            if lab.config.estimator.precision != 0:
                row["stddev"] = stddev
            if exact is not None:
                row |= exact.compared(tangents.at(here)[0], energy)
                exact.advance(step)
            lab.row(**row)
            if number < self.steps:
                stream.iteration({"energy": energy, "imaginary_time": number * step})
        return self.outcome(lab, stream, energy, here, descent)

    def outcome(
        self, lab: Lab, stream: JobStream, energy: float, parameters: np.ndarray, descent: Descent
    ) -> Outcome:
        """The last energy: its shots had no part in what led there.

        Args:
            lab: where it was run.
            stream: of its jobs.
            energy: the last one.
            parameters: where that is, (P,).
            descent: of the energies.
        """
        flow, problem = lab.prepared, lab.problem
        sampled = lab.config.estimator.precision != 0
        found: dict[str, Any] = {"energy_kind": EXACT}
        if sampled:
            here = lab.exact_energy(problem.circuit, problem.observable, parameters.tolist())
            found = {"energy_kind": MEASURED, "stddev": stream.stddev, **here.facts}
        return Outcome(
            energy=energy,
            **found,
            parameters=parameters.tolist(),
            reference_energy=problem.reference_energy,
            reference_note=problem.reference_note,
            outside_sector=problem.outside(parameters),
            evaluations=stream.evaluations,
            iterations=stream.iterations,
            stop_reason=f"{self.steps} {self.method} steps to τ = {self.total_time:g}; tensor: "
            f"{flow.metric.replace('_', ' ')}, regularization {flow.regularization:g}" + descent.in_words(),
            table=lab.table,
        )


@dataclass
class Descent:
    """Whether the energy falls, as it does along exp(−Hτ) and along every path of short steps."""

    experiment: Varqite
    """Whose steps they are."""
    size: float
    """Largest coefficient of the Hamiltonian but for the identity's."""
    rises: int = 0
    """Steps by which it rose by more than its error bars and rounding."""
    last: tuple[float, float] | None = None
    """Energy and standard error a step before."""
    still: bool = False
    """Exact energies did not change by more than rounding before the first rise."""

    def follow(self, time: float, energy: float, stddev: float) -> None:
        """Take note of an energy, and warn at the first rise.

        Args:
            time: τ of it.
            energy: in the Hamiltonian's unit.
            stddev: its standard error; 0 where it is exact.
        """
        before, self.last = self.last, (energy, stddev)
        rounding = ROUNDING * (self.size + abs(energy))
        if before is not None and not self.rises and stddev == 0:
            self.still = self.still or abs(energy - before[0]) <= rounding
        if before is None or energy - before[0] <= ERROR_BARS * math.hypot(stddev, before[1]) + rounding:
            return
        self.rises += 1
        if self.rises == 1:
            warnings.warn(
                f"experiment.steps: the energy rose by {energy - before[0]:.2g} up to τ = {time:g}, which imaginary "
                f"time never does: {self.cause}; {self.cure}",
                ConfigWarning,
                stacklevel=2,
            )

    @property
    def cause(self) -> str:
        """Why it rose, in words."""
        if self.still:
            return "it stood still before, and rounding, divided by λ, led away from there"
        return "the step is too long, or noise leads astray"

    @property
    def cure(self) -> str:
        """What to type for shorter or better steps, or for a start that moves."""
        if self.still:
            return "type ansatz.initial=random"
        method = "" if self.experiment.method == "rk4" else " or experiment.method=rk4"
        return f"type experiment.steps={2 * self.experiment.steps}{method}"

    def in_words(self) -> str:
        """In how many steps it rose, and what to type; empty where it fell."""
        return f"; the energy rose in {self.rises} of them: {self.cure}" if self.rises else ""


def follows_a_state(backend: Backend, problem: Problem) -> bool:
    """Whether exact values are those of one state vector, and of no noise."""
    planner = backend.planner
    plan = None if planner is None else planner.estimator_plan(problem.circuit, problem.observable)
    return plan is not None and plan.exact_method == "statevector"


@dataclass(frozen=True)
class Motion:
    """θ̇ = −½ (A + λ)⁻¹ ∂E/∂θ."""

    objective: Objective
    """The energy, with its gradient."""
    metric: Callable[[np.ndarray], np.ndarray]
    """A at parameters of shape (P,)."""
    regularization: float
    """λ."""
    rehearsing: bool
    """Numbers are made up: only what jobs are submitted counts."""

    def at(self, parameters: np.ndarray) -> tuple[float, float, np.ndarray]:
        """Energy, its standard error, and θ̇, shape (P,)."""
        slope = self.objective.value_and_gradient
        assert slope is not None
        energy, gradient, _ = slope(parameters)
        stddev = self.objective.stream.stddev
        tensor = self.metric(parameters)
        if self.rehearsing:
            return energy, stddev, 0 * parameters
        return energy, stddev, velocity(tensor, -gradient / 2, self.regularization)

    def advanced(self, start: np.ndarray, step: float, stages: int) -> tuple[float, float, np.ndarray]:
        """Energy and standard error at the start, and the parameters a step later.

        Args:
            start: shape (P,).
            step: in imaginary time.
            stages: 1 (Euler) or 4 (the classical Runge–Kutta method).
        """
        energy, stddev, first = self.at(start)
        if stages == 1:
            return energy, stddev, start + step * first
        second = self.at(start + step / 2 * first)[2]
        third = self.at(start + step / 2 * second)[2]
        fourth = self.at(start + step * third)[2]
        return energy, stddev, start + step / 6 * (first + 2 * second + 2 * third + fourth)


@dataclass
class ImaginaryTime:
    """exp(−Hτ)|ψ⟩, normalized."""

    matrix: Any
    """H, sparse."""
    state: np.ndarray
    """Shape (2ⁿ,)."""

    @classmethod
    def of(cls, hamiltonian: SparsePauliOp, state: np.ndarray) -> ImaginaryTime:
        """At τ = 0."""
        return cls(hamiltonian.to_matrix(sparse=True).tocsr(), state)

    def advance(self, step: float) -> None:
        """Be as much later."""
        import numpy as np
        from scipy.sparse import identity
        from scipy.sparse.linalg import expm_multiply

        shifted = self.matrix - self._energy() * identity(len(self.state), format="csr")  # no overflow
        later = expm_multiply(-step * shifted, self.state)
        self.state = later / np.linalg.norm(later)

    def compared(self, state: np.ndarray, energy: float) -> dict[str, float]:
        """Its energy, how far another is above it, and |⟨·|·⟩|² with a state of shape (2ⁿ,)."""
        import numpy as np

        own = self._energy()
        return {"exact": own, "error": energy - own, "fidelity": float(abs(np.vdot(self.state, state)) ** 2)}

    def _energy(self) -> float:
        import numpy as np

        return float(np.vdot(self.state, self.matrix @ self.state).real)
