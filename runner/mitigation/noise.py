"""The noise of layers of two-qubit gates: Pauli–Lindblad models, as they are learned, written down and read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from runner.errors import ConfigError
from runner.record.directory import OUTPUTS
from runner.record.files import read_object

MAX_PAIRS = 5000
"""Pairs of layers in the circuits that one job learns noise from: preparing each takes about 5 ms."""
LETTERS = "IZXY"
"""Paulis by their numbers."""


def labels_of(letters: NDArray) -> list[str]:
    """Rows of 0, 1, 2, 3 for I, Z, X, Y of each qubit as Qiskit writes them, the first qubit last."""
    return ["".join(LETTERS[letter] for letter in row[::-1]) for row in letters.astype(int)]


@dataclass(frozen=True, order=True)
class Layer:
    """Two-qubit gates at the same time, and the qubits that wait for them."""

    gates: tuple[tuple[str, tuple[int, ...]], ...]
    """Names and the device's qubits, sorted."""
    qubits: tuple[int, ...]
    """All qubits that belong to it, ascending."""

    @property
    def text(self) -> str:
        """Such as `cz(3,4) on 3,4,5`; the qubits are named where some of them wait."""
        gates = " ".join(f"{name}({','.join(map(str, acted))})" for name, acted in self.gates)
        busy = {qubit for _, acted in self.gates for qubit in acted}
        return gates if busy == set(self.qubits) else f"{gates} on {','.join(map(str, self.qubits))}"


@dataclass(frozen=True)
class Learning:
    """How much is executed to learn a layer's noise, under the client's names and with its defaults."""

    max_layers_to_learn: int | None = 4
    """Layers that are learned, those that occur most; None: all."""
    shots_per_randomization: int = 128
    """Shots of each random circuit."""
    num_randomizations: int = 32
    """Random circuits for each basis and depth."""
    layer_pair_depths: tuple[int, ...] = (0, 1, 2, 4, 16, 32)
    """How often the layer is repeated, in pairs."""

    @property
    def text(self) -> str:
        """What changes numbers; not how many layers there are."""
        return f"{self.shots_per_randomization}|{self.num_randomizations}|{self.layer_pair_depths}"

    def as_dict(self) -> dict[str, Any]:
        """As a run's files have it, but for how many layers."""
        return {
            "shots_per_randomization": self.shots_per_randomization,
            "num_randomizations": self.num_randomizations,
            "layer_pair_depths": list(self.layer_pair_depths),
        }

    def most(self, found: Mapping[Layer, int]) -> list[Layer]:
        """The layers to learn, in the client's order: what occurs most, then what has most gates, comes first."""
        order = sorted(found, key=lambda layer: (-found[layer], -len(layer.gates), layer))
        return order if self.max_layers_to_learn is None else order[: self.max_layers_to_learn]


@dataclass(frozen=True, eq=False)
class LayerNoise:
    """What was learned of one layer: its channel is e^L with L(ρ) = Σ rate · (PρP − ρ)."""

    layer: Layer
    generators: NDArray
    """The Paulis P as 0, 1, 2, 3 for I, Z, X, Y on the layer's qubits, (G, qubits)."""
    rates: NDArray
    """Their rates, (G,)."""
    device: str
    """Name of the device."""
    noise: str
    """Digest of the noise that the device had there."""
    left_out: NDArray | None = None
    """The rates with each of J groups of randomizations left out, (J, G); None: how sure they are is not known."""
    by_shots: NDArray | None = None
    """What the rates' covariance by shots alone is the sum of squares of, had they no bound at 0, (D, G); None or no
    rows: not known. Where nothing was seen rates are 0 in every group of randomizations, and only this is not."""

    @property
    def deviations(self) -> NDArray:
        """What the rates' covariance is the sum of squares of, (J, G); none where nothing is known, (0, G).

        That is the jackknife's: √((J − 1) / J) · (rates with a group left out − their mean).
        """
        if self.left_out is None or len(self.left_out) < 2:
            return np.zeros((0, len(self.rates)))
        groups = len(self.left_out)
        found: NDArray = np.sqrt((groups - 1) / groups) * (self.left_out - self.left_out.mean(axis=0))
        return found

    @property
    def shot_deviations(self) -> NDArray:
        """The same by shots alone, (D, G); none where nothing is known, (0, G)."""
        return np.zeros((0, len(self.rates))) if self.by_shots is None else self.by_shots

    def labels(self) -> list[str]:
        """The generators as the client writes them, the first qubit last."""
        return labels_of(self.generators)

    def terms(self) -> list[tuple[str, list[int], float]]:
        """Letters, qubits and rate of each, for a `PauliLindbladMap`."""
        found = []
        for row, rate in zip(self.generators.astype(int), self.rates.tolist(), strict=True):
            acted = np.flatnonzero(row).tolist()
            found.append(("".join(LETTERS[row[qubit]] for qubit in acted), acted, rate))
        return found

    @property
    def gamma(self) -> float:
        """What cancelling it multiplies standard errors by: e^(2 Σ rates) of those above 0."""
        return float(np.exp(2.0 * self.rates[self.rates > 0].sum()))

    def as_dict(self) -> dict[str, Any]:
        """As the file of a run has it."""
        return {
            "layer": self.layer.text,
            "gates": [[name, list(acted)] for name, acted in self.layer.gates],
            "qubits": list(self.layer.qubits),
            "generators": self.labels(),
            "rates": self.rates.tolist(),
            **({} if self.left_out is None else {"rates_left_out": self.left_out.tolist()}),
            **({} if self.by_shots is None else {"rates_by_shots": self.by_shots.tolist()}),
            "device": self.device,
            "noise": self.noise,
        }

    @classmethod
    def learned(cls, told: Mapping[str, Any], numbers: Mapping[str, Any]) -> Self:
        """From what the journal tells of a layer, and what was learned of it."""
        layer = _layer(told)
        generators = np.array(numbers["generators"], dtype=float).reshape(-1, len(layer.qubits)).astype(int)
        rates = np.array(numbers["rates"], dtype=float)
        left_out, by_shots = (_rows(numbers.get(name), len(rates)) for name in ("left_out", "by_shots"))
        return cls(layer, generators, rates, told["device"], told["noise"], left_out, by_shots)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """From what `as_dict` wrote.

        Raises:
            ConfigError: that is not it, naming the key and what was expected.
            TypeError, ValueError: a value is of another kind.
        """
        for key in ("gates", "qubits", "generators", "rates", "device", "noise"):
            if key not in values:
                raise ConfigError(f"has no {key!r}; write gates, qubits, generators, rates, device and noise")
        layer = _layer(values)
        for label in values["generators"]:
            if len(label) != len(layer.qubits) or set(label) - set(LETTERS):
                raise ConfigError(
                    f"has the generator {label!r}; write a word of {len(layer.qubits)} letters I, X, Y, Z"
                )
        letters = [[LETTERS.index(letter) for letter in label[::-1]] for label in values["generators"]]
        generators = np.array(letters, dtype=int).reshape(len(letters), len(layer.qubits))
        rates = np.array(values["rates"], dtype=float)
        if rates.shape != (len(letters),):
            raise ConfigError(
                f"has {rates.size} rates for {len(letters)} generators; write one rate for each generator"
            )
        unsure: list[NDArray | None] = []
        for key in ("rates_left_out", "rates_by_shots"):
            if any(len(row) != len(rates) for row in values.get(key) or ()):
                raise ConfigError(
                    f"has a row of {key} that is not of {len(rates)} rates; write one for each generator, or "
                    f"leave {key} out"
                )
            unsure.append(_rows(values.get(key), len(rates)))
        if not all(np.isfinite(one).all() for one in (rates, *unsure) if one is not None):
            raise ConfigError("has a rate that is not finite; write numbers")
        found = cls(layer, generators, rates, str(values["device"]), str(values["noise"]), *unsure)
        found.require_noise()
        return found

    def require_noise(self) -> None:
        """Refuse what is no noise: rates below zero take some away.

        Raises:
            ConfigError: naming one.
        """
        for label, rate in zip(self.labels(), self.rates.tolist(), strict=True):
            if rate < 0:
                raise ConfigError(
                    f"has the rate {rate:g} of {label} in the layer {self.layer.text}, and rates of noise are 0 or "
                    "more; learn it with more shots, or write 0"
                )


def _rows(values: Any, count: int) -> NDArray | None:
    """(…, G) of what was written down; earlier releases did not."""
    return None if values is None else np.array(values, dtype=float).reshape(-1, count)


def _layer(values: Mapping[str, Any]) -> Layer:
    gates = tuple((str(name), tuple(int(qubit) for qubit in acted)) for name, acted in values["gates"])
    return Layer(gates, tuple(int(qubit) for qubit in values["qubits"]))


@dataclass(frozen=True, eq=False)
class NoiseOfLayers:
    """What is known of some layers."""

    known: Mapping[Layer, LayerNoise]

    def __repr__(self) -> str:
        """Tell it from others by the digest."""
        return f"NoiseOfLayers({self.text})"

    @classmethod
    def joined(cls, found: Iterable[LayerNoise]) -> Self:
        """Of these."""
        return cls({one.layer: one for one in found})

    def of(self, layer: Layer) -> LayerNoise | None:
        """Of a layer; None where it was not learned."""
        return self.known.get(layer)

    @property
    def text(self) -> str:
        """A digest of all rates."""
        digest = blake2b(digest_size=16)
        for layer in sorted(self.known):
            one = self.known[layer]
            digest.update(layer.text.encode() + one.generators.astype(np.uint8).tobytes())
            digest.update(one.rates.astype(float).tobytes())
            for unsure in (one.left_out, one.by_shots):
                if unsure is not None:
                    digest.update(unsure.astype(float).tobytes())
        return digest.hexdigest()


NOISE_MODEL = "noise_model.json"
"""What was learned in a run, in its directory."""


def read_noise(source: str) -> NoiseOfLayers:
    """What another run has learned.

    Args:
        source: `run:ID`, the name of a run's directory or a path to it, or `file:PATH`.

    Raises:
        ConfigError: there is none, or it is something else.
    """
    kind, colon, rest = source.partition(":")
    if not (colon and rest and kind in ("run", "file")):
        raise ConfigError("is no noise model; write run:ID or file:PATH")
    path = Path(rest)
    if kind == "run":
        path = (path if path.is_dir() else OUTPUTS / "runs" / rest) / NOISE_MODEL
    try:
        written = read_object(path).get("layers")
    except FileNotFoundError as error:
        raise ConfigError(f"names no noise model, for there is no {path}") from error
    except OSError as error:
        raise ConfigError(
            f"names no noise model: {path} cannot be read ({(error.strerror or 'unknown reason').lower()})"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"is no noise model: {error}") from error
    if not isinstance(written, list):
        raise ConfigError(f'is no noise model: {path} has no list of layers; write {{"layers": [...]}}')
    layers = [_read_layer(path, place, values) for place, values in enumerate(written)]
    seen: set[Layer] = set()
    for one in layers:
        if one.layer in seen:
            raise ConfigError(
                f"is no noise model: {path} has the layer {one.layer.text} twice; leave one of them out"
            )
        seen.add(one.layer)
    return NoiseOfLayers.joined(layers)


def _read_layer(path: Path, place: int, values: Any) -> LayerNoise:
    try:
        return LayerNoise.read(values)
    except ConfigError as error:
        raise ConfigError(f"is no noise model: {path}: layers[{place}] {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"is no noise model: {path}: layers[{place}] is not as a run's noise_model.json has it; copy one of those"
        ) from error


def require_of_device(found: NoiseOfLayers, wanted: Iterable[tuple[Layer, str]], device: str) -> None:
    """Refuse a model that lacks a layer, or is of another device or noise.

    Args:
        found: the model.
        wanted: layers, and the digest of the device's noise there.
        device: its name.

    Raises:
        ConfigError: naming the first layer.
    """
    if others := {one.device for one in found.known.values()} - {device}:
        raise ConfigError(f"is of {min(others)}, and the backend is {device}; leave it out to learn")
    for layer, noise in wanted:
        known = found.of(layer)
        if known is None:
            has = ", ".join(sorted(one.text for one in found.known)) or "none"
            raise ConfigError(f"has no noise of the layer {layer.text}, but of {has}; leave it out to learn")
        if known.noise != noise:
            raise ConfigError(
                f"was learned where {device} had other noise at {layer.text}; leave it out to learn"
            )
