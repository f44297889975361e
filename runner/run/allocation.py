"""How the shots of a job are shared out among the bases, and what is read off each, learned from the jobs before."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runner import engine
from runner.display.words import SharedShots
from runner.runtime.results import READING, READING_VARIANCES
from runner.services.protocol import is_planned

if TYPE_CHECKING:
    import numpy as np

    from runner.declare.config import RunConfig
    from runner.services.protocol import Backend, CompiledPlan, Planner, Pub

FEWEST = 10
"""Shots that every basis has, where that is no more than it would have had anyway: fewer tell no variance."""
LEAST_KNOWN = 0.25
"""Of the variance in a random state, what a basis has at least where the next job measures another state."""
PRIOR = 1
"""Shots for which the variance in a random state counts, beside those that were taken."""


@dataclass
class KnownReading:
    """What is known of the terms of one observable, or of several in one PUB."""

    weights: np.ndarray
    """What each basis adds of each term that it can read, as `TermReading` has them."""
    variances: np.ndarray | None = None
    """Of one shot of each basis with these weights, (observables, bases); None: nothing was measured yet."""
    jobs: int = 0
    """That were measured."""


Known = tuple[dict[bytes, "np.ndarray"], dict[bytes, KnownReading]]


class ShotAllocation:
    """Shares the shots of every PUB out among its bases; their total is the same as if all had as many.

    `weighted` goes by the standard deviation in a random state, √Σc² of a basis's terms. `optimal` goes by the one that
    the job before measured, which makes Σ σ²/n least for a given Σ n; the first job of an observable is `weighted`. So
    the shots follow from recorded numbers alone, and a resumed run chooses the same.

    Where terms are read off every basis, the weights are learned by the first, second, fourth, eighth, … job of an
    observable and recorded with it: what a job is read with depends on earlier ones alone, so no value is biased.

    Args:
        kind: weighted | optimal.
        planner: compiles observables that are not yet.
        every_basis: read terms off every basis that can.
        jumps: jobs measure different states, so that a basis without variance in one may have all of it in the next.
    """

    def __init__(
        self, kind: str, planner: Planner, *, every_basis: bool = False, jumps: bool = False
    ) -> None:
        self._least = LEAST_KNOWN if jumps else 0.0
        self._learns = kind == "optimal"
        self._planner = planner
        self._every_basis = every_basis
        self._learned: dict[bytes, np.ndarray] = {}
        self._read: dict[bytes, KnownReading] = {}

    def allotted(self, pub: Pub, shots: int) -> Pub:
        """The PUB with shots for each basis, `shots` on average; as it is where there is but one basis."""
        circuit, observables, *rest = pub
        planned = observables
        if not is_planned(planned):
            planned = self._planner.planned(circuit, planned)
        if planned.plan.num_bases < 2:
            return pub
        every = self.shots(planned.plan, shots)
        if not self._every_basis:
            return circuit, planned.allotted(every), *rest
        return circuit, planned.allotted(every, self._reading(planned.plan)), *rest

    def shots(self, plan: CompiledPlan, shots: int) -> tuple[int, ...]:
        """Shots of each basis, the remainder going to those that lose most by rounding."""
        least = min(shots, max(FEWEST, shots // engine.EQUAL))
        total = (shots - least) * plan.num_bases
        # as numbers of Python: there are a few bases, and calls of NumPy for these take four times as long
        exact: list[float] = (total * self._shares(plan)).tolist()
        whole = list(map(math.floor, exact))
        lost = sorted(range(len(exact)), key=lambda basis: whole[basis] - exact[basis])
        for basis in lost[: total - sum(whole)]:
            whole[basis] += 1
        return tuple(count + least for count in whole)

    def highest_variance(self, plan: CompiledPlan) -> float:
        """The most that an observable's variance can be by one shot per basis on average, as the first job has them."""
        import numpy as np

        first = ShotAllocation("weighted", self._planner, every_basis=self._every_basis)
        shots = np.array(first.shots(plan, 10_000))
        highest = (
            plan.overlaps.highest_variances(plan.overlaps.first)
            if self._every_basis
            else plan.variance_bounds_by_basis
        )
        return float((highest * (10_000 / shots)).sum(axis=1).max(initial=0.0))

    def learn(self, pubs: Sequence[Pub], numbers: Sequence[Mapping[str, Any]]) -> None:
        """Take in what the last job measured: `variances` of every PUB whose bases had shots of their own."""
        if not self._learns:
            return
        for pub, found in zip(pubs, numbers, strict=True):
            observables: Any = pub[1]
            if "variances" not in found:
                continue
            if self._every_basis:
                self._learn_reading(observables, found)
            else:
                usual = observables.plan.mean_variances_by_basis
                self._learned[usual.tobytes()] = _believed(observables.shots, found["variances"], usual)

    def known(self) -> Known:
        """What it has learned so far, to go back to."""
        return dict(self._learned), {key: replace(known) for key, known in self._read.items()}

    def forget(self, known: Known) -> None:
        """Go back to what was known; that is not to be used again."""
        self._learned, self._read = known

    def _learn_reading(self, observables: Any, found: Mapping[str, Any]) -> None:
        """Take in what was read off every basis, and how to read later jobs where the engine has told it."""
        overlaps = observables.plan.overlaps
        known = self._known(observables.plan)
        known.jobs += 1
        if READING in found:
            known.weights, known.variances = found[READING], found[READING_VARIANCES]
        else:
            usual = overlaps.mean_variances(observables.reading.weights)
            known.variances = _believed(observables.shots, found["variances"], usual)

    def _known(self, plan: CompiledPlan) -> KnownReading:
        return self._read.setdefault(plan.overlaps.key, KnownReading(plan.overlaps.first))

    def _reading(self, plan: CompiledPlan) -> engine.TermReading:
        """What the next job adds of each term in each basis; every doubling of the jobs learns it anew."""
        known = self._known(plan)
        return engine.TermReading(known.weights, learns=self._learns and (known.jobs + 1).bit_count() == 1)

    def _shares(self, plan: CompiledPlan) -> np.ndarray:
        """Shares of the bases, (bases,)."""
        import numpy as np

        if self._every_basis:
            known = self._known(plan)
            usual = plan.overlaps.mean_variances(known.weights)
            learned = usual if known.variances is None else known.variances
        else:
            usual = plan.mean_variances_by_basis
            learned = self._learned.get(usual.tobytes(), usual)
        return engine.shares_of(np.maximum(learned, self._least * usual), usual)


class AllottedShots:
    """What the jobs of a run took of every basis; several threads may tell."""

    def __init__(self) -> None:
        self._shared = SharedShots()
        self._lock = threading.Lock()

    def add(self, pubs: Sequence[Pub]) -> None:
        """Take note of a job of these PUBs, which was submitted."""
        with self._lock:
            for _, observables, *_ in pubs:
                if is_planned(observables):
                    self._shared.take(observables.shots or ())

    @property
    def in_words(self) -> str | None:
        """Shots of all jobs; None where all bases had as many."""
        told = self._shared.in_words
        return None if told is None else " ".join(told)


def _believed(shots: Sequence[int], variances: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Variances of one shot of each basis, from so many, `usual` being those in a random state."""
    import numpy as np

    taken = np.array(shots)
    return np.asarray((taken * variances + PRIOR * usual) / (taken + PRIOR))


def allocation_of(config: RunConfig, backend: Backend) -> ShotAllocation | None:
    """What shares shots out as declared; None where every basis has as many, or they are not for us to share out."""
    estimator = config.estimator
    if (
        estimator.allocation == "uniform"
        or backend.planner is None
        or not config.backend.measures_as_declared
    ):
        return None
    every_basis = estimator.reading == "every_basis"
    return ShotAllocation(
        estimator.allocation, backend.planner, every_basis=every_basis, jumps=config.experiment.states_jump
    )
