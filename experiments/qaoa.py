"""The quantum approximate optimization algorithm: sample ever better bitstrings (Farhi, Goldstone & Gutmann 2014)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from runner.declare.checks import require_integer, require_positive
from runner.declare.estimator import MAX_SHOTS
from runner.declare.sampling import SamplerConfig
from runner.display.words import digits_of, energy_number, in_cell
from runner.errors import ConfigError
from runner.run.answer import MEASURED, Noiseless
from runner.run.experiment import Experiment, FirstJob, zeros
from runner.run.problem import fit
from runner.run.readout import calibrated, register_qubits
from runner.run.results import Outcome
from runner.run.suitability import check_circuits, common_frequencies, most_evaluations

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.mitigation import QuasiProbabilities
    from runner.optimizer.method import Gradient
    from runner.run.answer import Answer, Measure, Samples
    from runner.run.context import Lab
    from runner.run.objective import JobStream
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

MAX_ENUMERATED = 20
"""Largest number of spins whose best and worst bitstrings are found by looking at all."""
LISTED = 16
"""Bitstrings in the result's table."""


@dataclass(frozen=True)
class Cost:
    """A diagonal Hamiltonian as a function of bitstrings: C(x) = Σₖ cₖ (−1)^(number of ones of x in zₖ)."""

    signs: np.ndarray
    """Which qubits a term looks at, shape (K, n), 0 or 1."""
    coefficients: np.ndarray
    """Shape (K,)."""

    @classmethod
    def of(cls, hamiltonian: SparsePauliOp) -> Cost:
        """The cost of a Hamiltonian of Z and I only.

        Raises:
            ConfigError: it has an X or Y somewhere.
        """
        if hamiltonian.paulis.x.any():
            term = next(str(pauli) for pauli in hamiltonian.paulis if pauli.x.any())
            raise ConfigError(f"qaoa needs terms of Z and I only, got {term}; choose maxcut, qubo or sk",
                              key="hamiltonian")  # fmt: skip
        return cls(hamiltonian.paulis.z.astype(int), hamiltonian.coeffs.real)

    def __call__(self, bits: np.ndarray) -> np.ndarray:
        """Costs of bitstrings, shape (S, n) with qubit 0 first → (S,)."""
        parity = (bits.astype(int) @ self.signs.T) % 2
        return (1 - 2 * parity) @ self.coefficients

    @property
    def widest(self) -> float:
        """No standard deviation of the costs is larger: Σ|cₖ| without the constant."""
        return float(abs(self.coefficients[self.signs.any(axis=1)]).sum())

    def of_all(self) -> np.ndarray:
        """Costs of all bitstrings, shape (2ⁿ,), at index Σ xₖ 2ᵏ."""
        import numpy as np

        count = self.signs.shape[1]
        return self((np.arange(2**count)[:, None] >> np.arange(count)) & 1)

    def extremes(self) -> tuple[float, float] | None:
        """Lowest and highest cost of all bitstrings; None where there are too many."""
        if self.signs.shape[1] > MAX_ENUMERATED:
            return None
        costs = self.of_all()
        return float(costs.min()), float(costs.max())


@dataclass(frozen=True)
class SampledCost:
    """What is sampled, and what a bitstring costs."""

    circuit: QuantumCircuit
    """Measured ISA circuit."""
    cost: Cost
    """The Hamiltonian."""


@dataclass(kw_only=True)
class Qaoa(SamplerConfig, Experiment):
    """Minimizes the mean cost of the sampled bitstrings, or of the best share of them (CVaR)."""

    name: str = "qaoa"
    """Name of the experiment."""
    cvar: float = 1.0
    """Share of the best shots whose mean cost is minimized; 1: all of them (Barkoutsos et al. 2020: 0.1 to 0.25)."""
    shots: int | None = None
    """Shots of one evaluation; null: the estimator's default_shots."""

    only_samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_positive("experiment.cvar", self.cvar)
        if self.cvar > 1:
            raise ConfigError(f"must be in (0, 1], got {self.cvar}; lower it", key="experiment.cvar")
        if self.shots is not None:
            require_integer("experiment.shots", self.shots, 1, MAX_SHOTS)
        self.check_sampler()

    def sampled_circuit(self, prepared: SampledCost) -> QuantumCircuit:
        """The one of every evaluation."""
        return prepared.circuit

    @property
    def own_shots(self) -> int | None:
        """As declared."""
        return self.shots

    def first_job(self, config: RunConfig, prepared: SampledCost, backend: Backend) -> FirstJob | None:  # noqa: ARG002
        """The first sampling of the cost, and those that measure the result."""
        if self.corrects:
            return None
        return FirstJob(
            what="one cost", pubs=zeros(prepared.circuit), program="sampler", shots=self.shots, measured=True
        )

    def optimizers_of(self, config: RunConfig) -> list[Any]:  # noqa: ARG002
        """None of them follows a gradient: samples have none."""
        return []

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> SampledCost:
        """The measured circuit and the cost function.

        Raises:
            ConfigError: the Hamiltonian is not diagonal, a gradient is asked of samples, or the optimizer fits waves
                where there are none.
        """
        assert problem is not None
        if config.gradient not in ("auto", "none"):
            raise ConfigError(
                f"qaoa samples bitstrings and has no {config.gradient} gradient; use auto", key="gradient"
            )
        cost = Cost.of(problem.hamiltonian)
        circuit = fit(problem.ansatz.measure_all(inplace=False), backend, config)
        if self.cvar < 1 and config.optimizer.uses_frequencies:
            raise ConfigError(
                f"nft fits waves, and a CVaR is none, got {self.cvar}; use cobyla, or experiment.cvar=1",
                key="experiment.cvar",
            )
        if config.optimizer.uses_gradient:
            raise ConfigError(
                f"{config.optimizer.name} follows gradients, and sampled bitstrings have none; use cobyla or spsa",
                key="optimizer",
            )
        check_circuits(config.optimizer, circuit)
        return SampledCost(circuit, cost)

    def quantity(self, prepared: SampledCost, problem: Problem | None) -> str:  # noqa: ARG002
        """The mean cost is the energy; that of a share of the shots is not."""
        return "energy" if self.cvar == 1 else "CVaR"

    def most_evaluations(self, config: RunConfig, problem: Problem | None) -> int | None:
        """Those of the one minimization."""
        return most_evaluations(config, problem.circuit if problem else None)

    def run(self, lab: Lab) -> Outcome:
        """Minimize the cost, then sample once more at the best angles and report what was measured there."""
        task: SampledCost = lab.prepared
        misread = None
        if self.corrects:
            misread = calibrated(lab, task.circuit, self.readout_mitigation.shots or self.shots)
        stream = lab.stream("qaoa")
        search = Search(task, stream, self.cvar, self.shots)
        found = lab.minimize(stream, lab.config.optimizer, energy=search)
        (answer,) = lab.settle(
            stream, sampling=(search.chosen_by(lab.results), search.reported_by(lab.results))
        )
        if answer.kind == MEASURED and (lost := lab.left_out.distance(lab.results.name)) is not None:
            answer = replace(answer, truncation=2 * task.cost.widest * lost)  # at most the range of costs
        answer, told = self.exactly(lab, answer)
        extremes = task.cost.extremes()
        listed = tally(*search.last) if answer.kind == MEASURED else []
        quasi = None
        if misread is not None and listed:
            qubits = next(iter(register_qubits(task.circuit).values()))
            quasi = misread.corrected({word: count for word, count, _ in listed}, qubits)
            answer = self.corrected(lab, answer, quasi, {word: cost for word, _, cost in listed})
        for bitstring, count, energy in listed[:LISTED]:
            more: dict[str, float | None] = {}
            if quasi is not None:
                more["quasi_probability"], more["quasi_stddev"] = quasi.of(bitstring)
            lab.row(
                bitstring=bitstring, cost=energy, count=count, probability=count / len(search.last[1]), **more,
                ratio=ratio(energy, extremes), mean_ratio=ratio(answer.energy, extremes),
            )  # fmt: skip
        return Outcome(
            **answer.outcome(),
            reference_energy=extremes[0] if extremes else lab.problem.reference_energy,
            evaluations=stream.evaluations,
            iterations=stream.iterations,
            stop_reason=f"{answer.stop_reason(found)}; best bitstring has cost "
            f"{in_words([search.lowest, *(extremes or ())])[0]}{told}" + counted_from(extremes),
            resumable=answer.resumable(found),
            table=lab.table,
        )

    @staticmethod
    def corrected(lab: Lab, answer: Answer, quasi: QuasiProbabilities, costs: Mapping[str, float]) -> Answer:
        """The answer with the mean cost of the quasi-probabilities; what was read is told beside it."""
        value, stddev = quasi.mean(costs)
        if stddev is None:  # of very many bitstrings nobody knows how sure that is
            return answer
        lab.mitigated = {"raw": answer.energy, "mitigated": value, "stddev": stddev}
        return replace(answer, energy=value, stddev=stddev)

    def exactly(self, lab: Lab, answer: Answer) -> tuple[Answer, str]:
        """The answer with the exact mean cost at its angles, and in words the exact CVaR, which was minimized.

        Neither is told of noisy backends, whose samples have errors of the readout that energies may not have.
        """
        problem = lab.problem
        if answer.kind != MEASURED:
            return answer, ""
        found = lab.exact_energy(problem.circuit, problem.observable, answer.parameters)
        if found.method == "density_matrix":
            found = Noiseless(note="the samples have errors of the readout, and the density matrix has none")
        answer = replace(answer, **found.facts)
        if found.energy is None or self.cvar == 1 or problem.ansatz.num_qubits > MAX_ENUMERATED:
            return answer, ""
        value = exact_cvar(lab.prepared.cost, problem.ansatz, answer.parameters, self.cvar)
        return (
            answer,
            f"; the mean of the best {self.cvar:g} is {energy_number(value)} there without shot noise",
        )


def exact_cvar(cost: Cost, ansatz: QuantumCircuit, parameters: Sequence[float], share: float) -> float:
    """Mean cost of the best share of the bitstrings, by the probabilities of the circuit's own state.

    Args:
        cost: of bitstrings.
        ansatz: logical circuit; measurements that end it do not matter.
        parameters: values, in the circuit's order.
        share: in (0, 1].
    """
    import numpy as np
    from qiskit.quantum_info import Statevector

    bound = ansatz.assign_parameters(list(parameters)).remove_final_measurements(inplace=False)
    probabilities = Statevector(bound).probabilities()
    costs = cost.of_all()
    order = np.argsort(costs)
    before = np.concatenate([[0.0], np.cumsum(probabilities[order])[:-1]])
    weights = np.clip(share - before, 0.0, probabilities[order])
    return float(costs[order] @ weights / share)


class Search:
    """Mean (or CVaR) of the sampled costs as a function of the angles; one Sampler job per call."""

    program = "sampler"
    value_and_gradient: Gradient | None = None
    """Samples have no gradient."""

    def __init__(self, task: SampledCost, stream: JobStream, cvar: float, shots: int | None) -> None:
        self.lowest = math.inf
        """Lowest cost of any bitstring seen."""
        self.last: tuple[np.ndarray, np.ndarray]
        """Bits (S, n) and costs (S,) of the last set of parameters that was sampled."""
        self._task = task
        self._stream = stream
        self._cvar = cvar
        self._shots = shots

    def frequencies(self) -> list[tuple[float, ...] | None]:
        """Those of the mean cost, for each angle; a CVaR has none."""
        known = common_frequencies(self._task.circuit)
        return known if self._cvar == 1 else [None] * len(known)

    def pubs(self, points: np.ndarray) -> list[tuple[Any, ...]]:
        """The Sampler PUB of points of shape (C, P)."""
        return [(self._task.circuit, points, self._shots)]

    def sample(self, parameters: np.ndarray, stream: JobStream | None = None) -> np.ndarray:
        """Costs (B, S) of the bitstrings sampled at parameters of shape (P,) or (B, P), as a job of `stream`."""
        import numpy as np

        rows = np.atleast_2d(parameters)
        data = (stream or self._stream).sample(*self.pubs(rows))[0].data.meas
        packed = data.array.reshape(len(rows), data.num_shots, -1)
        bits = np.unpackbits(packed, axis=-1)[..., ::-1][..., : data.num_bits]
        costs = self._task.cost(bits.reshape(-1, data.num_bits)).reshape(bits.shape[:2])
        self.lowest = min(self.lowest, float(costs.min()))
        self.last = bits[-1], costs[-1]
        return costs

    def chosen_by(self, stream: JobStream) -> Measure:
        """What is minimized, sampled afresh by jobs of `stream`."""
        return self._afresh(stream, self._cvar)

    def reported_by(self, stream: JobStream) -> Measure:
        """The mean cost, sampled afresh by jobs of `stream`."""
        return self._afresh(stream, 1.0)

    def _afresh(self, stream: JobStream, share: float) -> Measure:
        def measure(groups: Sequence[tuple[JobStream, np.ndarray]]) -> Samples:
            costs = [self.sample(points, stream) for _, points in groups]
            values = [
                _array(
                    [conditional_value_at_risk(row, share, widest=self._task.cost.widest) for row in group]
                )
                for group in costs
            ]
            return [(value[:, 0], value[:, 1]) for value in values]

        return measure

    def __call__(self, parameters: np.ndarray) -> Any:
        """What is minimized, at parameters of shape (P,), or (B, P) for values of shape (B,)."""
        costs = self.sample(parameters)
        values = []
        for row, own in zip(_array(parameters).reshape(len(costs), -1), costs, strict=True):
            value, stddev = conditional_value_at_risk(own, self._cvar, widest=self._task.cost.widest)
            self._stream.observe(value, stddev, row, mean=float(own.mean()), lowest=float(own.min()))
            values.append(value)
        return values[0] if parameters.ndim == 1 else _array(values)


def conditional_value_at_risk(costs: np.ndarray, share: float, *, widest: float = 0.0) -> tuple[float, float]:
    """CVaR of sampled costs, and its standard error.

    The value is that of the empirical distribution: where `share` of the shots is no whole number, the last one
    counts with the fraction that is left. Being the maximum over q of q - E(q - C)₊ / share (Rockafellar & Uryasev,
    J. Risk 2, 21 (2000)), it spreads as the mean of q - (q - C)₊ / share does, q being the quantile: with
    [Var(kept) + (1 - share)(q - CVaR)²] / (share · shots). Which level of a discrete distribution is the quantile is
    uncertain itself, so the variance is the mean of those at the quantiles one standard error of the share away.

    Args:
        costs: of every shot, shape (S,).
        share: of the shots that counts, in (0, 1].
        widest: the standard error of a single shot, which tells none.
    """
    import numpy as np

    ordered, count = np.sort(costs), len(costs)
    kept = max(round(share * count, 9), 1.0)
    whole = int(kept)
    total = ordered[:whole].sum()
    if kept > whole:
        total += (kept - whole) * ordered[whole]
    if count == 1:
        return float(total), widest
    apart = math.sqrt(share * (1 - share) / count)
    variance = 0.0
    for level in (share - apart, share + apart):
        quantile = ordered[min(max(math.ceil(round(level * count, 9)), 1), count) - 1]
        variance += float(np.maximum(quantile - ordered, 0.0).var()) / (2 * share**2)
    few = kept / max(kept - 1, kept / 2)  # Bessel's correction
    return float(total / kept), math.sqrt(few * variance / count)


def tally(bits: np.ndarray, costs: np.ndarray) -> list[tuple[str, int, float]]:
    """Bitstrings (qubit 0 rightmost), counts and costs: the cheapest first, equal ones by frequency."""
    counts: dict[str, int] = {}
    prices: dict[str, float] = {}
    for row, cost in zip(bits, costs.tolist(), strict=True):
        word = "".join("1" if bit else "0" for bit in row[::-1])
        counts[word] = counts.get(word, 0) + 1
        prices[word] = cost
    largest = max(map(abs, prices.values()), default=0.0)
    unit = 1.0 if largest >= 1e-3 or not largest else largest  # what rounding tells apart is one cost
    return sorted(
        ((word, counts[word], prices[word]) for word in counts),
        key=lambda item: (round(item[2] / unit, 9), -item[1], item[0]),
    )


def ratio(cost: float, extremes: tuple[float, float] | None) -> float | None:
    """Approximation ratio (C_max − C) / (C_max − C_min): 1 for the best bitstring, 0 for the worst."""
    if extremes is None or extremes[0] == extremes[1]:
        return None
    return (extremes[1] - cost) / (extremes[1] - extremes[0])


def counted_from(extremes: tuple[float, float] | None) -> str:
    """What ratios are counted from, where that is not 0, as it is for cuts of graphs without negative weights."""
    if extremes is None or extremes[0] == extremes[1] or abs(extremes[1]) <= 1e-9 * abs(extremes[0]):
        return ""
    lowest, highest = in_words(extremes)
    return f"; ratios are 0 at the highest cost, {highest}, and 1 at the lowest, {lowest}"


def in_words(costs: Sequence[float]) -> list[str]:
    """Costs with as many digits as tell them apart."""
    digits = digits_of([{"value": cost} for cost in costs])
    return [in_cell("value", cost, digits.get("value")) for cost in costs]


def _array(values: Any) -> np.ndarray:
    import numpy as np

    return np.asarray(values, dtype=float)
