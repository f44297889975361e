"""What is done against errors of the device, under the names that IBM's client has for it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass

from runner.declare.checks import require_range
from runner.declare.plain import Values
from runner.runtime.capabilities import LOCAL


@dataclass(kw_only=True)
class ZneConfig:
    """How noise is amplified and values are extrapolated to none; null: as the client does it."""

    amplifier: str | None = None
    """gate_folding (which gates are folded once more is drawn) | gate_folding_front | gate_folding_back."""
    noise_factors: list[float] | None = None
    """By how much noise is amplified; null: 1, 3, 5."""
    extrapolator: list[str] | None = None
    """Fits in the order they are tried: linear | exponential | double_exponential | polynomial_degree_1 … 7 | fallback;
    null: exponential, linear."""
    extrapolated_noise_factors: list[float] | None = None
    """Where all fits are evaluated, too; null: 0 and the noise factors."""


@dataclass(kw_only=True)
class TwirlingConfig:
    """Random gates that turn errors into Pauli errors and are undone; null: as the resilience level says."""

    enable_gates: bool | None = None
    """Twirl two-qubit gates; null: at level 2."""
    enable_measure: bool | None = None
    """Twirl measurements; null: at levels 1 and 2."""
    num_randomizations: int | None = None
    """Circuits that the shots are divided over; null: shots / 64, at most 32."""
    shots_per_randomization: int | None = None
    """Shots of each of them; null: shots / num_randomizations."""
    strategy: str | None = None
    """Which qubits: active | active-accum | active-circuit | all; null: active-accum."""


@dataclass(kw_only=True)
class MeasureNoiseLearningConfig:
    """How often qubits are misread is measured by one more circuit in every job."""

    num_randomizations: int | None = None
    """Randomizations of that circuit; null: as many as of the others."""


@dataclass(kw_only=True)
class MitigationConfig:
    """What is done against errors of the device."""

    resilience_level: int = 0
    """0: nothing | 1: readout errors | 2: also noise of gates, by twirling and extrapolation; decides what is null."""
    measure_mitigation: bool | None = None
    """Undo readout errors (TREX); null: at levels 1 and 2."""
    measure_noise_learning: MeasureNoiseLearningConfig = field(default_factory=MeasureNoiseLearningConfig)
    """How readout errors are learned."""
    zne_mitigation: bool | None = None
    """Amplify noise and extrapolate to none; null: at level 2."""
    zne: ZneConfig = field(default_factory=ZneConfig)
    """How."""
    twirling: TwirlingConfig = field(default_factory=TwirlingConfig)
    """Twirling of gates and measurements."""

    def __post_init__(self) -> None:
        require_range(
            "estimator.resilience_level", self.resilience_level, min(LOCAL.mitigation), max(LOCAL.mitigation)
        )
        for name in ("num_randomizations", "shots_per_randomization"):
            value = getattr(self.twirling, name)
            if value is not None:
                require_range(f"estimator.twirling.{name}", value, 1)

    @property
    def mitigation(self) -> Values:
        """Estimator options in the client's names; empty where nothing is declared."""
        resilience = {
            name: _declared(getattr(self, name))
            for name in ("measure_mitigation", "measure_noise_learning", "zne_mitigation", "zne")
        }
        found = {"resilience": _some(resilience), "twirling": _declared(self.twirling)}
        declared: Values = _some(found)
        return (
            {"resilience_level": self.resilience_level, **declared}
            if declared or self.resilience_level
            else {}
        )


def _declared(value: object) -> object:
    """A part as plain values, without what is null."""
    if is_dataclass(value):
        return _some({item.name: _declared(getattr(value, item.name)) for item in fields(value)})
    return list(value) if isinstance(value, list) else value


def _some(values: Values) -> Values:
    return {name: value for name, value in values.items() if value is not None and value != {}}
