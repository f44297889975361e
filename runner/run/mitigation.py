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
from runner.record.log import EventLog, Selection, of
from runner.record.replay import LEARNER, when_done
from runner.runtime.cost import CostModel, Work

if TYPE_CHECKING:
    from runner.declare.config import RunConfig
    from runner.mitigation import LayerNoise, SamplerSetting, Setting
    from runner.run.problem import Problem
    from runner.services.protocol import Backend


CALIBRATION = "calibration"
"""Stream of the jobs that measure how qubits are misread."""
CORRECTED = "misread bitstrings corrected (M3)"


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


def counted(events: EventLog, jobs: Iterable[Mapping[str, Any]]) -> Selection:
    """Submissions and ends of the jobs that a run's totals count, each once, among all that its journal tells.

    Others measured its result where it had stopped, or ran while it was shutting down.

    Args:
        events: of its journal.
        jobs: those that are counted, as session.json lists them.
    """
    wanted: set[tuple[object, ...]] = {
        (job["id"], job["session"], job["started"], job["finished"]) for job in jobs
    }
    submitted: dict[str, int] = {}
    places = []
    for place in events.places(JobSubmitted, JobCompleted):
        event = events[place]
        if isinstance(event, JobSubmitted):
            submitted[event.job] = place
        elif isinstance(event, JobCompleted) and when_done(event) in wanted:
            wanted.remove(when_done(event))
            places += [*([submitted.pop(event.job)] if event.job in submitted else []), place]
    return Selection(events, sorted(places))


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
        if cost is None:  # whether all of it acts there, nobody here knows
            return cls(setting=f"asked for: {setting}", qpu_seconds=None, cost=None)
        seconds = 0.0
        without: dict[str, float] = {}
        for event in of(events, JobSubmitted, JobCompleted):
            if event.workload == CALIBRATION:
                if isinstance(event, JobCompleted) and event.status == "DONE":
                    seconds += event.qpu_seconds
            elif isinstance(event, JobSubmitted) and event.unmitigated is not None:
                # noise would not be learned at all
                parts = [Work(*part) for part in event.unmitigated]
                without[event.job] = cost.qpu_seconds(parts) if parts else 0.0
            elif isinstance(event, JobCompleted) and event.status == "DONE" and event.job in without:
                seconds += event.qpu_seconds - without.pop(event.job)
        return cls(setting=setting, qpu_seconds=seconds, cost=None if price is None else seconds * price)

    def as_dict(self) -> dict[str, object]:
        """As result.json has it."""
        return asdict(self)


def require_suitable(
    setting: Setting | None, backend: Backend, *pub: Any, declared_by: str = "estimator"
) -> None:
    """Refuse noise factors and noise that was learned in another run where they do not go with this one.

    Args:
        setting: what is done.
        backend: where.
        pub: circuit and observables; without them only the device is compared, where circuits come later.
        declared_by: the choice that says what is done.

    Raises:
        ConfigError: the circuit has no gates whose noise is undone; factors are too large for it; noise lacks a layer
            of it, is of another device or noise, or the service takes none.
    """
    key = "estimator.layer_noise_model"
    if setting is None:
        return
    if pub:
        if (setting.zne or setting.pec) and not pub[0].num_nonlocal_gates():
            how, switch = ("cancelled", "pec") if setting.pec else ("amplified", "zne")
            alone = declared_by == "estimator" and not setting.pea  # an amplifier acts with its switch
            off = f"estimator.{switch}_mitigation=false" if alone else f"{declared_by}=level1"
            told = f"noise of two-qubit gates would be {how}, and the circuit has none; take {off}, or another ansatz"
            raise ConfigError(told, key=declared_by)
        mitigation.require_amplifiable(pub[0], setting, _named)
    if not isinstance(setting.model, str):
        return
    if backend.planner is None:
        raise ConfigError(f"{backend.name} learns the noise of layers by itself; leave it out", key=key)
    if pub:
        circuit, observables = pub
        backend.planner.require_noise_model(circuit, observables, setting, key)
        return
    try:
        mitigation.require_of_device(mitigation.read_noise(setting.model), [], backend.name)
    except ConfigError as error:
        raise ConfigError(f"{setting.model} {error}", key=key) from error


def checked(options: Values, backend: Backend, problem: Problem) -> Setting:
    """What options in the client's names do, after they were tried on the problem's circuit.

    Raises:
        ConfigError: the client does not take them, or they cannot act on this backend or circuit.
    """
    found = mitigation.setting(options, _named)
    require_noise(found, backend)
    if (found.zne or found.pec) and not problem.circuit.num_nonlocal_gates():
        how = "cancelled" if found.pec else "amplified"
        raise ConfigError(f"the circuit has no two-qubit gates whose noise could be {how}", key="ansatz")
    require_suitable(found, backend, problem.circuit, problem.observable)
    return found


def measured(
    events: Sequence[Event], options_of: Callable[[str], Values], energy: float | None
) -> dict[str, object]:
    """What the run's energy was before and after, and what it was extrapolated from, as result.json has it.

    Nothing of an energy that was not read off one job alone: what another point was before tells nothing of it.

    Args:
        events: the run's.
        energy: what is told of the run; the last job that gave it is the one that it is from.
        options_of: workload → what is done against errors in its jobs, in the client's names.
    """
    for event in reversed(list(of(events, JobCompleted))):
        numbers = (event.result or [{}])[-1]
        told = [name for name in ("raw", *CANCELLED) if name in numbers]
        if not told or len(event.result or ()) > 1 or np.size(numbers["evs"]) != 1:
            continue
        if _single(numbers["evs"]) != energy:
            continue
        if "raw" in numbers and np.array_equal(numbers["raw"], numbers["evs"]):
            break  # what was done acts in the circuits, and nobody knows what they would have given without
        found: dict[str, object] = {
            **{name: _single(numbers[name]) for name in told},
            "mitigated": _single(numbers["evs"]),
            "stddev": _single(numbers["stds"]),
        }
        if (setting := declared(options_of(event.workload))) is not None:
            if "evs_noise_factors" in numbers:
                found["extrapolation"] = _extrapolation(numbers, setting)
            if setting.needs_noise:
                share = numbers.get("learned_stds")
                found["learned_stddev"] = None if share is None else _single(share)
        return found
    return _of_many(events)


def _of_many(events: Sequence[Event]) -> dict[str, object]:
    """What the last job of several values whose noise was cancelled tells of the one that it is worst for."""
    for event in reversed(list(of(events, JobCompleted))):
        every = [one for one in event.result or () if all(name in one for name in CANCELLED)]
        if every:
            shares = [np.max(one["learned_stds"]) for one in every if "learned_stds" in one]
            return {
                **{name: max(_single(one[name]) for one in every) for name in CANCELLED},
                "learned_stddev": float(max(shares)) if len(shares) == len(every) else None,
            }
    return {}


CANCELLED = ("sampling_overhead", "noise_gain")
"""What is told where noise was cancelled: γ², and the part of the noise that is left."""


@dataclass(frozen=True, kw_only=True)
class LearnedNoise:
    """What a run has learned of its device's noise."""

    layers: tuple[LayerNoise, ...]
    """Every layer once; of one that was learned again what was learned last."""
    shots: int
    """Executions that it took."""
    qpu_seconds: float
    """Time on the QPU [s]."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> LearnedNoise | None:
        """From the jobs that came to their end; None where there was none."""
        found: dict[object, LayerNoise] = {}
        submitted: dict[str, JobSubmitted] = {}
        shots, seconds = 0, 0.0
        for event in of(events, JobSubmitted, JobCompleted):
            if isinstance(event, JobSubmitted):
                if event.program == LEARNER:
                    submitted[event.job] = event
            elif event.status == "DONE" and event.job in submitted:
                begun = submitted.pop(event.job)
                shots += sum(int(executions) for executions, _ in begun.work or ())
                seconds += event.qpu_seconds
                for pub, numbers in zip(begun.pubs, event.result or (), strict=True):
                    one = mitigation.LayerNoise.learned(pub["layer"], numbers)
                    found[one.layer] = one
        return cls(layers=tuple(found.values()), shots=shots, qpu_seconds=seconds) if found else None

    def as_dict(self) -> dict[str, object]:
        """As noise_model.json has it."""
        return {"layers": [layer.as_dict() for layer in self.layers]}

    def told(self, price: float | None) -> dict[str, object]:
        """As result.json has it.

        Args:
            price: USD per second of usage; None where the plan has none.
        """
        return {
            "layers": [layer.layer.text for layer in self.layers],
            "gammas": [layer.gamma for layer in self.layers],
            "shots": self.shots,
            "qpu_seconds": self.qpu_seconds,
            "cost": None if price is None else self.qpu_seconds * price,
        }


def _single(value: object) -> float:
    return float(np.asarray(value, dtype=float).reshape(-1)[0])


def _extrapolation(numbers: Mapping[str, Any], setting: Setting) -> dict[str, object]:
    """Energies at every noise factor, and every fit where the client evaluates it.

    None where that is not finite, or a term's value by that fit is none that it can have.
    """
    factors, count = setting.extrapolated_noise_factors.tolist(), len(setting.extrapolators)
    fits = np.asarray(numbers["evs_extrapolated"], dtype=float).reshape(count, len(factors))
    if (astray := numbers.get("astray")) is not None:
        fits = np.where(np.asarray(astray).reshape(fits.shape) > 0, np.nan, fits)
    chosen = int(_single(numbers["extrapolators"]))
    return {
        "noise_factors": setting.noise_factors.tolist(),
        "energies": np.asarray(numbers["evs_noise_factors"], dtype=float).reshape(-1).tolist(),
        "stddevs": np.asarray(numbers["stds_noise_factors"], dtype=float).reshape(-1).tolist(),
        # by what fits are weighted: as if all shots were one sample
        "fit_stddevs": np.asarray(numbers["ensemble_stds_noise_factors"], dtype=float).reshape(-1).tolist(),
        "extrapolator": setting.extrapolators[chosen] if chosen >= 0 else "not the same for every term",
        "extrapolated_noise_factors": factors,
        "fits": {
            name: [value if math.isfinite(value) else None for value in values]
            for name, values in zip(setting.extrapolators, fits.tolist(), strict=True)
        },
    }
