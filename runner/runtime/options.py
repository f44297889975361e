"""The options of the primitives, under the client's names; what would have no effect here is refused (P3)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import ClassVar

from runner.declare.checks import shorten
from runner.errors import ConfigError
from runner.runtime.capabilities import LOCAL

DEFAULT_SHOTS = 4096
DEFAULT_PRECISION = 1 / math.sqrt(DEFAULT_SHOTS)


class _Changes:
    """How often an option was set in this process: what was found out of options holds until it is more."""

    count = 0

    def happen(self) -> None:
        """Count one."""
        self.count += 1


CHANGES = _Changes()


class Options:
    """A group of options: attributes that exist, each with the values it may take.

    Subclasses list their fields as `FIELDS = {name: default}` and what they have to say about a value in
    `_check`. Values of None and "unset" defaults are the client's.
    """

    FIELDS: ClassVar[dict[str, object]] = {}
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {}
    """Options that exist in the client but do nothing here, with the values that say so."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]
    _path: str

    def __init_subclass__(cls) -> None:
        """Let `dataclasses.asdict` and `fields` see the options, as programs ask of the client's."""
        names = dict.fromkeys([*cls.FIELDS, *cls.FIXED], object)
        made = dataclasses.make_dataclass("_", names)
        cls.__dataclass_fields__ = {field.name: field for field in dataclasses.fields(made)}

    def __init__(
        self, path: str = "options", values: Mapping[str, object] | None = None, **keywords: object
    ) -> None:
        object.__setattr__(self, "_path", path)
        for name, default in {**self.FIELDS, **{name: kept[0] for name, kept in self.FIXED.items()}}.items():
            if isinstance(default, type):
                default = default(f"{path}.{name}")
            object.__setattr__(self, name, default)
        self.update(**(values or {}), **keywords)

    def update(self, **values: object) -> None:
        """Set several options; groups take dictionaries."""
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        key = f"{self._path}.{name}"
        if name not in self.FIELDS and name not in self.FIXED:
            known = ", ".join([*self.FIELDS, *self.FIXED])
            raise ConfigError(f"is not an option here; there are {known}", key=key)
        present = getattr(self, name)
        if isinstance(present, Options):
            if isinstance(value, Mapping):
                present.update(**value)
            elif isinstance(value, type(present)):
                object.__setattr__(self, name, value)
                CHANGES.happen()
            else:
                raise ConfigError(f"takes a dictionary of options, got {value!r}", key=key)
            return
        if name in self.FIXED and value not in self.FIXED[name] and value is not None:
            raise ConfigError(
                f"{value!r} has no effect in the local runtime; leave it at {self.FIXED[name][0]!r}", key=key
            )
        self._check(name, value, key)
        object.__setattr__(self, name, value)
        CHANGES.happen()

    def _check(self, name: str, value: object, key: str) -> None:
        """Refuse a value that makes no sense."""

    def to_dict(self) -> dict[str, object]:
        """Return the options as nested dictionaries."""
        answer = {}
        for name in (*self.FIELDS, *self.FIXED):
            value = getattr(self, name)
            answer[name] = value.to_dict() if isinstance(value, Options) else value
        return answer

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in (*self.FIELDS, *self.FIXED))
        return f"{type(self).__name__}({fields})"


def set_in_client(options: object) -> object:
    """Return what is set in options of the client's, as dictionaries; any other value as it is.

    What an object has that a new one of its class has too was not set by anybody.
    """
    if not type(options).__module__.startswith("qiskit_ibm_runtime."):
        return options
    fresh = vars(type(options)())
    return {
        name: set_in_client(value)
        for name, value in vars(options).items()
        if not name.startswith("_") and value != fresh.get(name)
    }


def _require_whole(value: object, key: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"must be a whole number of at least {least}, got {value!r}", key=key)


def _is_time(value: object) -> bool:
    return isinstance(value, Real) and 0 <= float(value) < math.inf


class EnvironmentOptions(Options):
    """Tags of the jobs."""

    FIELDS: ClassVar[dict[str, object]] = {"job_tags": None, "log_level": "WARNING", "private": False}
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {
        "log_level": ("WARNING", "DEBUG", "INFO", "ERROR", "CRITICAL"),
        "private": (False,),
    }

    def _check(self, name: str, value: object, key: str) -> None:
        if name != "job_tags" or value is None:
            return
        check_tags(value, key)


MAX_TAG = 86
"""Longest tag of a job."""


def check_tags(tags: object, key: str) -> None:
    """Refuse what the service does not take as a job's tags.

    Raises:
        ConfigError: not a list of 1 to 86 printable characters each, without commas.
    """
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise ConfigError(f"must be a list of words, got {shorten(repr(tags), 60)}; write [word]", key=key)
    for index, tag in enumerate(tags):
        if not isinstance(tag, str) or not 1 <= len(tag) <= MAX_TAG or not tag.isprintable() or "," in tag:
            raise ConfigError(
                f"a tag is 1 to {MAX_TAG} printable characters without comma, got {shorten(repr(tag), 60)}; rename it",
                key=f"{key}[{index}]",
            )


class SimulatorOptions(Options):
    """The seed of the simulation."""

    FIELDS: ClassVar[dict[str, object]] = {"seed_simulator": None}
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {
        "noise_model": (None,),
        "coupling_map": (None,),
        "basis_gates": (None,),
    }

    def _check(self, name: str, value: object, key: str) -> None:
        if name == "seed_simulator" and value is not None:
            _require_whole(value, key, 0)


class ExecutionOptions(Options):
    """The pause between executions, which costs time."""

    FIELDS: ClassVar[dict[str, object]] = {"rep_delay": None}
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {"init_qubits": (True,)}

    def _check(self, name: str, value: object, key: str) -> None:
        if name == "rep_delay" and value is not None and not _is_time(value):
            raise ConfigError(f"must be at least 0 seconds, got {value!r}", key=key)


class SamplerExecutionOptions(ExecutionOptions):
    """The same for the Sampler; data come as classified bits only."""

    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {"init_qubits": (True,), "meas_type": ("classified",)}


class MitigationOptions(Options):
    """Options whose values the client's own models check when the first job is made; None is left to the level."""

    def given(self) -> dict[str, object]:
        """What is not left to the level or to the client's default."""
        values = {name: getattr(self, name) for name in self.FIELDS}
        found = {
            name: value.given() if isinstance(value, MitigationOptions) else value
            for name, value in values.items()
            if value is not None
        }
        return {name: value for name, value in found.items() if value != {}}


class TwirlingOptions(MitigationOptions):
    """Random gates that turn errors into Pauli errors and are undone."""

    FIELDS: ClassVar[dict[str, object]] = {
        "enable_gates": None,
        "enable_measure": None,
        "num_randomizations": None,
        "shots_per_randomization": None,
        "strategy": None,
    }


class DynamicalDecouplingOptions(MitigationOptions):
    """Sequences of gates in waits, which undo what does not change meanwhile."""

    enable: bool | None

    FIELDS: ClassVar[dict[str, object]] = {
        "enable": None,
        "sequence_type": None,
        "extra_slack_distribution": None,
        "scheduling_method": None,
        "skip_reset_qubits": None,
    }

    def given(self) -> dict[str, object]:
        """What is not left to the client's default; nothing where it is said to be off."""
        return {} if self.enable is False else super().given()


class ZneOptions(MitigationOptions):
    """How noise is amplified and values are extrapolated."""

    FIELDS: ClassVar[dict[str, object]] = {
        "amplifier": None,
        "noise_factors": None,
        "extrapolator": None,
        "extrapolated_noise_factors": None,
    }


class PecOptions(MitigationOptions):
    """How errors are cancelled by their inverse."""

    FIELDS: ClassVar[dict[str, object]] = {"max_overhead": None, "noise_gain": None}


class MeasureNoiseLearningOptions(MitigationOptions):
    """How the readout is calibrated."""

    FIELDS: ClassVar[dict[str, object]] = {"num_randomizations": None}


class LayerNoiseLearningOptions(MitigationOptions):
    """How the noise of layers is learned."""

    FIELDS: ClassVar[dict[str, object]] = {
        "max_layers_to_learn": None,
        "shots_per_randomization": None,
        "num_randomizations": None,
        "layer_pair_depths": None,
    }


class ResilienceOptions(MitigationOptions):
    """What is done against errors."""

    FIELDS: ClassVar[dict[str, object]] = {
        "measure_mitigation": None,
        "measure_noise_learning": MeasureNoiseLearningOptions,
        "zne_mitigation": None,
        "zne": ZneOptions,
        "pec_mitigation": None,
        "pec": PecOptions,
        "layer_noise_learning": LayerNoiseLearningOptions,
        "layer_noise_model": None,
    }


class EstimatorOptions(Options):
    """Options of the Estimator. Shots and precision are two views of one number: shots = ⌈1/precision²⌉.

    `default_shots = None` and `default_precision = 0` ask for exact expectation values. `seed_estimator`
    takes the place of the service's seed; every job still gets a seed of its own (P4). Nothing is done against errors
    where nothing is said: the level is 0.
    """

    resilience_level: int
    resilience: ResilienceOptions
    twirling: TwirlingOptions

    FIELDS: ClassVar[dict[str, object]] = {
        "default_precision": DEFAULT_PRECISION,
        "default_shots": DEFAULT_SHOTS,
        "seed_estimator": None,
        "max_execution_time": None,
        "environment": EnvironmentOptions,
        "simulator": SimulatorOptions,
        "execution": ExecutionOptions,
        "dynamical_decoupling": DynamicalDecouplingOptions,
        "resilience_level": 0,
        "twirling": TwirlingOptions,
        "resilience": ResilienceOptions,
    }
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {"experimental": (None, {})}

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "default_shots":
            assert value is None or isinstance(value, int)
            object.__setattr__(self, "default_precision", 1 / math.sqrt(value) if value else 0.0)
        elif name == "default_precision":
            assert isinstance(value, int | float)
            object.__setattr__(self, "default_shots", shots_for(value))

    def _check(self, name: str, value: object, key: str) -> None:
        if name == "default_precision" and not (isinstance(value, int | float) and 0 <= value < math.inf):
            raise ConfigError(f"must be 0 (exact) or a positive number, got {value!r}", key=key)
        if name in ("default_shots", "max_execution_time") and value is not None:
            _require_whole(value, key, 1)
        if name == "seed_estimator" and value is not None:
            _require_whole(value, key, 0)
        if name == "resilience_level" and (isinstance(value, bool) or value not in LOCAL.mitigation):
            known = ", ".join(map(str, LOCAL.mitigation))
            raise ConfigError(f"must be one of {known}, got {value!r}", key=key)

    def mitigation(self) -> dict[str, object] | None:
        """What is to be done against errors, under the client's names; None where nothing is."""
        given = {
            name: getattr(self, name).given() for name in ("resilience", "twirling", "dynamical_decoupling")
        }
        if self.resilience_level == 0 and not any(map(_says, given.values())):
            return None
        return {"resilience_level": self.resilience_level, **given}


def _says(value: object) -> bool:
    """Whether an option, or one of a group, is anything but off or left to the client."""
    if isinstance(value, Mapping):
        return any(map(_says, value.values()))
    return value not in (False, "auto")


class SamplerOptions(Options):
    """Options of the Sampler."""

    FIELDS: ClassVar[dict[str, object]] = {
        "default_shots": DEFAULT_SHOTS,
        "max_execution_time": None,
        "environment": EnvironmentOptions,
        "simulator": SimulatorOptions,
        "execution": SamplerExecutionOptions,
        "dynamical_decoupling": DynamicalDecouplingOptions,
        "twirling": TwirlingOptions,
    }
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {"experimental": (None, {})}

    twirling: TwirlingOptions
    dynamical_decoupling: DynamicalDecouplingOptions

    def _check(self, name: str, value: object, key: str) -> None:
        if name == "default_shots":
            _require_whole(value, key, 1)
        if name == "max_execution_time" and value is not None:
            _require_whole(value, key, 1)

    def mitigation(self) -> dict[str, object] | None:
        """What is to be done against errors, under the client's names; None where nothing is."""
        given = {name: getattr(self, name).given() for name in ("twirling", "dynamical_decoupling")}
        return given if any(map(_says, given.values())) else None


def shots_for(precision: float) -> int | None:
    """Return the shots whose standard error is at most `precision`, for ±1 outcomes; None (exact) for 0."""
    if precision == 0:
        return None
    return max(1, math.ceil(1 / precision**2 - 1e-9))
