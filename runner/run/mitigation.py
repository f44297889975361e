"""What a run does against errors of the device: checked before anything is created, and told with its price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from runner import mitigation
from runner.declare.estimator import EstimatorConfig
from runner.declare.plain import Values
from runner.errors import ConfigError
from runner.record.events import Event, JobCompleted, JobSubmitted
from runner.record.log import of
from runner.runtime.cost import CostModel, Work

if TYPE_CHECKING:
    from runner.mitigation import Setting
    from runner.run.problem import Problem
    from runner.services.protocol import Backend


def declared(estimator: EstimatorConfig) -> Setting | None:
    """What is declared, checked by the client's own models; None where nothing is.

    Raises:
        ConfigError: the client does not take it, it cannot act, or the client is not installed.
    """
    options = estimator.mitigation
    if not options:
        return None
    found = mitigation.setting(options, lambda name: f"estimator.{name.removeprefix('resilience.')}")
    return found if found.active else None


def require_noise(setting: Setting | None, backend: Backend) -> None:
    """Refuse to mitigate what has no errors.

    Raises:
        ConfigError: nothing goes wrong on this backend.
    """
    if setting is not None and backend.planner is not None and backend.idle_qubits is None:
        raise ConfigError(
            f"{setting.words()} cannot act, for {backend.name} has no noise; use estimator=shots, or a noisy backend",
            key="estimator.resilience_level",
        )


@dataclass(frozen=True, kw_only=True)
class Added:
    """What it took more than the same jobs without."""

    setting: str
    """What was done, in words."""
    qpu_seconds: float | None
    """Time on the QPU [s]; None where only the service knows."""
    cost: float | None
    """Its price in USD; None where the plan has none."""

    @classmethod
    def of(
        cls, setting: Setting | None, events: Iterable[Event], cost: CostModel | None, price: float | None
    ) -> Added | None:
        """Add up what the jobs that came to their end took more; None where nothing was done."""
        if setting is None:
            return None
        if cost is None:
            return cls(setting=setting.words(), qpu_seconds=None, cost=None)
        seconds = 0.0
        without: dict[str, float] = {}
        for event in of(events, JobSubmitted, JobCompleted):
            if isinstance(event, JobSubmitted) and event.unmitigated is not None:
                without[event.job] = cost.qpu_seconds([Work(*part) for part in event.unmitigated])
            elif isinstance(event, JobCompleted) and event.status == "DONE" and event.job in without:
                seconds += event.qpu_seconds - without.pop(event.job)
        return cls(
            setting=setting.words(), qpu_seconds=seconds, cost=None if price is None else seconds * price
        )

    def as_dict(self) -> dict[str, object]:
        """As result.json has it."""
        return asdict(self)


def checked(options: Values, backend: Backend, problem: Problem) -> Setting:
    """What options in the client's names do, after they were tried on the problem's circuit.

    Raises:
        ConfigError: the client does not take them, or they cannot act on this backend or circuit.
    """
    found = mitigation.setting(options, lambda name: f"estimator.{name.removeprefix('resilience.')}")
    require_noise(found, backend)
    if found.zne and not problem.circuit.num_nonlocal_gates():
        raise ConfigError("the circuit has no two-qubit gates whose noise could be amplified", key="ansatz")
    return found
