"""What every algorithm is: a few settings, what it gets ready before the session opens, and its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runner.errors import ConfigError
from runner.run.suitability import check_optimizer

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.declare.plain import Values
    from runner.optimizer import OptimizerConfig
    from runner.run.context import Lab
    from runner.run.problem import Problem
    from runner.run.results import Outcome
    from runner.services.protocol import Backend, CompiledPlan

    KnownPub = tuple[QuantumCircuit, Any, np.ndarray]


FORMAT = "--format"
"""What is typed to export a part of a result."""


def finished_first() -> ConfigError:
    """That there is nothing to export before there is a result."""
    return ConfigError("the run has no result yet; resume it first", key="export")


@dataclass(frozen=True, kw_only=True)
class FirstJob:
    """What a run has to be able to pay for, or it comes to nothing."""

    what: str
    """In a few words."""
    pubs: Callable[[int], Sequence[tuple[object, ...]]]
    """Number of parameter sets → the PUBs of a job of so many."""
    points: int = 1
    """Parameter sets of the first one."""
    program: str = "estimator"
    """estimator | sampler."""
    shots: int | None = None
    """Of the Sampler's circuits; None: as the estimator has it."""
    measured: bool = False
    """Whether what comes of it is measured afresh afterwards, by a job that chooses and one that reports."""

    @staticmethod
    def of_minimizing(
        config: RunConfig, backend: Backend, circuit: QuantumCircuit, observable: object
    ) -> FirstJob:
        """The energy or gradient that a minimization begins with, and measuring its result where shots are drawn."""
        points = 1
        if config.optimizer.uses_gradient and backend.planner is not None:
            points = sets_of_a_gradient(config, backend.planner.estimator_plan(circuit, observable))
        return FirstJob(
            what="one gradient" if points > 1 else "one energy",
            pubs=zeros(circuit, observable),
            points=points,
            measured=config.estimator.precision != 0,
        )

    @staticmethod
    def samples(circuit: QuantumCircuit | None, shots: int | None) -> FirstJob | None:
        """One that draws from a circuit without parameters; None where there is none."""
        if circuit is None:
            return None
        return FirstJob(what="a job of samples", pubs=lambda _: [(circuit,)], program="sampler", shots=shots)


def zeros(circuit: QuantumCircuit, *observable: object) -> Callable[[int], list[tuple[object, ...]]]:
    """Number of parameter sets → the PUB of a circuit, and of an observable in its layout, at so many."""

    def pubs(points: int) -> list[tuple[object, ...]]:
        import numpy as np

        return [(circuit, *observable, np.zeros((points, circuit.num_parameters)))]

    return pubs


def sets_of_a_gradient(config: RunConfig, plan: CompiledPlan) -> int:
    """Parameter sets of a job that tells a gradient as declared."""
    other = {"spsa": 3, "none": 2 * plan.num_parameters + 1}
    return other.get(config.gradient, plan.gradient_sets)


@dataclass(kw_only=True)
class Experiment:
    """Base of everything in experiments/ and of experiments that plug-ins add."""

    name: str
    """Name of the experiment."""

    needs_problem: ClassVar[bool] = True
    """Build `lab.problem` from the declared hamiltonian and ansatz."""
    names_choices: ClassVar[Mapping[str, str]] = {}
    """Setting that lists choices → the config group they are of; each is a name, or {name: {setting: value}}."""
    only_samples: ClassVar[bool] = False
    """It draws bitstrings and estimates no expectation value."""
    states_jump: ClassVar[bool] = False
    """Its jobs measure one observable in different states, not in one that an optimizer moves a little."""

    ignores: ClassVar[tuple[str, ...]] = ()
    """Parts of the configuration that change nothing in it: refused where they are typed."""

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> Any:  # noqa: ARG002
        """Check what can be checked and build what the run needs; given back by `lab.prepared`.

        Called before anything is created, so that what does not fit is told in one line. As it is here, the declared
        optimizer is checked against the problem's circuit, and nothing is prepared.

        Raises:
            ConfigError: the parts of the declaration do not fit together.
        """
        if problem is not None:
            check_optimizer(config.optimizer, config, problem.circuit)
        return None

    @property
    def decouples(self) -> bool:
        """Whether its own settings put sequences of gates into waits of the circuits that it samples."""
        return False

    @property
    def corrects(self) -> bool:
        """Whether its own settings correct misread bitstrings."""
        return False

    @property
    def sampler_options(self) -> Values:
        """Options of its Sampler jobs in the client's names, beside shots."""
        return {}

    def sampled_circuit(self, prepared: Any) -> QuantumCircuit | None:  # noqa: ARG002
        """The measured ISA circuit that its Sampler jobs draw from, where there is one.

        Args:
            prepared: what `prepare` gave.
        """
        return None

    def simulation(self, prepared: Any) -> str | None:  # noqa: ARG002
        """How its circuits are simulated, and why, in words; None where there is nothing to tell beforehand.

        Args:
            prepared: what `prepare` gave.
        """
        return None

    def known(self, config: RunConfig, prepared: Any, problem: Problem | None) -> KnownPub | None:  # noqa: ARG002
        """Circuit, observables and parameters of the first Estimator job, where they are known before it; else None.

        Args:
            config: the declaration.
            prepared: what `prepare` gave.
            problem: what was declared.
        """
        if problem is None or not self.optimizers_of(config):
            return None
        return problem.circuit, problem.observable, problem.initial_point

    def first_job(self, config: RunConfig, prepared: Any, backend: Backend) -> FirstJob | None:  # noqa: ARG002
        """What a budget has to be enough for, where that is not one point of the problem's energy; None: not known.

        Args:
            config: the declaration.
            prepared: what `prepare` gave.
            backend: what it is carried out on.
        """
        return None

    @property
    def own_shots(self) -> int | None:
        """Shots of its circuits where its own settings say how many; None: as the estimator has it."""
        return None

    def checked_mitigation(self, declared: Values) -> Values:
        """What of the declared options against errors acts in every job, and is checked before anything is created."""
        return declared

    def mitigates(self, prepared: Any) -> str | None:  # noqa: ARG002
        """What its jobs do against errors, in words, where each does something else; None: what the estimator declares.

        Args:
            prepared: what `prepare` gave.
        """
        return None

    def optimizers_of(self, config: RunConfig) -> Sequence[OptimizerConfig]:
        """The optimizers that will follow the problem's energy, to be checked against its gradient beforehand."""
        return [config.optimizer]

    def most_evaluations(self, config: RunConfig, problem: Problem | None) -> int | None:  # noqa: ARG002
        """Energies that a run evaluates at most; None where that is not known, and nothing is told of it."""
        return None

    def usual(self, prepared: Any) -> Experiment:  # noqa: ARG002
        """The same with its limits put to where its own criterion usually ends it; for forecasts.

        Args:
            prepared: what `prepare` gave.
        """
        return self

    def energy_unit(self, config: RunConfig) -> str | None:
        """What its energies are in: the unit of the declared Hamiltonian; None where they are in none, or in several.

        Args:
            config: the declaration.
        """
        return None if "hamiltonian" in self.ignores else config.hamiltonian.energy_unit

    def quantity(self, prepared: Any, problem: Problem | None) -> str | None:  # noqa: ARG002
        """What it evaluates, by the name that axes and metrics call it by; None where it evaluates nothing.

        Args:
            prepared: what `prepare` gave.
            problem: the declared one, if it needs one.
        """
        return "energy"

    def magnitude(self, prepared: Any, problem: Problem | None) -> float | None:  # noqa: ARG002
        """The smallest sum of |coefficients| of what it measures, in its unit; None where it does not say.

        Args:
            prepared: what `prepare` gave.
            problem: the declared one, if it needs one.
        """
        return None if problem is None else float(abs(problem.hamiltonian.coeffs).sum())

    def seconds_afterwards(self, prepared: Any) -> float:  # noqa: ARG002
        """What is computed here from the results of its jobs takes so many seconds at most, by estimate.

        Args:
            prepared: what `prepare` gave.
        """
        return 0.0

    def run(self, lab: Lab) -> Outcome:
        """The algorithm."""
        raise NotImplementedError

    def hamiltonian_of(self, config: RunConfig, result: Values) -> SparsePauliOp:
        """The Hamiltonian that a result is of, to be exported.

        Args:
            config: the declaration.
            result: the content of result.json; empty where there is none yet.

        Raises:
            ConfigError: it is of none, or there is none yet.
        """
        del result
        if "hamiltonian" in self.ignores:
            raise ConfigError(f"{self.name} has no hamiltonian; what it found is in result.json", key=FORMAT)
        return config.hamiltonian.build()

    def circuit_of(self, config: RunConfig, result: Values) -> QuantumCircuit:
        """The logical circuit whose parameters are those of a result, to be exported; they are free in it.

        Args:
            config: the declaration.
            result: the content of result.json; empty where there is none yet.

        Raises:
            ConfigError: it is of no single circuit, or there is none yet.
        """
        if "ansatz" in self.ignores:
            instead = (
                "what it found is in result.json"
                if "hamiltonian" in self.ignores
                else "take csv for the hamiltonian"
            )
            raise ConfigError(f"the result of {self.name} is of no single circuit; {instead}", key=FORMAT)
        return config.ansatz.build(self.hamiltonian_of(config, result))
