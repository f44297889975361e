"""A measured circuit, twirled and with echoes in its waits, as the client's Sampler has it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BitArray

from runner.errors import ConfigError
from runner.mitigation import client
from runner.mitigation.decoupling import decoupled
from runner.mitigation.plan import on_device, on_qubits, shots_seed, translated

if TYPE_CHECKING:
    from runner.engine import Engine, SamplerPlan


@dataclass(frozen=True, eq=False)
class SamplerSetting(client.Randomizing):
    """What is done against errors while bitstrings are drawn: the client's options, checked and completed by it."""

    options: Any
    """The client's own `SamplerOptions`, finalized."""

    @property
    def active(self) -> bool:
        """Is anything done at all?"""
        return self.twirls or self.decouples

    @cached_property
    def text(self) -> str:
        """What of it changes numbers, as canonical text."""
        return json.dumps(self.as_dict(), sort_keys=True, default=str)

    def as_dict(self) -> dict[str, Any]:
        """What of it changes numbers, under the client's names."""
        dumped = self.options.model_dump()
        return {name: dumped[name] for name in ("twirling", "dynamical_decoupling")}

    def split(self, shots: int) -> tuple[int, int]:
        """Randomizations, and shots of each, for so many shots; together they may be a few more."""
        return client.split(self.options.twirling, shots) if self.twirls else (1, shots)

    def drawn(self, shots: int) -> int:
        """How many shots are drawn where so many are asked for."""
        return math.prod(self.split(shots))

    def words(self) -> str:
        """What is done, in a few words."""
        return ", ".join(self._randomized()) or "nothing"


def sampler_setting(
    values: Mapping[str, Any], named: Callable[[str], str] = "options.{}".format
) -> SamplerSetting:
    """Options of a Sampler under the client's names, checked and completed by the client's own models.

    Args:
        values: `twirling` and `dynamical_decoupling`; what is None is left to the client.
        named: what a refusal calls an option of the client's, such as `twirling.enable_gates`.

    Raises:
        ConfigError: one that the client does not take, or that cannot act here; or the client is not installed.
    """
    chosen = SamplerSetting(client.sampler_options(values, named))
    for on, group, switch in (
        (chosen.twirls, "twirling", "twirling.enable_gates or twirling.enable_measure"),
        (chosen.decouples, "dynamical_decoupling", "dynamical_decoupling.enable"),
    ):
        for name, value in () if on else (values.get(group) or {}).items():
            if value not in (None, "auto") and not name.startswith("enable"):
                raise ConfigError(f"acts with {switch}, which is off", key=named(f"{group}.{name}"))
    return chosen


class SampledPlan:
    """One measured circuit with everything that is done against errors.

    Args:
        circuit: ISA circuit with measurements.
        chosen: what is done.
        engine: simulates it.

    Raises:
        ConfigError: it cannot be done to this circuit.
    """

    def __init__(self, circuit: QuantumCircuit, chosen: SamplerSetting, engine: Engine) -> None:
        self.chosen = chosen
        self._samplex: Any = None
        whole = circuit
        if chosen.twirls:
            used = {
                circuit.find_bit(bit).index
                for item in circuit.data
                if item.operation.name != "barrier"
                for bit in item.qubits
            }
            qubits = sorted(used) or [0]
            template, self._samplex = client.twirled(translated(on_qubits(circuit, qubits)), chosen.options)
            whole = on_device(template, qubits, circuit.num_qubits)
        if chosen.decouples:
            whole = decoupled(whole, chosen.options.dynamical_decoupling, engine)
        self._plan: SamplerPlan = engine.sampler_plan(whole)

    def work(self, sets: int, shots: int) -> tuple[int, float | None]:
        """Executions and the circuit's duration [s]."""
        return sets * self.chosen.drawn(shots), self._plan.duration

    def run(self, values: NDArray, *, shots: int, seed: int) -> dict[str, BitArray]:
        """Sample parameter sets (*batch, P): one `BitArray` of the batch's shape per register, flips undone."""
        randomizations, each = self.chosen.split(shots)
        batch = values.shape[:-1]
        rows = np.asarray(values, dtype=float).reshape(math.prod(batch), values.shape[-1])
        if self._samplex is None:
            return self._plan.run(rows.reshape(*batch, rows.shape[1]), shots=each, seed=seed)
        angles, flips = client.randomized(
            self._samplex, rows, randomizations, np.random.default_rng([seed, 0])
        )
        # the randomizations of a set one after the other, so that they do not depend on the sets beside it
        drawn = self._plan.run(
            angles.reshape(len(rows) * randomizations, angles.shape[-1]),
            shots=each,
            seed=shots_seed([seed, 1]),
        )
        result = {}
        for name, found in drawn.items():
            bits = found.to_bool_array(order="little")  # (sets · R, shots, bits)
            if name in flips:
                bits ^= flips[name].reshape(len(bits), 1, -1)
            bits = bits.reshape(*batch, randomizations * each, bits.shape[-1])
            result[name] = BitArray.from_bool_array(bits, order="little")
        return result
