"""The unmodified client's NoiseLearner: a job like any other, whose result later jobs take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime")
pytest.importorskip("qiskit_mitigation", reason="clients before 0.50 have none")

from qiskit import QuantumCircuit, QuantumRegister
from qiskit_ibm_runtime import EstimatorV2, IBMRuntimeError, NoiseLearnerV3, QiskitRuntimeService, Session
from qiskit_ibm_runtime.executor_noise_learner import NoiseLearnerV3 as ClientSide
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_ibm_runtime.noise_learner import NoiseLearner
from qiskit_ibm_runtime.options import NoiseLearnerOptions
from samplomatic import InjectNoise, Twirl

from runner.errors import ConfigError
from runner.runtime import EstimatorV2 as EstimatingInProcess
from runner.runtime import LocalRuntimeService
from runner.runtime import NoiseLearner as InProcess
from runner.runtime import Session as LocalSession
from runner.serve.summary import answered
from tests.mitigation.channels import PAULIS, of_device, told
from tests.serve.serving import environment, thread, variables

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DEPTHS = [0, 1, 2, 4, 8, 16]
LITTLE = {"num_randomizations": 24, "shots_per_randomization": 256, "layer_pair_depths": DEPTHS}


def circuit(*pairs: tuple[int, int]) -> QuantumCircuit:
    """CX between these pairs, one after the other, behind a turn."""
    result = QuantumCircuit(5)
    result.sx(1)
    for pair in pairs:
        result.cx(*pair)
    return result


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """A server of a noisy device on a virtual clock, and the device as the unmodified client finds it."""
    words = ("backend=fake_manila", "session.clock=virtual", "seed=5")
    with (
        thread(tmp_path_factory.mktemp("learner") / "serve", *words) as (runtime, root),
        environment(variables(root)),
    ):
        yield runtime, QiskitRuntimeService().least_busy()


@pytest.fixture(scope="module", autouse=True)
def learned(served: tuple[Any, Any]) -> Any:
    """The job of a session that has learned the layer of one CX, the first job of its server."""
    with Session(served[1]) as session:
        job = NoiseLearner(session, NoiseLearnerOptions(**LITTLE, max_execution_time=600)).run(
            [circuit((1, 2))]
        )
        job.result()
    return job


def test_a_layer_is_learned_as_the_device_errs(learned: Any) -> None:
    """Against Aer's own noise model of the device, by dense algebra."""
    (layer,) = learned.result()
    expected, found = of_device(FakeManilaV2()), told(layer.error.generators.to_labels(), layer.error.rates)

    assert layer.qubits == [1, 2]
    assert layer.circuit.count_ops() == {"cx": 1}
    assert 0.96 < min(expected.values()) < 0.98
    for label in PAULIS:
        assert found[label] == pytest.approx(expected[label], abs=2.5e-3)


def test_learning_is_a_job_as_in_process(served: tuple[Any, Any], learned: Any) -> None:
    """Same seed: the same bits at the same price, with the options it had; the page shows its layer."""
    runtime, backend = served
    device = LocalRuntimeService(seed=5).backend("fake_manila")
    known = InProcess(device, LITTLE, workload="noise-learner").run([circuit((1, 2))])
    result, (shown,) = learned.result(), answered(runtime.result(runtime.entry(learned.job_id())))

    assert (learned.status(), learned.primitive_id, learned.logs()) == ("DONE", "noise-learner", "")
    assert result.metadata == {
        "backend": backend.name,
        "input_options": {
            **LITTLE,
            "max_layers_to_learn": 4,
            "twirling_strategy": "active-accum",
            "max_execution_time": 600,
        },
    }
    np.testing.assert_array_equal(result[0].error.rates, known.result()[0].error.rates)
    assert learned.usage() == known.usage()
    assert shown["layer"] == "cx(1,2) on 1, 2"
    assert (len(shown["rates"]), shown["of"]) == (12, 15)


def test_an_estimator_takes_what_was_learned(served: tuple[Any, Any], learned: Any) -> None:
    """PEC and PEA: the bits, metadata and price of a session in process that learns the same noise by itself.

    The client's result of a learner has no covariance of its rates, so that `stds` are less by their share there.
    """
    pub, given = (circuit((1, 2)), "IIZZI"), learned.result()
    pec = {"pec_mitigation": True}
    pea = {"zne_mitigation": True, "zne": {"amplifier": "pea", "extrapolator": "linear"}}
    device = LocalRuntimeService(seed=5).backend("fake_manila")
    with Session(served[1]) as session, LocalSession(device) as local:
        for resilience, model in ((pec, given), (pea, given.data)):
            options = {"resilience_level": 1, "default_shots": 512}
            own = {**resilience, "layer_noise_learning": LITTLE}
            known = EstimatingInProcess(local, {**options, "resilience": own}, workload="estimator").run(
                [pub]
            )
            options["resilience"] = {**resilience, "layer_noise_model": model}
            job = EstimatorV2(session, options=options).run([pub])
            (layer,) = job.result().metadata["resilience"].pop("layer_noise_model")
            told = {**job.result().metadata["resilience"]}
            told.pop("layer_noise_model", None)

            np.testing.assert_array_equal(job.result()[0].data.evs, known.result()[0].data.evs)
            assert 1 < known.result()[0].data.stds / job.result()[0].data.stds < 1.1
            assert repr(job.result()[0].metadata) == repr(known.result()[0].metadata)
            assert told == known.result().metadata["resilience"]
            assert (layer.circuit, layer.qubits) == (given[0].circuit, given[0].qubits)
            assert layer.error.generators == given[0].error.generators
            assert (job.usage(), job.logs()) == (known.usage(), "")


def test_layers_that_are_not_known_stay_as_they_are(served: tuple[Any, Any], learned: Any) -> None:
    """Which the log says, as of options that are not needed; where none is known, the job is refused."""
    resilience = {
        "pec_mitigation": True,
        "layer_noise_model": learned.result(),
        "layer_noise_learning": {"num_randomizations": 8},
    }
    estimator = EstimatorV2(served[1], options={"default_shots": 64, "resilience": resilience})
    job = estimator.run([(circuit((1, 2), (0, 1)), "IIZZI")])
    job.result()

    assert "num_randomizations=8 has no effect in the local runtime: layer_noise_model has what" in job.logs()
    assert (
        "WARNING the noise of 1 of 2 layers is not in options.resilience.layer_noise_model, an" in job.logs()
    )
    with pytest.raises(
        IBMRuntimeError, match=r"has noise of cx\(1,2\), and the circuits have the layers cx\(0,1\)"
    ):
        estimator.run([(circuit((0, 1)), "IIIZZ")])


@pytest.mark.parametrize(
    ("options", "layers", "logs"),
    [
        ({"max_layers_to_learn": 0}, [], "WARNING the noise of 3 of 3 layers is not learned; raise max_lay"),
        ({"max_layers_to_learn": 1}, [[0, 1]], "WARNING the noise of 2 of 3 layers is not learned"),
        ({"twirling_strategy": "active", "simulator": {"seed_simulator": 3}}, [[0, 1], [1, 2]], ""),
        pytest.param(
            {"max_layers_to_learn": None}, [[0, 1], [0, 1, 2], [0, 1, 2]], "", marks=pytest.mark.nightly
        ),
        pytest.param({"twirling_strategy": "all"}, [[0, 1, 2], [0, 1, 2]], "", marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_layers_are_the_clients(
    served: tuple[Any, Any], options: dict[str, Any], layers: list[list[int]], logs: str
) -> None:
    """Which qubits a strategy twirls stands in the client's documentation; PUBs count as their circuits."""
    little = {"num_randomizations": 2, "shots_per_randomization": 128, "layer_pair_depths": [0, 4]}
    pub = (circuit((0, 1), (1, 2), (0, 1)), "IIIIZ")
    job = NoiseLearner(served[1], {**little, **options}).run([pub])

    assert [layer.qubits for layer in job.result()] == layers
    assert job.logs().startswith(logs)
    assert bool(job.logs()) == bool(logs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer_pair_depths": [2, 2]}, "options.layer_pair_depths: a decay is fitted to at least two diff"),
        ({"layer_pair_depths": [0, 10_000]}, "are 10000 pairs of layers in all, more than 5000"),
        ({"num_randomizations": 10**6}, "The job has 6912000000 executions, more than 10000000"),
        (
            {"num_randomizations": 30_000, "shots_per_randomization": 1, "layer_pair_depths": [0, 4000]},
            "random angles in a circuit, more than",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_learned_is_refused(
    served: tuple[Any, Any], options: dict[str, Any], message: str
) -> None:
    """In one line, before there is a job."""
    with pytest.raises(IBMRuntimeError, match=message):
        NoiseLearner(served[1], options).run([circuit((1, 2))])


def test_a_learner_needs_circuits_with_noise_to_learn(served: tuple[Any, Any]) -> None:
    """Two-qubit gates, and a device that errs."""
    for circuits, message in (([], "a list of at least one circuit"), ([circuit()], "no two-qubit gates")):
        with pytest.raises(IBMRuntimeError, match=message):
            NoiseLearner(served[1]).run(circuits)
    with pytest.raises(ConfigError, match="ideal has no noise to learn; take a backend that has"):
        InProcess(LocalRuntimeService().backend("ideal")).run([circuit((1, 2))])


@pytest.mark.nightly
def test_the_client_side_learner_runs_and_the_services_third_names_it(served: tuple[Any, Any]) -> None:
    """Boxes are read by the client, whose program is an executor's; against the same noise by dense algebra."""
    layers = QuantumCircuit(QuantumRegister(5, "q"))
    with layers.box([Twirl(), InjectNoise("layer")]):
        layers.cx(1, 2)
    with pytest.raises(
        IBMRuntimeError, match=r"own NoiseLearnerV3 is not answered .*executor_noise_learner is"
    ):
        NoiseLearnerV3(served[1], LITTLE).run(layers.data)
    (found,) = ClientSide(served[1], LITTLE).run(layers.data).result().to_pauli_lindblad_maps()
    terms = [("".join(sorted_word(word, places)), rate) for word, places, rate in found.to_sparse_list()]
    known = told([label for label, _ in terms], np.array([rate for _, rate in terms]))

    for label, expected in of_device(FakeManilaV2()).items():
        assert known[label] == pytest.approx(expected, abs=2.5e-3)


def sorted_word(word: str, places: list[int]) -> list[str]:
    """A Pauli string of two qubits, the first one last."""
    letters = dict(zip(places, word, strict=True))
    return [letters.get(1, "I"), letters.get(0, "I")]
