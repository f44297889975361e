"""One parameter at a time, each solved exactly: NFT, also known as Rotosolve (Nakanishi, Fujii & Todo 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.optimizer.method import Ending, OptimizerConfig, Watch, optional_count, optional_positive

if TYPE_CHECKING:
    import numpy as np


@dataclass(kw_only=True)
class NFT(OptimizerConfig):
    """Along one angle of a Pauli rotation the energy is a sine, and two more energies tell its minimum.

    With several harmonics it is a trigonometric polynomial, and 2·harmonics more energies tell it.
    """

    sweeps: int | None = None
    """Passes over all parameters; null: until converged or the evaluations are used up."""
    harmonics: int = 1
    """Highest frequency of the energy in one parameter: 1 for Pauli rotations, 2 for coupled-cluster excitations."""
    tolerance: float = 1e-6
    """Converged when two sweeps in a row lower the energy by less than this."""

    label = "NFT"

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_count(self, "sweeps", "harmonics")
        optional_positive(self, "tolerance")

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:  # noqa: ARG002 - no randomness
        """Sweep over the parameters; the energy is measured afresh at the start of every sweep."""
        import numpy as np

        x = x0.copy()
        energy = watch(x)
        sweep = idle = 0
        while self.sweeps is None or sweep < self.sweeps:
            before = energy
            for index in range(len(x)):
                points = 2 * self.harmonics + 1
                shifts = 2 * np.pi * np.arange(1, points) / points
                around = np.tile(x, (points - 1, 1))
                around[:, index] += shifts
                samples = np.concatenate([[energy], watch.many(around)])
                turn, energy = lowest_of_wave(samples)
                x[index] = (x[index] + turn + np.pi) % (2 * np.pi) - np.pi
                watch.step(energy)
            sweep += 1
            energy = watch(x)
            idle = idle + 1 if before - energy < self.tolerance else 0
            if idle == 2:
                return Ending(parameters=x, energy=energy, message=f"converged after {sweep} sweeps")
        return Ending(parameters=x, energy=energy, message=f"{sweep} sweeps done")


def lowest_of_wave(samples: np.ndarray) -> tuple[float, float]:
    """Where the trigonometric polynomial through equidistant samples over one period is lowest, and its value there.

    Args:
        samples: 2R + 1 values at angles 2πk/(2R + 1), R being the highest frequency.
    """
    import numpy as np

    order = len(samples) // 2
    waves = np.fft.rfft(samples) / len(samples)
    if order == 1:
        angle = np.pi - float(np.angle(waves[1]))
        return angle, float(waves[0].real - 2 * np.abs(waves[1]))
    k = np.arange(1, order + 1)

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
