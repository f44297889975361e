"""G13: memory is asked for before it is used, and about as much as is used."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from runner.declare.backend import NoisyBackend
from runner.engine import Engine, aer, estimator, measurement, memory, sampler
from runner.engine.kernel import pauli_vector, program, state_vector
from runner.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Case:
    """One simulation of a kind."""

    qubits: int
    engine: str = "kernel"
    noisy: bool = False
    method: str = "automatic"
    threads: int = 1
    sets: int = 1
    rotation: str = "rx"
    """rx has phases; with ry and cx the state is real."""
    entangler: str = "cx"
    """cx permutes amplitudes, into a copy; rzz does not."""
    trajectories: int | None = None
    does: tuple[str, ...] = ("exact",)
    """What, in turn: exact | gradient | shots | few | sample."""

    def carry_out(self) -> None:
        """Do it."""
        size = self.qubits
        circuit = QuantumCircuit(size)
        angles = [Parameter(f"a{index:02}") for index in range(size)]
        for index, angle in enumerate(angles):
            getattr(circuit, self.rotation)(angle, index)
        for index in range(size - 1):
            if self.entangler == "cx":
                circuit.cx(index, index + 1)
            else:
                circuit.rzz(0.3, index, index + 1)
        getattr(circuit, self.rotation)(0.4, range(size))
        ends = ["ZZ" + "I" * (size - 2), "I" * (size - 2) + "ZZ", "X" + "I" * (size - 1)]
        operator = SparsePauliOp(ends, [1.0, 0.5, 0.25])
        noise = NoisyBackend(name="noisy").noise_model() if self.noisy else None
        engine = Engine(
            None,
            noise,
            method=self.method,
            engine=self.engine,
            threads=self.threads,
            trajectories=self.trajectories,
        )
        values = np.linspace(0.1, 1, self.sets * size).reshape(self.sets, size)
        for what in self.does:
            if what == "sample":
                measured = circuit.copy()
                measured.measure_all()
                engine.sampler_plan(measured).run(values, shots=100, seed=1)
            elif what == "gradient":
                engine.estimator_plan(circuit, operator).gradient(values)
            else:
                shots = {"exact": None, "shots": 100, "few": 2}[what]
                engine.estimator_plan(circuit, operator).run(values, shots=shots, seed=1)


@dataclass
class Asked:
    """What `require` was asked for, in place of refusing anything."""

    amounts: list[int] = field(default_factory=list)

    def __call__(self, needed: int, _what: str) -> None:
        """Remember it, and refuse nothing."""
        self.amounts.append(needed)

    def listen(self, patch: Any) -> None:
        """Take the place of `require` everywhere."""
        for module in (memory, estimator, measurement, sampler, state_vector, pauli_vector, program):
            patch(module, "require", self)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _measure(case: Case, answer: Any) -> None:
    """In a process of its own: the most that was asked for, and how much the process grew at its largest."""
    asked = Asked()
    asked.listen(setattr)
    aer.LONG = float("inf")  # in this process, whose growth is measured
    case.carry_out()  # loads and compiles, which takes memory of its own, other loops than fewer qubits would
    asked.amounts.clear()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _status("VmRSS")
    case.carry_out()
    answer.send((max(asked.amounts), _status("VmHWM") - before))


def measured(case: Case) -> tuple[int, int]:
    """What a case asks for and what it takes, in bytes."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(case, there))
    process.start()
    there.close()
    answer: tuple[int, int] = here.recv()
    process.join()
    return answer


@pytest.mark.parametrize(
    ("rotation", "entangler", "numbers"), [("rx", "rzz", 2), ("rx", "cx", 4), ("ry", "cx", 3)]
)
def test_a_copy_is_asked_for_where_amplitudes_are_permuted(
    rotation: str, entangler: str, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: two doubles an amplitude, and in the copy two more, one of a real state; tables are under 2 % here."""
    asked = Asked()
    monkeypatch.setattr(program, "require", asked)
    circuit = QuantumCircuit(16)
    getattr(circuit, rotation)(0.3, range(16))
    getattr(circuit, entangler)(*([0.4] if entangler == "rzz" else []), 0, 1)
    getattr(circuit, rotation)(0.3, range(16))
    program.compile_program(circuit)

    assert asked.amounts[-1] == pytest.approx(8 * numbers << 16, rel=0.02)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "case",
    [
        Case(qubits=24),
        Case(qubits=25, entangler="rzz"),
        Case(qubits=22, does=("gradient",)),
        Case(qubits=23, does=("gradient",), entangler="rzz"),
        Case(qubits=22, does=("exact", "gradient", "exact")),
        Case(qubits=23, sets=4, threads=2),
        Case(qubits=24, rotation="ry"),
        Case(qubits=23, rotation="ry", sets=2, threads=2),
        Case(qubits=22, rotation="ry", does=("gradient",)),
        Case(qubits=23, rotation="ry", does=("shots",)),
        Case(qubits=23, entangler="rzz", does=("shots",)),
        Case(qubits=23, entangler="rzz", does=("sample",)),
        Case(qubits=22, sets=4, threads=2, does=("gradient",)),
        Case(qubits=23, does=("shots",)),
        Case(qubits=21, sets=8, does=("shots",)),
        Case(qubits=23, does=("sample",)),
        Case(qubits=24, engine="aer"),
        Case(qubits=24, engine="aer", does=("shots",)),
        Case(qubits=24, engine="aer", does=("sample",)),
        Case(qubits=22, engine="aer", sets=4, does=("sample",)),
        Case(qubits=12, engine="aer", noisy=True, method="density_matrix", does=("shots",)),
        Case(qubits=24, engine="aer", noisy=True, does=("few",)),
        Case(qubits=23, noisy=True, trajectories=2, does=("sample",)),
        Case(qubits=12, noisy=True),
        Case(qubits=12, noisy=True, does=("shots",)),
        Case(qubits=12, noisy=True, method="density_matrix", does=("sample",)),
        Case(qubits=11, noisy=True, sets=2, threads=2, does=("gradient",)),
        Case(qubits=12, noisy=True, does=("gradient",)),
    ],
    ids=str,
)
def test_G13_what_is_asked_for_is_what_is_used(case: Case) -> None:
    """The verdict is within a tenth of the growth of the process; an adjoint gradient may not need its last eighth."""
    asked, used = measured(case)

    assert used > 200 << 20
    assert 0.9 < asked / used < (1.13 if "gradient" in case.does else 1.1), f"asked {asked}, used {used}"


@pytest.mark.parametrize(
    "case",
    [
        Case(qubits=18, sets=2),
        Case(qubits=18, entangler="rzz", does=("shots",)),
        Case(qubits=18, does=("gradient",)),
        Case(qubits=18, sets=2, does=("sample",)),
        Case(qubits=9, noisy=True),
        Case(qubits=9, noisy=True, does=("gradient",)),
    ],
    ids=str,
)
def test_G13_the_kernel_asks_for_what_it_allocates(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the kernel's arrays, as Python counts them."""
    asked = Asked()
    asked.listen(monkeypatch.setattr)
    case.carry_out()  # compiles what the size needs, whose memory would be counted
    asked.amounts.clear()
    tracemalloc.start()
    try:
        case.carry_out()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 0.85 < max(asked.amounts) / peak < 1.05


def test_G13_what_does_not_fit_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of simulation says what it needs and what is free, in one line."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 << 20)
    for case in (
        Case(qubits=18),
        Case(qubits=17, does=("gradient",)),
        Case(qubits=17, sets=4, threads=4),
        Case(qubits=17, sets=8, does=("sample",)),
        Case(qubits=19, engine="aer"),
        Case(qubits=10, engine="aer", noisy=True, method="density_matrix"),
        Case(qubits=10, noisy=True),
        Case(qubits=9, noisy=True, does=("gradient",)),
    ):
        with pytest.raises(ConfigError, match=r"needs .* MiB, more than 70% of the 8\.0 MiB that are free"):
            case.carry_out()


def test_the_peak_of_a_process_has_nothing_of_the_one_that_started_it() -> None:
    """A process that takes 100 MiB, started by one that holds 256."""
    held = b"x" * 2**28
    words = "from runner.engine.memory import peak_bytes; held = b'x' * (100 << 20); print(peak_bytes())"
    told = subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, text=True).stdout

    assert 100 << 20 < int(told) < len(held)


@pytest.mark.parametrize("qubits", [44, 60])
def test_memory_is_asked_for_before_any_table_is_built(qubits: int) -> None:
    """Tables of 2^(n/2) rows would take 100 MB at 44 qubits, more than there is at 60: refusing takes 1 MB at most."""
    circuit = QuantumCircuit(qubits)
    circuit.ry(0.3, 0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    plan = Engine(engine="kernel").estimator_plan(circuit, SparsePauliOp("Z" * qubits))
    tracemalloc.start()
    for ask in (lambda: plan.require(exact=True), lambda: plan.run(np.zeros(0), shots=None, seed=1)):
        with pytest.raises(ConfigError, match=f"a state vector of {qubits} qubits"):
            ask()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**20


def test_room_is_asked_for_before_a_noisy_program_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three qubits have room whatever simulates them, so that nothing is made to find that out."""
    made: list[object] = []

    def make(*parts: Any, **named: Any) -> Any:
        made.append(0)
        return pauli_vector.PauliVectorKernel(*parts, **named)

    monkeypatch.setattr("runner.engine.engine.PauliVectorKernel", make)
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    plan = Engine(None, NoisyBackend(name="noisy").noise_model()).estimator_plan(
        circuit, SparsePauliOp(["ZZZ", "XXX"])
    )

    plan.require(exact=True)
    asked = len(made)
    plan.run(np.zeros(0), shots=None, seed=1)

    assert (asked, len(made)) == (0, 1)
