"""What is done against errors while bitstrings are drawn, under the names that IBM's client has for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.declare.checks import require_range
from runner.declare.estimator import MAX_SHOTS
from runner.declare.mitigation import DynamicalDecouplingConfig, declared_values
from runner.declare.plain import Values
from runner.errors import ConfigError


@dataclass(kw_only=True)
class SamplerTwirlingConfig:
    """Random gates that turn errors into Pauli errors and are undone."""

    enable_gates: bool = False
    """Twirl two-qubit gates."""
    enable_measure: bool = False
    """Twirl measurements: 0 is then misread as often as 1."""
    num_randomizations: int | None = None
    """Circuits that the shots are divided over; null: shots / 64, at most 32."""
    shots_per_randomization: int | None = None
    """Shots of each of them; null: shots / num_randomizations."""
    strategy: str | None = None
    """Which qubits: active | active-accum | active-circuit | all; null: active-accum."""
    group: str | None = None
    """Of which gates: pauli | balanced_pauli | local_c1 | local_pauli; null: pauli."""


@dataclass(kw_only=True)
class ReadoutMitigationConfig:
    """Misread bitstrings corrected by mthree, whose quasi-probabilities stand beside what was read."""

    enable: bool = False
    """Measure how the circuit's qubits are misread, by one job of two circuits, and correct by that."""
    shots: int | None = None
    """Shots of each of these circuits; null: as many as the estimator has."""


@dataclass(kw_only=True)
class SamplerConfig:
    """Settings of an experiment that draws bitstrings."""

    twirling: SamplerTwirlingConfig = field(default_factory=SamplerTwirlingConfig)
    """Twirling of gates and measurements."""
    dynamical_decoupling: DynamicalDecouplingConfig = field(default_factory=DynamicalDecouplingConfig)
    """Sequences in waits."""
    readout_mitigation: ReadoutMitigationConfig = field(default_factory=ReadoutMitigationConfig)
    """Misread bitstrings."""

    def check_sampler(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            ConfigError: naming the setting.
        """
        for name in ("num_randomizations", "shots_per_randomization"):
            value = getattr(self.twirling, name)
            if value is not None:
                require_range(f"experiment.twirling.{name}", value, 1)
        if self.readout_mitigation.shots is not None:
            require_range("experiment.readout_mitigation.shots", self.readout_mitigation.shots, 1, MAX_SHOTS)
            if not self.readout_mitigation.enable:
                raise ConfigError(
                    "acts with readout_mitigation.enable, which is off; leave it out",
                    key="experiment.readout_mitigation.shots",
                )

    @property
    def corrects(self) -> bool:
        """Whether misread bitstrings are corrected."""
        return self.readout_mitigation.enable

    @property
    def decouples(self) -> bool:
        """Whether sequences of gates are put into waits."""
        return self.dynamical_decoupling.enable

    @property
    def sampler_options(self) -> Values:
        """Options of the Sampler in the client's names; empty where nothing is declared."""
        groups = {name: declared_values(getattr(self, name)) for name in ("twirling", "dynamical_decoupling")}
        said = {
            name: {key: value for key, value in group.items() if value is not False}
            for name, group in groups.items()
        }
        return {name: group for name, group in said.items() if group}
