"""Quantum programs of the client-side Estimator, prepared once and sent again with other parameter values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runner.engine import canonical_text, kept_whole

if TYPE_CHECKING:
    from qiskit.primitives.containers import EstimatorPubLike
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit_ibm_runtime import RuntimeJobV2

    Prepared: TypeAlias = tuple[Any, Any]

_KEPT = 16
"""Programs that are remembered."""


class PreparedEstimator:
    """What an Estimator of the client's sends: `run` does what its own `run` does.

    The client boxes, folds and builds every circuit anew for every job, which takes longer than all else on this side;
    of a circuit and observables that come again only the parameter values are new.

    Args:
        estimator: the client's.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._known: OrderedDict[tuple[object, ...], Prepared] = OrderedDict()

    def run(self, pubs: Sequence[EstimatorPubLike], precision: float | None = None) -> RuntimeJobV2:
        """Submit PUBs as one job."""
        from qiskit.primitives.containers.estimator_pub import EstimatorPub
        from qiskit_ibm_runtime.executor import Executor

        coerced = [EstimatorPub.coerce(kept_whole(pub), precision) for pub in pubs]
        program, settings = self._prepared(coerced, precision)
        settings.environment.job_tags = self._estimator.options.environment.job_tags
        mode = self._estimator.mode or self._estimator.backend()
        return Executor(mode=mode, options=settings).run(program)

    def _prepared(self, pubs: list[EstimatorPub], precision: float | None) -> Prepared:
        """A program with these PUBs' parameter values, and the settings to send it with."""
        key = (precision, *map(_told, pubs))
        if key in self._known:
            self._known.move_to_end(key)
            program, settings = self._known[key]
            for place, values in _arguments(program, pubs).items():
                program.items[place].samplex_arguments["parameter_values"] = values
            return program, settings
        program, settings = self._prepare(pubs, precision)
        if _repeats(program, pubs):
            self._known[key] = program, settings
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return program, settings

    def _prepare(self, pubs: list[EstimatorPub], precision: float | None) -> Prepared:
        """What the client makes of the PUBs."""
        from qiskit_ibm_runtime.executor_estimator.prepare import prepare

        options, backend = self._estimator.options, self._estimator.backend()
        program, settings = prepare(pubs, options, precision, backend=backend)
        program._semantic_role = "estimator_v2"  # by which the client finds what decodes the result
        return program, settings


def _told(pub: EstimatorPub) -> tuple[object, ...]:
    """What of a PUB decides the program, beside its parameter values."""
    shape = pub.parameter_values.shape
    circuit = pub.circuit
    return (
        canonical_text(circuit),
        repr(circuit.metadata),
        repr(pub.observables.tolist()),
        pub.precision,
        shape,
    )


def _arguments(program: Any, pubs: Sequence[EstimatorPub]) -> dict[int, NDArray[Any]]:
    """The parameter values of every item of a program, a row for each configuration that is measured."""
    tasks = [task for task in program.passthrough_data["qiskit_mitigation"] if task["mitigation"] != "trex"]
    starts = [task["program_item_index"] for task in tasks]
    found: dict[int, NDArray[Any]] = {}
    for task, start, pub in zip(tasks, starts, pubs, strict=True):
        later = [other for other in _starts(program) if other > start]
        values = pub.parameter_values.as_array(pub.circuit.parameters)
        rows = np.array([values[tuple(index)] for index, _ in task["param_basis_pairs"]])
        if rows.size:
            found |= dict.fromkeys(range(start, min(later, default=len(program.items))), rows)
    return found


def _starts(program: Any) -> list[int]:
    """The first item of every PUB and of the readout's calibration."""
    return [task["program_item_index"] for task in program.passthrough_data["qiskit_mitigation"]]


def _repeats(program: Any, pubs: Sequence[EstimatorPub]) -> bool:
    """Whether the values in a program are where this module would put them."""
    expected = _arguments(program, pubs)
    for place, item in enumerate(program.items):
        present = item.samplex_arguments.get("parameter_values")
        known = expected.get(place)
        if (present is None) != (known is None) or (known is not None and not np.array_equal(present, known)):
            return False
    return True
