"""The only module that knows the client's mitigation: its options, its circuits, its samplers and its fits.

They are 0.x packages: what they change is mended here, and `tests/mitigation/test_client.py` says what broke.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import CircuitInstruction, QuantumCircuit
from qiskit.quantum_info import PauliLindbladMap, PauliList
from qiskit.transpiler import Target

from runner.declare.checks import shorten
from runner.errors import ConfigError, installed
from runner.mitigation.noise import MAX_PAIRS, Layer, LayerNoise, Learning, NoiseOfLayers
from runner.mitigation.samplex import broadcast, sample_each

MISSING = "error mitigation takes a newer client: pip install 'session-runner[mitigation]'"
MULTIPLE = -1
"""Stands for a fit's number where the terms of an observable took different ones."""
MAX_FACTOR = 1e6
"""Largest noise factor for which fits are told: powers of more are no numbers any more."""
MAX_AMPLIFIED = 20_000
"""Two-qubit gates that noise may be amplified to the noise of; twirling so many takes the client minutes."""
_MOST_GROUPS = 32
"""Groups of randomizations that are left out one after the other, to see how sure learned rates are."""
_MOST_BY_SHOTS = 1 << 14
"""Decays × rates of a layer up to which it is told how the errors of the ones by shots move the others."""
_MOST_MOVED = 50.0
"""Of a decay's logarithm; more says no less."""
_LEAST_FIDELITY = 1e-3
"""Of a pair of layers; no decay is seen in one below."""


@cache
def _client() -> Any:
    """The client's parts.

    Raises:
        ConfigError: they are not installed; says what to install.
    """
    with installed(MISSING, why=True):
        from qiskit_ibm_runtime.exceptions import IBMInputValueError
        from qiskit_ibm_runtime.executor.calculate_twirling_shots import calculate_twirling_shots
        from qiskit_ibm_runtime.executor.dynamical_decoupling import generate_dd_pass_manager
        from qiskit_ibm_runtime.executor_estimator.finalize_options import finalize_estimator_options
        from qiskit_ibm_runtime.executor_estimator.pec import calculate_pec_twirling_shots
        from qiskit_ibm_runtime.executor_estimator.prepare import prepare
        from qiskit_ibm_runtime.executor_estimator.trex import resolve_trex_num_randomizations
        from qiskit_ibm_runtime.executor_estimator.utils import (
            estimator_options_to_boxing_options,
            resolve_noise_factors,
            validate_noise_factors,
        )
        from qiskit_ibm_runtime.executor_sampler.finalize_options import finalize_sampler_options
        from qiskit_ibm_runtime.executor_sampler.prepare import prepare as prepare_samples
        from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions
        from qiskit_ibm_runtime.options_models.sampler import SamplerOptions
        from qiskit_mitigation import PEC, TREX
        from qiskit_mitigation.zne.extrapolation import _process_extrapolated_expectation_values
        from samplomatic.quantum_program import QuantumProgram
    return SimpleNamespace(
        EstimatorOptions=EstimatorOptions,
        IBMInputValueError=IBMInputValueError,
        PEC=PEC,
        QuantumProgram=QuantumProgram,
        SamplerOptions=SamplerOptions,
        TREX=TREX,
        boxing=estimator_options_to_boxing_options,
        calculate_pec_twirling_shots=calculate_pec_twirling_shots,
        calculate_twirling_shots=calculate_twirling_shots,
        decoupler=generate_dd_pass_manager,
        extrapolate=_process_extrapolated_expectation_values,
        finalize=finalize_estimator_options,
        finalize_samples=finalize_sampler_options,
        prepare=prepare,
        prepare_samples=prepare_samples,
        resolve_noise_factors=resolve_noise_factors,
        resolve_trex_num_randomizations=resolve_trex_num_randomizations,
        validate_noise_factors=validate_noise_factors,
    )


class Randomizing:
    """What the client's options of both primitives have: twirling, and sequences in waits."""

    options: Any
    """The client's own options, finalized."""

    @property
    def twirls(self) -> bool:
        """Are gates or measurements twirled?"""
        return bool(self.options.twirling.enable_gates or self.options.twirling.enable_measure)

    @property
    def decouples(self) -> bool:
        """Are sequences of gates put into waits?"""
        return bool(self.options.dynamical_decoupling.enable)

    def _randomized(self, *, flips_told: bool = False) -> Iterator[str]:
        """What of it is done, in words; twirled measurements are left out where `flips_told` has said so."""
        if self.options.twirling.enable_gates:
            yield "twirled gates"
        if self.options.twirling.enable_measure and not flips_told:
            yield "twirled measurements"
        if self.decouples:
            yield f"dynamical decoupling ({self.options.dynamical_decoupling.sequence_type})"


@dataclass(frozen=True, eq=False)
class Setting(Randomizing):
    """What is done against errors: the client's options, checked and completed by the client."""

    level: int
    """The resilience level that what is not said follows from."""
    options: Any
    """The client's own `EstimatorOptions`, finalized."""
    learning: Learning = field(default_factory=Learning)
    """How the noise of layers is learned, where that is needed."""
    model: str | NoiseOfLayers | None = None
    """The noise of layers, or where it is read, `run:ID` or `file:PATH`; None: it is learned."""
    noise: NoiseOfLayers | None = None
    """The noise of the layers; None before it is known, and where it is not needed."""

    @property
    def active(self) -> bool:
        """Is anything done at all?"""
        return self.measure or self.zne or self.pec or self.twirls or self.decouples

    @property
    def measure(self) -> bool:
        """Are readout errors undone (TREX)?"""
        return bool(self.options.resilience.measure_mitigation)

    @property
    def zne(self) -> bool:
        """Is the noise amplified and the values extrapolated?"""
        return bool(self.options.resilience.zne_mitigation)

    @property
    def pec(self) -> bool:
        """Is noise cancelled by its inverse, in the mean?"""
        return bool(self.options.resilience.pec_mitigation)

    @property
    def pea(self) -> bool:
        """Is noise amplified by more of the same noise?"""
        return self.zne and self.options.resilience.zne.amplifier == "pea"

    @property
    def needs_noise(self) -> bool:
        """Does what is done take the noise of the layers?"""
        return self.pec or self.pea

    @property
    def learns(self) -> bool:
        """Does a job of its own learn that noise, for no other run's is declared?"""
        return self.needs_noise and self.model is None

    @property
    def strategy(self) -> str:
        """Which idle qubits belong to a layer."""
        return str(self.options.twirling.strategy)

    @property
    def max_overhead(self) -> float:
        """How many times more randomizations cancelling noise may take."""
        most = self.options.resilience.pec.max_overhead
        return math.inf if most is None else float(most)

    def knowing(self, noise: NoiseOfLayers) -> Setting:
        """Return the same with the noise of the layers."""
        return replace(self, noise=noise)

    @cached_property
    def text(self) -> str:
        """What of it changes numbers, as canonical text."""
        known = "" if self.noise is None else self.noise.text
        return json.dumps(self.as_dict(), sort_keys=True, default=str) + known

    def as_dict(self) -> dict[str, Any]:
        """What of it changes numbers, under the client's names."""
        dumped = self.options.model_dump(exclude={"resilience": {"layer_noise_model"}})
        return {name: dumped[name] for name in ("resilience", "twirling", "dynamical_decoupling")}

    @cached_property
    def noise_factors(self) -> NDArray:
        """By how much the noise is amplified, (F,); without extrapolation only by 1."""
        if not self.zne:
            return np.ones(1)
        return np.asarray(_client().resolve_noise_factors(self.options.resilience.zne)[0])

    @cached_property
    def extrapolated_noise_factors(self) -> NDArray:
        """Where the fits are evaluated, (K,)."""
        return np.asarray(_client().resolve_noise_factors(self.options.resilience.zne)[1])

    @cached_property
    def extrapolators(self) -> tuple[str, ...]:
        """The fits in the order they are tried."""
        chosen = self.options.resilience.zne.extrapolator
        return (chosen,) if isinstance(chosen, str) else tuple(chosen)

    def only(self, extrapolator: str) -> Setting:
        """Return the same with this fit alone."""
        zne = self.options.resilience.zne.model_copy(update={"extrapolator": extrapolator})
        resilience = self.options.resilience.model_copy(update={"zne": zne})
        return replace(self, options=self.options.model_copy(update={"resilience": resilience}))

    def split(self, shots: int) -> tuple[int, int]:
        """Randomizations, and shots of each, for so many shots per basis; cancelling noise takes γ² times more."""
        if not self.twirls:
            return 1, shots
        twirling = self.options.twirling
        if self.pec:
            randomizations, each = _client().calculate_pec_twirling_shots(
                shots, twirling.num_randomizations, twirling.shots_per_randomization
            )
            return int(randomizations), int(each)
        return split(twirling, shots)

    def calibrations(self, shots: int) -> tuple[int, int]:
        """Randomizations of the readout's calibration, and shots of each."""
        randomizations, each = self.split(shots)
        learning = self.options.resilience.measure_noise_learning
        return _client().resolve_trex_num_randomizations(learning, randomizations), each

    def words(self) -> str:
        """What is done, in a few words."""
        parts = []
        if self.measure:
            parts.append("readout (TREX)")
        if self.zne:
            factors = ", ".join(f"{factor:g}" for factor in self.noise_factors)
            more = " of what was learned (PEA)" if self.pea else ""
            parts.append(f"zero-noise extrapolation from noise × {factors}{more}")
        if self.pec:
            gain = self.options.resilience.pec.noise_gain
            left = "" if gain in ("auto", 0) else f" but for {gain:g} of it" if gain < 1 else " not at all"
            parts.append(f"learned noise cancelled{left} (PEC)")
        parts += self._randomized(flips_told=self.measure)
        return f"resilience level {self.level}: {', '.join(parts) or 'nothing'}"


def split(twirling: Any, shots: int) -> tuple[int, int]:
    """Randomizations, and shots of each, by the client's options of twirling."""
    randomizations, each = _client().calculate_twirling_shots(
        shots, twirling.num_randomizations, twirling.shots_per_randomization
    )
    return int(randomizations), int(each)


def setting(values: Mapping[str, Any], named: Callable[[str], str] = "options.{}".format) -> Setting:
    """Options under the client's names, checked and completed by the client's own models.

    Args:
        values: `resilience_level`, `resilience`, `twirling`, `dynamical_decoupling`; what is None is left to the level.
        named: what a refusal calls an option of the client's, such as `resilience.zne.noise_factors`.

    Raises:
        ConfigError: one that the client does not take, or that cannot act here; or the client is not installed.
    """
    chosen = _finalized(values, named)
    _require_possible(chosen.options, named)
    for key, _, switch in _idle(values, chosen):
        raise ConfigError(
            f"acts with {switch}, which is off at resilience level {chosen.level}", key=named(key)
        )
    return chosen


def learner_setting(values: Mapping[str, Any], named: Callable[[str], str] = "options.{}".format) -> Setting:
    """Options of the client's NoiseLearner: a setting that takes the noise of layers.

    Args:
        values: `max_layers_to_learn`, `shots_per_randomization`, `num_randomizations`, `layer_pair_depths` and
            `twirling_strategy`.
        named: what a refusal calls one of them.

    Raises:
        ConfigError: one that the client does not take, or that cannot act; or the client is not installed.
    """
    declared = dict(values)
    strategy = declared.pop("twirling_strategy")
    learning = learning_options(declared, named)
    taking = {"resilience": {"pec_mitigation": True}, "twirling": {"strategy": strategy}}
    return replace(_finalized(taking, lambda _key: named("twirling_strategy")), learning=learning)


def completed(options: Mapping[str, Any]) -> Setting:
    """Options that the client has completed before, as it sends them along with a program."""
    chosen = _client().EstimatorOptions(**options)
    return Setting(chosen.resilience_level, chosen)


def without_idle(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, Any, str]]]:
    """Options without those that do not act, and these: each with its value and the reason.

    Raises:
        ConfigError: the client does not take the value of one, or is not installed.
    """
    left_out = list(_unknown(values, _client().EstimatorOptions, ""))
    known = _less(values, "", {key for key, _, _ in left_out})
    for key, value, switch in _idle(known, _finalized(known, "options.{}".format)):
        left_out.append((key, value, f"acts with {switch}, which is off"))
    return _less(known, "", {key for key, _, _ in left_out}), left_out


def _unknown(values: Mapping[str, Any], model: Any, prefix: str) -> Iterator[tuple[str, Any, str]]:
    """Options that the client's models do not have."""
    for name, value in values.items():
        if f"{prefix}{name}" == "resilience.layer_noise_learning":
            continue  # the client-side Estimator is given what was learned, and this one learns
        if name not in model.model_fields:
            yield f"{prefix}{name}", value, "is none of the client-side Estimator's"
        elif isinstance(value, Mapping):
            inner = model.model_fields[name].annotation
            if hasattr(inner, "model_fields"):
                yield from _unknown(value, inner, f"{prefix}{name}.")


def _less(values: Mapping[str, Any], prefix: str, keys: set[str]) -> dict[str, Any]:
    return {
        name: _less(value, f"{prefix}{name}.", keys) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if f"{prefix}{name}" not in keys
    }


def _finalized(values: Mapping[str, Any], named: Callable[[str], str]) -> Setting:
    """Options as the client's models check and complete them.

    Raises:
        ConfigError: it does not take one, or is not installed.
    """
    client = _client()
    given = _given(values)
    learning, model = _of_layers(given, named)
    with _refused(values, named, "resilience_level"):
        options = client.finalize(client.EstimatorOptions(**given))
        if options.resilience.zne_mitigation:
            zne = options.resilience.zne
            factors, _ = client.resolve_noise_factors(zne)
            along = zne.extrapolated_noise_factors
            _require_factors(factors.tolist(), zne.extrapolator, named("resilience.zne.noise_factors"))
            if along != "auto" and max(along, default=0) > MAX_FACTOR:
                raise ConfigError(
                    f"must be at most {MAX_FACTOR:g}, got {max(along):g}; take smaller ones",
                    key=named("resilience.zne.extrapolated_noise_factors"),
                )
            if not zne.extrapolator:
                raise ConfigError(
                    "must name at least one fit, such as exponential; got none",
                    key=named("resilience.zne.extrapolator"),
                )
    return Setting(options.resilience_level, options, learning, model)


def _require_factors(factors: Sequence[float], extrapolators: str | Sequence[str], key: str) -> None:
    """Refuse fewer different noise factors than a fit has coefficients; the client counts equal ones as well.

    Raises:
        ConfigError: naming the first fit.
    """
    client = _client()
    different = list(dict.fromkeys(factors))
    for name in (extrapolators,) if isinstance(extrapolators, str) else extrapolators:
        try:
            client.validate_noise_factors(different, name)
        except client.IBMInputValueError as error:
            least = max(len(different) + 1, *map(int, re.findall(r"at least (\d+)", str(error))))
            raise ConfigError(
                f"{name} requires at least {least} different noise factors, got {len(different)} in "
                f"{shorten(factors, 60)}; add some, or take another extrapolator",
                key=key,
            ) from error


@contextmanager
def _refused(values: Mapping[str, Any], named: Callable[[str], str], key: str) -> Iterator[None]:
    """What the client's models do not take, told as a ConfigError of the option, or of `key` where none is named."""
    from pydantic import ValidationError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            yield
    except ValidationError as error:
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise ConfigError(f"{told}, got {first['input']!r}", key=named(_key(first["loc"], values))) from error
    except UserWarning as error:
        raise _unlike(str(error), named, key) from error
    except (_client().IBMInputValueError, KeyError) as error:
        raise ConfigError(str(getattr(error, "message", error)), key=named(key)) from error


_NEEDS = re.compile(r"twirling\.(\w+)=False was explicitly set, but (.+?) requires")
"""How the client says that it would twirl all the same."""
_SWITCHES = {
    "measurement mitigation": ("resilience.measure_mitigation", "false"),
    "PEC mitigation": ("resilience.pec_mitigation", "false"),
    "PEA mitigation": ("resilience.zne.amplifier", "gate_folding"),
}
"""What the client calls what needs twirling → the option, and what to type to do without."""


def _unlike(told: str, named: Callable[[str], str], key: str) -> ConfigError:
    """The refusal of what the client warns of: it would do something else than was asked for."""
    found = _NEEDS.match(told)
    if found is None:
        return ConfigError(told, key=named(key))
    twirled, why = found.groups()
    switch = _SWITCHES.get(why)
    without = "" if switch is None else f", or add {named(switch[0])}={switch[1]}"
    return ConfigError(
        f"is false, and {why} needs it; leave it out{without}", key=named(f"twirling.{twirled}")
    )


def sampler_options(values: Mapping[str, Any], named: Callable[[str], str]) -> Any:
    """Options of a Sampler as the client's models check and complete them.

    Raises:
        ConfigError: it does not take one, or is not installed.
    """
    client = _client()
    with _refused(values, named, "twirling"):
        return client.finalize_samples(client.SamplerOptions(**_given(values)))


def _of_layers(
    given: dict[str, Any], named: Callable[[str], str]
) -> tuple[Learning, str | NoiseOfLayers | None]:
    """How the noise of layers is learned, or where it is read; the client's Estimator knows neither any more."""
    resilience = dict(given.get("resilience") or {})
    declared = resilience.pop("layer_noise_learning", {})
    if declared.get("max_layers_to_learn", 1) == 0:
        raise ConfigError(
            "must be at least 1, for without a layer there is nothing to cancel or amplify, got 0",
            key=named("resilience.layer_noise_learning.max_layers_to_learn"),
        )
    model = resilience.pop("layer_noise_model", None)
    if "resilience" in given:
        given["resilience"] = resilience
    if not isinstance(model, str | None):
        model = received_noise(model, named("resilience.layer_noise_model"))
    return learning_options(declared, lambda name: named(f"resilience.layer_noise_learning.{name}")), model


def received_noise(model: Any, key: str) -> NoiseOfLayers:
    """What the client's NoiseLearner has learned, a `NoiseLearnerResult` or its layers; unknown errors are left out.

    Args:
        model: the result.
        key: the setting that it is the value of.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(model, NoiseOfLayers):
        return model
    try:
        found = NoiseOfLayers.joined(_received(known) for known in model if known.error is not None)
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise ConfigError(
            "takes what a NoiseLearner has learned, or run:ID or file:PATH of a run that has learned it; "
            "leave it out to learn it here",
            key=key,
        ) from error
    for one in found.known.values():
        try:
            one.require_noise()
        except ConfigError as error:
            raise ConfigError(str(error), key=key) from error
    return found


def _received(known: Any) -> LayerNoise:
    number = dict(zip(known.circuit.qubits, known.qubits, strict=True))
    gates = sorted(
        (item.name, tuple(number[bit] for bit in item.qubits))
        for item in known.circuit.data
        if len(item.qubits) > 1 and item.name != "barrier"
    )
    rates = np.asarray(known.error.rates, dtype=float)
    if not np.isfinite(rates).all() or len(set(known.qubits)) < len(known.qubits):
        raise ValueError("rates are finite, and qubits are different ones")
    generators = known.error.generators
    letters = 2 * generators.x.astype(int) + generators.z.astype(int)
    layer = Layer(tuple(gates), tuple(sorted(known.qubits)))
    return LayerNoise(layer, letters[:, np.argsort(known.qubits)], rates, device="", noise="")


def learning_options(declared: Mapping[str, Any], named: Callable[[str], str]) -> Learning:
    """How noise is learned, checked by the client's own model of these options.

    Args:
        declared: under the client's names.
        named: what a refusal calls one of them.

    Raises:
        ConfigError: the client does not take it.
    """
    from pydantic import ValidationError
    from qiskit_ibm_runtime.options import LayerNoiseLearningOptions

    known = [item.name for item in fields(Learning)]
    for name, value in declared.items():
        if name not in known:
            raise ConfigError(f"is not an option here; there are {', '.join(known)}", key=named(name))
        try:
            LayerNoiseLearningOptions(**{name: value})
        except ValidationError as error:
            told = error.errors()[0]["msg"].removeprefix("Value error, ").partition("` option ")
            raise ConfigError(f"{told[2] or told[0]}, got {value!r}", key=named(name)) from error
    found: dict[str, Any] = dict(declared)
    if "layer_pair_depths" in found:
        found["layer_pair_depths"] = tuple(found["layer_pair_depths"])
    if len(set(found.get("layer_pair_depths", (0, 1)))) < 2:
        raise ConfigError(
            "a decay is fitted to at least two different depths", key=named("layer_pair_depths")
        )
    if (pairs := sum(found.get("layer_pair_depths", ()))) > MAX_PAIRS:
        raise ConfigError(
            f"are {shorten(pairs, 30)} pairs of layers in all, more than {MAX_PAIRS}; take smaller ones",
            key=named("layer_pair_depths"),
        )
    return Learning(**found)


def _key(location: Sequence[Any], values: Mapping[str, Any]) -> str:
    """The option that an error of the models is about: they add what they took its value for."""
    known: list[str] = []
    present: Any = values
    for part in location:
        if not isinstance(present, Mapping) or part not in present:
            break
        known.append(str(part))
        present = present[part]
    return ".".join(known)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is left to the level."""
    return {
        name: _given(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def _require_possible(options: Any, named: Callable[[str], str]) -> None:
    """Refuse what cannot act here.

    Raises:
        ConfigError: with the reason.
    """
    resilience = options.resilience
    if resilience.pec_mitigation and resilience.zne_mitigation:
        raise ConfigError(
            "cancels the noise that zne_mitigation amplifies; take one of them, as estimator=pec does",
            key=named("resilience.pec_mitigation"),
        )
    most = resilience.pec.max_overhead
    if resilience.pec_mitigation and most is not None and most < 1:
        raise ConfigError(
            f"must be at least 1, for cancelling noise never takes less, got {most:g}; with 1 nothing is cancelled",
            key=named("resilience.pec.max_overhead"),
        )
    gain = resilience.pec.noise_gain
    if resilience.pec_mitigation and gain != "auto" and gain > 1:
        raise ConfigError(
            f"must be at most 1, of which nothing is cancelled, got {gain:g}; 0 cancels all noise",
            key=named("resilience.pec.noise_gain"),
        )
    learns = resilience.pec_mitigation or (resilience.zne_mitigation and resilience.zne.amplifier == "pea")
    if learns and options.twirling.group != "pauli":
        raise ConfigError("noise is learned with Paulis; take pauli", key=named("twirling.group"))
    if learns and options.dynamical_decoupling.enable:
        raise ConfigError(
            "noise is learned without sequences in waits; leave it off",
            key=named("dynamical_decoupling.enable"),
        )


def _idle(values: Mapping[str, Any], chosen: Setting) -> Iterator[tuple[str, Any, str]]:
    """Options of what is switched off: each with its value and what it acts with."""
    resilience = values.get("resilience") or {}
    twirling = values.get("twirling") or {}
    decoupling = values.get("dynamical_decoupling") or {}
    switched = (
        (chosen.zne, "resilience.zne", resilience.get("zne"), "zne_mitigation"),
        (
            chosen.measure,
            "resilience.measure_noise_learning",
            resilience.get("measure_noise_learning"),
            "measure_mitigation",
        ),
        (chosen.pec, "resilience.pec", resilience.get("pec"), "pec_mitigation"),
        (
            chosen.needs_noise,
            "resilience.layer_noise_learning",
            resilience.get("layer_noise_learning"),
            "pec_mitigation or zne.amplifier=pea",
        ),
        (
            chosen.needs_noise,
            "resilience",
            {"layer_noise_model": resilience.get("layer_noise_model")},
            "pec_mitigation or zne.amplifier=pea",
        ),
        (
            chosen.twirls,
            "twirling",
            {name: value for name, value in twirling.items() if not name.startswith("enable")},
            "twirling.enable_gates or twirling.enable_measure",
        ),
        (
            chosen.decouples,
            "dynamical_decoupling",
            {name: value for name, value in decoupling.items() if name != "enable"},
            "dynamical_decoupling.enable",
        ),
    )
    for on, key, given, switch in switched:
        for name, value in () if on else (given or {}).items():
            if value not in (None, "auto"):
                yield f"{key}.{name}", value, switch


@dataclass(frozen=True)
class Drawn:
    """What a template's samplex drew for every randomization and configuration, (R, N, …)."""

    angles: NDArray
    """Of the circuit's parameters, (R, N, P)."""
    flips: NDArray | None
    """Which bits are to be flipped back, (R, N, qubits); None: none."""
    signs: NDArray | None
    """What each randomization counts, 1 or −1, (R, N); None: all count 1."""


@dataclass(frozen=True)
class Template:
    """A circuit with free one-qubit gates, and what draws their angles."""

    circuit: QuantumCircuit
    """Measures qubit q into bit q of the register `_meas`."""
    samplex: Any
    basis: str | None
    """What the samplex calls the basis that is measured in; None where there is none to choose."""
    others: Mapping[str, Any]
    """Further inputs of the samplex, the same for every parameter set."""
    gain: float = 1.0
    """What means of signed outcomes are multiplied by: γ where noise is cancelled."""
    left: float = 1.0
    """The part of the noise that is left, or what it is amplified to."""

    def draw(self, values: NDArray, bases: NDArray, randomizations: int, rng: np.random.Generator) -> Drawn:
        """Draw every randomization and configuration.

        Args:
            values: of the parameters of the circuit that was prepared, (N, p).
            bases: 0, 1, 2, 3 for I, Z, X, Y per qubit, (N, qubits).
            randomizations: R.
            rng: draws them.
        """
        angles: list[NDArray] = []
        flips: list[NDArray] = []
        signs: list[NDArray] = []
        for drawn in self._drawn(values, bases, randomizations, rng):
            angles.append(drawn.get("parameter_values", np.zeros((randomizations, 0))))
            if "measurement_flips._meas" in drawn:
                flips.append(drawn["measurement_flips._meas"].reshape(randomizations, -1))
            if "pauli_signs" in drawn:
                odd = drawn["pauli_signs"].reshape(randomizations, -1).sum(axis=1) & 1
                signs.append(1.0 - 2.0 * odd)
        return Drawn(
            np.stack(angles, axis=1),
            np.stack(flips, axis=1) if flips else None,
            np.stack(signs, axis=1) if signs else None,
        )

    def _drawn(
        self, values: NDArray, bases: NDArray, randomizations: int, rng: np.random.Generator
    ) -> Iterator[Mapping[str, NDArray]]:
        """What the samplex draws of each configuration, those of one parameter set at once."""
        interface = self.samplex.inputs()
        parametrized = bool(interface.get_specs("parameter_values"))
        for _, places in itertools.groupby(range(len(bases)), lambda place: values[place].tobytes()):
            inputs = []
            for place in places:
                given = dict(self.others)
                if self.basis is not None:
                    given[self.basis] = bases[place]
                if parametrized:
                    given["parameter_values"] = values[place]
                inputs.append(self.samplex.inputs().bind(**given))
            yield from sample_each(self.samplex, inputs, randomizations, rng)


def templates(
    circuit: QuantumCircuit, observables: Any, chosen: Setting, seed: int, qubits: Sequence[int]
) -> list[Template]:
    """What the client makes of a circuit: one template for each noise factor.

    Args:
        circuit: any that the client takes; its final measurements are dropped.
        observables: sums of Pauli strings.
        chosen: what is done.
        seed: which gates are folded once more where a noise factor is no odd number.
        qubits: the device's numbers of the circuit's.

    Raises:
        ConfigError: it cannot be twirled, folded or measured in other bases.
    """
    require_amplifiable(circuit, chosen)
    # the readout's calibration is made for all circuits of a job at once, and every noise factor has a circuit here
    changes: dict[str, Any] = {"measure_mitigation": False}
    if chosen.needs_noise:
        changes["layer_noise_model"] = _maps(circuit, chosen, qubits)
        item, gamma = _prepared(circuit, observables, _with(chosen.options, changes))
        if chosen.pec:
            left = 1.0 + min((_number(value) for value in _scales(item).values()), default=0.0)
            return [replace(_template(item), gain=gamma, left=left)]
        return [_amplified(item, factor) for factor in chosen.noise_factors.tolist()]
    options = _with(chosen.options, {**changes, "zne_mitigation": False})
    return [
        _template(_prepared(folded, observables, options)[0]) for folded in _folded(circuit, chosen, seed)
    ]


def _with(options: Any, changes: Mapping[str, Any]) -> Any:
    # waits are known where the circuit is put on the device
    waits = options.dynamical_decoupling.model_copy(update={"enable": False})
    resilience = options.resilience.model_copy(update=changes)
    return options.model_copy(update={"resilience": resilience, "dynamical_decoupling": waits})


def _prepared(circuit: QuantumCircuit, observables: Any, options: Any) -> tuple[Any, float]:
    """The one item that the client makes of a circuit, and the γ by which its means are multiplied."""
    try:
        program, _ = _client().prepare(
            [(circuit, observables, np.zeros(circuit.num_parameters))], options, 1.0
        )
    except Exception as error:  # whatever its passes raise at circuits they do not know
        reason = " ".join(str(getattr(error, "message", error)).split())
        raise ConfigError(f"the circuit cannot be mitigated: {reason}") from error
    (told,) = program.passthrough_data["qiskit_mitigation"]
    return program.items[0], float(told.get("pec_gamma", 1.0))


def _scales(item: Any) -> dict[str, Any]:
    """How much noise an item adds to every layer; below zero it takes some away."""
    arguments = item.samplex_arguments
    return {name: arguments[name] for name in arguments if name.startswith("noise_scales")}


def _number(value: Any) -> float:
    return float(np.asarray(value).reshape(-1)[0])


def _amplified(item: Any, factor: float) -> Template:
    """An item's template at one noise factor: so much is added to the noise that is there anyway."""
    found = _template(item)
    scales = dict.fromkeys(_scales(item), np.array(factor - 1.0))
    return replace(found, others={**found.others, **scales}, left=factor)


def _boxed(circuit: QuantumCircuit, chosen: Setting) -> QuantumCircuit:
    """The circuit in layers, as the client cancels or amplifies their noise."""
    client = _client()
    options = client.boxing(chosen.options.twirling, False, inject_noise=True)
    try:
        result: QuantumCircuit = client.PEC._box_circuit(circuit, options)
    except Exception as error:  # whatever its passes raise at circuits they do not know
        reason = " ".join(str(error).split())
        raise ConfigError(f"the circuit has no layers that the client knows: {reason}") from error
    return result


def layers(circuit: QuantumCircuit, chosen: Setting, qubits: Sequence[int]) -> Counter[Layer]:
    """The layers of two-qubit gates whose noise is cancelled or amplified, and how often each occurs.

    Args:
        circuit: any that the client takes.
        chosen: which idle qubits belong to a layer.
        qubits: the device's numbers of the circuit's.

    Raises:
        ConfigError: the client finds no layers in it.
    """
    return Counter(layer for _, layer in _referred(_boxed(circuit, chosen), qubits))


def in_layers(
    circuit: QuantumCircuit, chosen: Setting, qubits: Sequence[int]
) -> Iterator[tuple[list[CircuitInstruction], dict[Any, int], Layer | None]]:
    """A circuit's gates as the client puts them into boxes, in order.

    Args:
        circuit: any that the client takes.
        chosen: which idle qubits belong to a layer.
        qubits: the device's numbers of the circuit's.

    Yields:
        Gates, the device's number of each of their bits, and the layer whose noise comes after them; None: none does.

    Raises:
        ConfigError: the client finds no layers in it.
    """
    boxed = _boxed(circuit, chosen)
    for item in boxed.data:
        number = {bit: qubits[boxed.find_bit(bit).index] for bit in item.qubits}
        if item.name != "box":
            yield [item], number, None
            continue
        (body,) = item.operation.blocks
        inside = {bit: number[outer] for bit, outer in zip(body.qubits, item.qubits, strict=True)}
        yield list(body.data), inside, _layer(item, number)


def _referred(boxed: QuantumCircuit, qubits: Sequence[int]) -> Iterator[tuple[Any, Layer]]:
    """Every box whose noise is wanted, with the layer that it is."""
    for item in boxed.data:
        layer = _layer(item, {bit: qubits[boxed.find_bit(bit).index] for bit in item.qubits})
        if layer is not None:
            yield item, layer


def _layer(item: CircuitInstruction, number: Mapping[Any, int]) -> Layer | None:
    """The layer that a box is; None of anything else.

    Args:
        item: of a circuit that the client has put into boxes.
        number: the device's numbers of its qubits.
    """
    from samplomatic import InjectNoise
    from samplomatic.utils import get_annotation, undress_box

    if item.name != "box" or get_annotation(item.operation, InjectNoise) is None:
        return None
    body = undress_box(item.operation).blocks[0]
    where = dict(zip(body.qubits, item.qubits, strict=True))
    gates = sorted(
        (inner.name, tuple(number[where[bit]] for bit in inner.qubits))
        for inner in body.data
        if len(inner.qubits) > 1 and inner.name != "barrier"
    )
    return Layer(tuple(gates), tuple(sorted(number.values())))


def _maps(circuit: QuantumCircuit, chosen: Setting, qubits: Sequence[int]) -> list[tuple[Any, Any]]:
    """The noise of a circuit's layers as the client takes it; of a layer that was not learned none."""
    assert chosen.noise is not None
    found = []
    for item, layer in _referred(_boxed(circuit, chosen), qubits):
        known = chosen.noise.of(layer)
        terms = [] if known is None else known.terms()
        found.append((item, PauliLindbladMap.from_sparse_list(terms, num_qubits=len(layer.qubits))))
    return found


@dataclass(frozen=True)
class LayerExperiment:
    """What the client executes to learn the noise of one layer."""

    program: Any
    """Its quantum program."""

    @property
    def circuits(self) -> list[QuantumCircuit]:
        """The circuits with free one-qubit gates, on the layer's qubits in ascending order."""
        return [item.circuit for item in self.program.items]

    @property
    def sizes(self) -> list[int]:
        """How often each is executed with other gates."""
        return [item.size() for item in self.program.items]

    def draw(self, place: int, rng: np.random.Generator) -> dict[str, NDArray]:
        """The angles of a circuit, `parameter_values`, and which bits are to be flipped back."""
        item = self.program.items[place]
        item.samplex.finalize()
        return broadcast(item.samplex, item.samplex_arguments, tuple(item.shape), rng)

    def learned(self, data: Sequence[Mapping[str, NDArray]]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """What follows from the outcomes of every circuit: generators (G, qubits) and rates (G,).

        Generators are 0, 1, 2, 3 for I, Z, X, Y. The third are the rates with each of J groups of randomizations left
        out, (J, G); of a single randomization there are none, (0, G). The fourth are how far the shots' error of each
        of D decays moves them, (D, G); of large layers it is not told, (0, G).

        Raises:
            ConfigError: the client cannot fit them.
        """
        from qiskit_noise_learning.protocols import process_vanilla_result
        from samplomatic.quantum_program import QuantumProgramResult

        result = QuantumProgramResult(
            [dict(one) for one in data], passthrough_data=self.program.passthrough_data
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of fits to values that hardly vary
                (found, *_), _, fit = process_vanilla_result(result)
                fitted = _decays(fit)
                # what several circuits tell of a path stands one after the other, each with all randomizations
                randomizations = self.program.items[0].shape[-1]
                places = np.arange(fit.observable_data.dataset.sizes["randomization"]) % randomizations
                others = _without_groups(*fitted, places, randomizations)
                by_shots = _by_shots(*fitted, self.program.shots)
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"no noise model fits what was measured: {reason}; take more shots") from error
        generators, rates = _in_order(found)
        left_out = np.array([_in_order(one)[1] for one in others]).reshape(len(others), len(rates))
        return generators, rates, left_out, np.array(by_shots).reshape(len(by_shots), len(rates))


def _in_order(found: Any) -> tuple[NDArray, NDArray]:
    """Generators (G, qubits), 0, 1, 2, 3 for I, Z, X, Y, and rates (G,); the client's order goes by hashes of text."""
    generators = np.zeros((len(found.rates), found.num_qubits), dtype=int)
    for row, (label, qubits, _) in zip(generators, found.to_sparse_list(), strict=True):
        for letter, qubit in zip(label, qubits, strict=True):
            row[qubit] = "IZXY".index(letter)
    order = np.lexsort(generators.T)
    return generators[order], np.asarray(found.rates, dtype=float)[order]


@dataclass(frozen=True)
class _Decay:
    """What was measured of one decay a·fᵈ, and how the fit's f changes with each mean.

    It was fitted to means at depths d with weights W = 1/σ²; with J = ∂(a·fᵈ)/∂(a, f) it changes with them by
    (JᵀWJ)⁻¹JᵀW.
    """

    values: NDArray
    """At every depth, of each randomization, (depths, R)."""
    fidelity: float
    weights: NDArray
    """∂f/∂mean, (depths,)."""

    def without(self, left_out: NDArray) -> float:
        """The fidelity without some randomizations, to first order."""
        means = np.nanmean(self.values[:, ~left_out], axis=1)
        return float(self.fidelity + self.weights @ (means - np.nanmean(self.values, axis=1)))

    def shot_error(self, shots: int) -> float:
        """The fidelity's standard error by shots alone; by a flat prior (Laplace), for outcomes may be all alike."""
        counts = shots * np.isfinite(self.values).sum(axis=1)
        likely = (counts * (1 + np.nanmean(self.values, axis=1)) / 2 + 1) / (counts + 2)
        return float(np.sqrt(self.weights**2 @ (4 * likely * (1 - likely) / (counts + 3))))


def _decays(fit: Any) -> tuple[Any, list[_Decay]]:
    """The client's own data of the decays that it fitted, and what each was fitted to."""
    decays = fit.aggregated_observable_data.dataset
    decays = decays.sel({"observable": decays["fragment_depth"].data == -1})
    seen = fit.observable_data.dataset
    found = []
    for place, path in enumerate(decays["unbound_path"].data):
        rows = np.array([other == path for other in seen["unbound_path"].data])
        depths = seen["fragment_depth"].data[rows].astype(float)
        values = seen["observable_values"].data[rows]
        factor = float(decays["metadata"].data[place]["spam_fidelity"])
        fidelity = float(decays["estimate_values"].data[place])
        errors = np.nanstd(values, axis=1, ddof=1)
        largest = errors[np.isfinite(errors)].max(initial=0.0)  # a single randomization has no spread
        errors = np.clip(np.nan_to_num(errors, nan=largest), largest * 1e-6 or 1.0, None)
        powers = fidelity ** np.maximum(depths - 1, 0)
        jacobian = np.stack([fidelity**depths, factor * depths * powers], axis=1) / errors[:, None]
        found.append(_Decay(values, fidelity, np.linalg.pinv(jacobian)[1] / errors))
    return decays, found


def _rates(decays: Any, fidelities: NDArray, **how: Any) -> PauliLindbladMap:
    """The client's rates of other fidelities."""
    from qiskit_noise_learning.analysis.legacy import fit_noise_model_legacy
    from qiskit_noise_learning.data import AggregatedObservableData

    return fit_noise_model_legacy(
        AggregatedObservableData(decays.assign(estimate_values=("observable", fidelities))),
        noise_assumption="symmetric_fidelities",
        **how,
    )


def _without_groups(
    decays: Any, every: Sequence[_Decay], places: NDArray, randomizations: int
) -> list[PauliLindbladMap]:
    """What the client would have learned without each group of randomizations: decays to first order, rates in full.

    `places` are which of the randomizations each value of a decay is of.
    """
    groups = min(randomizations, _MOST_GROUPS)
    if groups < 2:
        return []
    group = places % groups
    return [
        _rates(decays, np.maximum([one.without(group == number) for one in every], _LEAST_FIDELITY))
        for number in range(groups)
    ]


def _by_shots(decays: Any, every: Sequence[_Decay], shots: int) -> list[NDArray]:
    """How far each decay's error by shots moves all rates, had they no bound at 0: they are linear in logarithms."""
    if len(every) ** 2 > _MOST_BY_SHOTS:
        return []
    fidelities = np.maximum([one.fidelity for one in every], _LEAST_FIDELITY)
    free = {"optimizer_name": "lsq_linear_sparse", "constrained": False}
    before = _in_order(_rates(decays, fidelities, **free))[1]
    found = []
    for place, one in enumerate(every):
        moved = fidelities.copy()
        moved[place] *= math.exp(min(one.shot_error(shots) / moved[place], _MOST_MOVED))
        found.append(_in_order(_rates(decays, moved, **free))[1] - before)
    return found


def experiment(layer: Layer, target: Target, learning: Learning) -> LayerExperiment:
    """What the client executes to learn a layer's noise.

    Args:
        layer: on the device's qubits.
        target: which gates and pairs of qubits the device has.
        learning: how much is executed.

    Raises:
        ConfigError: the client cannot learn it, or is not installed.
    """
    with installed(MISSING, why=True):
        from qiskit_noise_learning.protocols import prepare_vanilla_program
        from samplomatic import InjectNoise, Twirl
    small = _part(target, layer.qubits)
    for name, _ in layer.gates:
        if name not in small.operation_names:
            raise ConfigError(
                f"the noise of the layer {layer.text} cannot be learned: there is no {name} here"
            )
    gates = QuantumCircuit(len(layer.qubits))
    with gates.box([Twirl(), InjectNoise("layer")]):
        gates.noop(range(gates.num_qubits))
        for name, acted in layer.gates:
            gates.append(small.operation_from_name(name), [layer.qubits.index(qubit) for qubit in acted])
    device = SimpleNamespace(target=small, num_qubits=gates.num_qubits)
    try:
        program = prepare_vanilla_program(
            device,
            [gates.data[0]],
            num_randomizations=learning.num_randomizations,
            shots_per_randomization=learning.shots_per_randomization,
            fragment_depths=learning.layer_pair_depths,
        )
    except Exception as error:  # whatever it raises at gates that are not their own inverse
        reason = " ".join(str(error).split())
        raise ConfigError(f"the noise of the layer {layer.text} cannot be learned: {reason}") from error
    return LayerExperiment(program)


def _part(target: Target, qubits: Sequence[int]) -> Target:
    """A device's gates on some of its qubits, renumbered 0, 1, …."""
    from qiskit.circuit import Operation

    where = {qubit: place for place, qubit in enumerate(qubits)}
    result = Target(num_qubits=len(qubits))
    for name in target.operation_names:
        operation, acted = target.operation_from_name(name), target[name]
        if not isinstance(operation, Operation) or not 1 <= operation.num_qubits <= 2:
            continue
        if acted is None or None in acted:
            kept = dict.fromkeys(itertools.permutations(range(len(qubits)), operation.num_qubits))
        else:
            kept = {tuple(where[one] for one in some): None for some in acted if where.keys() >= set(some)}
        if kept:
            result.add_instruction(operation, kept, name=name)
    return result


def noise_learner_result(found: Sequence[LayerNoise], metadata: Mapping[str, Any] | None = None) -> Any:
    """What the client's NoiseLearner gives: a `LayerError` for every layer, and what it says of itself."""
    from qiskit.circuit.library import get_standard_gate_name_mapping
    from qiskit_ibm_runtime.results import LayerError, NoiseLearnerResult, PauliLindbladError

    gates = get_standard_gate_name_mapping()
    data = []
    for known in found:
        qubits = known.layer.qubits
        circuit = QuantumCircuit(len(qubits))
        for name, acted in known.layer.gates:
            circuit.append(gates[name], [qubits.index(qubit) for qubit in acted])
        error = PauliLindbladError(PauliList(known.labels()), known.rates)
        data.append(LayerError(circuit, qubits, error))
    return NoiseLearnerResult(data, None if metadata is None else dict(metadata))


def require_amplifiable(
    circuit: QuantumCircuit, chosen: Setting, named: Callable[[str], str] = "options.{}".format
) -> None:
    """Refuse noise factors that stand for more two-qubit gates than are folded in a reasonable time.

    PEA writes out no gates; noise of as many leaves as little to extrapolate from.

    Raises:
        ConfigError: with how many they are.
    """
    if not chosen.zne:
        return
    gates, most = circuit.num_nonlocal_gates(), float(chosen.noise_factors.max())
    if math.isinf(most) and not gates:
        raise ConfigError("must be finite, got inf", key=named("resilience.zne.noise_factors"))
    if gates * most > MAX_AMPLIFIED:
        raise ConfigError(
            f"noise × {most:g} is that of {gates * most:.3g} two-qubit gates, for the circuit has {gates}, more than "
            f"{MAX_AMPLIFIED}; take at most {MAX_AMPLIFIED // gates}",
            key=named("resilience.zne.noise_factors"),
        )


def _folded(circuit: QuantumCircuit, chosen: Setting, seed: int) -> list[QuantumCircuit]:
    """The circuit for each noise factor, two-qubit gates being undone and done again."""
    if not chosen.zne:
        return [circuit]
    from qiskit.transpiler import PassManager
    from qiskit_mitigation.zne.gate_folding import SUPPORTED_FOLDED_GATES, GateFoldingPass

    if not any(isinstance(item.operation, SUPPORTED_FOLDED_GATES) for item in circuit.data):
        raise ConfigError(
            "zne_mitigation folds two-qubit gates (ecr, cx, cy, cz, swap), of which the circuit has none; "
            "set zne_mitigation=false, or resilience_level=1"
        )
    ways = {"gate_folding": "random", "gate_folding_front": "front", "gate_folding_back": "back"}
    way = ways[chosen.options.resilience.zne.amplifier]
    return [
        PassManager([GateFoldingPass(factor, way, [seed, place])]).run(circuit)
        for place, factor in enumerate(chosen.noise_factors.tolist())
    ]


def _template(item: Any) -> Template:
    item.samplex.finalize()
    arguments = {name: item.samplex_arguments[name] for name in item.samplex_arguments}
    arguments.pop("parameter_values", None)
    # only the measurement that is added at the end has a basis for each configuration
    bases = [
        name for name, value in arguments.items() if name.startswith("basis_changes") and value.ndim == 2
    ]
    others = {name: value for name, value in arguments.items() if name not in bases}
    return Template(item.circuit, item.samplex, bases[0] if bases else None, others)


def twirled(circuit: QuantumCircuit, options: Any) -> tuple[QuantumCircuit, Any]:
    """What the client's Sampler makes of a measured circuit: one with free one-qubit gates, and what draws angles.

    Raises:
        ConfigError: it cannot be twirled.
    """
    client = _client()
    waits = options.dynamical_decoupling.model_copy(update={"enable": False})
    options = options.model_copy(update={"dynamical_decoupling": waits})
    try:
        program, _ = client.prepare_samples([(circuit, np.zeros(circuit.num_parameters))], options, 1)
    except Exception as error:  # whatever its passes raise at circuits they do not know
        reason = " ".join(str(getattr(error, "message", error)).split())
        raise ConfigError(f"the circuit cannot be twirled: {reason}") from error
    item = program.items[0]
    item.samplex.finalize()
    return item.circuit, item.samplex


def randomized(
    samplex: Any, values: NDArray, randomizations: int, rng: np.random.Generator
) -> tuple[NDArray, dict[str, NDArray]]:
    """Angles (N, R, P) at parameter sets (N, p), and per register which bits are to be flipped back, (N, R, bits)."""
    interface = samplex.inputs()
    parametrized = bool(interface.get_specs("parameter_values"))
    angles: list[NDArray] = []
    flips: dict[str, list[NDArray]] = {}
    for row in values:
        given = {"parameter_values": row} if parametrized else {}
        (drawn,) = sample_each(samplex, [interface.bind(**given)], randomizations, rng)
        angles.append(drawn.get("parameter_values", np.zeros((randomizations, 0))))
        for name in drawn:
            if name.startswith("measurement_flips."):
                own = flips.setdefault(name.removeprefix("measurement_flips."), [])
                own.append(drawn[name].reshape(randomizations, -1))
    return np.stack(angles), {name: np.stack(own) for name, own in flips.items()}


def decoupler(target: Any, options: Any) -> Any:
    """The client's passes that put sequences into the waits of circuits for a device."""
    return _client().decoupler(SimpleNamespace(target=target), options)


def calibration(num_qubits: int) -> Template:
    """What the client reads so many qubits of that are all 0, with measurements twirled."""
    client = _client()
    task = client.TREX()
    task.tasks.append(SimpleNamespace(circuit=QuantumCircuit(num_qubits)))
    program = client.QuantumProgram(shots=1)
    task.prepare(1, program)
    return _template(program.items[0])


def readout_factors(rates: NDArray, support: NDArray) -> NDArray:
    """What the client multiplies each term's value by, (terms,).

    Args:
        rates: how often each qubit is misread, averaged over both values, (qubits,).
        support: which qubits belong to each term, (terms, qubits).
    """
    noise = PauliLindbladMap.from_sparse_list(
        [("X", [qubit], rate) for qubit, rate in enumerate(rates.tolist())], num_qubits=len(rates)
    )
    labels = PauliList.from_symplectic(support, np.zeros_like(support)).to_labels()
    factor = _client().TREX.calculate_trex_factor
    return np.array([factor(noise, label) for label in labels])


@dataclass(frozen=True)
class Fits:
    """What the client extrapolates one term's values to."""

    value: float
    """Without noise, by the fit that was taken."""
    chosen: int
    """Which fit that is."""
    values: NDArray
    """Of every fit at every extrapolated noise factor, (M, K)."""
    stds: NDArray
    """The client's standard errors of these, from how far the points are off the fits."""
    fitted: NDArray
    """What the fit that was taken gives at every noise factor, (F,)."""


def extrapolate(values: NDArray, spreads: NDArray, label: str, chosen: Setting) -> Fits:
    """Extrapolate one term by the client's fits.

    Args:
        values: at every noise factor, (F,).
        spreads: standard deviation of one shot at each, (F,).
        label: the term, which tells what range its value can have.
        chosen: the fits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of terms that do not vary
        value, _, name, found, stds = _client().extrapolate(
            values, spreads, label, chosen.noise_factors.tolist(), chosen.extrapolators,
            np.concatenate([chosen.extrapolated_noise_factors, chosen.noise_factors]),
        )  # fmt: skip
    number, count = chosen.extrapolators.index(name), len(chosen.extrapolated_noise_factors)
    return Fits(float(value), number, found[:, :count], stds[:, :count], found[number, count:])
