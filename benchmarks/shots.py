"""Shots as money: `python -m benchmarks.shots` prints QPU seconds for one σ, and to 1.6 mHa, by how shots are spent.

`--quick` takes the two smallest molecules and two starts of the ten, in minutes in place of an hour.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # read when the libraries are loaded, so set before

import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from types import SimpleNamespace  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from qiskit.circuit.library import efficient_su2  # noqa: E402
from qiskit.quantum_info import SparsePauliOp, Statevector  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from benchmarks import arguments  # noqa: E402
from benchmarks.arguments import read  # noqa: E402
from benchmarks.targets import Goal, timed  # noqa: E402
from benchmarks.targets import table as goals  # noqa: E402
from runner import compose, run  # noqa: E402
from runner.engine import Engine  # noqa: E402
from runner.engine.measurement import draw, draw_counts, stream  # noqa: E402
from runner.record.journal import read_journal  # noqa: E402
from runner.run.allocation import ShotAllocation  # noqa: E402
from runner.run.gradient import ParameterShift  # noqa: E402
from runner.run.problem import Problem  # noqa: E402
from runner.runtime.cost import CostModel, Work  # noqa: E402
from runner.runtime.results import READING, READING_VARIANCES  # noqa: E402

MOLECULES = {
    "H4, 8 q": ("hamiltonian=h4",),
    "LiH, 10 q": ("hamiltonian=lih",),
    "LiH, 12 q": ("hamiltonian=molecule", 'hamiltonian.geometry="Li 0 0 0; H 0 0 1.6"'),
    "H2O, 12 q": ("hamiltonian=h2o",),
    "H2O, 14 q": (
        "hamiltonian=molecule",
        'hamiltonian.geometry="O 0 0 0; H 0.757797 0.586749 0; H -0.757797 0.586749 0"',
    ),
}
GROUPINGS = ("qubit_wise", "sorted", "commuting")
ALLOCATIONS = ("uniform", "weighted", "optimal")
SIGMA = 1e-3
"""Standard error that QPU seconds are told for [Ha]."""
REPETITIONS = 300
"""Energies that are sampled to confirm a standard error: it is known to 4 % then."""
CHEMICAL = 1.6e-3
"""Chemical accuracy [Ha]."""
QUICK = read(__name__, __doc__, arguments.QUICK).quick
SEEDS = range(1, 3 if QUICK else 11)
BUDGET = 1500
"""Evaluations after which a loop is given up."""


def main() -> None:
    """Print all tables."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        same, better = one_sigma()
        reached = to_chemical_accuracy()
        print(
            goals(
                [
                    Goal(
                        "QPU seconds for one σ, same bases: off every basis, optimal / uniform",
                        0.3,
                        same,
                        at_most=True,
                    ),
                    Goal(
                        "the same with better bases: commuting, off every basis, optimal / ours, uniform",
                        0.15,
                        better,
                        at_most=True,
                    ),
                    Goal("QPU seconds to 1.6 mHa: ours / the page's loop", 0.1, reached, at_most=True),
                    drawing(),
                ]
            )
        )


# one standard error ---------------------------------------------------------------------------------------------


def one_sigma() -> tuple[dict[str, float], dict[str, float]]:
    """QPU seconds for σ = 1 mHa at the optimum of UCCSD; the ratios for the same bases and for the best."""
    print(f"### QPU seconds for σ = {1e3 * SIGMA:g} mHa at UCCSD's optimum, without overhead\n")
    print("| molecule | bases | uniform | weighted | optimal | every basis | its sampled σ / predicted |")
    print("|---|---|---|---|---|---|---|")
    same, better = {}, {}
    for name, words in list(MOLECULES.items())[: 2 if QUICK else None]:
        circuit, operator, point = optimum(*words)
        psi = np.asarray(Statevector(circuit.assign_parameters(point)).data)
        base = 0.0
        for grouping in GROUPINGS:
            plan: Any = Engine(grouping=grouping).estimator_plan(circuit, operator)
            own = [(group, plan.terms.coefficients[0, group]) for group in plan._groups]
            variances = exact_variances(plan, own, psi)
            seconds = {}
            for kind in ALLOCATIONS:
                shots = np.array(shots_of(plan, kind, variances))
                seconds[kind] = qpu_seconds(shots.sum() * (variances / shots).sum() / SIGMA**2)
            base = base or seconds["uniform"]
            planned = off_every_basis(plan, point)
            shots = np.array(planned.shots)
            parts = plan.overlaps.by_basis(planned.reading.weights)
            read = [(basis.terms, part[0]) for basis, part in zip(plan.overlaps.readable, parts, strict=True)]
            variances = exact_variances(plan, read, psi)
            seconds["every basis"] = qpu_seconds(shots.sum() * (variances / shots).sum() / SIGMA**2)
            seen = confirmed(plan, point, planned, variances)
            columns = " | ".join(f"{one:,.0f} ({one / base:.2f})" for one in seconds.values())
            print(f"| {name} | {plan.num_bases} {grouping} | {columns} | {seen:.2f} |", flush=True)
            if grouping == "qubit_wise":
                same[name] = seconds["every basis"] / base
            better[name] = seconds["every basis"] / base
    print()
    return same, better


def optimum(*words: str) -> tuple[Any, SparsePauliOp, np.ndarray]:
    """UCCSD, the Hamiltonian, and the parameters of the lowest energy, found with exact gradients."""
    config = compose(*words, "ansatz=uccsd")
    problem = Problem.build(config, config.backend.build(config.session.build(seed=1)))
    plan = Engine().estimator_plan(problem.circuit, problem.observable)

    def energy(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = plan.gradient(point)
        return float(value), slope

    found = minimize(energy, problem.initial_point, jac=True, method="L-BFGS-B")
    return problem.circuit, problem.observable, found.x


def exact_variances(plan: Any, read: Sequence[tuple[Any, np.ndarray]], psi: np.ndarray) -> np.ndarray:
    """⟨O²⟩ − ⟨O⟩² of what each basis reads, terms and their weights, on the dense state."""
    terms, index = plan.terms, np.arange(len(psi))
    found = []
    for group, weights in read:
        acted = np.zeros(len(psi), dtype=complex)
        for term, weight in zip(group, weights, strict=True):
            bits = 1 << np.arange(terms.num_qubits)
            flips, signs = int(bits[terms.x[term]].sum()), int(bits[terms.z[term]].sum())
            phase = 1j ** int((terms.x[term] & terms.z[term]).sum())
            acted[index ^ flips] += weight * phase * (1 - 2.0 * (np.bitwise_count(index & signs) & 1)) * psi
        found.append(max(np.vdot(acted, acted).real - np.vdot(psi, acted).real ** 2, 0.0))
    return np.array(found)


def shots_of(plan: Any, kind: str, variances: np.ndarray, each: int = 100_000) -> tuple[int, ...]:
    """Shots of every basis as a run has them, after a job that measured these variances."""
    if kind == "uniform":
        return (each,) * plan.num_bases
    allocation = ShotAllocation(kind, None)  # type: ignore[arg-type]
    taken = allocation.shots(plan, each)
    allocation.learn(
        [(None, SimpleNamespace(plan=plan, shots=taken))],
        [{"variances": variances[None, :]}],  # type: ignore[list-item]
    )
    return allocation.shots(plan, each)


class Bases:
    """Observables of a plan that a job is to measure."""

    def __init__(self, plan: Any, shots: tuple[int, ...] | None = None, reading: Any = None) -> None:
        self.plan, self.shots, self.reading = plan, shots, reading

    def allotted(self, shots: tuple[int, ...], reading: Any = None) -> Bases:
        """The same with so many shots of each basis, and with terms read as said."""
        return Bases(self.plan, shots, reading)


def off_every_basis(plan: Any, point: np.ndarray, each: int = 10_000) -> Bases:
    """What a run measures off every basis after a job of its own at that point."""
    allocation = ShotAllocation("optimal", None, every_basis=True)  # type: ignore[arg-type]
    pub: Any = allocation.allotted((None, Bases(plan)), each)  # type: ignore[arg-type]
    found = plan.run(point, shots=pub[1].shots, seed=1, reading=pub[1].reading)
    told = {"variances": found.variances, READING: found.reading, READING_VARIANCES: found.reading_variances}
    allocation.learn([pub], [told])
    measured: Any = allocation.allotted((None, Bases(plan)), each)[1]  # type: ignore[arg-type]
    return measured  # type: ignore[no-any-return]


def confirmed(plan: Any, point: np.ndarray, planned: Bases, variances: np.ndarray) -> float:
    """The spread of sampled energies, by what the variances predict."""
    assert planned.shots is not None
    rows = np.tile(point, (REPETITIONS, 1))
    found = plan.run(rows, shots=planned.shots, seed=1, reading=planned.reading)
    return float(found.evs.std() / np.sqrt((variances / np.array(planned.shots)).sum()))


def qpu_seconds(executions: float) -> float:
    """Of so many executions on an ideal backend, 350 µs each, without the overhead of their jobs."""
    return CostModel(overhead=0.0).qpu_seconds([Work(round(executions), None)])


# to chemical accuracy -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """How a loop spends its shots."""

    name: str
    words: tuple[str, ...]


PAGE = Way(
    "the page's: COBYLA, 10 000 shots",
    ("optimizer=cobyla", "estimator=level0", "estimator.default_shots=10000"),
)
WAYS = (
    PAGE,
    Way("COBYLA, frugal", ("optimizer=cobyla", "estimator=frugal")),
    Way("NFT, 1 000 shots", ("optimizer=nft", "estimator=level0", "estimator.default_shots=1000")),
    Way(
        "NFT, 1 000 shots, frugal",
        ("optimizer=nft", "estimator=frugal", "estimator.default_shots=1000"),
    ),
    Way(
        "NFT, 1 000 shots, frugal, commuting",
        ("optimizer=nft", "estimator=frugal", "estimator.default_shots=1000", "estimator.grouping=commuting"),
    ),
    Way(
        "Adam, 100 shots, frugal, commuting",
        (
            "optimizer=adam",
            "optimizer.learning_rate=0.15",
            "optimizer.max_evaluations=250",
            "estimator=frugal",
            "estimator.default_shots=100",
            "estimator.grouping=commuting",
        ),
    ),
)
PROBLEMS = {
    "H2": ("hamiltonian=h2", "ansatz=efficient_su2", "ansatz.reps=1"),
    "LiH, 4 q": ("hamiltonian=lih_4q", "ansatz=efficient_su2", "ansatz.reps=2"),
}


def to_chemical_accuracy() -> dict[str, float]:
    """QPU seconds until the exact energy of a measured point is within 1.6 mHa; the best way's, by the page's.

    A loop that ends before counts with all of its seconds, so a ratio to it is an upper bound.
    """
    print(
        "### QPU seconds with all overhead until a measured point's exact energy is within 1.6 mHa (medians)\n"
    )
    print("| problem | way | QPU seconds | by the page's | reached |\n|---|---|---|---|---|")
    ratios: dict[str, float] = {}
    for name, words in PROBLEMS.items():
        page: list[float] = []
        best = float("inf")
        for way in WAYS:
            found = [crossing(seed, *words, *way.words) for seed in SEEDS]
            seconds = [one for one, _ in found]
            page = page or seconds
            ratio = statistics.median(a / b for a, b in zip(seconds, page, strict=True))
            reached = sum(met for _, met in found)
            print(
                f"| {name} | {way.name} | {statistics.median(seconds):,.0f} | {ratio:.3f} "
                f"| {reached} of {len(SEEDS)} |",
                flush=True,
            )
            if way is not PAGE and 2 * reached > len(SEEDS):
                best = min(best, ratio)
        ratios[name] = best
    print()
    return ratios


def crossing(seed: int, *words: str) -> tuple[float, bool]:
    """QPU seconds to the target, or those of the whole run where it was never reached, and whether it was."""
    config = compose(
        f"optimizer.max_evaluations={BUDGET}", *words, "session=job", "tracking=off", "run.figures=false",
        "ansatz.initial=random", f"seed={seed}",
    )  # fmt: skip
    problem = Problem.build(config, config.backend.build(config.session.build(seed=1)))
    plan = Engine().estimator_plan(problem.circuit, problem.observable)
    shift = ParameterShift.of(problem.circuit)
    shifted = Engine().estimator_plan(shift.circuit, problem.observable)
    assert problem.reference_energy is not None
    target = problem.reference_energy + CHEMICAL
    spent = 0.0
    for points, seconds in jobs(config):
        spent += seconds
        of_gradient = len(points) == 2 * len(shift.offsets) + 1  # the point itself, then the shifted ones
        measured, rows = (shifted, points[:1]) if of_gradient else (plan, points)
        if measured.run(rows, shots=None, seed=1).evs.min() <= target:
            return spent, True
    return spent, False


def jobs(config: Any) -> Iterator[tuple[np.ndarray, float]]:
    """Parameter sets and QPU seconds of every job of a run."""
    events = read_journal(run(config).directory / "journal.jsonl").events
    asked = {event.job: event for event in events if event.kind == "job.submitted"}
    for event in events:
        if event.kind == "job.completed":
            points = [np.atleast_2d(pub["values"]) for pub in asked[event.job].pubs]
            yield np.concatenate(points), event.qpu_seconds


# drawing --------------------------------------------------------------------------------------------------------


def drawing() -> Goal:
    """10⁶ shots of 8 qubits: one by one against all at once, from the same probabilities."""
    circuit = efficient_su2(8, reps=2)
    point = np.random.default_rng(1).uniform(-3, 3, circuit.num_parameters)
    table = Statevector(circuit.assign_parameters(point)).probabilities()
    found = []
    for number in range(9):
        generator = stream(1, number)
        singly = timed(lambda generator=generator: np.bincount(draw(table, 10**6, generator), minlength=256))
        start = time.perf_counter()
        for _ in range(100):
            draw_counts(table, 10**6, generator)
        found.append(100 * singly / (time.perf_counter() - start))
    return Goal("10⁶ shots of 8 qubits: one by one / counted", 100, {"8": statistics.median(found)})


if __name__ == "__main__":
    main()
