"""Measured bits of any circuit, as one Sampler job."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runner import engine
from runner.declare.checks import require_integer
from runner.declare.estimator import MAX_SHOTS
from runner.declare.sampling import SamplerConfig
from runner.errors import ConfigError
from runner.run.answer import MEASURED, TRUNCATED, worth
from runner.run.experiment import Experiment, FirstJob
from runner.run.problem import declared_circuit, fit
from runner.run.readout import calibrated, register_qubits
from runner.run.results import Outcome

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit

    from runner.declare.config import RunConfig
    from runner.declare.plain import Values
    from runner.run.context import Lab
    from runner.run.problem import Problem
    from runner.services.protocol import Backend


@dataclass(kw_only=True)
class Sampling(SamplerConfig, Experiment):
    """The ansatz at its initial point, measured; a circuit from a file keeps its own measurements."""

    name: str = "sampling"
    """Name of the experiment."""
    shots: int | None = None
    """Number of shots; null: the estimator's default_shots."""
    top: int = 64
    """Most bitstrings per register, and of all registers together, that are listed; all are in the journal."""

    needs_problem: ClassVar[bool] = False
    ignores: ClassVar[tuple[str, ...]] = ("optimizer", "gradient")
    only_samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.shots is not None:
            require_integer("experiment.shots", self.shots, 1, MAX_SHOTS)
        require_integer("experiment.top", self.top, 1, 100_000)
        self.check_sampler()

    @property
    def own_shots(self) -> int | None:
        """As declared."""
        return self.shots

    def sampled_circuit(self, prepared: Any) -> Any:
        """The whole of it."""
        return prepared

    def first_job(self, config: RunConfig, prepared: Any, backend: Backend) -> FirstJob | None:  # noqa: ARG002
        """The one that samples, where none before it tells how bitstrings are misread."""
        return None if self.corrects else FirstJob.samples(prepared, self.shots)

    def quantity(self, prepared: Any, problem: Problem | None) -> None:
        """Nothing but counts."""

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> Any:  # noqa: ARG002
        """The PUB: ISA circuit with measurements, and parameters.

        Raises:
            ConfigError: nothing is measured, or the circuit does not fit the backend.
        """
        circuit, values = measured_circuit(config)
        kind = engine.classify(circuit)
        if not (kind.anatomy.final or kind.measures):
            raise ConfigError("measures nothing; add measurements to the circuit", key="ansatz")
        loose = kind.loose if circuit.cregs else range(circuit.num_clbits)
        if loose:
            raise ConfigError(
                f"measures into the loose bit {loose[0]}, which no register of a Sampler's result holds; "
                "declare a register, e.g. bit[1] c",
                key="ansatz",
            )
        fitted = fit(circuit.assign_parameters(values), backend, config)
        if backend.planner is not None:
            backend.planner.sampler_plan(fitted)
        return fitted

    def circuit_of(self, config: RunConfig, result: Values) -> QuantumCircuit:  # noqa: ARG002
        """The one that is sampled, with its measurements."""
        return measured_circuit(config)[0]

    def run(self, lab: Lab) -> Outcome:
        """One job; one row per bitstring of every register, the most frequent first, then of all of them together.

        Where misread bitstrings are corrected, one job before tells how they are, and each row has both.
        """
        misread, qubits = None, {}
        if self.corrects:
            qubits = register_qubits(lab.prepared)
            misread = calibrated(lab, lab.prepared, self.readout_mitigation.shots or self.shots)
        stream = lab.stream("sampling")
        data = stream.sample((lab.prepared,), shots=self.shots)[0].data
        lost = lab.left_out.distance("sampling")
        for register, bitstrings in read(data).items():
            counts = Counter(bitstrings)
            corrected: dict[str, dict[str, float | None]] = {}
            if misread is not None:
                # of several together the first is on the right
                places = qubits.get(register, [qubit for part in qubits.values() for qubit in part])
                quasi = misread.corrected({word.replace(" ", ""): n for word, n in counts.items()}, places)
                for word in counts:
                    value, stddev = quasi.of(word.replace(" ", ""))
                    corrected[word] = {"quasi_probability": value, "quasi_stddev": stddev}
            ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            for bitstring, count in ranked[: self.top]:
                shots, share = len(bitstrings), count / len(bitstrings)
                spread = math.sqrt(max(share * (1 - share), 1 / shots) / shots)
                told = worth(MEASURED, spread, lost) == TRUNCATED
                lab.row(
                    register=register,
                    bitstring=bitstring,
                    count=count,
                    probability=share,
                    **({"probability truncation": lost} if told else {}),
                    **corrected.get(bitstring, {}),
                )
        return Outcome(energy=None, stop_reason="one job", table=lab.table)


def measured_circuit(config: RunConfig) -> tuple[QuantumCircuit, np.ndarray]:
    """The declared circuit with measurements, its own where it has some, and its initial parameters, shape (P,)."""
    circuit, values = declared_circuit(config, measured=True)
    if not circuit.num_clbits:
        circuit.measure_all()
    return circuit, values


def read(data: Any) -> dict[str, list[str]]:
    """Register → what it held in every shot; several also together as `joint`, the first on the right."""
    found = {register: bits.get_bitstrings() for register, bits in data.items()}
    if len(found) > 1:
        joint = "joint"
        while joint in found:
            joint += "_"
        found[joint] = [" ".join(reversed(words)) for words in zip(*found.values(), strict=True)]
    return found
