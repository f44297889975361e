"""What a run does against errors of the device: checked before anything is created, and told with its price."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runner import mitigation
from runner.declare.plain import Values
from runner.errors import ConfigError
from runner.lazy import np
from runner.record.events import Event, JobCompleted, JobSubmitted
from runner.record.log import of
from runner.runtime.cost import CostModel, Work

if TYPE_CHECKING:
    from runner.declare.config import RunConfig
    from runner.mitigation import SamplerSetting, Setting
    from runner.run.problem import Problem
    from runner.services.protocol import Backend


def declared(options: Values) -> Setting | None:
    """What is declared by options in the client's names, checked by its own models; None where nothing is.

    Raises:
        ConfigError: the client does not take it, it cannot act, or the client is not installed.
    """
    if not options:
        return None
    found = mitigation.setting(options, _named)
    return found if found.active else None


def _named(option: str) -> str:
    return f"estimator.{option.removeprefix('resilience.')}"


def sampled(config: RunConfig, backend: Backend) -> SamplerSetting | None:
    """What is done against errors in an experiment's Sampler jobs; None where nothing is.

    Raises:
        ConfigError: the client does not take it, it cannot act, or the client is not installed.
    """
    options = config.experiment.sampler_options
    if not options:
        return None
    found = mitigation.sampler_setting(options, "experiment.{}".format)
    if found.active and backend.planner is not None and backend.idle_qubits is None:
        raise ConfigError(
            f"{found.words()} cannot act, for {backend.name} has no noise; leave it off, or use a backend with noise",
            key=f"experiment.{next(iter(options))}",
        )
    return found if found.active else None


def in_words(setting: Setting | None, final: Setting | None) -> str | None:
    """What is done in the loop and, where that is something else, to measure its result; None where nothing is."""
    if (setting and setting.text) == (final and final.text):
        return None if setting is None else setting.words()
    return f"{_words(setting)}; of the result {_words(final)}"


def _words(setting: Setting | None) -> str:
    return "resilience level 0: nothing" if setting is None else setting.words()


def require_noise(setting: Setting | None, backend: Backend) -> None:
    """Refuse to mitigate what has no errors.

    Raises:
        ConfigError: nothing goes wrong on this backend.
    """
    if setting is not None and backend.planner is not None and backend.idle_qubits is None:
        raise ConfigError(
            f"{setting.words()} cannot act, for {backend.name} has no noise; "
            "use estimator=level0, or a backend with noise",
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
    def of(cls, setting: str, events: Iterable[Event], cost: CostModel | None, price: float | None) -> Added:
        """Add up what the jobs that came to their end took more."""
        if cost is None:
            return cls(setting=setting, qpu_seconds=None, cost=None)
        seconds = 0.0
        without: dict[str, float] = {}
        for event in of(events, JobSubmitted, JobCompleted):
            if isinstance(event, JobSubmitted) and event.unmitigated is not None:
                without[event.job] = cost.qpu_seconds([Work(*part) for part in event.unmitigated])
            elif isinstance(event, JobCompleted) and event.status == "DONE" and event.job in without:
                seconds += event.qpu_seconds - without.pop(event.job)
        return cls(setting=setting, qpu_seconds=seconds, cost=None if price is None else seconds * price)

    def as_dict(self) -> dict[str, object]:
        """As result.json has it."""
        return asdict(self)


def checked(options: Values, backend: Backend, problem: Problem) -> Setting:
    """What options in the client's names do, after they were tried on the problem's circuit.

    Raises:
        ConfigError: the client does not take them, or they cannot act on this backend or circuit.
    """
    found = mitigation.setting(options, _named)
    require_noise(found, backend)
    if found.zne and not problem.circuit.num_nonlocal_gates():
        raise ConfigError("the circuit has no two-qubit gates whose noise could be amplified", key="ansatz")
    return found


def measured(events: Sequence[Event], options_of: Callable[[str], Values]) -> dict[str, object]:
    """What the last mitigated energy was before and after, and what it was extrapolated from, as result.json has it.

    Args:
        events: the run's.
        options_of: workload → what is done against errors in its jobs, in the client's names.
    """
    for event in reversed(list(of(events, JobCompleted))):
        numbers = (event.result or [{}])[-1]
        if "raw" not in numbers or len(event.result or ()) > 1 or np.size(numbers["evs"]) != 1:
            continue
        if np.array_equal(numbers["raw"], numbers["evs"]):
            break  # what was done acts in the circuits, and nobody knows what they would have given without
        found: dict[str, object] = {
            "raw": _single(numbers["raw"]),
            "mitigated": _single(numbers["evs"]),
            "stddev": _single(numbers["stds"]),
        }
        if (setting := declared(options_of(event.workload))) is not None and "evs_noise_factors" in numbers:
            found["extrapolation"] = _extrapolation(numbers, setting)
        return found
    return {}


def _single(value: object) -> float:
    return float(np.asarray(value, dtype=float).reshape(-1)[0])


def _extrapolation(numbers: Mapping[str, Any], setting: Setting) -> dict[str, object]:
    """Energies at every noise factor, and every fit where the client evaluates it; what is not finite is None."""
    factors, count = setting.extrapolated_noise_factors.tolist(), len(setting.extrapolators)
    fits = np.asarray(numbers["evs_extrapolated"], dtype=float).reshape(count, len(factors)).tolist()
    chosen = int(_single(numbers["extrapolators"]))
    return {
        "noise_factors": setting.noise_factors.tolist(),
        "energies": np.asarray(numbers["evs_noise_factors"], dtype=float).reshape(-1).tolist(),
        "stddevs": np.asarray(numbers["stds_noise_factors"], dtype=float).reshape(-1).tolist(),
        "extrapolator": setting.extrapolators[chosen] if chosen >= 0 else "not the same for every term",
        "extrapolated_noise_factors": factors,
        "fits": {
            name: [value if math.isfinite(value) else None for value in values]
            for name, values in zip(setting.extrapolators, fits, strict=True)
        },
    }
