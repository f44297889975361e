"""What all minimizers share: limits, the best point seen, and one way to stop."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from runner.declare.checks import require_integer, require_number, require_positive
from runner.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

Energy = Callable[[Any], Any]
"""Parameters (P,) → energy, or (B, P) → energies (B,) taken in one job."""
Gradient = Callable[[Any], tuple[Any, ...]]
"""Parameters (P,) → energy, its gradient (P,), and where they are sampled the gradient's standard errors (P,).

A standard error that is not known is NaN; left out, or zero, the gradient is exact.
"""
Fidelity = Callable[[Any, Any], Any]
"""Two sets of parameters (B, P) → |⟨ψ(a)|ψ(b)⟩|² of each pair, shape (B,)."""
Frequencies = Sequence[tuple[float, ...] | None]
"""For each parameter the positive frequencies [1/rad] with which the energy can depend on it; None: unknown."""
Callback = Callable[[Mapping[str, Any]], None]
CERTAIN = 3.0
"""Standard errors that a measured gradient may be away from zero and still be called zero."""
AT_BOUND = 1e-6
"""Distance in radians from a bound at which a point counts as on it."""
ORIGINS = ("answer", "mean", "best")
"""Where a candidate comes from; of equal points the first origin counts."""


class StopOptimization(Exception):
    """Raised by an energy function to end an optimization; `minimize` turns it into a result."""

    def __init__(self, reason: str, *, resumable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.resumable = resumable


@dataclass(frozen=True)
class Candidate:
    """A point that may be the answer of an optimization."""

    origin: str
    """answer: the method's own | mean: of its last iterates | best: where the lowest energy was seen."""
    parameters: Any
    """Shape (P,)."""


@dataclass(frozen=True, kw_only=True)
class OptimizerResult:
    """Where an optimization ended."""

    parameters: Any
    """Shape (P,)."""
    energy: float
    """Energy there, as it was measured; inf when nothing was evaluated."""
    evaluations: int
    """Energies asked for; an energy with its gradient counts once."""
    iterations: int
    """Steps of the method."""
    success: bool
    """The method's own criterion was met: it stands still, by its tolerance. A target energy that was seen is none."""
    message: str
    """Why it ended."""
    resumable: bool = False
    """It was stopped from outside and could go on."""
    candidates: tuple[Candidate, ...] = ()
    """What is worth measuring afresh where energies are noisy; empty: `parameters` alone."""


class Optimizer(Protocol):
    """Anything that minimizes an energy."""

    def minimize(
        self,
        energy: Energy,
        x0: np.ndarray,
        *,
        gradient: Gradient | None = None,
        fidelity: Fidelity | None = None,
        frequencies: Frequencies | None = None,
        rng: np.random.Generator,
        callback: Callback,
    ) -> OptimizerResult:
        """Go down from `x0`; all randomness comes from `rng`, so equal energies give equal questions."""
        ...


@dataclass(kw_only=True)
class OptimizerConfig:
    """Limits that every method has."""

    name: str
    """Name of the choice."""
    max_evaluations: int | None = 1000
    """Energies that may be evaluated; null: no limit but the method's own."""
    max_shots: int | None = None
    """Shots × parameter sets × measurement bases that all jobs may take, measuring the result included; null: any."""
    target_energy: float | None = None
    """Stop as soon as an energy at or below this is seen, which is not called converged; null: never."""
    bounds: list[Any] | None = None
    """[low, high] in radians for every parameter, or a pair for each; the start is clipped to it; null: unbounded."""

    label: ClassVar[str] = ""
    uses_gradient: ClassVar[bool] = False
    uses_hessian: ClassVar[bool] = False
    uses_bounds: ClassVar[bool] = False
    uses_fidelity: ClassVar[bool] = False
    sees_through_noise: ClassVar[bool] = False
    """Its criterion without gradients is about the energy's shape, not about small steps among noisy energies."""
    uses_frequencies: ClassVar[bool] = False
    ends_early: ClassVar[bool] = True
    """It has a criterion of its own; a method without one takes all of its steps or evaluations."""
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {}
    """Settings that hold numbers for each parameter → how many more than P there are, along each axis."""

    def __post_init__(self) -> None:
        if self.max_evaluations is not None:
            require_integer("optimizer.max_evaluations", self.max_evaluations, 1)
        if self.max_shots is not None:
            require_integer("optimizer.max_shots", self.max_shots, 1)
        if self.target_energy is not None:
            require_number("optimizer.target_energy", self.target_energy)
        if self.bounds is not None:
            self._check_bounds(self.bounds)

    def _check_bounds(self, bounds: list[Any]) -> None:
        key = "optimizer.bounds"
        if not self.uses_bounds:
            raise ConfigError(f"{self.label} does not use bounds, got {bounds}; set it to null", key=key)
        if bounds and all(isinstance(pair, Sequence) and not isinstance(pair, str) for pair in bounds):
            for index, pair in enumerate(bounds):
                _check_pair(f"{key}[{index}]", pair)
        else:
            _check_pair(key, bounds)

    @property
    def per_parameter(self) -> list[str]:
        """Settings that hold numbers for each parameter, and so fit circuits of one size only."""
        names = [name for name in self.shapes if getattr(self, name) is not None]
        return [*names, "bounds"] if self.bounds and isinstance(self.bounds[0], Sequence) else names

    def box(self, parameters: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Lowest and highest values, shape (P,) each; None where there are no bounds.

        Raises:
            ConfigError: there are pairs for another number of parameters.
        """
        import numpy as np

        if self.bounds is None:
            return None
        pairs = np.array(self.bounds, dtype=float)
        if pairs.ndim == 2 and len(pairs) != parameters:
            raise ConfigError(
                f"has {len(pairs)} pairs, the circuit {parameters} parameters; give one each, or [low, high]",
                key="optimizer.bounds",
            )
        low, high = np.broadcast_to(pairs, (parameters, 2)).T
        return low, high

    def most_evaluations(self, frequencies: Frequencies | None) -> int | None:  # noqa: ARG002 - for NFT
        """Energies that one minimization evaluates at most; None where nothing limits them.

        Args:
            frequencies: those of the energy in its parameters; None where they are not known beforehand.
        """
        return self.max_evaluations

    def build(self) -> Optimizer:
        """The minimizer."""
        return Method(self)

    def check(self, parameters: int) -> None:
        """Refuse settings that do not fit this number of parameters.

        Raises:
            ConfigError: naming the setting and the shape it should have.
        """
        self.box(parameters)
        for name, more in self.shapes.items():
            if (value := getattr(self, name)) is not None:
                _check_shape(f"optimizer.{name}", value, tuple(parameters + extra for extra in more))

    def check_frequencies(self, frequencies: Frequencies, names: Sequence[str]) -> None:
        """Refuse an energy with these frequencies in its parameters, where the method uses them."""

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:
        """The method itself: ask `watch` for energies until done."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a method came to its own end."""

    parameters: Any
    """Where, shape (P,)."""
    energy: float
    """Energy there."""
    success: bool = True
    """Its own criterion was met."""
    message: str = "converged"
    """In words."""


class Method:
    """A declared method, ready to minimize."""

    def __init__(self, config: OptimizerConfig) -> None:
        self.config = config

    def minimize(
        self,
        energy: Energy,
        x0: np.ndarray,
        *,
        gradient: Gradient | None = None,
        fidelity: Fidelity | None = None,
        frequencies: Frequencies | None = None,
        rng: np.random.Generator,
        callback: Callback,
    ) -> OptimizerResult:
        """Go down from `x0`; see `Optimizer`.

        Raises:
            ConfigError: the method needs a fidelity and got none, or a setting is for another number of parameters.
        """
        import numpy as np

        if self.config.uses_fidelity and fidelity is None:
            raise ConfigError(
                f"{self.config.label} needs state overlaps, which this experiment does not provide; use spsa",
                key="optimizer",
            )
        x0 = np.array(x0, dtype=float)
        self.config.check(len(x0))
        if (box := self.config.box(len(x0))) is not None:
            x0 = np.clip(x0, *box)
        watch = Watch(
            self.config,
            energy,
            gradient if self.config.uses_gradient else None,
            fidelity,
            callback,
            frequencies=frequencies,
            box=box,
        )
        try:
            ending = self.config.descend(watch, x0, rng)
        except StopOptimization as stop:
            return OptimizerResult(
                parameters=x0 if watch.best_parameters is None else watch.best_parameters,
                energy=watch.best_energy,
                evaluations=watch.evaluations,
                iterations=watch.iterations,
                success=False,
                message=stop.reason,
                resumable=stop.resumable,
                candidates=watch.candidates(),
            )
        parameters = watch.inside(np.array(ending.parameters, dtype=float))
        doubt = watch.doubt(parameters) if ending.success else None
        success = ending.success and doubt is None
        return OptimizerResult(
            parameters=parameters,
            energy=float(ending.energy),
            evaluations=watch.evaluations,
            iterations=watch.iterations,
            success=success,
            message=doubted(ending.message, doubt),
            candidates=watch.candidates(parameters, stationary=success),
        )


def doubted(message: str, doubt: str | None) -> str:
    """What a method says of its end, and why that is not called converged; as it is without doubt."""
    return message if doubt is None else f"{message.rstrip('.')}. But {doubt}: not called converged."


class Watch:
    """The energy function as a method sees it: counted, limited, kept in bounds, and remembering the best point."""

    def __init__(
        self,
        config: OptimizerConfig,
        energy: Energy,
        gradient: Gradient | None,
        fidelity: Fidelity | None,
        callback: Callback,
        *,
        frequencies: Frequencies | None = None,
        box: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.frequencies = frequencies
        self.box = box
        self.max_evaluations = config.max_evaluations
        self.target_energy = config.target_energy
        self.evaluations = 0
        self.iterations = 0
        self.best_energy = math.inf
        self.best_parameters: Any = None
        self.last_energy = math.inf
        self.standing: Callable[[], Mapping[str, Any]] = dict
        """Where the method stands now: origin of a candidate → parameters (P,); set by the method."""
        self._energy = energy
        self._gradient = gradient
        self._fidelity = fidelity
        self._callback = callback
        self._slopes: dict[bytes, tuple[Any, Any]] = {}

    @property
    def left(self) -> float:
        """Evaluations that may still be made."""
        return math.inf if self.max_evaluations is None else self.max_evaluations - self.evaluations

    def __call__(self, parameters: np.ndarray) -> float:
        """Energy at parameters of shape (P,).

        Raises:
            StopOptimization: the evaluations are used up or the target is reached.
        """
        self._admit(1)
        parameters = self.inside(parameters)
        energy = float(self._energy(parameters))
        self._seen(parameters, energy)
        return energy

    def inside(self, parameters: np.ndarray) -> np.ndarray:
        """The nearest parameters (…, P) within the bounds; as they are without bounds."""
        if self.box is None:
            return parameters
        import numpy as np

        return np.clip(parameters, *self.box)

    def many(self, parameters: np.ndarray) -> np.ndarray:
        """Energies at parameters of shape (B, P), as one job.

        Raises:
            StopOptimization: the evaluations are used up or the target is reached.
        """
        import numpy as np

        self._admit(len(parameters))
        parameters = self.inside(parameters)
        energies = np.asarray(self._energy(parameters), dtype=float)
        for row, energy in zip(parameters, energies.tolist(), strict=True):
            self._seen(row, energy)
        return energies

    def value_and_gradient(self, parameters: np.ndarray, step: float) -> tuple[float, np.ndarray]:
        """Energy and gradient at (P,): as given, else differences of width `step` in one job, all within the bounds.

        Raises:
            StopOptimization: the evaluations are used up or the target is reached.
        """
        import numpy as np

        parameters = self.inside(parameters)
        if self._gradient is None:
            return self._differences(parameters, step)
        self._admit(1)
        energy, slope, *errors = self._gradient(parameters)
        if errors:
            self._slopes[parameters.tobytes()] = (slope, errors[0])
        self._seen(parameters, float(energy))
        return float(energy), np.asarray(slope, dtype=float)

    def _differences(self, parameters: np.ndarray, step: float) -> tuple[float, np.ndarray]:
        """Energy and the slope of the parabola through it and two probes, which are no candidates themselves.

        The probes lie a step to either side; where a bound is nearer than that, one and two steps away from it.
        """
        import numpy as np

        count = len(parameters)
        first, second = self._probes(parameters, step)
        points = np.concatenate([parameters[None], parameters + np.diag(first), parameters + np.diag(second)])
        self._admit(len(points))
        points = self.inside(points)
        energies = np.asarray(getattr(self._energy, "with_probes", self._energy)(points), dtype=float)
        self.evaluations += len(points) - 1
        self._seen(parameters, float(energies[0]))
        one, two = energies[1 : count + 1], energies[count + 1 :]
        central = (one - two) / (2 * step)
        if np.all(first == step) and np.all(second == -step):
            return float(energies[0]), central
        weights = second / (first * (second - first)), first / (second * (first - second))
        centre = (first + second) / (first * second)
        return float(energies[0]), weights[0] * one + weights[1] * two - centre * energies[0]

    def _probes(self, parameters: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
        """How far from each parameter its two probes lie, shape (P,) each."""
        import numpy as np

        steps = np.full(len(parameters), step)
        if self.box is None:
            return steps, -steps
        low, high = self.box
        steps = np.minimum(steps, (high - low) / 3)
        above, below = parameters + steps > high, parameters - steps < low
        return np.where(above, -2 * steps, steps), np.where(above, -steps, np.where(below, 2 * steps, -steps))

    def doubt(self, parameters: np.ndarray) -> str | None:
        """Why a point, shape (P,), cannot be called stationary under shot noise; None where it can, or without noise.

        Stationary is where every component of the measured gradient, but those that lead across a bound, is zero
        within `CERTAIN` standard errors. What a method itself goes by (a small step, two equal energies, a small
        gradient) may be an accident of the noise.
        """
        import numpy as np

        if not any(np.any(errors != 0) for _, errors in self._slopes.values()):
            return None
        if (found := self._slopes.get(parameters.tobytes())) is None:
            return "under shot noise no gradient was measured there"
        slope, errors = found
        if not np.all(np.isfinite(errors)):
            return "how uncertain the gradient is there is not known"
        inward = slope if self.box is None else self._inward(parameters, slope)
        steepest = max(float(np.abs(one).max()) for one, _ in self._slopes.values())
        rounding = 1e-9 * steepest or sys.float_info.min  # in the unit that energies are in
        distance = float((np.abs(inward) / np.maximum(errors, rounding)).max())
        return (
            None if distance <= CERTAIN else f"the gradient there is {distance:.3g} standard errors from zero"
        )

    def _inward(self, parameters: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """The gradient without what leads down across a bound that the point is on."""
        import numpy as np

        assert self.box is not None
        low, high = self.box
        outward = (parameters <= low + AT_BOUND) & (slope > 0) | (parameters >= high - AT_BOUND) & (slope < 0)
        return np.where(outward, 0.0, slope)

    def fidelities(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """|⟨ψ(first)|ψ(second)⟩|² of each pair of rows."""
        import numpy as np

        assert self._fidelity is not None
        return np.asarray(self._fidelity(first, second), dtype=float)

    def step(self, energy: float | None = None, **more: Any) -> None:
        """Report one step of the method."""
        self.iterations += 1
        shown = self.last_energy if energy is None else energy
        self._callback({"energy": shown, "evaluations": self.evaluations, **more})

    def candidates(self, answer: Any = None, *, stationary: bool = False) -> tuple[Candidate, ...]:
        """The distinct points that may be the answer: the method's own, its mean, the best seen.

        Args:
            answer: the method's own, shape (P,); None: where it stands.
            stationary: leave out what shot noise does not allow to call so.
        """
        import numpy as np

        points = {**self.standing(), **({} if answer is None else {"answer": answer})}
        if self.best_parameters is not None:
            points["best"] = self.best_parameters
        found: list[Candidate] = []
        for origin in ORIGINS:
            if origin in points:
                point = self.inside(np.array(points[origin], dtype=float))
                if stationary and self.doubt(point):
                    continue
                if not any(np.array_equal(point, other.parameters) for other in found):
                    found.append(Candidate(origin, point))
        return tuple(found)

    def _admit(self, count: int) -> None:
        if count > self.left:
            raise StopOptimization(f"max_evaluations {self.max_evaluations} used up")

    def _seen(self, parameters: np.ndarray, energy: float) -> None:
        self.evaluations += 1
        self.last_energy = energy
        if energy < self.best_energy:
            self.best_energy = energy
            self.best_parameters = parameters.copy()
        if self.target_energy is not None and energy <= self.target_energy:
            raise StopOptimization(f"target energy {self.target_energy:g} reached")


def _check_pair(key: str, pair: Sequence[Any]) -> None:
    if len(pair) != 2:
        raise ConfigError(f"must be [low, high], got {len(pair)} numbers; give two", key=key)
    for index, bound in enumerate(pair):
        require_number(f"{key}[{index}]", bound)
    if pair[0] >= pair[1]:
        raise ConfigError(f"low must be below high, got {list(pair)}; swap them", key=key)


def _check_shape(key: str, value: Any, wanted: tuple[int, ...]) -> None:
    import numpy as np

    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != wanted or not np.isfinite(found).all():
        size = " × ".join(str(count) for count in wanted)
        raise ConfigError(f"must be {size} numbers for this circuit; write them as a list", key=key)


class Trail:
    """The last iterates of a method, of which the mean is nearer to the minimum than any one where energies are noisy.

    Args:
        share: of all steps made, at the end, that are averaged (Polyak & Juditsky 1992).
    """

    def __init__(self, share: float) -> None:
        self.steps = 0
        """Iterates taken in."""
        self._share = share
        self._points: deque[Any] = deque()

    def add(self, point: np.ndarray) -> None:
        """Take in one iterate, shape (P,), which must not be changed afterwards."""
        self.steps += 1
        self._points.append(point)
        most = max(1, self.steps - math.ceil(self.steps * (1 - self._share)))
        while len(self._points) > most:
            self._points.popleft()

    def mean(self) -> np.ndarray:
        """Mean of the last iterates, shape (P,); at least of the last one."""
        import numpy as np

        return np.asarray(np.mean(self._points, axis=0))


def optional_positive(config: OptimizerConfig, *names: str) -> None:
    """Refuse settings that are given and not finite numbers above zero."""
    for name in names:
        if (value := getattr(config, name)) is not None:
            require_positive(f"optimizer.{name}", value)


def optional_count(config: OptimizerConfig, *names: str, low: int = 1) -> None:
    """Refuse settings that are given and not integers of at least `low`."""
    for name in names:
        if (value := getattr(config, name)) is not None:
            require_integer(f"optimizer.{name}", value, low)
