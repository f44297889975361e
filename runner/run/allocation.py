"""How the shots of a job are shared out among the bases, learned from the job before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.services.protocol import PlannedObservables

if TYPE_CHECKING:
    import numpy as np

    from runner.declare.config import RunConfig
    from runner.services.protocol import Backend, CompiledPlan, Planner, Pub

FEWEST = 10
"""Shots that every basis has, where that is no more than it would have had anyway: fewer tell no variance."""
EQUAL = 20
"""One part in so many is shared out equally, whatever was learned; it raises the variance by 5 % at most."""
PRIOR = 1
"""Shots for which the variance in a random state counts, beside those that were taken."""


class ShotAllocation:
    """Shares the shots of every PUB out among its bases; their total is the same as if all had as many.

    `weighted` goes by the standard deviation in a random state, √Σc² of a basis's terms. `optimal` goes by the one that
    the job before measured, which makes Σ σ²/n least for a given Σ n; the first job of an observable is `weighted`. So
    the shots follow from recorded numbers alone, and a resumed run chooses the same.

    Args:
        kind: weighted | optimal.
        planner: compiles observables that are not yet.
    """

    def __init__(self, kind: str, planner: Planner) -> None:
        self._learns = kind == "optimal"
        self._planner = planner
        self._learned: dict[bytes, np.ndarray] = {}

    def allotted(self, pub: Pub, shots: int) -> Pub:
        """The PUB with shots for each basis, `shots` on average; as it is where there is but one basis."""
        circuit, observables, *rest = pub
        planned = observables
        if not isinstance(planned, PlannedObservables):
            planned = self._planner.planned(circuit, planned)
        if planned.plan.num_bases < 2:
            return pub
        return circuit, planned.allotted(self.shots(planned.plan, shots)), *rest

    def shots(self, plan: CompiledPlan, shots: int) -> tuple[int, ...]:
        """Shots of each basis, the remainder going to those that lose most by rounding."""
        import numpy as np

        total = shots * plan.num_bases
        least = min(shots, max(FEWEST, shots // EQUAL))
        exact = (total - least * plan.num_bases) * self._shares(plan)
        whole = np.floor(exact).astype(int)
        left = total - least * plan.num_bases - int(whole.sum())
        whole[np.argsort(whole - exact, kind="stable")[:left]] += 1
        return tuple((whole + least).tolist())

    def highest_variance(self, plan: CompiledPlan) -> float:
        """The most that an observable's variance can be by one shot per basis on average, as the first job has them."""
        import numpy as np

        shots = np.array(ShotAllocation("weighted", self._planner).shots(plan, 10_000))
        return float((plan.variance_bounds_by_basis * (10_000 / shots)).sum(axis=1).max(initial=0.0))

    def learn(self, pubs: Sequence[Pub], numbers: Sequence[Mapping[str, Any]]) -> None:
        """Take in what the last job measured: `variances` of every PUB whose bases had shots of their own."""
        import numpy as np

        if not self._learns:
            return
        for pub, found in zip(pubs, numbers, strict=True):
            observables: Any = pub[1]
            if "variances" in found:
                taken = np.array(observables.shots)
                usual = observables.plan.mean_variances_by_basis
                self._learned[usual.tobytes()] = (taken * found["variances"] + PRIOR * usual) / (
                    taken + PRIOR
                )

    def _shares(self, plan: CompiledPlan) -> np.ndarray:
        """Shares of the bases, (bases,): every observable counts by what it would spread in a random state."""
        import numpy as np

        usual = plan.mean_variances_by_basis
        whole = usual.sum(axis=1, keepdims=True)
        known = self._learned.get(usual.tobytes(), usual)
        spreads = np.sqrt((known / np.where(whole > 0, whole, 1.0)).sum(axis=0))
        shares: np.ndarray = (spreads if spreads.any() else np.ones(len(spreads))) / (
            spreads.sum() or len(spreads)
        )
        return shares


def allocation_of(config: RunConfig, backend: Backend) -> ShotAllocation | None:
    """What shares shots out as declared; None where every basis has as many, or they are not for us to share out."""
    estimator = config.estimator
    if (
        estimator.allocation == "uniform"
        or backend.planner is None
        or not config.backend.measures_as_declared
    ):
        return None
    return ShotAllocation(estimator.allocation, backend.planner)
