"""Rules P1 to P4: PUBs, results, options and seeds, on the real engine and on one that simulates nothing."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives import BitArray, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp

from runner.errors import ConfigError, Interrupted, JobFailedError
from runner.record.events import Event, JobCompleted
from runner.runtime import EstimatorV2, LocalRuntimeService, SamplerV2, Session, derive_seed
from runner.runtime.options import EstimatorOptions, SamplerOptions, shots_for
from runner.runtime.spans import DoubleSliceSpan, ExecutionSpans
from tests.runtime.fakes import PUB, fake_service


def rotation() -> QuantumCircuit:
    """RY(a) on one qubit: ⟨Z⟩ = cos a, ⟨X⟩ = sin a."""
    made = QuantumCircuit(1)
    made.ry(Parameter("a"), 0)
    return made


def pair() -> QuantumCircuit:
    """RY(a) ⊗ RY(b)."""
    made = QuantumCircuit(2)
    made.ry(Parameter("a"), 0)
    made.ry(Parameter("b"), 1)
    return made


@pytest.fixture(scope="module")
def backend() -> Any:
    """The ideal device with the real engine."""
    return LocalRuntimeService(seed=3).backend("ideal")


def exact(backend: Any, *pub: Any) -> Any:
    """The exact values of one PUB."""
    return EstimatorV2(backend).run([pub], precision=0).result()[0].data.evs


def test_P1_observables_and_parameters_broadcast(backend: Any) -> None:
    """Observables (3, 1) against parameter sets (2,): every pair."""
    angles = np.array([0.3, 1.1])
    values = exact(backend, rotation(), [["X"], ["Y"], ["Z"]], angles)

    assert values == pytest.approx(np.array([np.sin(angles), 0 * angles, np.cos(angles)]), abs=1e-12)


def test_P1_parameter_values_come_in_every_form(backend: Any) -> None:
    """Arrays, lists, and dictionaries by parameter or by name, in any order."""
    circuit = pair()
    a, b = circuit.parameters
    wanted = math.cos(0.3)
    for values in (
        [0.3, 1.0],
        np.array([0.3, 1.0]),
        {("b", "a"): [1.0, 0.3]},
        {a: 0.3, b: 1.0},
        {"b": 1.0, "a": 0.3},
    ):
        assert exact(backend, circuit, "IZ", values) == pytest.approx(wanted)
    assert exact(backend, circuit.assign_parameters([0.3, 1.0]), "IZ") == pytest.approx(wanted)
    assert exact(backend, circuit.assign_parameters([0.3, 1.0]), "IZ", np.zeros((4, 0))).shape == (4,)
    assert exact(backend, rotation(), "Z", [[0.3], [0.4]]).shape == (2,)
    assert exact(backend, rotation(), "Z", 0.3).shape == ()


def test_P1_the_page_passes_a_list_of_operators_and_sums(backend: Any) -> None:
    """One value per operator of the list."""
    operators = [SparsePauliOp("Z", 0.5), SparsePauliOp("X", 2.0)]

    assert sum(exact(backend, rotation(), operators, [0.3])) == pytest.approx(
        0.5 * math.cos(0.3) + 2 * math.sin(0.3)
    )


def test_P1_several_pubs_and_ready_made_ones(backend: Any) -> None:
    """Results in the order of the PUBs, in the V2 containers, with the page's metadata."""
    ready = EstimatorPub.coerce((rotation(), "Z", [0.4]), precision=0.5)
    result = EstimatorV2(backend).run([(rotation(), "Z", [0.3], 0), ready], precision=0.1).result()

    assert isinstance(result, PrimitiveResult)
    assert all(isinstance(pub, PubResult) for pub in result)
    assert result[0].data.evs == pytest.approx(math.cos(0.3))
    assert set(result[0].data) == {"evs", "stds", "ensemble_standard_error"}
    assert result[1].metadata == {
        "shots": 4,
        "target_precision": 0.5,
        "circuit_metadata": {},
        "resilience": {},
        "num_randomizations": 1,
    }
    assert set(result.metadata) == {"dynamical_decoupling", "twirling", "resilience", "version"}


def test_P1_the_sampler_gives_a_register_each(backend: Any) -> None:
    """`BitArray`s by register's name; shots of the PUB before those of the run before the default."""
    made = QuantumCircuit(2, name="flip")
    made.metadata = {"of": "mine"}
    made.x(0)
    made.measure_all()
    sampler = SamplerV2(backend, {"default_shots": 5})
    result = sampler.run([made, (made, None, 7), SamplerPub.coerce((made,), shots=3)], shots=6).result()

    assert [pub.data.meas.num_shots for pub in result] == [6, 7, 3]
    assert sampler.run([(made,)]).result()[0].data.meas.num_shots == 5
    assert all(isinstance(pub, SamplerPubResult) for pub in result)
    assert isinstance(result[0].data.meas, BitArray)
    assert result[0].data.meas.get_counts() == {"01": 6}
    assert result[0].metadata == {"circuit_metadata": {"of": "mine"}}


def test_P1_execution_spans_lie_on_the_session_clock() -> None:
    """From the start of the QPU phase to its end; the size is the number of data."""
    service = fake_service()
    made = QuantumCircuit(1)
    made.ry(Parameter("a"), 0)
    made.measure_all()
    job = SamplerV2(service.backend("ideal")).run([(made, [[0.1], [0.2]], 100)])
    spans = job.result().metadata["execution"]["execution_spans"]

    assert len(spans) == 1
    assert spans[0].size == 200
    assert (spans[0].stop - spans[0].start).total_seconds() == pytest.approx(2 + 0.00035 * 200)


def test_P1_spans_without_the_client_look_the_same() -> None:
    """Our own class prints, counts and compares like the client's."""
    client = pytest.importorskip("qiskit_ibm_runtime.execution_span")
    clock = fake_service().clock
    arguments = (clock.date(0), clock.date(2.5), {0: ((3, 2, 10), slice(0, 6), slice(0, 10))})
    ours, theirs = DoubleSliceSpan(*arguments), client.DoubleSliceSpan(*arguments)

    assert repr(ExecutionSpans([ours])) == repr(client.ExecutionSpans([theirs]))
    assert (ours.size, ours.duration, ours.pub_idxs) == (theirs.size, theirs.duration, theirs.pub_idxs)
    assert ours == DoubleSliceSpan(*arguments)


@pytest.mark.parametrize(
    ("pubs", "words"),
    [
        ([], "at least one PUB"),
        ([(rotation(),)], "an Estimator PUB is"),
        ([rotation()], "an Estimator PUB is"),
        ((rotation(), "Z", [0.1]), "takes a list of PUBs"),
        (rotation(), "takes a list of PUBs"),
        ([(rotation(), "Z")], "1 parameters"),
        ([(rotation(), "Z", [0.1], -1)], "precision must be"),
        ([(rotation(), "Z", [0.1], math.nan)], "precision must be"),
        ([(pair(), "ZZ", [0.1])], "2 parameters, but values of shape"),
        ([(pair().assign_parameters([1, 2]), "ZZ", [0.1])], "no parameters, but values of shape"),
        ([(rotation(), ["Z", "X"], [[0.1], [0.2], [0.3]])], "do not broadcast"),
        ([("circuit", "Z")], "starts with a circuit"),
    ],
)
def test_P1_wrong_pubs_are_refused_in_one_line(backend: Any, pubs: Any, words: str) -> None:
    """At submission, before anything is queued."""
    with pytest.raises(ConfigError, match=words) as caught:
        EstimatorV2(backend).run(pubs)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shots", [0, -1, 1.5, True, "many"])
def test_P1_wrong_shots_are_refused(backend: Any, shots: Any) -> None:
    """Whole numbers from 1."""
    made = QuantumCircuit(1)
    made.measure_all()
    with pytest.raises(ConfigError, match="shots must be a whole number"):
        SamplerV2(backend).run([(made, None, shots)])


def test_P1_values_are_copied_at_submission() -> None:
    """Optimizers change their vectors in place; a job keeps the values it was submitted with."""
    told: list[Any] = []
    service = fake_service(on_event=told.append)
    values = np.array([0.5])
    job = EstimatorV2(service.backend("ideal")).run([(PUB[0], "Z", values)])
    values[0] = 9.0
    number = float(job.result()[0].data.evs)

    assert told[0].pubs[0]["values"] == [0.5]
    assert number == pytest.approx(0.5 + job_fraction(service))


def job_fraction(service: LocalRuntimeService) -> float:
    """What the fake engine adds for the seed of the first job."""
    return derive_seed(service.seed, "estimator-0", 0) % 1000 / 1000


def test_P2_zero_precision_and_no_shots_are_exact(backend: Any) -> None:
    """Without standard error; the metadata say that no shots were taken."""
    by_precision = EstimatorV2(backend).run([(rotation(), "Z", [0.3])], precision=0).result()
    by_options = EstimatorV2(backend, {"default_shots": None}).run([(rotation(), "Z", [0.3])]).result()
    for result in (by_precision, by_options):
        assert result[0].data.evs == pytest.approx(math.cos(0.3), abs=1e-12)
        assert result[0].data.stds == 0
        assert result[0].metadata["shots"] is None
        assert result[0].metadata["target_precision"] == 0


def test_P2_estimates_are_sampled_with_honest_errors(backend: Any) -> None:
    """Means of shots of ±1: the spread of 200 jobs is the standard error they report, √(1 − ⟨Z⟩²)/√shots."""
    estimator = EstimatorV2(backend, {"default_shots": 400})
    data = [estimator.run([(rotation(), "Z", [1.0])]).result()[0].data for _ in range(200)]
    values = np.array([float(one.evs) for one in data])
    error = math.sin(1.0) / 20

    assert np.all(np.isclose(values * 400 % 2, 0) | np.isclose(values * 400 % 2, 2))
    assert values.mean() == pytest.approx(math.cos(1.0), abs=4 * error / math.sqrt(200))
    assert values.std() == pytest.approx(error, rel=0.2)
    assert np.mean([float(one.stds) for one in data]) == pytest.approx(error, rel=0.02)


def test_P2_exact_gradients_are_jobs_too(backend: Any) -> None:
    """∂⟨Z⟩/∂a = −sin a."""
    data = EstimatorV2(backend).run_gradient([(rotation(), "Z", [0.3])]).result()[0].data

    assert data.evs == pytest.approx(math.cos(0.3))
    assert data.gradients == pytest.approx(np.array([-math.sin(0.3)]))


def test_P3_options_have_the_clients_names_and_defaults() -> None:
    """Attribute access as on the page; shots and precision are two views of one number."""
    options = EstimatorV2(fake_service().backend("ideal")).options
    assert (options.default_shots, options.default_precision) == (4096, 0.015625)
    assert options.resilience_level == 0
    options.environment.job_tags = ["tag"]
    options.default_precision = 0.1
    assert options.default_shots == 100
    options.default_shots = 400
    assert options.default_precision == 0.05
    options.update(default_shots=None, environment={"job_tags": ["other"]})

    assert options.default_precision == 0
    assert options.to_dict()["environment"]["job_tags"] == ["other"]
    assert SamplerOptions().default_shots == 4096
    assert EstimatorOptions() == EstimatorOptions() != EstimatorOptions(values={"default_shots": 1})
    assert repr(EstimatorOptions()).startswith("EstimatorOptions(default_precision=0.015625")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("resilience_level", 3, r"^options.resilience_level: must be one of 0, 1, 2, got 3"),
        ("resilience_level", True, r"^options.resilience_level: must be one of 0, 1, 2, got True"),
        (
            "resilience",
            {"zne": {"factor": 1}},
            r"^options.resilience.zne.factor: Unexpected keyword argument",
        ),
        (
            "resilience",
            {"zne": {"noise_factors": [0.5]}},
            r"^options.resilience.zne.noise_factors: .* >= 1, got \[0.5",
        ),
        (
            "resilience",
            {"measure_noise_learning": {"num_randomizations": 8}},
            "'measure_mitigation' is not set",
        ),
        (
            "twirling",
            {"strategy": "some"},
            r"^options.twirling.strategy: Input should be 'active', .*, got 'some'",
        ),
        ("experimental", {"image": "a:b"}, r"^options.experimental: {'image': 'a:b'} has no effect"),
        ("execution", {"init_qubits": 2}, r"^options.execution.init_qubits: Input should be a valid boolean"),
        ("execution", {"init_qubits": False}, r"^options.execution.init_qubits: False has no effect"),
        ("simulator", {"noise_model": {}}, r"^options.simulator.noise_model: \{\} has no effect"),
        ("default_shot", 5, r"^options.default_shot: Unexpected .* default_shot=5; there are default_pre"),
        ("environment", {"tags": []}, r"^options.environment.tags: Unexpected keyword argument tags=\[\];"),
        ("environment", 5, r"^options.environment: Input should be a dictionary or"),
        ("environment", {"job_tags": "word"}, r"^options.environment.job_tags: must be a list of words"),
        ("environment", {"job_tags": 5}, r"^options.environment.job_tags: must be a list of words"),
        ("environment", {"job_tags": [1]}, r"^options.environment.job_tags\[0\]: a tag is 1 to 86 printable"),
        ("environment", {"job_tags": ["a", ""]}, r"^options.environment.job_tags\[1\]: a tag is 1 to 86"),
        ("environment", {"job_tags": ["x" * 10_000]}, r"without comma, got 'xxx[x…]{1,60}; rename it$"),
        ("environment", {"job_tags": ["a,b"]}, r"without comma, got 'a,b'; rename it$"),
        ("environment", {"job_tags": ["a\n"]}, r"without comma, got 'a\\n'; rename it$"),
        ("default_shots", 0, r"^options.default_shots: must be a whole number of at least 1, got 0"),
        ("default_precision", -1, r"^options.default_precision: must be 0 \(exact\) or a positive"),
        ("max_execution_time", 0.5, r"^options.max_execution_time: must be a whole number"),
        ("seed_estimator", -1, r"^options.seed_estimator: must be a whole number of at least 0"),
        ("execution", {"rep_delay": -1}, r"^options.execution.rep_delay: must be at least 0 seconds"),
    ],
)
def test_P3_what_would_have_no_effect_is_refused(name: str, value: Any, words: str) -> None:
    """In one line that names the option: when it is set, or with the first job if the client takes the value."""
    with pytest.raises(ConfigError, match=words):
        EstimatorV2(fake_service().backend("ideal"), {name: value}).run([PUB_OF_GENERIC])


def test_P3_what_is_off_may_be_said_to_be_off() -> None:
    """Values that mean what happens anyway are accepted; rep_delay changes the cost."""
    service = fake_service()
    backend = service.backend("generic_1")
    options = {
        "resilience_level": 0,
        "resilience": {"measure_mitigation": False},
        "dynamical_decoupling": {"enable": False, "sequence_type": "XY4"},
        "twirling": {"enable_gates": False, "num_randomizations": "auto"},
        "execution": {"init_qubits": True, "rep_delay": 0.001},
    }
    assert EstimatorV2(backend, options).run([PUB_OF_GENERIC]).result()
    assert SamplerV2(backend, SamplerOptions(values={"default_shots": 5})).options.default_shots == 5
    with pytest.raises(ConfigError, match="are SamplerOptions or a dictionary"):
        SamplerV2(backend, EstimatorOptions())


def test_P3_what_the_client_takes_is_taken_and_refused_by_the_job() -> None:
    """As in the client's own tests."""
    options = SamplerOptions(execution={"meas_type": "avg_kerneled"}, simulator={"basis_gates": ["u1"]})
    sampler = SamplerV2(fake_service().backend("ideal"), options)
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(ConfigError, match=r"^options.simulator.basis_gates: \['u1'\] has no effect"):
        sampler.run([circuit])
    sampler.options.simulator.basis_gates = None
    with pytest.raises(
        ConfigError, match=r"meas_type: 'avg_kerneled' has no effect .* leave it at 'classified'"
    ):
        sampler.run([circuit])
    sampler.options.execution.meas_type = "classified"

    assert sampler.run([circuit]).result()


@pytest.mark.skipif(find_spec("qiskit_mitigation") is None, reason="clients before 0.50 do not all say it")
def test_what_the_client_deprecates_is_said_to_who_sets_it() -> None:
    """At the line that does, as the client's own test has it; what only client-side primitives have is taken."""
    options = EstimatorOptions(twirling={"group": "pauli"})
    with pytest.warns(DeprecationWarning, match="'measure_noise_learning.shots_per_randomization'") as warned:
        options.resilience.measure_noise_learning.shots_per_randomization = 20

    assert warned[0].filename == __file__
    assert options.twirling.group == "pauli"  # type: ignore[attr-defined]


@pytest.mark.parametrize("primitive", [EstimatorV2, SamplerV2])
def test_sequences_in_waits_are_refused_in_circuits_that_branch(primitive: Any) -> None:
    """Before anything else of the circuit is looked at, in the words of the client's own test."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)):
        circuit.x(0)
    made = primitive(fake_service().backend("generic_1"), {"dynamical_decoupling": {"enable": True}})

    with pytest.raises(
        ConfigError, match="Dynamical decoupling currently cannot be used with dynamic circuits"
    ):
        made.run([(circuit, "Z") if primitive is EstimatorV2 else circuit])


PUB_OF_GENERIC = (QuantumCircuit(1), "Z")


@pytest.mark.parametrize(("precision", "shots"), [(0, None), (1, 1), (0.015625, 4096), (0.1, 100), (0.3, 12)])
def test_P3_precision_and_shots(precision: float, shots: int | None) -> None:
    """Shots = ⌈1/precision²⌉."""
    assert shots_for(precision) == shots


def test_P4_seeds_depend_on_workload_and_index_only() -> None:
    """Not on the order of creation or submission of others; never 0; `seed_estimator` takes the run seed's
    place.
    """
    service = fake_service()
    backend = service.backend("ideal")
    EstimatorV2(backend, workload="noise").run([PUB])
    first = EstimatorV2(backend, workload="vqe").run([PUB])
    second = EstimatorV2(backend, workload="vqe").run([PUB])
    own = EstimatorV2(backend, {"seed_estimator": 0}, workload="own").run([PUB])
    sampler = SamplerV2(backend, {"simulator": {"seed_simulator": 5}}, workload="bits")
    made = QuantumCircuit(1)
    made.measure_all()

    assert (first.seed, second.seed) == (derive_seed(7, "vqe", 0), derive_seed(7, "vqe", 1))
    assert own.seed == derive_seed(0, "own", 0)
    assert sampler.run([made]).seed == derive_seed(5, "bits", 0)
    assert all(0 < derive_seed(7, "x", index) < 2**63 for index in range(1000))
    assert first.job_id() == fake_job_id("vqe")


def fake_job_id(name: str) -> str:
    """The id of the first job of a workload, in another service of the same seed."""
    return EstimatorV2(fake_service().backend("ideal"), workload=name).run([PUB]).job_id()


def test_P4_runs_of_one_seed_are_equal_and_of_another_are_not() -> None:
    """To the last bit."""

    def run(seed: int) -> list[float]:
        backend = LocalRuntimeService(seed=seed).backend("ideal")
        estimator = EstimatorV2(backend)
        return [float(estimator.run([(rotation(), "Z", [1.0])]).result()[0].data.evs) for _ in range(5)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert len(set(run(1))) > 1


@pytest.mark.parametrize("kind", ["estimator", "gradient", "sampler"])
def test_recorded_jobs_are_answered_without_simulation(kind: str) -> None:
    """Through JSON and back to the last bit; a job that asks for something else is not answered."""
    made = rotation()
    made.rx(Parameter("b"), 0)
    measured = made.copy()
    measured.measure_all()

    def run(backend: Any, angle: float = 0.1) -> Any:
        values = [[0.3, 0.2], [angle, 0.7]]
        if kind == "sampler":
            return SamplerV2(backend).run([(measured, values, 50)]).result()[0].data.meas.array.tolist()
        estimator = EstimatorV2(backend, {"default_shots": 100})
        if kind == "gradient":
            data = estimator.run_gradient([(made, "Z", values)]).result()[0].data
            return data.evs.tolist(), data.gradients.tolist()
        data = estimator.run([(made, ["Z"], values)]).result()[0].data
        return data.evs.tolist(), data.stds.tolist()

    recorded: dict[Any, Any] = {}

    def record(event: Event) -> None:
        if isinstance(event, JobCompleted):
            recorded[event.workload, event.index, event.digest] = json.loads(json.dumps(event.result))

    original = run(LocalRuntimeService(seed=1, on_event=record).backend("ideal"))
    again: list[Any] = []
    replay = LocalRuntimeService(
        seed=1,
        recall=lambda *key: recorded.get(key),
        on_event=again.append,
        engine_factory=Unwilling,
    )

    assert run(replay.backend("ideal")) == original
    assert again[-1].result == next(iter(recorded.values()))
    with pytest.raises(JobFailedError, match="its simulation failed: AssertionError: simulated"):
        run(
            LocalRuntimeService(seed=1, recall=replay.recall, engine_factory=Unwilling).backend("ideal"), 0.11
        )


class Unwilling:
    """An engine that plans but does not simulate."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        from runner.engine import Engine

        self._engine = Engine(*arguments, **options)

    def estimator_plan(self, *arguments: Any) -> Any:
        """The real plan, unable to run."""
        return self._stopped(self._engine.estimator_plan(*arguments))

    def sampler_plan(self, *arguments: Any) -> Any:
        """The real plan, unable to run."""
        return self._stopped(self._engine.sampler_plan(*arguments))

    def _stopped(self, plan: Any) -> Any:
        def refuse(*_: Any, **__: Any) -> Any:
            raise AssertionError("simulated")

        plan.run = plan.gradient = refuse
        return plan


def test_jobs_know_what_the_clients_jobs_know() -> None:
    """Everything that local testing mode leaves out or gets wrong."""
    service = fake_service()
    backend = service.backend("ideal")
    with Session(backend):
        job = EstimatorV2().run([PUB])
    assert job.status() == "RUNNING"
    assert job.running()
    assert job.metrics()["usage"] == {"qpu_charge_time_seconds": 0, "status": "pending"}
    assert job.metrics()["timestamps"]["finished"] is None
    job.result(timeout=100)

    assert job.usage() == pytest.approx(4.8672)
    assert job.metrics()["usage"] == {"qpu_charge_time_seconds": job.usage(), "status": "complete"}
    assert job.metrics()["timestamps"]["finished"] == "2026-01-01T00:00:04.867200Z"
    assert job.creation_date.tzinfo is not None
    assert job.update_tags(["late"]) == ["late"] == job.tags
    assert (job.backend(), job.service, job.program_id, job.primitive_id) == (
        backend,
        service,
        "estimator",
        "estimator",
    )
    assert (job.error_message(), job.logs(), job.errored(), job.cancelled()) == (None, "", False, False)
    assert repr(job) == f"<RuntimeJob('{job.job_id()}', 'estimator', 'estimator-0-0')>"
    assert job.result() is job.result()


def test_P1_numbers_are_what_the_containers_hold() -> None:
    """The short way gives the same arrays, for a job whose result is asked for afterwards too, and fails alike."""
    service = fake_service()
    backend = service.backend("ideal")
    job = EstimatorV2(backend).run([PUB, PUB])
    numbers = job.numbers()
    again = [pub.data for pub in job.result()]

    assert [(one["evs"], one["stds"]) for one in numbers] == [(data.evs, data.stds) for data in again]
    assert job.numbers() is numbers

    late = EstimatorV2(backend, options={"max_execution_time": 1}).run([PUB])
    with pytest.raises(JobFailedError) as short:
        late.numbers()
    with pytest.raises(JobFailedError) as long:
        late.result()
    assert str(short.value) == str(long.value)


@pytest.mark.parametrize("precision", [0, 0.1])
def test_what_cannot_be_evaluated_is_refused_before_the_session_begins(precision: float) -> None:
    """A reset among 24 (exact) or 60 (sampled) connected qubits with T gates: no job, and the session is pending."""
    size = 24 if precision == 0 else 60
    circuit = QuantumCircuit(size)
    circuit.h(0)
    for qubit in range(size - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.reset(0)
    circuit.t(1)
    service = LocalRuntimeService(seed=1)

    with Session(service.backend("ideal")) as session:
        with pytest.raises(ConfigError, match=f"{size} "):
            EstimatorV2(mode=session).run([(circuit, "Z" * size)], precision=precision)
        assert session.status() == "Pending"
    assert service.jobs() == []


def test_a_simulation_that_was_given_up_is_not_begun_again() -> None:
    """A signal ends it; that the session is drained when it closes asks for it once more, and gets the same answer."""
    service = fake_service(on_event=lambda _: None)  # who listens is told what became of it, and that asks
    estimator = EstimatorV2(service.backend("ideal"))
    engine = service.backend("ideal").engine
    begun: list[int] = []

    def interrupted(_values: Any, seed: int) -> float:
        begun.append(seed)
        raise Interrupted(2)

    engine.simulate = interrupted
    job = estimator.run([PUB])
    for ask in (job.result, service.drain, job.result):
        with pytest.raises(Interrupted):
            ask()

    assert len(begun) == 1
