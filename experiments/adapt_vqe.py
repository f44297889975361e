"""ADAPT-VQE: the ansatz grows by the excitation that lowers the energy most (Grimsley et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from runner.ansatz.excitations import evolved, excitation_pool
from runner.declare.checks import require_choice, require_integer, require_positive
from runner.errors import ConfigError
from runner.hamiltonian.sector import sector_of
from runner.optimizer import StopOptimization
from runner.run.answer import EXACT, MEASURED, PICK, Answer
from runner.run.experiment import Experiment, FirstJob, finished_first, zeros
from runner.run.objective import Objective, Term
from runner.run.problem import Reference, fit
from runner.run.results import Outcome
from runner.run.suitability import check_optimizer, most_evaluations

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.declare.plain import Values
    from runner.run.context import Lab
    from runner.run.objective import JobStream
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

POOLS = ("s", "d", "sd", "pairs")

UNCHANGED = "no operator was added, so this is the energy of the reference state"
"""Said where the run came to its end before the first one was worth more."""

USUAL_SHARE, USUAL_THRESHOLD = 0.33, 1e-2
"""Share of the pool that joins down to the threshold; 10 of 26 for H4, 7 of 24 LiH, 10 of 26 BeH2, 5 of 26 H2O."""


@dataclass(frozen=True)
class OperatorPool:
    """What the ansatz may grow by."""

    hamiltonian: SparsePauliOp
    """The observable on logical qubits."""
    generators: dict[str, SparsePauliOp]
    """Label → Hermitian G; the ansatz grows by exp(−iθG)."""
    reference: Reference
    """Exact energy of the Hamiltonian's electrons, where it is known."""


@dataclass(kw_only=True)
class AdaptVqe(Experiment):
    """Chooses from all excitations of the Hartree–Fock state, one per step; `ansatz` does not matter."""

    name: str = "adapt_vqe"
    """Name of the experiment."""
    pool: str = "sd"
    """Excitations to choose from: s (singles) | d (doubles) | sd | pairs."""
    max_operators: int = 30
    """Most operators the ansatz may have."""
    threshold: float = 1e-3
    """Stop when no gradient of the pool is larger than this, in the Hamiltonian's unit per radian."""

    needs_problem: ClassVar[bool] = False
    ignores: ClassVar[tuple[str, ...]] = ("ansatz",)

    def __post_init__(self) -> None:
        require_choice("experiment.pool", self.pool, POOLS)
        require_integer("experiment.max_operators", self.max_operators, 1, 1000)
        require_positive("experiment.threshold", self.threshold)

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> OperatorPool:  # noqa: ARG002
        """The pool.

        Raises:
            ConfigError: the Hamiltonian is not one of electrons, or the optimizer does not fit excitations.
        """
        hamiltonian = config.hamiltonian.build()
        generators = excitation_pool(hamiltonian, self.pool)
        if not generators:
            raise ConfigError(
                f"{self.pool} has no excitation for this molecule; use sd", key="experiment.pool"
            )
        fit(evolved(hamiltonian, []), backend, config)  # says whether the backend is large enough
        if fixed := config.optimizer.per_parameter:
            raise ConfigError(
                "holds numbers for each parameter, and this ansatz grows; set it to null",
                key=f"optimizer.{fixed[0]}",
            )
        check_optimizer(config.optimizer, config, evolved(hamiltonian, list(generators.values())))
        return OperatorPool(hamiltonian, generators, Reference.of(config.hamiltonian, hamiltonian))

    def magnitude(self, prepared: OperatorPool, problem: Problem | None) -> float:  # noqa: ARG002
        """The Hamiltonian's."""
        return float(abs(prepared.hamiltonian.coeffs).sum())

    def most_evaluations(self, config: RunConfig, problem: Problem | None) -> int | None:  # noqa: ARG002
        """Those after every operator."""
        return most_evaluations(config, times=self.max_operators)

    def usual(self, prepared: OperatorPool) -> AdaptVqe:
        """Grown by a third of the pool at a threshold of 0.01, by more where it is lower; then no gradient is left."""
        share = min(1.0, USUAL_SHARE * (USUAL_THRESHOLD / self.threshold) ** 0.15)
        enough = max(1, round(share * len(prepared.generators)))
        declared = {item.name: getattr(self, item.name) for item in fields(self)}
        return _GrownAdaptVqe(**declared, enough=enough)

    def first_job(self, config: RunConfig, prepared: OperatorPool, backend: Backend) -> FirstJob:
        """The gradients of all operators."""
        circuit = fit(self.grown(prepared, list(prepared.generators)), backend, config)
        observable = _placed(prepared.hamiltonian, circuit)
        sets = (
            1
            if backend.planner is None
            else backend.planner.estimator_plan(circuit, observable).gradient_sets
        )
        return FirstJob(what="the gradients of the pool", pubs=zeros(circuit, observable), points=sets)

    def circuit_of(self, config: RunConfig, result: Values) -> QuantumCircuit:
        """As far as it had grown where the energy was measured, with an angle for each operator.

        Raises:
            ConfigError: it has not yet, or there are other operators in the result than in the pool.
        """
        if "table" not in result:
            raise finished_first()
        hamiltonian = self.hamiltonian_of(config, result)
        generators = excitation_pool(hamiltonian, self.pool)
        measured = len(result.get("parameters", []))  # what came later was not any more
        chosen = [str(row.get("added")) for row in result["table"][:measured]]
        if not generators.keys() >= set(chosen):
            raise ConfigError("result.json has operators that are not in the pool; restore it", key="export")
        return evolved(hamiltonian, [generators[label] for label in chosen])

    def run(self, lab: Lab) -> Outcome:
        """Grow, minimize from where the last minimum was, and look at the pool's gradients again."""
        import numpy as np

        pool: OperatorPool = lab.prepared
        stream, scout = lab.stream("adapt"), lab.scout()
        labels = list(pool.generators)
        chosen: list[str] = []
        point = np.zeros(0)
        answer = Answer()
        message, resumable = f"{self.max_operators} operators", False
        while len(chosen) < self.max_operators and not resumable:
            try:
                gradients = self.gradients(lab, scout, pool, chosen, point)
            except StopOptimization as stop:
                message, resumable = stop.reason, stop.resumable
                break
            strongest = int(np.argmax(np.abs(gradients)))
            if abs(gradients[strongest]) < self.threshold:
                message = f"largest gradient {abs(gradients[strongest]):.2g}"
                break
            chosen.append(labels[strongest])
            objective = lab.objective(stream, self.term(lab, pool, chosen))
            found = lab.minimize(
                stream,
                lab.config.optimizer,
                energy=objective,
                start=np.append(point, 0.0),
                circuit=self.grown(pool, chosen),
            )
            (grown,) = lab.settle(stream)
            point, resumable = np.asarray(grown.parameters), grown.resumable(found)
            if resumable:
                message = grown.stop_reason(found)
            if not resumable or grown.kind != PICK:  # else what was measured before is worth more
                answer = grown
            exact = pool.reference.energy
            lab.row(
                operators=len(chosen), added=chosen[-1], gradient=float(abs(gradients[strongest])),
                **grown.row(), exact=exact, error=grown.error(exact),
                evaluations=stream.evaluations,
            )  # fmt: skip
        if not math.isfinite(answer.energy) and scout.evaluations:
            answer, message = self.unchanged(lab, scout, pool), f"{message}; {UNCHANGED}"
        return Outcome(
            **answer.outcome(),
            reference_energy=pool.reference.energy,
            reference_note=pool.reference.note,
            outside_sector=None if sector_of(pool.hamiltonian) is None else 0.0,  # as excitations are
            evaluations=stream.evaluations,
            iterations=stream.iterations,
            stop_reason=message,
            resumable=resumable,
            table=lab.table,
        )

    def unchanged(self, lab: Lab, scout: JobStream, pool: OperatorPool) -> Answer:
        """The energy of the state that nothing has been added to, which the job of its gradients told as well."""
        candidates = self.term(lab, pool, list(pool.generators))  # its noise is that of all their gates
        exact = lab.exact_energy(candidates.circuit, candidates.observable, [0.0] * len(pool.generators))
        return Answer(
            energy=scout.best.energy,
            stddev=scout.best.stddev,
            kind=EXACT if lab.config.estimator.precision == 0 else MEASURED,
            truncation=lab.left_out.error(scout.name),
            **exact.facts,
        )

    def grown(self, pool: OperatorPool, chosen: list[str]) -> QuantumCircuit:
        """The ansatz of the operators chosen so far."""
        return evolved(pool.hamiltonian, [pool.generators[label] for label in chosen])

    def term(self, lab: Lab, pool: OperatorPool, chosen: list[str]) -> Term:
        """The energy in that ansatz."""
        circuit = lab.fit(self.grown(pool, chosen))
        return Term(circuit, _placed(pool.hamiltonian, circuit))

    def gradients(
        self, lab: Lab, scout: JobStream, pool: OperatorPool, chosen: list[str], point: np.ndarray
    ) -> np.ndarray:
        """∂E/∂θ of every operator of the pool appended to the ansatz at θ = 0, as one job.

        All are appended at once: at zero angles those before an operator do nothing.
        """
        import numpy as np

        candidates = self.term(lab, pool, [*chosen, *pool.generators])
        method = "adjoint" if lab.config.gradient == "adjoint" else "parameter_shift"
        slope = Objective(scout, candidates, gradient=method).value_and_gradient
        assert slope is not None
        return slope(np.append(point, np.zeros(len(pool.generators))))[1][len(point) :]


@dataclass(kw_only=True)
class _GrownAdaptVqe(AdaptVqe):
    """One that finds no gradient any more once it has so many operators; for forecasts."""

    enough: int

    def gradients(
        self, lab: Lab, scout: JobStream, pool: OperatorPool, chosen: list[str], point: np.ndarray
    ) -> np.ndarray:
        """Those of the pool, by the same job, until it has grown enough."""
        found = super().gradients(lab, scout, pool, chosen, point)
        return found if len(chosen) < self.enough else 0 * found


def _placed(observable: SparsePauliOp, circuit: Any) -> Any:
    return observable.apply_layout(circuit.layout) if circuit.layout else observable
