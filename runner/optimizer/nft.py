"""One parameter at a time, each solved exactly: NFT, also known as Rotosolve (Nakanishi, Fujii & Todo 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import ConfigError
from runner.optimizer.method import (
    Ending,
    Frequencies,
    OptimizerConfig,
    Watch,
    optional_count,
    optional_positive,
)

if TYPE_CHECKING:
    import numpy as np

MAX_ORDER = 100
"""Most harmonics of one angle that are fitted."""


@dataclass(kw_only=True)
class NFT(OptimizerConfig):
    """Along one angle the energy is a trigonometric polynomial, and a few more energies tell it and its minimum.

    Its frequencies are taken from the circuit: 1 for a Pauli rotation that occurs once, 1 and 2 for an excitation,
    ½ and 1 for a controlled rotation, more where an angle is scaled or shared. Each angle is measured at the fewest
    equidistant points of its period at which no two of its frequencies look alike: 2R + 1 for R frequencies, unless
    gaps between them need more. The columns of that fit are orthogonal, so that shot noise is not amplified.
    """

    sweeps: int | None = None
    """Passes over all parameters; null: until converged or the evaluations are used up."""
    harmonics: int | None = None
    """Harmonics fitted along every angle; null: as many as the circuit gives it. Fewer than that are refused."""
    tolerance: float = 1e-6
    """Converged when two sweeps in a row lower the energy by less than this."""

    label = "NFT"
    sees_through_noise = True
    uses_frequencies = True

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_count(self, "sweeps", "harmonics")
        optional_positive(self, "tolerance")

    def check_frequencies(self, frequencies: Frequencies, names: Sequence[str]) -> None:
        """Refuse an energy whose harmonics are not known, or are more than declared.

        Raises:
            ConfigError: naming the parameter and what to type instead.
        """
        for own, name in zip(frequencies, names, strict=True):
            self._wave(own, name)

    def energies_per_sweep(self, frequencies: Frequencies) -> int:
        """Energies that one pass over all parameters takes, the fresh one before it included."""
        waves = [self._wave(own, f"parameter {index}") for index, own in enumerate(frequencies)]
        return 1 + sum(wave.points - 1 for wave in waves if wave is not None)

    def most_evaluations(self, frequencies: Frequencies | None) -> int | None:
        """What the declared sweeps take, and an energy before them."""
        if self.sweeps is None or frequencies is None:
            return self.max_evaluations
        swept = 1 + self.sweeps * self.energies_per_sweep(frequencies)
        return swept if self.max_evaluations is None else min(self.max_evaluations, swept)

    def _wave(self, frequencies: tuple[float, ...] | None, name: str) -> Wave | None:
        """What is fitted along one angle; None where the energy does not depend on it."""
        if frequencies is None:
            if self.harmonics is None:
                raise ConfigError(
                    f"nft cannot tell how the energy depends on {name}; use cobyla, or declare "
                    "optimizer.harmonics if you know",
                    key="optimizer",
                )
            return Wave.of(1.0, range(1, self.harmonics + 1))
        if not frequencies:
            return None
        base = common_divisor(frequencies)
        orders = [] if base is None else [round(frequency / base) for frequency in frequencies]
        if base is None or orders[-1] > MAX_ORDER:
            shown = ", ".join(f"{frequency:.4g}" for frequency in frequencies[:4])
            raise ConfigError(
                f"nft needs harmonics of one period, at most {MAX_ORDER}; the frequencies of {name} are "
                f"{shown}{', …' * (len(frequencies) > 4)}; use cobyla",
                key="optimizer",
            )
        if self.harmonics is None:
            return Wave.of(base, orders)
        if self.harmonics < orders[-1]:
            raise ConfigError(
                f"is {self.harmonics}, but the energy has {orders[-1]} in {name}; set it to null",
                key="optimizer.harmonics",
            )
        return Wave.of(base, range(1, self.harmonics + 1))

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:  # noqa: ARG002 - no randomness
        """Sweep over the parameters, those that take fewest energies first; every sweep begins with a fresh energy."""
        known = [None] * len(x0) if watch.frequencies is None else list(watch.frequencies)
        waves = [self._wave(own, f"parameter {index}") for index, own in enumerate(known)]
        order = sorted(range(len(x0)), key=lambda index: wave.points if (wave := waves[index]) else 0)
        x = x0.copy()
        watch.standing = lambda: {"answer": x}
        energy = watch(x)
        sweep = idle = 0
        while self.sweeps is None or sweep < self.sweeps:
            before = energy
            for index in order:
                if (wave := waves[index]) is not None:
                    x[index], energy = wave.solve(watch, x, index, energy)
                watch.step(energy)
            sweep += 1
            energy = watch(x)
            idle = idle + 1 if before - energy < self.tolerance else 0
            if idle == 2:
                return self._converged(x, energy, sweep, certain=None not in known)
        return Ending(
            parameters=x, energy=energy, success=False, message=f"{sweep} sweep{'s' * (sweep != 1)} done"
        )

    @staticmethod
    def _converged(x: np.ndarray, energy: float, sweep: int, *, certain: bool) -> Ending:
        message = f"converged after {sweep} sweeps"
        if not certain:
            message = (
                f"no lower after {sweep} sweeps; harmonics are declared, not known: not called converged"
            )
        return Ending(parameters=x, energy=energy, success=certain, message=message)


@dataclass(frozen=True)
class Wave:
    """The energy along one angle: c₀ + 2 Re Σₙ cₙ exp(i n g θ)."""

    base: float
    """g in 1/rad; the period is 2π/g."""
    orders: tuple[int, ...]
    """Which n occur, ascending."""
    points: int
    """Equidistant points of the period that tell it."""

    @classmethod
    def of(cls, base: float, orders: Sequence[int]) -> Wave:
        """With the fewest points at which the orders −n, 0 and n are all different, modulo their number."""
        points = 2 * len(orders) + 1
        while len({order % points for n in orders for order in (n, -n)} - {0}) < 2 * len(orders):
            points += 1
        return cls(base, tuple(orders), points)

    def solve(self, watch: Watch, x: np.ndarray, index: int, energy: float) -> tuple[float, float]:
        """The lowest point along angle `index` through `x`, in (−π/g, π/g], and the energy there by the fit.

        Args:
            watch: what evaluates.
            x: parameters, shape (P,).
            index: of the angle.
            energy: at `x`.
        """
        import numpy as np

        shifts = 2 * np.pi * np.arange(1, self.points) / self.points / self.base
        around = np.tile(x, (len(shifts), 1))
        around[:, index] += shifts
        turn, lowest = lowest_of_wave(np.concatenate([[energy], watch.many(around)]), self.orders)
        half = math.pi / self.base
        return (x[index] + turn / self.base + half) % (2 * half) - half, lowest


def common_divisor(frequencies: Sequence[float]) -> float | None:
    """The largest g of which all frequencies are multiples; None where they have none."""
    largest = max(frequencies)
    divisor = largest
    for frequency in frequencies:
        rest = frequency
        while rest > 1e-6 * largest:
            divisor, rest = rest, abs(math.remainder(divisor, rest))
    base = largest / round(largest / divisor)
    whole = all(abs(frequency / base - round(frequency / base)) < 1e-6 for frequency in frequencies)
    return base if whole else None


def lowest_of_wave(samples: np.ndarray, orders: Sequence[int]) -> tuple[float, float]:
    """Where the trigonometric polynomial through equidistant samples over one period is lowest, and its value there.

    Args:
        samples: N values at angles 2πk/N.
        orders: the harmonics it has, ascending; −n, 0 and n all different modulo N.
    """
    import numpy as np

    spectrum = np.fft.rfft(samples) / len(samples)
    waves = np.zeros(orders[-1] + 1, dtype=complex)
    waves[0] = spectrum[0]
    for order in orders:
        place = order % len(samples)
        mirrored = place >= len(spectrum)
        waves[order] = spectrum[len(samples) - place].conj() if mirrored else spectrum[place]
    if len(waves) == 2:
        angle = np.pi - float(np.angle(waves[1]))
        return angle, float(waves[0].real - 2 * np.abs(waves[1]))
    k = np.arange(1, len(waves))

    def value(angle: np.ndarray) -> np.ndarray:
        return waves[0].real + 2 * np.real(np.exp(1j * np.outer(angle, k)) @ waves[1:])

    # derivative zero: the roots on the unit circle of Σ i k (c_k z^k − c̄_k z^−k)
    slope = k * waves[1:]
    roots = np.roots(np.concatenate([slope[::-1], [0.0], -slope.conj()]))
    angles = np.angle(roots[np.abs(np.abs(roots) - 1) < 1e-3])
    angles = np.concatenate([angles, [0.0]])
    values = value(angles)
    best = int(values.argmin())
    return float(angles[best]), float(values[best])
