"""What is read of PUBs before they are a job."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit

from runner.errors import ConfigError
from runner.runtime import LocalRuntimeService
from runner.runtime.submission import Desk, digest_of, listed, parameter_values, pub_seed, sampler_pub
from tests.runtime.fakes import FakeEngine


def two_angles() -> QuantumCircuit:
    """Parameters in the order of their names: a, b."""
    circuit = QuantumCircuit(1, 1, name="two")
    circuit.rx(Parameter("b"), 0)
    circuit.rz(Parameter("a"), 0)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize(
    "given",
    [
        [1.0, 2.0],
        np.array([1.0, 2.0]),
        {"a": 1.0, "b": 2.0},
        {("b", "a"): [2.0, 1.0]},
    ],
)
def test_values_come_in_the_circuits_order(given: object) -> None:
    """However they are written, and as a copy."""
    circuit = two_angles()
    found = parameter_values(given, circuit, 2)  # type: ignore[arg-type]

    assert found.tolist() == [1.0, 2.0]
    assert found is not given


def test_a_single_pub_is_no_list() -> None:
    """A circuit, or a tuple that begins with one, was not wrapped in [ ]; a tuple of circuits is a list of PUBs."""
    circuit = two_angles()
    for single in (circuit, (circuit, [1.0, 2.0])):
        with pytest.raises(ConfigError, match="wrap a single one"):
            listed(single)  # type: ignore[arg-type]

    assert listed((circuit, circuit)) == [circuit, circuit]


def test_every_pub_has_a_seed_of_its_own() -> None:
    """The first has the job's."""
    seeds = [pub_seed(7, number) for number in range(5)]

    assert seeds[0] == 7
    assert len(set(seeds)) == 5


def test_a_digest_tells_program_values_and_shots_apart() -> None:
    """What is the same is the same, and nothing else is."""
    backend = LocalRuntimeService(engine_factory=FakeEngine).backend("ideal")

    def digest(program: str, values: list[float], shots: int) -> bytes:
        return digest_of(program, [sampler_pub(backend, (two_angles(), values), shots, 1)])

    asked = [
        ("sampler", [1.0, 2.0], 5),
        ("run", [1.0, 2.0], 5),
        ("sampler", [1.0, 3.0], 5),
        ("sampler", [1.0, 2.0], 6),
    ]

    assert len({digest(*one) for one in asked}) == 4
    assert digest(*asked[0]) == digest(*asked[0])


def test_who_is_asked_before_a_job_hears_its_time() -> None:
    """10 shots of the quick rule: 2 + 0.00035·10 s (T1); what it refuses is not submitted."""
    heard: list[tuple[float, int]] = []

    def admit(seconds: float, executions: int) -> None:
        heard.append((seconds, executions))
        raise ConfigError("no more")

    service = LocalRuntimeService(engine_factory=FakeEngine)
    backend = service.backend("ideal")
    desk = Desk(backend=backend, session=None, workload="w", admit=admit)
    with pytest.raises(ConfigError, match="no more"):
        desk.sample([sampler_pub(backend, (two_angles(), [1.0, 2.0]), 10, 1)])

    assert heard == [(pytest.approx(2.0035), 10)]
    assert service.jobs() == []
