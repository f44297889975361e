"""How mitigated values change with the rates of noise that was learned, and what the rates' errors make of theirs.

Noise e^L, L(ρ) = Σ λ (PρP − ρ), is cancelled by e^(−L) or amplified by e^((f − 1) L) behind a layer. To first order a
value ⟨O⟩ without noise changes with λ by ±(⟨O⟩ − ⟨O⟩ with P behind the layer), summed over every time the layer occurs.
Both are those of the circuit without noise, which is what a mitigated value is of.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Parameter, QuantumCircuit

from runner.engine import Engine
from runner.mitigation import client
from runner.mitigation.client import Setting
from runner.mitigation.decoding import Injected, Layout
from runner.mitigation.noise import Layer, LayerNoise

_MOST = 1 << 28
"""Amplitudes × gates × circuits that are followed for one parameter set; beyond, errors of rates are not told."""


class Sensitivity:
    """How a circuit's Pauli terms change with learned rates.

    Args:
        circuit: on the qubits that are used.
        labels: the terms.
        chosen: what is done, with the noise of the layers.
        qubits: the device's numbers of the circuit's.

    Raises:
        ConfigError: the client finds no layers in the circuit.
    """

    def __init__(
        self, circuit: QuantumCircuit, labels: Sequence[str], chosen: Setting, qubits: Sequence[int]
    ) -> None:
        self._chosen = chosen
        self._layers: list[Layer] = []
        names: list[list[tuple[str, str]]] = []
        place = {qubit: number for number, qubit in enumerate(qubits)}

        whole = QuantumCircuit(len(qubits))
        for gates, number, layer in client.in_layers(circuit, chosen, qubits):
            for gate in gates:
                if gate.name not in ("measure", "barrier"):
                    whole.append(gate.operation, [place[number[bit]] for bit in gate.qubits])
            if layer is not None:
                names.append(
                    _insert(whole, f"noise {len(self._layers)}", [place[qubit] for qubit in layer.qubits])
                )
                self._layers.append(layer)
        columns = {parameter.name: number for number, parameter in enumerate(whole.parameters)}
        self._given = [columns[parameter.name] for parameter in circuit.parameters]
        self._inserted = self._rows(names, columns)
        self._plan = Engine().estimator_plan(whole, list(labels))
        self._work = len(self._inserted) * len(whole.data) << whole.num_qubits

    @property
    def known(self) -> list[LayerNoise]:
        """The noise of each layer that was learned, in the order of its first occurrence."""
        noise = self._chosen.noise
        assert noise is not None
        found = (noise.of(layer) for layer in dict.fromkeys(self._layers))
        return [one for one in found if one is not None]

    @property
    def follows(self) -> bool:
        """Is the circuit small enough?"""
        return self._work <= _MOST

    @property
    def tells(self) -> bool:
        """Is it known how sure the rates are?"""
        return all(len(one.deviations) or len(one.shot_deviations) for one in self.known)

    def _rows(self, names: Sequence[Sequence[tuple[str, str]]], columns: dict[str, int]) -> NDArray:
        """Angles that put each generator behind each occurrence of its layer, (1 + insertions, parameters)."""
        rows = [np.zeros(len(columns))]
        noise = self._chosen.noise
        assert noise is not None
        for layer, own in zip(self._layers, names, strict=True):
            if (known := noise.of(layer)) is None:
                continue
            for generator in known.generators:
                row = np.zeros(len(columns))
                for (z, x), letter in zip(own, generator, strict=True):
                    row[columns[z]], row[columns[x]] = math.pi * (letter & 1), math.pi * (letter >> 1)
                rows.append(row)
        return np.array(rows)

    def lost(self, sets: NDArray, layout: Layout) -> NDArray:
        """By how much each pair falls with each Pauli behind each occurrence of its layer, (insertions, pairs).

        Args:
            sets: parameters of each configuration that is measured, (N, P).
            layout: what is measured and read.
        """
        different, numbers = np.unique(layout.sets, return_inverse=True)
        sets = sets[np.searchsorted(layout.sets, different)]
        rows = np.repeat(self._inserted[None], len(sets), axis=0)
        rows[:, :, self._given] = sets[:, None, :]
        terms = self._plan.run(rows[:, :, None, :], shots=None, seed=1).evs  # (sets, 1 + insertions, terms)
        lost = terms[:, :1] - terms[:, 1:]
        found: NDArray = lost[np.repeat(numbers, np.diff(layout.starts)), :, layout.terms].T
        return found

    def _by_rate(self, lost: NDArray) -> list[NDArray]:
        """The same with each rate of each layer of `known`, its occurrences added up, (G, pairs)."""
        found = {one.layer: np.zeros((len(one.rates), lost.shape[1])) for one in self.known}
        start = 0
        for layer in self._layers:
            if layer in found:
                count = len(found[layer])
                found[layer] += lost[start : start + count]
                start += count
        return list(found.values())

    def injected(self, lost: NDArray, randomizations: int) -> Injected:
        """What amplifies noise in each of so many randomizations, where pairs fall with each Pauli by `lost`."""
        known = {one.layer: one.rates for one in self.known}
        rates = np.concatenate([np.zeros(0), *(known[layer] for layer in self._layers if layer in known)])
        factors = self._chosen.noise_factors
        # noise of e^(−2fλ) takes away as much of what another Pauli changes, where it turns a value's sign
        taken = -np.expm1(-2 * factors[:, None] * rates)
        turned = np.minimum(np.abs(lost), 1.0)
        sizes = np.array([(1 - own[:, None] * turned).prod(axis=0) for own in taken])
        beyond = factors - factors.min()
        chances = -np.expm1(-2 * beyond[:, None] * rates) / 2
        return Injected(int(factors.argmin()), chances, lost, sizes, randomizations)

    def variance(
        self, lost: NDArray, layout: Layout, left: float, values: NDArray, means: NDArray, weights: NDArray
    ) -> NDArray:
        """What the errors of learned rates add to the variance of each value, (values,).

        Args:
            lost: by how much each pair falls with each Pauli.
            layout: what is measured and read.
            left: the part of the noise that is left where it is cancelled.
            values: each pair's without noise, (pairs,).
            means: each pair's at every noise factor, (F, pairs).
            weights: how `values` change with these, (F, pairs).
        """
        scales = self._amplified(values, means, weights) if self._chosen.zne else 1.0 - left
        slopes = [layout.summed(one * scales) for one in self._by_rate(lost)]  # (G, values) of each layer
        if self._chosen.pec and left and self._chosen.options.resilience.pec.noise_gain == "auto":
            slopes = self._at_this_overhead(slopes)
        result = np.zeros(len(layout.constants))
        for one, slope in zip(self.known, slopes, strict=True):
            spread = ((one.deviations @ slope) ** 2).sum(axis=0)
            result += np.maximum(spread, ((one.shot_deviations @ slope) ** 2).sum(axis=0))
        return result

    def _amplified(self, values: NDArray, means: NDArray, weights: NDArray) -> NDArray:
        """How a pair's value changes per change of the term by noise added once, (pairs,).

        At factor f it is added f − 1 times, to a term that is as much smaller as the pair's mean is.
        """
        added = self._chosen.noise_factors[:, None] - 1.0
        sizes = np.divide(
            means, values, out=np.ones_like(means), where=np.broadcast_to(values != 0, means.shape)
        )
        result: NDArray = (weights * added * np.clip(np.abs(sizes), 0.0, 1.0)).sum(axis=0)
        return result

    def _at_this_overhead(self, slopes: Sequence[NDArray]) -> list[NDArray]:
        """The same where as much is cancelled as the overhead allows, Σ λ times a factor, which falls as rates grow."""
        counts = Counter(self._layers)
        every = list(zip(self.known, slopes, strict=True))
        whole = sum(counts[one.layer] * one.rates.sum() for one, _ in every)
        if not whole:
            return list(slopes)  # nothing is known of any layer, or there was no noise to see
        mean = sum(one.rates @ slope for one, slope in every) / whole
        return [slope - counts[one.layer] * mean for one, slope in every]


def _insert(circuit: QuantumCircuit, name: str, qubits: Sequence[int]) -> list[tuple[str, str]]:
    """Add turns about z and x to each of these qubits, by π each of which a Pauli is made; their parameters' names."""
    found = []
    for qubit in qubits:
        z, x = Parameter(f"{name} {qubit} z"), Parameter(f"{name} {qubit} x")
        circuit.rz(z, qubit)
        circuit.rx(x, qubit)
        found.append((z.name, x.name))
    return found
