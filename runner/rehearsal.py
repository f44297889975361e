"""A run on made-up numbers: everything is real except the simulation and the journal."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BitArray

from runner.engine.engine import Engine
from runner.engine.estimator import EstimatorNumbers, EstimatorPlan
from runner.engine.sampler import SamplerPlan
from runner.lab import Lab
from runner.optimizer import OptimizerResult
from runner.record import Record
from runner.workload import Workload

STEP_LIMITS = ("maxiter", "iterations")
"""Settings by which optimizers bound their steps."""


class Stage(Engine):
    """An engine whose plans know what they cost and make up what they return."""

    def estimator_plan(self, circuit: QuantumCircuit, observables: Any) -> EstimatorPlan:
        """A plan with real measurement bases and duration."""
        return self._remembered(
            circuit, observables, lambda: _MadeUpEstimates(circuit, observables, self._options)
        )

    def sampler_plan(self, circuit: QuantumCircuit) -> SamplerPlan:
        """A plan with real registers and duration."""
        return self._remembered(circuit, None, lambda: _MadeUpSamples(circuit, self._options))


class _MadeUpEstimates(EstimatorPlan):
    def run(self, values: NDArray, *, shots: int | None, seed: int) -> EstimatorNumbers:
        """−mean cos(θₚ − cₚ), spread over the observables."""
        del seed
        shape = np.broadcast_shapes(self.shape, values.shape[:-1])
        evs = np.broadcast_to(landscape(values), shape) if shape else landscape(values)
        spread = 0.0 if shots is None else shots**-0.5
        return EstimatorNumbers(np.array(evs), np.full(shape, spread), shots)

    def gradient(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """The landscape and its slope."""
        count = max(values.shape[-1], 1)
        shape = np.broadcast_shapes(self.shape, values.shape[:-1])
        slope = np.sin(values - _centres(count)) / count
        return (
            np.array(np.broadcast_to(landscape(values), shape)),
            np.array(np.broadcast_to(slope, (*shape, values.shape[-1]))),
        )


class _MadeUpSamples(SamplerPlan):
    def run(self, values: NDArray, *, shots: int, seed: int) -> dict[str, BitArray]:
        """Random bits."""
        rng = np.random.default_rng(seed)
        result = {}
        for name, bits in self.registers.items():
            array = rng.integers(
                0, 256, size=(*values.shape[:-1], shots, math.ceil(bits / 8)), dtype=np.uint8
            )
            if bits % 8:
                array[..., 0] &= (1 << bits % 8) - 1
            result[name] = BitArray(array, bits)
        return result


def landscape(values: NDArray) -> NDArray:
    """−mean cos(θₚ − cₚ) over the last axis: smooth, bounded, with its minimum away from the start."""
    count = values.shape[-1]
    if not count:
        return np.full(values.shape[:-1], -1.0)
    return -np.cos(values - _centres(count)).mean(axis=-1)


def _centres(count: int) -> NDArray:
    return 1.0 + np.arange(count) * 2.4 % (2 * math.pi)


class Notes(Record):
    """Counts what happens in place of writing it down."""

    def __init__(self) -> None:
        self.jobs = 0
        self.executions = 0
        self.evaluations = 0
        self.qpu_seconds = 0.0
        self.longest_job = 0.0
        self.longest_session = 0.0
        self.end = 0.0
        self.recalled = 0
        self._started: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Take note of one fact."""
        with self._lock:
            if "time" in fields:
                self.end = max(self.end, fields["time"])
            if kind == "job.submitted":
                self.jobs += 1
                self.executions += sum(int(executions) for executions, _ in fields["work"])
                self.longest_job = max(self.longest_job, fields["qpu_estimate"])
            elif kind == "job.completed":
                self.qpu_seconds += fields["qpu_seconds"]
            elif kind == "evaluation":
                self.evaluations += 1
            elif kind == "session":
                self._session(fields)

    def recall(self, workload: str, index: int, digest: str) -> Any:
        """Nothing is remembered."""
        del workload, index, digest

    def _session(self, fields: Mapping[str, Any]) -> None:
        session, time = fields["session"], fields["time"]
        if fields["state"] == "active":
            self._started.setdefault(session, time)
        if session in self._started:
            self.longest_session = max(self.longest_session, time - self._started[session])


class RehearsalLab(Lab):
    """A lab whose optimizers always use up their budget."""

    bounded = True

    def minimize(self, workload: Workload, optimizer: Any, **more: Any) -> OptimizerResult:
        """Minimize, and again from the start as long as there are evaluations and steps left."""
        declared = replace(optimizer, target_energy=None)
        evaluations = steps = 0
        while True:
            found = super().minimize(workload, declared, **more)
            evaluations += found.evaluations
            steps += found.iterations
            if optimizer.max_evaluations is None:
                self.bounded = False
                return found
            left = {"max_evaluations": optimizer.max_evaluations - evaluations}
            for name in STEP_LIMITS:
                if getattr(optimizer, name, None) is not None:
                    left[name] = getattr(optimizer, name) - steps
            if found.resumable or not found.evaluations or min(left.values()) < 1:
                return found
            declared = replace(declared, **left)
