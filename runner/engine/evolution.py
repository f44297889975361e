"""A circuit that is repeated over and over: the state after each repetition is carried on from the one before."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit

from runner.engine.estimator import EstimatorNumbers, EstimatorPlan
from runner.engine.grouping import COMMUTING
from runner.engine.identity import digest_of
from runner.engine.kernel.program import Unsupported
from runner.engine.kernel.state_vector import StateVectorKernel
from runner.engine.measurement import SimulationOptions
from runner.engine.reading import TermOverlaps, TermReading


class Moment:
    """The observables after some repetitions; a plan like any other, without parameters."""

    num_parameters = 0
    exact_gradient = False

    def __init__(self, evolution: Evolution, times: int) -> None:
        plan = evolution.plan
        self._evolution = evolution
        self._times = times
        self.shape = plan.shape
        self.num_bases = plan.num_bases
        self.duration = None
        self.durations = None
        self.added_two_qubit_gates = ()
        self.unscheduled = None
        self.digest = digest_of("moment", evolution.start, plan.digest, str(times))

    @property
    def largest(self) -> NDArray:
        """The most that each observable can be, (*shape)."""
        return self._evolution.plan.largest

    @property
    def variance_bounds(self) -> NDArray:
        """The most that each observable's variance by one shot per basis can be, (observables,)."""
        return self._evolution.plan.variance_bounds

    @property
    def variance_bounds_by_basis(self) -> NDArray:
        """The same of each basis by itself, (observables, bases)."""
        return self._evolution.plan.variance_bounds_by_basis

    @property
    def mean_variances_by_basis(self) -> NDArray:
        """Each observable's variance by one shot of each basis in a random state, (observables, bases)."""
        return self._evolution.plan.mean_variances_by_basis

    @property
    def overlaps(self) -> TermOverlaps:
        """Which terms every basis can read beside its own."""
        return self._evolution.plan.overlaps

    @property
    def gradient_sets(self) -> int:
        """One: there is nothing to be shifted."""
        return 1

    @property
    def exact_method(self) -> str | None:
        """How exact values are computed."""
        return self._evolution.plan.exact_method

    def truncates(self, *, exact: bool) -> bool:
        """Nothing is left out of a state vector."""
        del exact
        return False

    def foresee(self, values: NDArray, *, exact: bool) -> None:
        """Nothing could be refused."""

    def simulation(self, shots: int | None) -> str | None:
        """None: nothing is noisy."""

    def require(self, *, exact: bool) -> None:
        """Refuse nothing: the memory was asked for when the circuit was compiled."""

    def require_finite(self, values: NDArray) -> None:
        """Refuse nothing: there are no parameters, and the constants were looked at when it was compiled."""

    def run(
        self,
        values: NDArray,
        *,
        shots: int | Sequence[int] | None,
        seed: int,
        reading: TermReading | None = None,
    ) -> EstimatorNumbers:
        """Evaluate, as `EstimatorPlan.run` does; the values are none, shape (0,)."""
        return self._evolution.run(self._times, values, shots, seed, reading)


class Evolution:
    """The moments of a product state on which a circuit acts again and again.

    Moments may be asked for in any order and from several threads; those in ascending order take one repetition each.

    Args:
        start: the product state in bits, qubit 0 last.
        plan: of the circuit and the observables, with `state` as its kernel.
        state: what is carried on.
    """

    def __init__(self, start: str, plan: EstimatorPlan, state: CarriedState) -> None:
        self.start = start
        self.plan = plan
        self._state = state
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, start: str, circuit: QuantumCircuit, observables: Any, options: SimulationOptions
    ) -> Evolution | None:
        """The evolution; None where states cannot be carried on: noise, durations, other methods, idle qubits.

        Raises:
            ConfigError: too large for the memory that is free.
        """
        if options.kernel is None or options.noise_model is not None or options.target is not None:
            return None
        if options.grouping == COMMUTING:
            return None  # every basis is a circuit of its own
        state = CarriedState(start, options.threads, options.fused)
        plan = EstimatorPlan(circuit, observables, replace(options, kernel=state.of))
        return cls(start, plan, state) if plan.num_parameters == 0 and state.made_of(plan) else None

    def at(self, times: int) -> Moment:
        """The observables after so many repetitions."""
        return Moment(self, times)

    def run(
        self,
        times: int,
        values: NDArray,
        shots: int | Sequence[int] | None,
        seed: int,
        reading: TermReading | None = None,
    ) -> EstimatorNumbers:
        """Carry the state on, and evaluate."""
        with self._lock:
            self._state.go_to(times)
            return self.plan.run(values, shots=shots, seed=seed, reading=reading)


class CarriedState:
    """A state in the place of a kernel that would prepare it."""

    missing_bytes = 0

    def __init__(self, start: str, threads: int, fused: bool) -> None:
        self._start = int(start, 2)
        self._threads = threads
        self._fused = fused
        self._kernel: StateVectorKernel
        self._state: NDArray
        self._times = 0

    def made_of(self, plan: EstimatorPlan) -> bool:
        """Compile the circuit of a plan; False where the kernel would not run it in one piece, on all qubits."""
        if not plan.in_one_piece:
            return False
        (x, z), coefficients = plan.reduced
        try:
            self._kernel = StateVectorKernel(
                plan.compact,
                [],
                x,
                z,
                coefficients,
                threads=self._threads,
                from_zero=False,
                fused=self._fused,
            )
        except Unsupported:
            return False
        self._state = self._kernel.basis_state(self._start)
        return True

    def of(self, *_: Any) -> CarriedState:
        """The kernel of the circuit, whichever observables are asked for."""
        return self

    @property
    def nbytes(self) -> int:
        """The memory of the packed arrays and of the state."""
        return self._kernel.nbytes + 2 * self._state.nbytes

    def go_to(self, times: int) -> None:
        """Be the state after so many repetitions."""
        if times < self._times:
            self._state = self._kernel.basis_state(self._start)
            self._times = 0
        self._kernel.carry_on(self._state, times - self._times)
        self._times = times

    def energies(self, values: NDArray) -> NDArray:
        """Expectation values (B, S)."""
        return np.repeat(self._kernel.state_energies(self._state), len(values), axis=0)

    def probabilities(self, values: NDArray, bases: Sequence[Sequence[tuple[int, str]]]) -> list[NDArray]:
        """Per basis the probabilities (B, 2^k) of outcomes."""
        tables = self._kernel.state_probabilities(self._state, bases)
        return [np.repeat(table, len(values), axis=0) for table in tables]
