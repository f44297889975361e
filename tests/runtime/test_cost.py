"""Rules T1 to T3: QPU seconds from the backend's target, queue delays, prices."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from runner.errors import ConfigError
from runner.runtime import CostModel, EstimatorV2, LocalRuntimeService, QueueDelay, SamplerV2, Session
from runner.runtime.cost import Work, as_delay
from tests.runtime.fakes import PUB, fake_service


def test_T1_the_formula() -> None:
    """Overhead per sub-job and (rep_delay + duration) per execution; 2 + 0.00035·n without durations."""
    model = CostModel()

    assert model.qpu_seconds([Work(8192, None)]) == pytest.approx(2 + 0.00035 * 8192)
    assert model.qpu_seconds([Work(4096, 4e-6), Work(1000, 1e-6)]) == pytest.approx(
        2 + 4096 * 254e-6 + 1000 * 251e-6
    )
    assert model.qpu_seconds([Work(4096, 4e-6)], rep_delay=1e-3) == pytest.approx(2 + 4096 * 1.004e-3)
    assert model.qpu_seconds([Work(25_000_000, None)]) == pytest.approx(3 * 2 + 8750)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"overhead": -1}, "overhead"),
        ({"rep_delay": math.nan}, "rep_delay"),
        ({"exact_shots": 0}, "exact_shots"),
    ],
)
def test_T1_impossible_costs_are_refused(arguments: dict[str, Any], key: str) -> None:
    """By the key of the setting."""
    with pytest.raises(ConfigError, match=rf"^cost\.{key}: must be at least"):
        CostModel(**arguments)


def two_qubits() -> QuantumCircuit:
    """sx, cx and measurements on a generic device."""
    made = QuantumCircuit(2, 2)
    made.sx(0)
    made.rz(Parameter("a"), 0)
    made.cx(0, 1)
    made.measure([0, 1], [0, 1])
    return made


def test_T1_executions_and_duration_come_from_circuit_and_target() -> None:
    """Shots × parameter sets × bases, and the scheduled length by the target's durations, added up by
    hand.
    """
    service = LocalRuntimeService(seed=1)
    backend = service.backend("generic_2")
    target = backend.target
    readout = max(target["measure"][(qubit,)].duration for qubit in (0, 1))
    length = target["sx"][(0,)].duration + target["cx"][(0, 1)].duration + readout
    circuit = two_qubits()
    sampled = SamplerV2(backend).run([(circuit, [[0.1], [0.2], [0.3]], 100)])
    observable = SparsePauliOp(["ZZ", "XX", "ZI"])  # two bases: {ZZ, ZI} and {XX}
    estimated = EstimatorV2(backend).run([(circuit, observable, [0.1])], precision=0.1)

    assert sampled.usage_estimation["quantum_seconds"] == pytest.approx(2 + 100 * 3 * (250e-6 + length))
    assert estimated.usage_estimation["quantum_seconds"] == pytest.approx(
        2 + 100 * 2 * (250e-6 + length), rel=1e-3
    )


def test_T1_exact_jobs_cost_what_they_would_with_default_shots() -> None:
    """4096 shots in two bases, though nothing is sampled."""
    backend = fake_service().backend("ideal")
    exact = EstimatorV2(backend, {"default_shots": None}).run([PUB])
    sampled = EstimatorV2(backend).run([PUB])

    assert exact.record.qpu_seconds == sampled.record.qpu_seconds == pytest.approx(2 + 0.00035 * 8192)


def test_T1_rep_delay_is_an_option_and_gradients_cost_parameter_shifts() -> None:
    """A rotation has the two-term rule: with the energy, three times the executions."""
    service = fake_service(cost=CostModel(overhead=0, seconds_per_execution=0.125))
    backend = service.backend("ideal")

    assert EstimatorV2(backend).run([PUB]).record.qpu_seconds == 1024
    assert EstimatorV2(backend).run_gradient([PUB]).record.qpu_seconds == 3 * 1024


def test_T2_jobs_outside_an_active_session_wait() -> None:
    """First job, job mode and batch wait their delay; jobs of an active session do not."""
    service = fake_service(queue_delay=100)
    backend = service.backend("ideal")
    single = EstimatorV2(backend).run([PUB])
    single.result()
    with Session(backend):
        estimator = EstimatorV2()
        first = estimator.run([PUB])
        first.result()
        second = estimator.run([PUB])
        second.result()

    assert single.metrics()["queue_seconds"] == 100
    assert first.metrics()["queue_seconds"] == pytest.approx(100)
    assert second.metrics()["queue_seconds"] == 0


def test_T2_delays_are_drawn_by_name_and_count() -> None:
    """The same for the same seed, workload and index; a log-normal distribution of the given median."""
    delay = QueueDelay(kind="lognormal", seconds=600, sigma=0.5)
    drawn = [delay.draw(7, "w", index) for index in range(2000)]

    assert drawn == [delay.draw(7, "w", index) for index in range(2000)]
    assert drawn[0] != delay.draw(8, "w", 0) != delay.draw(8, "v", 0)
    assert statistics.median(drawn) == pytest.approx(600, rel=0.05)
    assert np.std(np.log(drawn)) == pytest.approx(0.5, rel=0.05)
    assert as_delay(3).draw(7, "w", 0) == 3
    assert as_delay({"seconds": 4}).draw(7, "w", 0) == 4


@pytest.mark.parametrize(
    "wrong", [{"kind": "normal"}, {"seconds": -1}, {"seconds": math.inf}, {"kind": "lognormal", "sigma": -1}]
)
def test_T2_impossible_delays_are_refused(wrong: dict[str, Any]) -> None:
    """By the key of the setting."""
    with pytest.raises(ConfigError, match=r"^queue_delay\."):
        QueueDelay(**wrong)


@pytest.mark.parametrize(("plan", "price"), [("payg", 1.6), ("flex", 1.2), ("premium", 0.8), ("open", 0.0)])
def test_T3_usage_has_a_price(plan: str, price: float) -> None:
    """The plan's, unless the user has another one."""
    service = fake_service(plan=plan)
    job = EstimatorV2(service.backend("ideal")).run([PUB])
    job.result()
    usage = service.usage()

    assert usage["price_per_second"] == price
    assert usage["cost"] == pytest.approx(job.usage() * price)
    assert fake_service(plan=plan, prices={plan: 3.0}).usage()["price_per_second"] == 3.0


def test_T3_usage_knows_the_allocation_and_the_session_its_cost() -> None:
    """Ten minutes on the open plan."""
    service = fake_service(plan="open", cost=CostModel(overhead=400, seconds_per_execution=0))
    estimator = EstimatorV2(service.backend("ideal"))
    estimator.run([PUB]).result()
    assert service.usage()["usage_remaining_seconds"] == 200
    estimator.run([PUB]).result()
    assert service.usage()["usage_limit_reached"]
    service = fake_service(cost=CostModel(overhead=10, seconds_per_execution=0))
    with Session(service.backend("ideal")) as session:
        EstimatorV2().run([PUB]).result()

    assert session.cost() == pytest.approx(10.1 * 0.8)


def test_the_worked_example_of_the_documentation() -> None:
    """The numbers of docs/cost.md, by the formula and through a session of the real engine."""
    service = LocalRuntimeService(seed=1, plan="payg")
    backend = service.backend("ideal")
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    hamiltonian = SparsePauliOp(["ZZ", "ZI", "XX", "YZ"], [1.0, 0.5, 0.2, 0.1])  # bases: ZZ+ZI, XX, YZ
    with Session(backend) as session:
        estimator = EstimatorV2(options={"default_shots": 1000})
        for angle in (0.1, 0.2):
            job = estimator.run([(circuit, hamiltonian, [angle])])
            job.result()

    assert job.usage() == pytest.approx(3.05)
    assert session.usage() == pytest.approx(6.3)
    assert session.cost() == pytest.approx(10.08)
