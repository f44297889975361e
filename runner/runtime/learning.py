"""Noise learning as a job: who has learned what of a device's layers, and the job that learns the rest."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runner.errors import ConfigError
from runner.mitigation import (
    DRESSING,
    NoiseOfLayers,
    layer_noise_model,
    read_noise,
    received_noise,
    require_of_device,
)
from runner.runtime.cost import Work
from runner.runtime.seeds import derive_seed

if TYPE_CHECKING:
    from runner.mitigation import Layer, LayerNoise, LearningPlan
    from runner.runtime.backends import LocalBackend
    from runner.runtime.job import RuntimeJob
    from runner.runtime.results import Numbers


class LayerPub:
    """One layer in a job that learns noise."""

    __slots__ = ("plan",)

    def __init__(self, plan: LearningPlan) -> None:
        self.plan = plan

    def told(self) -> dict[str, Any]:
        """As `JobSubmitted` has it."""
        return {
            "values": [],
            "shape": [],
            "shots": self.plan.executions,
            "precision": 0.0,
            "layer": self.plan.told(),
        }


def work_of(plans: Sequence[LearningPlan]) -> list[Work]:
    """Return what learning these makes the device do."""
    return [Work(*part) for plan in plans for part in plan.work]


def learn(plans: Sequence[LearningPlan], seed: int) -> list[Numbers]:
    """Return what a job with this seed learns of every layer."""
    return [plan.run(derive_seed(seed, plan.layer.text, 0)) for plan in plans]


def nothing_learned(plans: Sequence[LearningPlan]) -> list[Numbers]:
    """Return a model without noise for every layer: one generator, of rate 0, for the client takes no empty ones."""
    return [{"generators": np.eye(1, len(plan.layer.qubits)), "rates": np.zeros(1)} for plan in plans]


class Learned:
    """What was learned within one session, or by one primitive outside of any."""

    def __init__(self) -> None:
        self._jobs: dict[object, tuple[RuntimeJob, int, LearningPlan]] = {}
        self._found: dict[object, LayerNoise] = {}
        self._lock = threading.Lock()

    def missing(self, plans: Sequence[LearningPlan]) -> list[LearningPlan]:
        """Return those whose layers nobody has learned or is about to learn."""
        return [plan for plan in plans if plan.key not in self._jobs]

    def noise(
        self, plans: Sequence[LearningPlan], submit: Callable[[Sequence[LearningPlan]], RuntimeJob]
    ) -> NoiseOfLayers:
        """Return the noise of the layers, of which the unknown ones are learned by one job.

        Args:
            plans: how each is learned.
            submit: submits that job.
        """
        with self._lock:
            if missing := self.missing(plans):
                job = submit(missing)
                self._jobs |= {plan.key: (job, place, plan) for place, plan in enumerate(missing)}
            asked = dict.fromkeys(self._jobs[plan.key][0] for plan in plans)
        for job in asked:
            # several workloads may want it: all wait on the clock, and the first takes what is given once
            job.wait_for_final_state()
            self._take(job)
        return NoiseOfLayers.joined(self._found[plan.key] for plan in plans)

    def foreseen(self, plans: Sequence[LearningPlan], seed: int) -> NoiseOfLayers:
        """Return what is known, or what a job with this seed would learn of what is not."""
        missing = self.missing(plans)
        ahead = dict(zip([plan.key for plan in missing], learn(missing, seed), strict=True))
        found = []
        for plan in plans:
            known = self._found.get(plan.key)
            if known is None and plan.key not in ahead:  # its job is on the way
                ahead[plan.key] = learn([plan], seed)[0]
            found.append(known or plan.noise(ahead[plan.key]))
        return NoiseOfLayers.joined(found)

    def _take(self, job: RuntimeJob) -> None:
        """Keep what a job has learned; of one that failed, raise why, and let others learn it."""
        with self._lock:
            own = {key: told for key, told in self._jobs.items() if told[0] is job}
            if own and own.keys() <= self._found.keys():
                return
            try:
                numbers = job.numbers()
            except Exception:
                for key in own:
                    del self._jobs[key]
                raise
            self._found |= {key: plan.noise(numbers[place]) for key, (_, place, plan) in own.items()}


def noise_among(
    found: NoiseOfLayers, layers: Iterable[Layer], key: str, notice: Callable[[str], None]
) -> NoiseOfLayers:
    """Return the part of a model that is of these layers; the others are taken for noiseless, as the client does.

    Args:
        found: the model.
        layers: those of a job's circuits.
        key: the setting that has it.
        notice: is told how many are not known.

    Raises:
        ConfigError: none of them is known.
    """
    wanted = sorted(layers)
    known = [noise for layer in wanted if (noise := found.of(layer)) is not None]
    if not known:
        has = ", ".join(sorted(layer.text for layer in found.known)) or "none"
        told = ", ".join(layer.text for layer in wanted)
        raise ConfigError(
            f"has noise of {has}, and the circuits have the layers {told}; learn theirs", key=key
        )
    if left := len(wanted) - len(known):
        notice(f"the noise of {left} of {len(wanted)} layers is not in {key}, and stays as it is")
    return NoiseOfLayers.joined(known)


def given_noise(source: str, plans: Sequence[LearningPlan], key: str) -> NoiseOfLayers:
    """Return the noise that another run has learned.

    Args:
        source: `run:ID` or `file:PATH`.
        plans: whose layers it has to know.
        key: the setting that names it.

    Raises:
        ConfigError: it cannot be read, lacks a layer, or is of another device or noise.
    """
    try:
        found = read_noise(source)
        require_of_device(found, [(plan.layer, plan.noise_digest) for plan in plans], plans[0].device)
    except ConfigError as error:
        raise ConfigError(f"{source} {error}", key=key) from error
    return NoiseOfLayers.joined(found.known[plan.layer] for plan in plans)


def with_layer_noise(options: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return the engine's options with the noise of layers itself in the place of where it is from.

    Args:
        options: as a service has them.
        device: name of the backend that the engine is for.

    Raises:
        ConfigError: there is no such model, it is of another device, or it is no noise.
    """
    source = options.get("layer_noise_model")
    found = {name: value for name, value in options.items() if name != "layer_noise_model"}
    return found if source is None else found | {"layer_noise": layer_noise_model(source, device)}


def write_noise_model(path: str | Path, result: Any, backend: LocalBackend) -> None:
    """Write what a NoiseLearner has learned, for `layer_noise_model=file:PATH` of estimators and backends.

    Args:
        path: The file, which must not be there yet.
        result: Its job's `NoiseLearnerResult`.
        backend: The device whose layers these are.

    Raises:
        ConfigError: It is no such result.
        FileExistsError: There is such a file.
    """
    told = []
    for one in received_noise(result, "result").known.values():
        names = [*DRESSING, *(name for name, _ in one.layer.gates)]
        noise = backend.engine.noise_digest(one.layer.qubits, names)
        told.append(replace(one, device=backend.name, noise=noise).as_dict())
    with Path(path).open("x", encoding="utf-8") as file:
        file.write(json.dumps({"layers": told}, indent=2) + "\n")
