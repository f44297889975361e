"""Options of the service's own primitives: they act as in process, or the job's log or the refusal says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime")

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import EstimatorV2, IBMRuntimeError, QiskitRuntimeService, RuntimeEncoder, SamplerV2

from runner.errors import ConfigError
from runner.runtime import EstimatorV2 as InProcess
from runner.runtime import LocalRuntimeService
from runner.runtime import SamplerV2 as SamplingInProcess
from runner.serve.options import program_notes, read_options
from tests.serve.serving import environment, thread, variables
from tests.serve.test_wire import Wire, assert_error

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

OBSERVABLE = SparsePauliOp(["IIIZZ", "IIIXX", "IIIII"], [1.0, 0.5, 0.2])
VALUES = [[0.3], [1.1]]
LEVELS = (
    {},
    {"resilience_level": 0},
    {
        "resilience_level": 2,
        "resilience": {"zne": {"noise_factors": [1, 2, 3], "extrapolator": "linear"}},
        "twirling": {"num_randomizations": 8, "strategy": "active"},
    },
    {"resilience_level": 0, "twirling": {"enable_gates": True, "shots_per_randomization": 100}},
)


def circuit() -> QuantumCircuit:
    """Of fake_manila's instructions."""
    result = QuantumCircuit(5)
    result.sx(0)
    result.rz(Parameter("a"), 0)
    result.sx(0)
    result.cx(0, 1)
    return result


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A noisy device on a virtual clock."""
    words = ("backend=fake_manila", "session.clock=virtual", "seed=5")
    with thread(tmp_path_factory.mktemp("options") / "serve", *words) as (_, root):
        yield root


@pytest.fixture(scope="module")
def backend(root: str) -> Iterator[Any]:
    """The device as the unmodified client finds it."""
    with environment(variables(root)):
        yield QiskitRuntimeService().least_busy()


def test_levels_and_their_options_act_as_in_process(backend: Any) -> None:
    """Same seed and place among the jobs: the same bits, the same metadata, the same price; nothing said is level 1."""
    theirs = [
        EstimatorV2(mode=backend, options=options).run([(circuit(), OBSERVABLE, VALUES)])
        for options in LEVELS
    ]
    device = LocalRuntimeService(seed=5).backend("fake_manila")
    ours = [
        InProcess(device, {"resilience_level": 1, **options}, workload="estimator").run(
            [(circuit(), OBSERVABLE, VALUES)]
        )
        for options in LEVELS
    ]

    for job, expected in zip(theirs, ours, strict=True):
        result, known = job.result(), expected.result()
        assert list(result[0].data) == list(known[0].data)
        for name, value in known[0].data.items():
            np.testing.assert_array_equal(result[0].data[name], value)
        assert repr(result[0].metadata) == repr(known[0].metadata)
        assert result.metadata == known.metadata
        assert job.usage() == expected.usage()
        assert job.logs() == ""


def test_a_samplers_twirling_acts_as_in_process(backend: Any) -> None:
    """Same seed: the same bits, in whole randomizations; an echo is noted where the noise has no memory."""
    options = {"twirling": {"enable_gates": True, "num_randomizations": 7}}
    measured = circuit()
    measured.measure_all()
    echo = {"dynamical_decoupling": {"enable": True}}
    job = SamplerV2(mode=backend, options={**options, **echo}).run([(measured, VALUES, 100)])
    device = LocalRuntimeService(seed=5).backend("fake_manila")
    known = SamplingInProcess(device, options, workload="sampler").run([(measured, VALUES, 100)]).result()

    # 7 randomizations of ⌈100 / 7⌉ shots
    assert job.result()[0].data.meas.num_shots == 105
    np.testing.assert_array_equal(job.result()[0].data.meas.array, known[0].data.meas.array)
    assert job.logs() == (
        "WARNING option dynamical_decoupling.enable=True has no effect in the local runtime: the simulated noise has "
        "no memory, so that an echo has nothing to undo\n"
    )


@pytest.mark.parametrize("primitive", [InProcess, SamplingInProcess])
def test_an_echo_acts_where_noise_has_a_memory(primitive: type) -> None:
    """It is handed to the runtime and not noted; settings of one that is off are."""
    echo = {"enable": True, "sequence_type": "XY4"}
    acting = read_options({"dynamical_decoupling": echo}, None, primitive, noisy=True, remembers=True)
    off = read_options(
        {"dynamical_decoupling": {"sequence_type": "XY4"}}, None, primitive, noisy=True, remembers=True
    )

    assert acting.taken["dynamical_decoupling"] == echo
    assert acting.notes == []
    assert "dynamical_decoupling.sequence_type='XY4' has no effect" in off.notes[0]
    assert off.notes[0].endswith("it acts with dynamical_decoupling.enable, which is off")


def test_what_client_side_primitives_send_along_without_effect_is_noted() -> None:
    """As the client itself completes it: of what is off and was set, and an echo; of its own values nothing."""
    from qiskit_ibm_runtime.executor_estimator.finalize_options import finalize_estimator_options
    from qiskit_ibm_runtime.options_models import EstimatorOptions

    def notes(**options: Any) -> list[str]:
        completed = finalize_estimator_options(EstimatorOptions(**options)).model_dump()
        return program_notes({"post_processor": {"options": completed}}, noisy=True, remembers=False)

    found = notes(
        resilience_level=0,
        resilience={"zne": {"noise_factors": [1, 2]}},
        twirling={"num_randomizations": 7},
        dynamical_decoupling={"enable": True},
    )

    assert [note.split("=")[0].removeprefix("WARNING option ") for note in found] == [
        "dynamical_decoupling.enable", "resilience.zne.noise_factors", "twirling.num_randomizations",
    ]  # fmt: skip
    assert [notes(resilience_level=level) for level in (0, 1, 2)] == [[], [], []]
    assert program_notes(["a program of one's own"], noisy=True, remembers=False) == []


def test_what_the_service_ignores_is_noted(backend: Any) -> None:
    """Options of what is off, and an echo that cannot help: the job runs, and its log has the reason."""
    options = {
        "resilience_level": 1,
        "resilience": {
            "zne": {"noise_factors": [1, 3, 5]},
            "layer_noise_learning": {"max_layers_to_learn": 2},
        },
        "dynamical_decoupling": {"enable": True},
        "experimental": {"resilience": {"secret": 3}},
    }
    job = EstimatorV2(mode=backend, options=options).run([(circuit(), OBSERVABLE, [[0.3]])])

    assert job.result().metadata["resilience"]["measure_mitigation"] is True
    logs = job.logs()
    assert (
        "zne.noise_factors=[1.0, 3.0, 5.0] has no effect in the local runtime: it acts with zne_mit" in logs
    )
    assert "max_layers_to_learn=2 has no effect in the local runtime: it acts with pec" in logs
    assert "dynamical_decoupling.enable=True has no effect in the local runtime: the simulated noise" in logs
    assert "secret=3 has no effect in the local runtime: it is none of the client-side Estimator's" in logs


def test_what_cannot_act_is_refused(backend: Any) -> None:
    """With the option's name and what to do, before the job exists."""
    learning = {"measure_mitigation": True, "measure_noise_learning": {"shots_per_randomization": 10}}
    estimator = EstimatorV2(mode=backend, options={"resilience_level": 1, "resilience": learning})

    with pytest.raises(IBMRuntimeError, match=r"shots_per_randomization.* cannot be chosen here"):
        estimator.run([(circuit(), OBSERVABLE, [[0.3]])])


@pytest.mark.parametrize(
    ("resilience", "told"),
    [
        ({"pec_mitigation": True}, r"resilience\.pec_mitigation.* takes noise that .* Run NoiseLearner, and"),
        (
            {"zne_mitigation": True, "zne": {"amplifier": "pea"}},
            r"zne\.amplifier.* takes noise that an Estimator does not learn here",
        ),
    ],
)
def test_what_takes_learned_noise_is_refused_at_once(
    backend: Any, resilience: dict[str, Any], told: str
) -> None:
    """A request that waited for a job to learn it would wait for ever."""
    estimator = EstimatorV2(mode=backend, options={"resilience": resilience})

    with pytest.raises(IBMRuntimeError, match=told):
        estimator.run([(circuit(), OBSERVABLE, [[0.3]])])


@pytest.mark.parametrize("level", [{}, {"resilience_level": 2}], ids=["none", "said"])
@pytest.mark.parametrize(
    "zne",
    [
        {"extrapolated_noise_factors": [1e300]},
        {"noise_factors": [1, 1e9]},
        {"noise_factors": [1, 1], "extrapolator": "linear"},
        {"noise_factors": [1, 2], "extrapolator": ["exponential", "polynomial_degree_3"]},
        {"extrapolator": []},
        {"extrapolator": "cubic"},
        {"amplifier": "loud"},
        {"noise_factors": [0.5, 1, 3]},
        {"noise_factors": [-1, 1, 3]},
        {"noise_factors": []},
        {"extrapolated_noise_factors": [-1]},
    ],
    ids=str,
)
def test_an_extrapolation_that_cannot_be_is_refused_in_the_words_of_the_process(
    root: str, level: dict[str, int], zne: dict[str, Any]
) -> None:
    """One text for both, the option's name apart; 400, and no job."""
    options = {**level, "resilience": {"zne_mitigation": True, "zne": zne}}
    with pytest.raises(ConfigError) as refusal:
        InProcess(mode=LocalRuntimeService().backend("fake_manila"), options=options).run(
            [(circuit(), OBSERVABLE, [[0.3]])]
        )
    wire = Wire(root)
    pub = [json.loads(json.dumps(circuit(), cls=RuntimeEncoder)), {"IIIZZ": 1.0}, [0.3]]
    params = {"pubs": [pub], "options": options, "version": 2}
    before = wire.api("GET", "/jobs")[1]["count"]
    status, answer = wire.api(
        "POST", "/jobs", {"program_id": "estimator", "backend": "ibmq_manila", "params": params}
    )
    assert_error(status, answer, 400)
    said = answer["errors"][0]["message"]
    assert said.partition("resilience.")[2] == str(refusal.value).partition("resilience.")[2]
    assert wire.api("GET", "/jobs")[1]["count"] == before


def test_what_nobody_asked_to_mitigate_is_not_refused(backend: Any) -> None:
    """A circuit that cannot be twirled gets level 0 where no level is said, and the log says so; else it is refused."""
    branching = QuantumCircuit(5, 1)
    branching.sx(0)
    branching.measure(0, 0)
    with branching.if_test((branching.clbits[0], 1)):
        branching.x(1)
    pub = (branching, "IIIZI")
    job = EstimatorV2(mode=backend).run([pub])

    # x acts where the first qubit was read as 1, in half of the shots
    assert job.result()[0].data.evs == pytest.approx(0, abs=0.15)
    assert "resilience_level is 1 where none is said, and 0 here" in job.logs()
    with pytest.raises(IBMRuntimeError, match="cannot be mitigated"):
        EstimatorV2(mode=backend, options={"resilience_level": 1}).run([pub])


def test_without_noise_nothing_is_mitigated(tmp_path: Any) -> None:
    """⟨ZZ⟩ after sx·rz(a)·sx and cx is 1; the log says why level 2 does nothing."""
    words = ("backend=ideal", "session.clock=virtual")
    with thread(tmp_path / "serve", *words) as (_, root), environment(variables(root)):
        backend = QiskitRuntimeService().least_busy()
        job = EstimatorV2(mode=backend, options={"resilience_level": 2}).run([(circuit(), "IIIZZ", [[0.3]])])
        result, logs = job.result(), job.logs()

    assert result[0].data.evs == pytest.approx([1])
    assert result[0].metadata["num_randomizations"] == 1
    assert logs == (
        "WARNING option resilience_level=2 has no effect in the local runtime: the backend has no noise\n"
    )
