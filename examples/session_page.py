"""A walk through sessions: open, run, close, look, optimize, and two optimizers at once. Takes about half a minute.

Run it with `python examples/session_page.py`, or on a small device with `python examples/session_page.py fake_manila`.
"""

from __future__ import annotations

import sys

import numpy as np
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from scipy.optimize import minimize

from runner.errors import JobFailedError, SessionClosedError
from runner.runtime import Batch, EstimatorV2, LocalRuntimeService, SamplerV2, Session

HAMILTONIAN = SparsePauliOp.from_list([("ZZ", 1.0), ("XI", 0.5), ("IX", 0.5)])
"""Two Ising spins in a field; the lowest energy is −√2."""


def main(device: str | None = None) -> None:
    """Take the walk, on the least busy device or on the one that is named."""
    service = LocalRuntimeService(seed=2, plan="payg")
    backend = service.backend(device) if device else service.least_busy(operational=True, simulator=False)
    print(f"device: {backend.name}, {backend.num_qubits} qubits")

    fit = generate_preset_pass_manager(optimization_level=1, backend=backend)
    ansatz = fit.run(efficient_su2(2, reps=1))
    energy = HAMILTONIAN.apply_layout(ansatz.layout)
    start = np.random.default_rng(5).uniform(-1, 1, ansatz.num_parameters)

    # A session is opened by its class or by a block; it starts with its first job.
    with Session(backend, max_time="25m") as session:
        print("\nopened:", session.details())
        estimator, sampler = EstimatorV2(), SamplerV2()
        first = estimator.run([(ansatz, energy, start)])
        measured = ansatz.copy()
        measured.measure_all()
        second = sampler.run([(measured, start, 1000)])
    print("left the block:", session.status())
    print("energy at the start:", first.result()[0].data.evs)
    print(f"all {backend.num_qubits} qubits measured:", second.result()[0].data.meas)
    print("jobs done:", session.status(), session.usage(), "s")

    # A closed session takes no jobs; one that runs out of time kills those that wait.
    try:
        estimator.run([(ansatz, energy, start)])
    except SessionClosedError as error:
        print("\nrefused:", error)
    with Session(backend, max_time="5s"):
        estimator = EstimatorV2()
        jobs = [estimator.run([(ansatz, energy, start)]) for _ in range(8)]
    try:
        jobs[-1].result()
    except JobFailedError as error:
        print("killed:", error)
    service.drain()
    print("the others:", [job.status() for job in jobs])

    # An optimizer in a session: every evaluation is a job.
    with Session(backend) as session:
        found = minimize(
            cost, start, args=(ansatz, energy, EstimatorV2()), method="cobyla", options={"maxiter": 80}
        )
    print(f"\nCOBYLA: {found.fun:.3f} (lowest is {-np.sqrt(2):.3f}) after {found.nfev} jobs")
    print(f"the session was active for {session.usage():.1f} s, that is {session.cost():.2f} USD")

    # The same two jobs as a batch wait in the queue, but only QPU time is charged.
    with Batch(backend) as batch:
        EstimatorV2().run([(ansatz, energy, found.x)]).result()
    print(f"a batch of one job: {batch.usage():.1f} s, {batch.cost():.2f} USD")

    # Two optimizers at once in one session, told apart by tags.
    names = ["cobyla", "nelder-mead"]
    with Session(backend) as session, service.workloads(names) as pool:
        for name in names:
            pool.submit(name, optimize, name, ansatz, energy, start)
        for name, result in pool.results().items():
            jobs = service.jobs(limit=None, session_id=session.session_id, job_tags=[name])
            print(
                f"{name}: {result.fun:.3f} in {len(jobs)} jobs, {sum(job.usage() for job in jobs):.1f} QPU s"
            )
    print("everything:", service.usage())


def cost(parameters: np.ndarray, ansatz: object, energy: object, estimator: EstimatorV2) -> float:
    """The energy at these parameters: one job."""
    return float(estimator.run([(ansatz, energy, parameters)]).result()[0].data.evs)


def optimize(method: str, ansatz: object, energy: object, start: np.ndarray) -> object:
    """One workload: an optimizer with an estimator of its own, in the session of the block."""
    estimator = EstimatorV2(options={"environment": {"job_tags": [method]}})
    return minimize(cost, start, args=(ansatz, energy, estimator), method=method, options={"maxiter": 20})


if __name__ == "__main__":
    main(*sys.argv[1:])
