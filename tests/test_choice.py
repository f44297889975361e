"""The device whose calibration promises most for the circuit is chosen, and its calibration stays with the run."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import CZGate, Measure, SXGate
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties, Target, TranspilerError, generate_preset_pass_manager

from runner import compose, run
from runner.declare.backend import DeviceBackend, snapshots
from runner.errors import ConfigError
from runner.run.choice import UnknownErrorError, estimate, settled
from runner.run.execution import resume
from runner.runtime.backends import snapshot
from runner.whatif.forecast import forecast

pytestmark = pytest.mark.skipif(not snapshots(), reason="device snapshots come with qiskit-ibm-runtime")

WORDS = ("tracking=off", "run.figures=false", "ansatz.reps=1", "estimator.default_shots=100")
BEST = ("backend=best", "backend.among=snapshots")
SMALL = "backend.candidates=[fake_manila,fake_lima,fake_belem]"


def device(cz: float = 0.01) -> Target:
    """Two qubits, with written-down errors."""
    target = Target(num_qubits=2)
    target.add_instruction(
        SXGate(),
        {(0,): InstructionProperties(error=0.001), (1,): InstructionProperties(error=0.002)},
    )
    target.add_instruction(CZGate(), {(0, 1): InstructionProperties(error=cz)})
    target.add_instruction(
        Measure(), {(0,): InstructionProperties(error=0.02), (1,): InstructionProperties()}
    )
    return target


def bell() -> QuantumCircuit:
    """Of these instructions."""
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.sx(1)
    circuit.cz(0, 1)
    circuit.barrier()
    circuit.sx(1)
    return circuit


def test_the_estimate_is_the_product_of_what_succeeds() -> None:
    """By pencil: 0.999 · 0.998² · 0.99, 0.98 for the one qubit that is read; what does not work promises nothing."""
    read = SparsePauliOp(["IZ", "IX"], [1.0, 0.5])
    gates, readout = estimate(bell(), read, device())

    assert gates == pytest.approx(0.999 * 0.998**2 * 0.99, rel=1e-12)
    assert readout == pytest.approx(0.98, rel=1e-12)
    assert estimate(bell(), read, device(cz=1.0))[0] == 0
    with pytest.raises(UnknownErrorError, match=r"error of measure on \(1,\)"):
        estimate(bell(), SparsePauliOp("ZZ"), device())


def promised(name: str, config: Any) -> float:
    """The same from the snapshot's table of properties, for the circuit that Qiskit's own preset passes make."""
    from qiskit_ibm_runtime.fake_provider import FakeProviderForBackendV2

    backend = FakeProviderForBackendV2().backend(name)
    told = backend.properties()
    hamiltonian = config.hamiltonian.build()
    passes = generate_preset_pass_manager(
        backend=backend, optimization_level=config.backend.optimization_level, seed_transpiler=config.seed
    )
    circuit = passes.run(config.ansatz.build(hamiltonian))
    found = 1.0
    for item in circuit.data:
        qubits = [circuit.find_bit(bit).index for bit in item.qubits]
        found *= 1 - told.gate_error(item.operation.name, qubits)
    layout = circuit.layout.final_index_layout()
    return found * math.prod(1 - told.readout_error(layout[place]) for place in range(2))


def test_the_best_of_the_candidates_is_chosen_and_the_reason_told() -> None:
    """Fidelities agree with those from the tables of properties, and the largest one is taken."""
    config = compose(*WORDS, *BEST, SMALL, "seed=3")
    found, choice = settled(config)
    assert choice is not None
    expected = {one.name: promised(one.name, config) for one in choice.candidates}

    assert {one.name: one.fidelity for one in choice.candidates} == pytest.approx(expected, rel=1e-9)
    assert choice.chosen.name == max(expected, key=lambda name: expected[name])
    assert isinstance(found.backend, DeviceBackend)
    assert found.backend.device == choice.chosen.name
    assert choice.words().startswith(f"{choice.chosen.name}: estimated fidelity {choice.chosen.fidelity:.3f}")
    assert f"; {choice.candidates[1].name} {choice.candidates[1].fidelity:.3f}, " in choice.words()


def test_the_calibration_is_kept_and_a_resumed_run_does_not_choose_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Candidates and properties are a file of the run; the summary says why; nothing is estimated on resuming."""
    words = (*WORDS, *BEST, SMALL, "optimizer.max_evaluations=6", "session.max_time=5")
    stopped = run(compose(*words), directory=str(tmp_path / "run"), quiet=False)
    kept = json.loads((tmp_path / "run" / "calibration.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(sys.modules["runner.run.choice"], "estimate", None)
    again = resume(stopped.directory)

    assert stopped.status == "stopped"
    assert again.evaluations > stopped.evaluations
    assert "chosen" in capsys.readouterr().out
    assert kept["backend"] == kept["candidates"][0]["name"]
    assert len(kept["candidates"]) == 3
    assert kept["properties"]["backend_name"].removeprefix("ibmq_") == kept["backend"].removeprefix("fake_")
    assert {"gates", "qubits", "last_update_date"} <= set(kept["properties"])


def test_a_forecast_without_an_account_chooses_among_the_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """And costs what it costs on the one that is chosen; a run says what to type."""

    def no_account() -> None:
        raise ConfigError("no usable IBM Quantum account", key="backend")

    monkeypatch.setattr("runner.services.connect", no_account)
    words = (*WORDS, "optimizer.max_evaluations=6", "session=batch")
    found = forecast(compose(*words, "backend=best", SMALL))
    assert found.chosen is not None
    name = found.chosen.partition(":")[0]
    named = forecast(compose(*words, "backend=ibm", f"backend.name={name}"))

    assert name.startswith("ibm_")
    assert (found.cost, found.circuit, found.stand_in) == (named.cost, named.circuit, named.stand_in)
    with pytest.raises(ConfigError, match=r"no usable IBM .* backend\.among=snapshots simulates the best"):
        run(compose(*words, "backend=best"))


def test_a_device_that_the_transpiler_fails_for_is_not_chosen() -> None:
    """Qiskit's own passes raise for fake_cairo, whose calibration lacks a direction: it comes last, and says why."""
    config = compose(*WORDS, *BEST, "backend.candidates=[fake_cairo,fake_manila]")
    choice = settled(config)[1]
    assert choice is not None
    manila, cairo = choice.candidates
    backend = snapshot("fake_cairo")
    passes = generate_preset_pass_manager(1, backend=backend, seed_transpiler=config.seed)
    with pytest.raises(TranspilerError, match="direction"):
        passes.run(config.ansatz.build(config.hamiltonian.build()))
    with pytest.raises(ConfigError, match="fake_cairo") as refused:
        run(compose(*WORDS, "backend=device", "backend.device=fake_cairo"))

    assert (manila.name, manila.problem, cairo.name) == ("fake_manila", None, "fake_cairo")
    assert cairo.problem is not None
    assert "if the direction was swapped" in cairo.problem
    assert str(refused.value) == cairo.problem


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*BEST, "backend.candidates=[fake_nowhere]"), "there is no 'fake_nowhere' among fake_"),
        ((*BEST, "backend.candidates=[]"), "needs a name"),
        ((*BEST, "experiment=estimation"), "chooses by the circuit of ansatz and hamiltonian"),
        ((*BEST, SMALL, "hamiltonian=h4", "ansatz.reps=1"), "no device has 8 qubits"),
        (("backend=best", "backend.among=everywhere"), "among"),
        (("backend=best", "backend.threads=4"), "a real machine simulates nothing"),
    ],
)
def test_what_cannot_be_chosen_is_one_line(words: tuple[str, ...], told: str) -> None:
    """Before anything is created."""
    with pytest.raises(ConfigError, match=told):
        settled(compose("tracking=off", *words))
