"""One stream of Estimator and Sampler jobs in the session, and the energy as a function of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.errors import NumericalError
from runner.gradient import ParameterShift, spsa_gradient, spsa_points

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.primitives import PrimitiveResult

    from runner.lab import Lab


@dataclass
class Best:
    """The lowest energy seen so far; ties keep the earlier one."""

    energy: float = math.inf
    """Energy in the Hamiltonian's unit."""
    stddev: float = 0.0
    """Standard error of that energy."""
    parameters: list[float] = field(default_factory=list)
    """Parameter values it was found at."""
    evaluation: int = -1
    """Number of the evaluation."""


class Workload:
    """A named stream of jobs: everything in it happens one after the other, and its numbers are its own."""

    def __init__(self, lab: Lab, name: str, rng: np.random.Generator) -> None:
        self.name = name
        self.rng = rng
        self.best = Best()
        self.evaluations = 0
        self.iterations = 0
        self._lab = lab

    def estimate(self, *pubs: tuple[Any, ...]) -> PrimitiveResult[Any]:
        """Run one Estimator job in the session and wait for it."""
        return self._lab.execute(
            self.name, "estimator", lambda primitive, options: primitive.run(list(pubs), **options)
        )

    def estimate_gradient(self, *pubs: tuple[Any, ...]) -> PrimitiveResult[Any]:
        """Run one exact-gradient job in the session and wait for it; simulators only."""
        return self._lab.execute(
            self.name, "estimator", lambda primitive, _: primitive.run_gradient(list(pubs))
        )

    def sample(self, *pubs: tuple[Any, ...], shots: int | None = None) -> PrimitiveResult[Any]:
        """Run one Sampler job in the session and wait for it."""
        return self._lab.execute(
            self.name, "sampler", lambda primitive, _: primitive.run(list(pubs), shots=shots)
        )

    def iteration(self, progress: Mapping[str, Any]) -> None:
        """Report one step of the optimizer."""
        self.iterations += 1
        self._lab.record("iteration", {"workload": self.name, "iteration": self.iterations, **progress})

    def observe(self, energy: float, stddev: float, parameters: Any, **more: Any) -> None:
        """Count one evaluation, report it, and remember it if it is the best.

        Raises:
            NumericalError: the energy is not a finite number.
        """
        number = self.evaluations
        self.evaluations += 1
        if math.isfinite(energy) and energy < self.best.energy:
            self.best = Best(energy, stddev, [float(value) for value in parameters], number)
        self._lab.record(
            "evaluation",
            {
                "workload": self.name, "index": number, "energy": energy, "stddev": stddev,
                "best": self.best.energy, **more,
            },
        )  # fmt: skip
        if not math.isfinite(energy):
            raise NumericalError(f"evaluation {number} of {self.name!r} gave the energy {energy}")


class Objective:
    """The energy of a circuit as a function of its parameters: one Estimator job per call.

    Args:
        workload: whose jobs these are.
        circuit: ISA circuit.
        hamiltonian: observable in the circuit's layout.
        gradient: none | parameter_shift | adjoint | spsa.
    """

    def __init__(
        self,
        workload: Workload,
        circuit: QuantumCircuit,
        hamiltonian: Any,
        *,
        gradient: str = "none",
    ) -> None:
        self.workload = workload
        self._circuit = circuit
        self._hamiltonian = hamiltonian
        self._shift = ParameterShift.of(circuit) if gradient == "parameter_shift" else None
        gradients: dict[str, Callable[[np.ndarray], tuple[float, np.ndarray]]] = {
            "parameter_shift": self._parameter_shift,
            "adjoint": self._adjoint,
            "spsa": self._spsa,
        }
        self.value_and_gradient = gradients.get(gradient)
        """Parameters of shape (P,) → energy and gradient of shape (P,); None where no gradient is declared."""

    def __call__(self, parameters: np.ndarray) -> Any:
        """Energy at parameters of shape (P,), or energies of shape (B,) at parameters of shape (B, P).

        Raises:
            StopOptimization: the session has ended and the experiment is to stop then.
            NumericalError: an energy is not a finite number.
        """
        rows = parameters[None, :] if parameters.ndim == 1 else parameters
        data = self.workload.estimate((self._circuit, self._hamiltonian, parameters))[0].data
        energies = data.evs.reshape(-1)
        for row, energy, stddev in zip(rows, energies.tolist(), data.stds.reshape(-1).tolist(), strict=True):
            self.workload.observe(energy, stddev, row)
        return float(energies[0]) if parameters.ndim == 1 else energies

    def _parameter_shift(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        assert self._shift is not None
        data = self.workload.estimate(
            (self._shift.circuit, self._hamiltonian, self._shift.angles(parameters))
        )[0].data
        return self._with_gradient(parameters, data, self._shift.gradient(data.evs))

    def _adjoint(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        data = self.workload.estimate_gradient((self._circuit, self._hamiltonian, parameters))[0].data
        return self._with_gradient(parameters, data, data.gradients.reshape(-1))

    def _spsa(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        points, direction = spsa_points(parameters, self.workload.rng)
        data = self.workload.estimate((self._circuit, self._hamiltonian, points))[0].data
        return self._with_gradient(parameters, data, spsa_gradient(data.evs, direction))

    def _with_gradient(
        self, parameters: np.ndarray, data: Any, gradient: np.ndarray
    ) -> tuple[float, np.ndarray]:
        import numpy as np

        energy, stddev = float(data.evs.reshape(-1)[0]), float(data.stds.reshape(-1)[0])
        self.workload.observe(energy, stddev, parameters, gradient_norm=float(np.linalg.norm(gradient)))
        return energy, gradient
