"""Mitigated jobs of the in-process primitives."""

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit

from runner.errors import ConfigError
from runner.runtime import EstimatorV2, LocalRuntimeService


def test_mitigation_of_no_noise_or_of_exact_values_is_refused() -> None:
    """When a job is made; nothing is submitted."""
    ideal, noisy = (
        LocalRuntimeService(seed=7).backend("ideal"),
        LocalRuntimeService(seed=7).backend("fake_manila"),
    )
    circuit = QuantumCircuit(5)

    with pytest.raises(
        ConfigError, match=r"resilience level 1: readout \(TREX\) cannot act, .* has no noise"
    ):
        EstimatorV2(ideal, {"resilience_level": 1}).run([(circuit, "ZIIII")])
    with pytest.raises(ConfigError, match="errors of exact values are not mitigated"):
        EstimatorV2(noisy, {"twirling": {"enable_measure": True}}).run([(circuit, "ZIIII")], precision=0)


def test_a_mitigated_job_is_the_pages_result_and_costs_its_calibration() -> None:
    """Result1 of the page, metadata included; 2 s + (6 + 1) · 4 096 shots of 250 µs and what the circuits take."""
    backend = LocalRuntimeService(seed=7).backend("fake_manila")
    circuit = QuantumCircuit(5)
    circuit.sx(0)
    circuit.cx(0, 1)
    observables = [["IIIZZ"], ["IIIXX"], [{"IIIYY": 1.0, "IIIII": 2.0}]]
    job = EstimatorV2(backend, {"resilience_level": 1}).run([(circuit, observables, np.zeros((2, 0)))])
    result, again = job.result(), EstimatorV2(backend, {"resilience_level": 1}, workload=job.workload)

    assert repr(result[0].data) == (
        "DataBin(evs=np.ndarray(<shape=(3, 2), dtype=float64>), stds=np.ndarray(<shape=(3, 2), dtype=float64>), "
        "ensemble_standard_error=np.ndarray(<shape=(3, 2), dtype=float64>), shape=(3, 2))"
    )
    assert result[0].metadata == {
        "shots": 4096,
        "target_precision": 0.015625,
        "circuit_metadata": {},
        "resilience": {},
        "num_randomizations": 32,
    }
    assert result.metadata["twirling"]["enable_measure"] is True
    assert result.metadata["resilience"] == {
        "measure_mitigation": True,
        "zne_mitigation": False,
        "pec_mitigation": False,
    }
    assert job.usage() == pytest.approx(2 + 7 * 4096 * 250e-6, rel=0.05)
    assert again.seconds([(circuit, observables, np.zeros((2, 0)))]) == job.usage()


def test_a_constant_is_itself_and_nothing_is_calibrated_for_it() -> None:
    """2 I is 2 whatever the noise, at every level that undoes readout; beside another PUB that one's is."""
    circuit = QuantumCircuit(5)
    circuit.sx(0)
    circuit.cx(0, 1)
    constant, other = (circuit, {"IIIII": 2.0}), (circuit, "IIIZZ")
    for level in (1, 2):
        estimator = EstimatorV2(
            LocalRuntimeService(seed=7).backend("fake_manila"),
            {"resilience_level": level, "default_shots": 64},
        )
        alone, (first, second) = (
            estimator.run([constant]).result()[0],
            estimator.run([constant, other]).result(),
        )

        assert (float(alone.data.evs), float(alone.data.stds)) == (2.0, 0.0)
        assert (float(first.data.evs), float(first.data.stds)) == (2.0, 0.0)
        assert float(second.data.stds) > 0


def test_mitigated_jobs_repeat_by_seed_and_number() -> None:
    """A new process with the same seed gets the same bits of every job, and every job others."""
    circuit = QuantumCircuit(5)
    circuit.sx(0)
    circuit.cx(0, 1)

    def values() -> list[float]:
        estimator = EstimatorV2(
            LocalRuntimeService(seed=7).backend("fake_manila"), {"resilience_level": 2, "default_shots": 256}
        )
        return [float(estimator.run([(circuit, "IIIYZ")]).result()[0].data.evs) for _ in range(2)]

    first, second = values()
    assert (first, second) == tuple(values())
    assert first != second


def test_what_is_set_between_two_jobs_counts_from_the_second_on() -> None:
    """Also deep inside a group; 2 s of overhead without it, and with it the 4 096 shots of the calibration too."""
    estimator = EstimatorV2(LocalRuntimeService(seed=7).backend("fake_manila"), {"default_shots": 4096})
    circuit = QuantumCircuit(5)
    bare = [estimator.seconds([(circuit, "IIIYZ")]) for _ in range(2)]

    estimator.options.resilience.measure_mitigation = True

    assert bare[0] == bare[1]
    assert estimator.seconds([(circuit, "IIIYZ")]) > bare[1] + 4096 * 250e-6

    estimator.options.resilience = {"measure_mitigation": False}

    assert estimator.seconds([(circuit, "IIIYZ")]) == bare[1]
