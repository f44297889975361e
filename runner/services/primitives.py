"""The client's primitives as a run needs them: options and PUBs in, the client's job out, its result as numbers.

From 0.51 on the client prepares, twirls and extrapolates itself: a quantum program goes to the service, raw bits come
back, and a job found again decodes them to the same numbers. Its older classes, which leave that to the service, are
deprecated. Both take their options under the same names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

from runner.errors import ConfigError
from runner.mitigation.preparing import PreparedEstimator
from runner.mitigation.received import decoded

if TYPE_CHECKING:
    from qiskit.primitives import PubResult
    from qiskit.primitives.containers import EstimatorPubLike, SamplerPubLike
    from qiskit_ibm_runtime import IBMBackend, RuntimeJobV2
    from qiskit_ibm_runtime import Session as ClientSession

    from runner.runtime.results import Numbers

    Mode: TypeAlias = ClientSession | IBMBackend
    PubLike: TypeAlias = EstimatorPubLike | SamplerPubLike

CLIENT, SERVICE, UNDECLARED = "client", "service", "undeclared"
"""Who mitigates, as the journal has it: the last is the service, at its own level."""
PARTS = (
    "qiskit_ibm_runtime.executor_estimator.finalize_options",
    "qiskit_ibm_runtime.executor_sampler",
    "qiskit_ibm_runtime.decoders.executor.decoder",
)
"""What the client-side primitives take; of a job that was paid for without them, nothing could be read."""
TOLD = ("evs", "stds", "ensemble_standard_error")
"""What of a service-side result is kept."""


def whose() -> str:
    """Who mitigates with the client that is installed: `client` from 0.51 on, which has all parts, or `service`."""
    return CLIENT if all(map(_has, PARTS)) else SERVICE


def _has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def primitive(who: str, kind: str, mode: Mode, options: Mapping[str, object]) -> Sender:
    """An Estimator or a Sampler of the client's.

    Args:
        who: client | service | undeclared.
        kind: estimator | sampler.
        mode: where its jobs run.
        options: under the client's names.

    Raises:
        ConfigError: the client has none, or does not take an option.
    """
    if who == CLIENT and whose() != CLIENT:
        raise ConfigError(
            "this run was begun with the client-side primitives of qiskit-ibm-runtime 0.51 or newer; "
            "pip install 'session-runner[ibm]'",
            key="backend",
        )
    return Sender(_class(who, kind), mode, options, prepares=who == CLIENT and kind == "estimator")


def _class(who: str, kind: str) -> Any:
    if who != CLIENT:
        from qiskit_ibm_runtime import EstimatorV2, SamplerV2

        return EstimatorV2 if kind == "estimator" else SamplerV2
    from qiskit_ibm_runtime.executor_estimator import Estimator
    from qiskit_ibm_runtime.executor_sampler import Sampler

    return Estimator if kind == "estimator" else Sampler


class Sender:
    """A primitive of the client's with our tags.

    Args:
        made: the client's class.
        mode: where its jobs run.
        options: under the client's names.
        prepares: whether it makes quantum programs, which are then made once.
    """

    def __init__(
        self, made: Any, mode: Mode, options: Mapping[str, object], *, prepares: bool = False
    ) -> None:
        _quiet()
        try:
            self._primitive = made(mode=mode, options=dict(options))
        except (ValueError, TypeError) as error:  # pydantic's is a ValueError
            told = " ".join(str(error).split())
            raise ConfigError(
                f"the client does not take these options: {told[:300]}", key="estimator"
            ) from error
        self._run = PreparedEstimator(self._primitive).run if prepares else self._primitive.run

    def send(
        self, pubs: Sequence[PubLike], arguments: Mapping[str, float], tags: Sequence[str]
    ) -> RuntimeJobV2:
        """Submit PUBs as one job of these tags."""
        self._primitive.options.environment.job_tags = list(tags)
        return self._run(list(pubs), **arguments)


def _quiet() -> None:
    """Keep the client from telling of every PUB."""
    logger = logging.getLogger("qiskit_ibm_runtime")
    logger.setLevel(max(logger.level, logging.WARNING))


def numbers(job: RuntimeJobV2, kind: str) -> list[Numbers]:
    """What each PUB of a finished job gave, by name.

    Raises:
        RuntimeSessionError: its result is not one of such a job.
    """
    if kind == "estimator" and job.primitive_id == "executor":
        from qiskit_ibm_runtime.decoders.executor.decoder import ExecutorResultDecoder

        return decoded(job.result(decoder=[ExecutorResultDecoder]))
    return [_numbers(pub, kind) for pub in job.result()]


def _numbers(pub: PubResult, kind: str) -> Numbers:
    import numpy as np

    if kind == "sampler":
        return dict(pub.data.items())
    told = {name: np.asarray(value) for name, value in pub.data.items() if name in TOLD}
    shots = pub.metadata.get("shots")
    return {**told, "shots": None if shots is None else int(shots)}
