"""Learning a layer's noise: the client's circuits, carried out on the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qiskit.transpiler import Target

from runner.mitigation import client
from runner.mitigation.noise import Layer, LayerNoise, Learning
from runner.mitigation.plan import on_device, shots_seed

if TYPE_CHECKING:
    from runner.engine import Engine

DRESSING = ("rz", "sx", "rx", "x")
"""One-qubit gates that layers are twirled with, whose noise is part of what is learned."""


class LearningPlan:
    """What is executed to learn one layer's noise.

    Args:
        layer: on the device's qubits.
        target: the device's gates.
        width: how many qubits the device's circuits have.
        learning: how much is executed.
        engine: simulates it.
        device: the device's name.

    Raises:
        ConfigError: the client cannot learn it.
    """

    def __init__(
        self, layer: Layer, target: Target, width: int, learning: Learning, engine: Engine, device: str
    ) -> None:
        self.layer = layer
        self.learning = learning
        self.key = (device, layer, learning.text)
        """What tells it from others."""
        self.device = device
        self._last: tuple[int, dict[str, NDArray]] | None = None
        self._experiment = client.experiment(layer, target, learning)
        self._plans = [
            engine.learning_plan(on_device(one, layer.qubits, width)) for one in self._experiment.circuits
        ]
        self.noise_digest = engine.noise_digest(layer.qubits, [*DRESSING, *(name for name, _ in layer.gates)])

    @property
    def work(self) -> list[tuple[int, float | None]]:
        """Executions of every circuit, and how long it takes [s]."""
        shots = self.learning.shots_per_randomization
        return [
            (size * shots, plan.duration)
            for size, plan in zip(self._experiment.sizes, self._plans, strict=True)
        ]

    @property
    def executions(self) -> int:
        """Executions of all circuits."""
        return sum(count for count, _ in self.work)

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return sum(plan.nbytes for plan in self._plans)

    def told(self) -> dict[str, Any]:
        """What is learned and how, as the journal has it."""
        return {
            "gates": [[name, list(acted)] for name, acted in self.layer.gates],
            "qubits": list(self.layer.qubits),
            "device": self.device,
            "noise": self.noise_digest,
            **self.learning.as_dict(),
        }

    def run(self, seed: int) -> dict[str, NDArray]:
        """Learn the noise: `generators` (G, qubits) as 0, 1, 2, 3 for I, Z, X, Y, `rates` (G,), and of these
        `left_out` (J, G) and `by_shots` (D, G).

        Raises:
            ConfigError: no model fits what was measured.
        """
        last = self._last  # jobs that are simulated at the same time share a plan
        if last is None or last[0] != seed:  # a price is asked for before the job is submitted
            self._last = last = (seed, self._learned(seed))
        return dict(last[1])

    def _learned(self, seed: int) -> dict[str, NDArray]:
        data = []
        for place, plan in enumerate(self._plans):
            own = [seed, 2, place]
            drawn = self._experiment.draw(place, np.random.default_rng(own))
            angles = drawn.pop("parameter_values")
            rows = np.ascontiguousarray(angles.reshape(-1, angles.shape[-1]), dtype=float)
            read = plan.run(rows, shots=self.learning.shots_per_randomization, seed=shots_seed(own))
            bits = {
                name: array.to_bool_array(order="little").reshape(
                    *angles.shape[:-1], array.num_shots, array.num_bits
                )
                for name, array in read.items()
            }
            data.append({**drawn, **bits})
        generators, rates, left_out, by_shots = self._experiment.learned(data)
        return {
            "generators": generators.astype(float), "rates": rates, "left_out": left_out, "by_shots": by_shots,
        }  # fmt: skip

    def noise(self, numbers: dict[str, NDArray]) -> LayerNoise:
        """The layer's noise from what `run` gave."""
        return LayerNoise.learned(self.told(), numbers)
