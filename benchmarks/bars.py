"""Error bars of mitigated energies: `python -m benchmarks.bars [--seeds N] [--first N] [--shots N] [CASE …]`.

Energies at the declared ansatz's optimum, found by SciPy's BFGS along exact gradients; the exact one is a state
vector's of Qiskit's, so that what they differ by is the device's noise and what was done about it. Cases are told by
their place in the table.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # read when the libraries are loaded, so set before

import warnings  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from dataclasses import dataclass  # noqa: E402

import numpy as np  # noqa: E402
from qiskit.quantum_info import Statevector  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from benchmarks.arguments import read  # noqa: E402
from runner import compose  # noqa: E402
from runner.engine import Engine  # noqa: E402
from runner.run.preflight import Preparation  # noqa: E402
from runner.run.problem import Problem  # noqa: E402
from runner.runtime import EstimatorV2, LocalRuntimeService  # noqa: E402

H2 = ("hamiltonian=h2", "ansatz=uccsd")
LIH = ("hamiltonian=lih_4q", "ansatz=uccsd")
CHAIN = ("hamiltonian=heisenberg", "hamiltonian.shape=[4]", "ansatz.reps=3")
LEVELS = ("level0", "level1", "level2")
CASES = [
    *(((), device, level) for device in ("fake_manila", "fake_torino") for level in (*LEVELS, "pec", "pea")),
    *((words, "fake_torino", level) for words in (H2, LIH, CHAIN) for level in LEVELS),
    *((H2, "fake_manila", level) for level in LEVELS),
]
"""Problem, device and estimator."""


@dataclass(frozen=True)
class Bars:
    """Errors of energies (E,), and the standard errors that were told of them (E,)."""

    errors: np.ndarray
    told: np.ndarray
    seconds: float
    """QPU seconds of a job."""

    def row(self, name: str) -> str:
        """A line of the table in docs/mitigation.md, energies in 10⁻³."""
        errors, told = 1e3 * self.errors, 1e3 * self.told
        spread = errors.std(ddof=1)
        inside = np.mean(np.abs(errors) < told)
        return (
            f"| {name} | {errors.mean():+.1f} ± {spread / len(errors) ** 0.5:.1f} | {spread:.1f} | "
            f"{np.sqrt(np.mean(told**2)):.1f} | {inside:.0%} | {self.seconds:.1f} |"
        )


def optimum(problem: Problem, seed: int) -> tuple[np.ndarray, float]:
    """The best of some descents from random points, and its exact energy."""
    plan = Engine().estimator_plan(problem.ansatz, problem.hamiltonian)
    rng = np.random.default_rng(seed)
    starts = [problem.initial_point, *rng.uniform(-0.5, 0.5, (2, problem.ansatz.num_parameters))]
    found = (minimize(plan.gradient, start, jac=True, method="BFGS") for start in starts)
    values = min(found, key=lambda one: float(one.fun)).x
    state = Statevector(problem.ansatz.assign_parameters(values))
    return values, float(np.real(state.expectation_value(problem.hamiltonian)))


def measured(
    words: Sequence[str], device: str, level: str, seeds: Sequence[int], shots: int, *, anew: bool
) -> Bars:
    """One energy for each seed, of which also follows what is learned.

    Args:
        words: the problem.
        device: its name.
        level: the estimator.
        seeds: of shots and randomizations.
        shots: of every circuit.
        anew: each at an optimum of its own.
    """
    config = compose(*words, f"backend={device}", f"estimator={level}", "tracking=off")
    problem = Preparation(config).problem
    assert problem is not None
    found, told, seconds = [], [], 0.0
    for place, seed in enumerate(seeds):
        if place == 0 or anew:
            values, exact = optimum(problem, seed)
        backend = LocalRuntimeService(seed=seed).backend(device)
        estimator = EstimatorV2(backend, {**config.estimator.mitigation, "default_shots": shots})
        job = estimator.run([(problem.circuit, problem.observable, values)])
        data = job.result()[0].data
        found.append(float(data.evs) - exact)
        told.append(float(data.stds))
        seconds = job.usage()
    return Bars(np.array(found), np.array(told), seconds)


def main() -> None:
    """Print the table."""
    asked = read(
        __name__,
        __doc__,
        ("cases", {"nargs": "*", "type": int, "help": "places in the table; all by default"}),
        ("--seeds", {"type": int, "default": 10, "help": "how many energies each"}),
        ("--first", {"type": int, "default": 1, "help": "the first seed"}),
        ("--shots", {"type": int, "default": 4096, "help": "of every circuit"}),
    )
    seeds = range(asked.first, asked.first + asked.seeds)
    warnings.simplefilter("ignore")
    print(
        "| case | mean error (10⁻³) | spread | told | within 1 σ | QPU seconds |\n|---|---|---|---|---|---|"
    )
    for place in asked.cases or range(len(CASES)):
        words, device, level = CASES[place]
        name = f"{place}: {' '.join(words) or 'default'}, {device}, {level}"
        print(measured(words, device, level, seeds, asked.shots, anew=words == CHAIN).row(name), flush=True)


if __name__ == "__main__":
    main()
