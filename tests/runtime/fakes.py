"""An engine that simulates nothing, a clock that is moved by hand, and a shorthand for services that use them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives import BitArray

from runner.runtime import WallClock
from runner.services.local import LocalService


class HandClock(WallClock):
    """A wall clock whose hand somebody moves."""

    seconds = 0.0

    def now(self) -> float:
        """Where the hand stands."""
        return self.seconds


class FakeEngine:
    """Plans whose numbers depend on values and seed only; counts what was simulated, and in which threads."""

    runs: list[int]
    idle_qubits = None

    def __init__(self, target: Any, noise_model: Any, **options: Any) -> None:
        self.runs = []
        self.made_with = (target, noise_model, options)
        self._plans: dict[int, Any] = {}

    def estimator_plan(self, circuit: QuantumCircuit, _observables: Any) -> Any:
        """A plan per circuit object; two measurement bases."""
        return self._plans.setdefault(id(circuit), _Plan(self, circuit, bases=2))

    def sampler_plan(self, circuit: QuantumCircuit) -> Any:
        """A plan per circuit object."""
        return self._plans.setdefault(-id(circuit), _Plan(self, circuit, bases=1))

    def simulate(self, values: Any, seed: int) -> float:
        """Return a number that values and seed determine."""
        self.runs.append(seed)
        return float(np.sum(values)) + seed % 1000 / 1000


class _Plan:
    exact_gradient, gradient_sets, shape, duration, unscheduled = True, 3, (), None, None
    durations = None

    def __init__(self, engine: FakeEngine, circuit: QuantumCircuit, bases: int) -> None:
        self.engine, self.num_bases, self.circuit = engine, bases, circuit
        self.digest, self.num_parameters = f"fake-{circuit.name}-{bases}", circuit.num_parameters

    def run(self, values: Any, *, shots: int | None, seed: int) -> Any:
        """Numbers of the values' batch shape."""
        evs = np.full(values.shape[:-1], self.engine.simulate(values, seed))
        if self.num_bases == 1:
            bits = np.zeros((*values.shape[:-1], shots or 1, 1), dtype=np.uint8)
            return {register.name: BitArray(bits, register.size) for register in self.circuit.cregs}
        nothing = dict.fromkeys(("truncation", "discarded", "reading", "reading_variances"))
        return SimpleNamespace(evs=evs, stds=np.zeros_like(evs), shots=shots, **nothing)

    def require(self, *, exact: bool) -> None:
        """Everything can be evaluated."""

    def require_finite(self, values: Any) -> None:
        """Every value will do."""

    def simulation(self, shots: int | None) -> str | None:
        """Nothing is noisy."""

    def gradient(self, values: Any) -> Any:
        """Ones."""
        return np.zeros(values.shape[:-1]), np.ones(values.shape)


def fake_service(**arguments: Any) -> LocalService:
    """A service that simulates nothing, with a seed."""
    return LocalService(**{"seed": 7, "engine_factory": FakeEngine, **arguments})


def circuit(name: str = "circuit") -> QuantumCircuit:
    """One qubit, one parameter."""
    made = QuantumCircuit(1, name=name)
    made.ry(Parameter("a"), 0)
    return made


PUB = (circuit(), "Z", [0.5])
"""On the fake engine, with 4096 shots: 8192 executions, so 2 + 0.00035·8192 = 4.8672 QPU seconds."""
QPU = 2 + 0.00035 * 8192
