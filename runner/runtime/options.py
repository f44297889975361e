"""The options of the primitives, under the client's names; a job refuses what would have no effect here (P3)."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """Options that exist in the client but do nothing here, with the values that say so; jobs refuse others."""
    MODEL: ClassVar[str]
    """The client's class of these options, which knows the values that there are."""

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
        self._require_known(values)
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        key = f"{self._path}.{name}"
        self._require_known({name: value})
        present = getattr(self, name)
        if isinstance(present, Options):
            if isinstance(value, Mapping):
                present.update(**value)
            elif isinstance(value, type(present)):
                object.__setattr__(self, name, value)
                CHANGES.happen()
            else:
                kind = type(present).__name__
                raise ConfigError(
                    f"Input should be a dictionary or an instance of {kind}, got {value!r}", key=key
                )
            return
        if not self._says_nothing(name, value):
            _require_taken(self.MODEL, {name: value}, self._path)
        self._check(name, value, key)
        object.__setattr__(self, name, value)
        CHANGES.happen()

    def _check(self, name: str, value: object, key: str) -> None:
        """Refuse a value that makes no sense."""

    def _require_known(self, values: Mapping[str, object]) -> None:
        unknown = [name for name in values if name not in self.FIELDS and name not in self.FIXED]
        if unknown:
            told = ", ".join(f"{name}={shorten(repr(values[name]), 40)}" for name in unknown)
            known = ", ".join([*self.FIELDS, *self.FIXED])
            raise ConfigError(
                f"Unexpected keyword argument {told}; there are {known}", key=f"{self._path}.{unknown[0]}"
            )

    def _says_nothing(self, name: str, value: object) -> bool:
        """Whether nothing has to be asked of the client about a value, or of a job."""
        kept = self.FIXED.get(name)
        return kept is None or value is None or any(type(value) is type(one) and value == one for one in kept)

    def require_acting(self) -> None:
        """Refuse what the client takes and this runtime does nothing with.

        Raises:
            ConfigError: Such an option is set.
        """
        for name, kept in self.FIXED.items():
            value = getattr(self, name)
            if not self._says_nothing(name, value):
                raise ConfigError(
                    f"{shorten(repr(value), 60)} has no effect in the local runtime; leave it at {kept[0]!r}",
                    key=f"{self._path}.{name}",
                )
        for name in self.FIELDS:
            group = getattr(self, name)
            if isinstance(group, Options):
                group.require_acting()

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


def _require_taken(model: str, values: Mapping[str, object], path: str, *, together: bool = False) -> None:
    """Refuse values that the client's own options do not take, in its words.

    Args:
        model: The name of its class.
        values: Of options of that class.
        path: Of that group of options.
        together: They are all that is set, so that one may be wrong for want of another.

    Raises:
        ConfigError: It does not take one.
    """
    from pydantic import ValidationError
    from qiskit_ibm_runtime import options

    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            getattr(options, model)(**values)
    except ValidationError as error:
        known = [one for one in error.errors() if one["type"] != _ONLY_CLIENT_SIDE]
        wrong = [one for one in known if together or one["loc"]]
        for one in sorted(wrong, key=lambda one: one["type"] == "is_instance_of"):  # of a union: not set
            said = one["msg"].removeprefix("Value error, ").rstrip(".")
            key = ".".join([path, *_named(one["loc"], values)])
            raise ConfigError(f"{said}, got {shorten(repr(one['input']), 60)}", key=key) from error
    for warned in () if together else told:  # of each it is said when it is set
        warnings.warn(warned.message, warned.category, stacklevel=_frames_of_ours())


_ONLY_CLIENT_SIDE = "unexpected_keyword_argument"
"""Pydantic's error about an option that is here, and that only the options of client-side primitives have there."""


def _frames_of_ours() -> int:
    """How far up whoever sets an option is from who asks this."""
    count, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(os.path.dirname(__file__)):
        count, frame = count + 1, frame.f_back
    return count


def _named(location: Iterable[object], values: object) -> Iterator[str]:
    """The options on the way to an error of the models; they add what they took a value for."""
    for part in location:
        if not isinstance(values, Mapping) or part not in values:
            return
        values = values[part]
        yield str(part)


def _require_whole(value: object, key: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"must be a whole number of at least {least}, got {value!r}", key=key)


def _is_time(value: object) -> bool:
    return isinstance(value, Real) and 0 <= float(value) < math.inf


class EnvironmentOptions(Options):
    """Tags of the jobs."""

    MODEL = "EnvironmentOptions"
    FIELDS: ClassVar[dict[str, object]] = {"job_tags": None}
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

    MODEL = "SimulatorOptions"
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

    MODEL = "ExecutionOptionsV2"
    FIELDS: ClassVar[dict[str, object]] = {"rep_delay": None}
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {"init_qubits": (True,)}

    def _check(self, name: str, value: object, key: str) -> None:
        if name == "rep_delay" and value is not None and not _is_time(value):
            raise ConfigError(f"must be at least 0 seconds, got {value!r}", key=key)


class SamplerExecutionOptions(ExecutionOptions):
    """The same for the Sampler; data come as classified bits only."""

    MODEL = "SamplerExecutionOptionsV2"
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {"init_qubits": (True,), "meas_type": ("classified",)}


class MitigationOptions(Options):
    """Options whose values the client's own models check, alone when they are set; None is left to the level."""

    def given(self) -> dict[str, object]:
        """What is not left to the level or to the client's default."""
        values = {name: getattr(self, name) for name in self.FIELDS}
        found = {
            name: value.given() if isinstance(value, MitigationOptions) else value
            for name, value in values.items()
            if value is not None
        }
        return {name: value for name, value in found.items() if value != {}}

    def _says_nothing(self, name: str, value: object) -> bool:
        del name
        return value is None or isinstance(value, Options)

    def require_acting(self) -> None:
        """Nothing: whether they act is known by what else is set, and by the backend's noise."""


class TwirlingOptions(MitigationOptions):
    """Random gates that turn errors into Pauli errors and are undone."""

    MODEL = "TwirlingOptions"
    FIELDS: ClassVar[dict[str, object]] = {
        "enable_gates": None,
        "enable_measure": None,
        "num_randomizations": None,
        "shots_per_randomization": None,
        "strategy": None,
        "group": None,
    }


class DynamicalDecouplingOptions(MitigationOptions):
    """Sequences of gates in waits, which undo what does not change meanwhile."""

    MODEL = "DynamicalDecouplingOptions"
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

    MODEL = "ZneOptions"
    FIELDS: ClassVar[dict[str, object]] = {
        "amplifier": None,
        "noise_factors": None,
        "extrapolator": None,
        "extrapolated_noise_factors": None,
    }


class PecOptions(MitigationOptions):
    """How errors are cancelled by their inverse."""

    MODEL = "PecOptions"
    FIELDS: ClassVar[dict[str, object]] = {"max_overhead": None, "noise_gain": None}


class MeasureNoiseLearningOptions(MitigationOptions):
    """How the readout is calibrated; `shots_per_randomization` is always chosen by the client, "auto"."""

    MODEL = "MeasureNoiseLearningOptions"
    FIELDS: ClassVar[dict[str, object]] = {"num_randomizations": None, "shots_per_randomization": None}

    def given(self) -> dict[str, object]:
        """What is not left to the client's default."""
        return {name: value for name, value in super().given().items() if value != "auto"}


class LayerNoiseLearningOptions(MitigationOptions):
    """How the noise of layers is learned."""

    MODEL = "LayerNoiseLearningOptions"
    FIELDS: ClassVar[dict[str, object]] = {
        "max_layers_to_learn": None,
        "shots_per_randomization": None,
        "num_randomizations": None,
        "layer_pair_depths": None,
    }


class ResilienceOptions(MitigationOptions):
    """What is done against errors."""

    MODEL = "ResilienceOptionsV2"
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

    def _says_nothing(self, name: str, value: object) -> bool:
        return name == "layer_noise_model" or super()._says_nothing(name, value)  # a run's, which is ours

    def require_together(self, level: int) -> None:
        """Refuse what the client does not take beside each other.

        Args:
            level: Of resilience, which switches on what is not said.

        Raises:
            ConfigError: It does not.
        """
        given = {name: value for name, value in self.given().items() if name != "layer_noise_model"}
        if given:
            implied = {"measure_mitigation": True} if level > 0 else {}
            _require_taken(self.MODEL, {**implied, **given}, self._path, together=True)


class EstimatorOptions(Options):
    """Options of the Estimator. Shots and precision are two views of one number: shots = ⌈1/precision²⌉.

    `default_shots = None` and `default_precision = 0` ask for exact expectation values. `seed_estimator`
    takes the place of the service's seed; every job still gets a seed of its own (P4). Nothing is done against errors
    where nothing is said: the level is 0.
    """

    MODEL = "EstimatorOptions"
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

    def update(self, **values: object) -> None:
        """Set several options; groups take dictionaries. What is done against errors must fit together then."""
        super().update(**values)
        self.resilience.require_together(self.resilience_level)

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
            least = " (resilience_level must be >=0)" if isinstance(value, int) and value < 0 else ""
            raise ConfigError(f"must be one of {known}, got {value!r}{least}", key=key)

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

    MODEL = "SamplerOptions"
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


class NoiseLearnerOptions(Options):
    """How much is executed to learn the noise of layers, with the client's defaults."""

    MODEL = "NoiseLearnerOptions"
    layer_pair_depths: Sequence[int]

    FIELDS: ClassVar[dict[str, object]] = {
        "max_layers_to_learn": 4,
        "shots_per_randomization": 128,
        "num_randomizations": 32,
        "layer_pair_depths": (0, 1, 2, 4, 16, 32),
        "twirling_strategy": "active-accum",
        "max_execution_time": None,
        "environment": EnvironmentOptions,
        "simulator": SimulatorOptions,
    }
    FIXED: ClassVar[dict[str, tuple[object, ...]]] = {"experimental": (None, {})}

    def _says_nothing(self, name: str, value: object) -> bool:
        return name not in LEARNER_FIELDS and super()._says_nothing(name, value)

    def _check(self, name: str, value: object, key: str) -> None:
        if name == "max_execution_time" and value is not None:
            _require_whole(value, key, 1)

    def learning(self) -> dict[str, object]:
        """What decides on how much is executed, and which idle qubits belong to a layer."""
        depths = list(self.layer_pair_depths)
        return {name: getattr(self, name) for name in LEARNER_FIELDS} | {"layer_pair_depths": depths}


LEARNER_FIELDS = (
    "max_layers_to_learn", "shots_per_randomization", "num_randomizations", "layer_pair_depths", "twirling_strategy",
)  # fmt: skip
"""Options of the learner that the client's own model checks."""


def shots_for(precision: float) -> int | None:
    """Return the shots whose standard error is at most `precision`, for ±1 outcomes; None (exact) for 0."""
    if precision == 0:
        return None
    return max(1, math.ceil(1 / precision**2 - 1e-9))
