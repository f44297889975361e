"""Noise learning as a job: learned once in a session, foreseen before it is paid for, shared by workloads."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit

from runner.errors import ConfigError, ConfigWarning, JobCancelledError, JobMaxTimeError, SessionClosedError
from runner.runtime import EstimatorV2, LocalRuntimeService, NoiseLearner, Session, write_noise_model
from runner.runtime.cost import CostModel

pytestmark = pytest.mark.skipif(
    find_spec("qiskit_mitigation") is None, reason="clients before 0.50 have none"
)
LEARNING = {"num_randomizations": 4, "shots_per_randomization": 128, "layer_pair_depths": [0, 4]}
PEC = {
    "resilience_level": 1,
    "default_shots": 256,
    "resilience": {"pec_mitigation": True, "layer_noise_learning": LEARNING},
}
PEA = {
    "resilience_level": 2,
    "default_shots": 256,
    "resilience": {"zne": {"amplifier": "pea"}, "layer_noise_learning": LEARNING},
}


def circuit(*pairs: tuple[int, int]) -> QuantumCircuit:
    """CX between these pairs, one after the other, behind a rotation."""
    found = QuantumCircuit(5)
    found.sx(0)
    found.rz(Parameter("a"), 0)
    found.sx(0)
    for pair in pairs or ((0, 1),):
        found.cx(*pair)
    return found


def programs(service: LocalRuntimeService) -> list[str]:
    """Of all jobs, oldest first."""
    return [job.program_id for job in service.jobs(limit=None, descending=False)]


def test_a_session_learns_a_layer_once_for_whoever_wants_it() -> None:
    """PEC and PEA, other angles and other one-qubit gates; a layer more is learned when it comes."""
    service = LocalRuntimeService(seed=7)
    pub, other = (circuit(), "IIIZZ", [0.4]), (circuit((0, 1), (1, 2)), "IIZZZ", [0.4])
    with Session(service.backend("fake_manila")) as session:
        first, second = EstimatorV2(session, PEC), EstimatorV2(session, PEA)
        cost = first.learning([pub])
        first.run([pub]).result()
        learner = service.jobs(program_id="noise-learner")[0]
        first.run([(circuit(), "IIIXX", [1.4])]).result()
        second.run([pub]).result()
        assert programs(service) == ["noise-learner", "estimator", "estimator", "estimator"]
        second.run([other]).result()

    assert programs(service)[4:] == ["noise-learner", "estimator"]
    assert cost == ((9 * 2 + 1) * 4 * 128, learner.usage())
    assert first.learning([pub]) == (0, 0.0)
    assert learner.workload == "noise-learner"


def test_what_a_job_will_take_is_known_before_its_noise_is_learned() -> None:
    """To the last randomization, for the same seed learns the same; and nothing is submitted for it."""
    service = LocalRuntimeService(seed=7)
    pub = (circuit(), "IIIZZ", [0.4])
    with Session(service.backend("fake_manila")) as session:
        estimator = EstimatorV2(session, PEC)
        ahead = estimator.seconds([pub])
        assert programs(service) == []
        job = estimator.run([pub])
        found = job.result()[0].metadata
    overhead = found["resilience"]["pec"]["sampling_overhead"]
    model = CostModel()

    assert job.usage() == ahead
    assert found["num_randomizations"] == int(np.ceil(4 * overhead))
    assert ahead == pytest.approx(
        model.overhead + (found["num_randomizations"] * 64 + 256) * model.rep_delay, rel=0.01
    )


def test_outside_of_sessions_a_primitive_keeps_what_it_has_learned() -> None:
    """Another one learns for itself."""
    service = LocalRuntimeService(seed=7)
    backend, pub = service.backend("fake_manila"), (circuit(), "IIIZZ", [0.4])
    first, second = EstimatorV2(backend, PEC), EstimatorV2(backend, PEC)
    for estimator in (first, first, second):
        estimator.run([pub]).result()

    assert programs(service) == ["noise-learner", "estimator", "estimator", "noise-learner", "estimator"]


def test_workloads_that_want_the_same_layer_at_the_same_time_wait_for_one_job() -> None:
    """And get what they get in every run, whatever the threads do."""

    def raced() -> tuple[list[str], list[float]]:
        service = LocalRuntimeService(seed=7)
        backend = service.backend("fake_manila")

        def measure(name: str) -> float:
            estimator = EstimatorV2(session, PEC, workload=name)
            return float(estimator.run([(circuit(), "IIIZZ", [0.4])]).result()[0].data.evs)

        with Session(backend) as session, service.workloads(["a", "b", "c"]) as pool:
            found = [pool.submit(name, measure, name) for name in ("a", "b", "c")]
            values = [future.result() for future in found]
        return programs(service), values

    asked, values = raced()

    assert asked == ["noise-learner", "estimator", "estimator", "estimator"]
    assert len(set(values)) == 3
    assert raced() == (asked, values)


@pytest.mark.parametrize("options", [PEC, PEA])
def test_bound_circuits_are_measured_with_what_was_learned(options: dict[str, object]) -> None:
    """A Bell pair on wires 0 and 1: ⟨XX⟩ = 1 and ⟨IZ⟩ = 0 by pencil; 2·II is 2 and has no error."""
    bell = QuantumCircuit(5)
    bell.rz(math.pi / 2, 0)
    bell.sx(0)
    bell.rz(math.pi / 2, 0)
    bell.cx(0, 1)
    service = LocalRuntimeService(seed=7)
    many = {**options, "twirling": {"num_randomizations": 512, "shots_per_randomization": 16}}
    observables = ["IIIXX", "IIIIZ", {"IIIII": 2.0}]
    with Session(service.backend("fake_manila")) as session:
        found = EstimatorV2(session, many).run([(bell, observables), (bell, "IIIII")]).result()

    assert programs(service) == ["noise-learner", "estimator"]
    assert (np.abs(found[0].data.evs - [1.0, 0.0, 2.0]) <= 5 * found[0].data.stds + 0.02).all()
    assert (found[0].data.evs[2], found[0].data.stds[2]) == (2.0, 0.0)
    assert (found[1].data.evs, found[1].data.stds) == (1.0, 0.0)


def test_layers_beyond_the_most_stay_as_they_are_and_that_is_said() -> None:
    """The client's rule; the one that occurs twice is learned."""
    service = LocalRuntimeService(seed=7)
    learning = {**LEARNING, "max_layers_to_learn": 1}
    options = {**PEC, "resilience": {"pec_mitigation": True, "layer_noise_learning": learning}}
    pub = (circuit((0, 1), (0, 1), (1, 2)), "IIZZZ", [0.4])
    with Session(service.backend("fake_manila")) as session:
        estimator = EstimatorV2(session, options)
        with pytest.warns(ConfigWarning, match="the noise of 1 of 2 layers is not learned"):
            found = estimator.run([pub]).result()[0]

    (told,) = service.jobs(program_id="noise-learner")[0].result().data
    assert told.circuit.count_ops() == {"cx": 1}
    assert told.qubits == [0, 1, 2] or told.qubits == [0, 1]
    assert found.metadata["resilience"]["pec"]["sampling_overhead"] == pytest.approx(
        np.exp(8 * told.error.rates.sum())
    )


def test_learning_where_there_is_nothing_to_learn_is_refused() -> None:
    """And no job is submitted."""
    service = LocalRuntimeService(seed=7)
    alone = QuantumCircuit(5)
    alone.sx(0)

    for name, what, told in (
        ("fake_manila", (alone, "IIIIZ"), "no two-qubit gates whose noise"),
        ("ideal", (alone, "IIIIZ"), r"\(PEC\).* cannot act, for ideal has no noise"),
    ):
        with pytest.raises(ConfigError, match=told):
            EstimatorV2(service.backend(name), PEC).run([what])
    with pytest.raises(ConfigError, match="errors of exact values"):
        EstimatorV2(service.backend("fake_manila"), PEC).run([(circuit(), "IIIZZ", [0.4])], precision=0)
    assert programs(service) == []


def test_what_was_learned_is_written_for_others(tmp_path: Path) -> None:
    """The file has the result's rates, and another service's backend of the same name takes them; none twice."""
    service = LocalRuntimeService(seed=7)
    backend = service.backend("fake_manila")
    options = {"num_randomizations": 4, "shots_per_randomization": 128, "layer_pair_depths": [0, 4]}
    result = NoiseLearner(backend, options).run([circuit()]).result()
    path = tmp_path / "noise.json"
    write_noise_model(path, result, backend)
    (layer,) = json.loads(path.read_text())["layers"]

    assert layer["rates"] == result[0].error.rates.tolist()
    assert layer["generators"] == result[0].error.generators.to_labels()
    assert (layer["device"], layer["gates"]) == ("fake_manila", [["cx", [0, 1]]])
    other = LocalRuntimeService(engine_options={"engine": "pauli", "layer_noise_model": f"file:{path}"})
    run = EstimatorV2(mode=other.backend("fake_manila")).run([(circuit(), "IIIIZ", [0.4])], precision=0)
    assert -math.cos(0.4) < float(run.result()[0].data.evs) < -0.5
    with pytest.raises(FileExistsError):
        write_noise_model(path, result, backend)
    with pytest.raises(ConfigError, match="takes what a NoiseLearner has learned"):
        write_noise_model(tmp_path / "other.json", [1], backend)


def test_a_learner_that_is_cancelled_has_learned_nothing() -> None:
    """What it would have done is not charged, nobody waits for it, and whoever needs the layer learns it."""
    service = LocalRuntimeService(seed=7)
    with Session(service.backend("fake_manila")) as session:
        learner = NoiseLearner(session, LEARNING)
        job = learner.run([circuit().assign_parameters([0.4])])
        job.cancel()
        with pytest.raises(JobCancelledError, match="was cancelled"):
            job.result()
        EstimatorV2(session, PEC).run([(circuit(), "IIIZZ", [0.4])]).result()
        again = learner.run([circuit().assign_parameters([0.4])])
        (layer,) = again.result()

    assert (job.status(), job.usage()) == ("CANCELLED", 0.0)
    assert programs(service) == ["noise-learner", "noise-learner", "estimator", "noise-learner"]
    assert layer.qubits == [0, 1]
    assert again.usage() > 0


def test_a_learner_stops_at_its_own_longest_time() -> None:
    """One second of a QPU, which is charged; without the limit the same takes longer."""
    service = LocalRuntimeService(seed=7)
    with Session(service.backend("fake_manila")) as session:
        learner = NoiseLearner(session, LEARNING)
        whole = learner.run([circuit().assign_parameters([0.4])])
        learner.options.max_execution_time = 1
        cut = learner.run([circuit().assign_parameters([0.4])])
        whole.result()
        with pytest.raises(JobMaxTimeError, match="its maximum execution time of 1 s"):
            cut.result()

    assert (cut.status(), cut.usage()) == ("ERROR", 1.0)
    assert whole.usage() > 1.0


def test_a_learner_that_runs_at_the_sessions_maximum_time_completes_and_is_the_last() -> None:
    """S13, as any other job."""
    service = LocalRuntimeService(seed=7)
    with Session(service.backend("fake_manila"), max_time=2) as session:
        learner = NoiseLearner(session, LEARNING)
        job = learner.run([circuit().assign_parameters([0.4])])
        job.result()
        with pytest.raises(SessionClosedError):
            learner.run([circuit().assign_parameters([0.4])])

    assert (job.status(), session.status()) == ("DONE", "Closed")
    assert session.details()["usage_time"] == job.usage() > 2.0
