"""What is done against errors of the device, under the names that IBM's client has for it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from runner.declare.checks import require_choice, require_range
from runner.declare.plain import Values
from runner.errors import ConfigError
from runner.runtime.capabilities import LOCAL

LEVELS = tuple(f"level{number}" for number in LOCAL.mitigation)
PEC = "pec"
FINAL = (*LEVELS, PEC)
PEA = "pea"
OF_LAYERS = ("layer_noise_learning", "layer_noise_model")


@dataclass(kw_only=True)
class ZneConfig:
    """How noise is amplified and values are extrapolated to none; null: as the client does it."""

    amplifier: str | None = None
    """gate_folding (which gates are folded once more is drawn) | gate_folding_front | gate_folding_back | pea: learned
    noise is added."""
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
    group: str | None = None
    """Of which gates: pauli | balanced_pauli | local_c1 | local_pauli; null: pauli."""


@dataclass(kw_only=True)
class DynamicalDecouplingConfig:
    """Sequences of gates in waits, which undo what does not change meanwhile; null: as the client does it."""

    enable: bool = False
    """Put them there; only noise with a memory is undone: `backend.quasi_static`, or a real machine's."""
    sequence_type: str | None = None
    """XX | XpXm | XY4; null: XX."""
    extra_slack_distribution: str | None = None
    """Where time goes that the device's clock does not divide: middle | edges; null: middle."""
    scheduling_method: str | None = None
    """alap (as late as possible) | asap; null: alap."""
    skip_reset_qubits: bool | None = None
    """Leave qubits alone that nothing happened to yet; null: false."""


@dataclass(kw_only=True)
class MeasureNoiseLearningConfig:
    """How often qubits are misread is measured by one more circuit in every job."""

    num_randomizations: int | None = None
    """Randomizations of that circuit; null: as many as of the others."""


@dataclass(kw_only=True)
class PecConfig:
    """How learned noise is cancelled; null: as the client does it."""

    max_overhead: float | None = None
    """How many times more randomizations it may take; null: 100."""
    noise_gain: float | None = None
    """Part of the noise that is left, 0 to 1; null: what is too much for max_overhead."""


@dataclass(kw_only=True)
class LayerNoiseLearningConfig:
    """How the noise of layers of two-qubit gates is learned, by one job of the session; null: as the client does it."""

    max_layers_to_learn: int | None = None
    """Layers that are learned, those that occur most; null: 4."""
    shots_per_randomization: int | None = None
    """Shots of each random circuit; null: 128."""
    num_randomizations: int | None = None
    """Random circuits for each of nine bases and each depth; null: 32."""
    layer_pair_depths: list[int] | None = None
    """How often the layer is repeated, in pairs; null: 0, 1, 2, 4, 16, 32."""


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
    pec_mitigation: bool | None = None
    """Cancel learned noise in the mean, by random gates; null: no."""
    pec: PecConfig = field(default_factory=PecConfig)
    """How."""
    layer_noise_learning: LayerNoiseLearningConfig = field(default_factory=LayerNoiseLearningConfig)
    """How noise is learned for pec_mitigation and zne.amplifier=pea."""
    layer_noise_model: str | None = None
    """run:ID | file:PATH: noise that another run on the same device has learned; null: it is learned."""
    twirling: TwirlingConfig = field(default_factory=TwirlingConfig)
    """Twirling of gates and measurements."""
    dynamical_decoupling: DynamicalDecouplingConfig = field(default_factory=DynamicalDecouplingConfig)
    """Sequences in waits."""
    final: str | None = None
    """level0 | level1 | level2 | pec: of the jobs that measure an optimization's result; null: as in its loop."""

    def __post_init__(self) -> None:
        if self.final is not None:
            require_choice("estimator.final", self.final, FINAL)
            if self.pec_mitigation:
                raise ConfigError(
                    "cancels noise in the loop, where another way is declared for the result; use estimator.final=pec",
                    key="estimator.pec_mitigation",
                )
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
        if self.final is None:
            return self._options(self.resilience_level, self._resilience, self._twirling)
        # how something is done that is off here is meant for the result
        level, final = self.resilience_level, self.final_mitigation
        measures = level if self.measure_mitigation is None else self.measure_mitigation
        extrapolates = level == 2 if self.zne_mitigation is None else self.zne_mitigation
        twirls = level or self.twirling.enable_gates or self.twirling.enable_measure
        learns = extrapolates and self.zne.amplifier == PEA
        off = {"measure_noise_learning": not measures, "zne": not extrapolates, "pec": True}
        off |= dict.fromkeys(OF_LAYERS, not learns)
        elsewhere = [name for name in final.get("resilience", {}) if off.get(name)]
        resilience = {name: value for name, value in self._resilience.items() if name not in elsewhere}
        return self._options(level, resilience, self._twirling if twirls or not final else {})

    @property
    def decouples(self) -> bool:
        """Whether sequences of gates are put into waits."""
        return self.dynamical_decoupling.enable

    @property
    def final_mitigation(self) -> Values:
        """The same for the jobs that measure an optimization's result: as declared, but at the level of `final`."""
        if self.final is None:
            return self.mitigation
        cancels = self.final == PEC
        level = 1 if cancels else LEVELS.index(self.final)
        acting = ("measure_noise_learning", "zne")[:level]
        if cancels:
            acting += (PEC, *OF_LAYERS)
        elif level == LEVELS.index("level2") and self.zne.amplifier == PEA:
            acting += OF_LAYERS
        resilience = {name: value for name, value in self._resilience.items() if name in acting}
        if cancels:
            resilience["pec_mitigation"] = True
        twirling = {name: value for name, value in self._twirling.items() if not name.startswith("enable")}
        return self._options(level, resilience, twirling if level else {})

    @property
    def _resilience(self) -> Values:
        names = (
            "measure_mitigation", "measure_noise_learning", "zne_mitigation", "zne", "pec_mitigation", PEC, *OF_LAYERS,
        )  # fmt: skip
        return _some({name: _plain(getattr(self, name)) for name in names})

    @property
    def _twirling(self) -> Values:
        return _some({item.name: getattr(self.twirling, item.name) for item in fields(self.twirling)})

    @property
    def _decoupling(self) -> Values:
        declared = declared_values(self.dynamical_decoupling)
        return {name: value for name, value in declared.items() if value is not False or name != "enable"}

    def _options(self, level: int, resilience: Values, twirling: Values) -> Values:
        parts = {"resilience": resilience, "twirling": twirling, "dynamical_decoupling": self._decoupling}
        declared = _some(parts)
        return {"resilience_level": level, **declared} if declared or level else {}


def declared_values(part: Any) -> Values:
    """A part as plain values, without what is null."""
    return _some({item.name: _plain(getattr(part, item.name)) for item in fields(part)})


def _plain(value: object) -> object:
    if is_dataclass(value):
        return declared_values(value)
    return list(value) if isinstance(value, list) else value


def _some(values: Values) -> Values:
    return {name: value for name, value in values.items() if value is not None and value != {}}
