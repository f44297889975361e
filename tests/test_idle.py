"""`backend.schedule`: which backends let idle qubits decay, what says so, and runs from before."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from qiskit.circuit import QuantumCircuit

from runner import compose, resume, run
from runner.declare.backend import snapshots
from runner.declare.composer import declare, restore
from runner.errors import ConfigWarning, ResumeError
from runner.record.directory import RunDirectory
from runner.record.journal import Journal, read_journal
from runner.record.replay import EVOLVED
from runner.review.report import run_page
from runner.run.preflight import Preparation
from runner.run.resume import same_noise
from runner.runtime import LocalRuntimeService, SamplerV2
from tests.journals import told

IBM = pytest.mark.skipif(not snapshots(), reason="device snapshots come with qiskit-ibm-runtime")
DEVICE = (
    "backend=generic",
    "backend.num_qubits=3",
    "tracking=off",
    "run.figures=false",
    "optimizer.max_evaluations=4",
)


def waiting(backend: Any, readings: int) -> QuantumCircuit:
    """Qubit 1 is excited and waits while qubit 0 is read again and again; then it is read itself."""
    circuit = QuantumCircuit(backend.num_qubits, 2)
    circuit.x(1)
    for _ in range(readings):
        circuit.barrier(0, 1)
        circuit.measure(0, 0)
    circuit.barrier(0, 1)
    circuit.measure(1, 1)
    return circuit


def share_of_ones(service: LocalRuntimeService, readings: int) -> float:
    """How often qubit 1 is found excited, in 20 000 shots of the Sampler."""
    backend = service.backend("generic_3_line")
    job = SamplerV2(mode=backend).run([waiting(backend, readings)], shots=20_000)
    return job.result()[0].data.c.slice_bits([1]).get_counts()["1"] / 20_000


def test_primitives_of_a_program_let_idle_qubits_decay() -> None:
    """The Sampler of `runner.runtime` on a device: exp(−t/T1) of a qubit that waits for t, unless switched off."""
    service = LocalRuntimeService(seed=3)
    target = service.backend("generic_3_line").target
    readings = 12
    length = readings * target["measure"][(0,)].duration
    flip = target["measure"][(1,)].error
    prompt = (share_of_ones(service, 0) - flip) / (1 - 2 * flip)
    expected = flip + (1 - 2 * flip) * prompt * math.exp(-length / target.qubit_properties[1].t1)
    off = LocalRuntimeService(seed=3, engine_options={"schedule": False})

    assert expected < 0.96
    assert share_of_ones(service, readings) == pytest.approx(expected, abs=4.5 * math.sqrt(0.06 / 20_000))
    assert share_of_ones(off, readings) == pytest.approx(prompt, abs=4.5 * math.sqrt(0.06 / 20_000))


@IBM
def test_a_circuit_that_branches_is_told_so() -> None:
    """Feed-forward cannot be scheduled: one warning that names the circuit and why."""
    backend = LocalRuntimeService(seed=1).backend("fake_manila")
    assert backend.idle_qubits == "decay"
    circuit = QuantumCircuit(5, 2, name="corrected")
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)

    with pytest.warns(ConfigWarning, match="'corrected' do not decay: if_else takes a time"):
        SamplerV2(mode=backend).run([circuit], shots=10).result()
    assert backend.idle_qubits == "decay, but not in every circuit"


def test_the_output_says_which_model_was_used(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Journal, summary and report name it; the two models give different energies of the same circuit."""
    results = {}
    for schedule, words in (("null", "decay"), ("false", "do not decay")):
        result = run(compose(*DEVICE, f"backend.schedule={schedule}", "estimator=exact"), quiet=False)
        events = read_journal(result.directory / "journal.jsonl").events
        results[words] = next(event.energy for event in events if event.kind == "evaluation")

        assert events[0].idle_qubits == words
        assert re.search(rf"^noise +idle qubits {words} *$", capsys.readouterr().out, re.MULTILINE)
        assert f"backend generic (idle qubits {words})" in run_page(events, result.directory / "figures")
    assert len(set(results.values())) == 2
    ideal = run(compose(*DEVICE[2:]))
    assert "idle_qubits" not in read_journal(ideal.directory / "journal.jsonl").events[0].said()


def test_a_run_from_before_goes_on_as_it_began(workdir: Path) -> None:
    """A journal without the key resumes without decay, to the same bits, and says so in one line."""
    result = run(compose(*DEVICE, "backend.schedule=false"))
    old = workdir / "outputs" / "old"
    old.mkdir()
    events = read_journal(result.directory / "journal.jsonl").events
    with Journal.create(old / "journal.jsonl") as journal:
        for event in events[: len(events) // 2]:
            kept = dict(event.said())
            if event.kind == "run.started":
                del kept["config"]["backend"]["schedule"]
            journal.write(told(event.kind, kept))
    (old / "config.yaml").write_text(yaml.safe_dump(kept_config(events)))

    with pytest.warns(ConfigWarning, match="from before idle qubits decayed") as warned:
        again = resume(old)

    assert "\n" not in str(warned[0].message)
    assert (again.energy, again.stddev, again.parameters) == (result.energy, result.stddev, result.parameters)
    assert read_journal(old / "journal.jsonl").events[-1].kind == "run.ended"


def kept_config(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The configuration of a run as an earlier version wrote it down."""
    config = dict(events[0].config)
    config["backend"] = {key: value for key, value in config["backend"].items() if key != "schedule"}
    return config


def test_only_devices_are_restored_without_decay() -> None:
    """Recorded values without the key: false on a device, as they are on a simulator."""
    for backend, expected in (("generic", False), ("ideal", None), ("noisy", None)):
        declaration = declare([f"backend={backend}"])
        values = {**declaration.values, "backend": dict(declaration.values["backend"])}
        del values["backend"]["schedule"]

        assert restore(values, declaration.schemas).config.backend.schedule is expected


def test_a_noisy_run_from_before_its_noise_was_simulated_so_is_refused() -> None:
    """Its next numbers would differ from the recorded ones; one without noise goes on, as does one begun since."""
    files = RunDirectory(Path("a_run"))
    noisy, ideal = (Preparation(compose(f"backend={name}")).backend for name in ("noisy", "ideal"))
    same_noise(files, ideal, EVOLVED - 1)
    same_noise(files, noisy, EVOLVED)

    with pytest.raises(
        ResumeError, match=r"a_run is noisy, and noise is simulated in another way since .* --fork$"
    ):
        same_noise(files, noisy, EVOLVED - 1)
