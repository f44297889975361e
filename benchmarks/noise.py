"""Noise: `python -m benchmarks.noise` prints the noisy kernel against Aer, and a noisy gradient against its energy."""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # read when the libraries are loaded, so set before

import statistics  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from qiskit.circuit import QuantumCircuit  # noqa: E402
from qiskit.circuit.library import efficient_su2  # noqa: E402
from qiskit.quantum_info import SparsePauliOp  # noqa: E402
from qiskit_aer.noise import (  # noqa: E402
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    depolarizing_error,
    thermal_relaxation_error,
)

from benchmarks.arguments import read  # noqa: E402
from benchmarks.measure import in_this_process, interleaved, table  # noqa: E402
from benchmarks.targets import Goal  # noqa: E402
from benchmarks.targets import table as goals  # noqa: E402
from runner import compose  # noqa: E402
from runner.engine import Engine  # noqa: E402

SHOTS = 4096


def noise() -> NoiseModel:
    """Depolarizing and relaxing CX, damping one-qubit gates, and misreading."""
    model = NoiseModel(basis_gates=["rx", "ry", "rz", "cx", "h", "sdg"])
    relaxed = thermal_relaxation_error(50e3, 70e3, 300).expand(thermal_relaxation_error(60e3, 30e3, 300))
    model.add_all_qubit_quantum_error(depolarizing_error(0.01, 2).compose(relaxed), ["cx"])
    model.add_all_qubit_quantum_error(amplitude_damping_error(0.003), ["ry", "h"])
    model.add_all_qubit_readout_error(ReadoutError([[0.98, 0.02], [0.05, 0.95]]))
    return model


def heisenberg(qubits: int) -> SparsePauliOp:
    """A chain; three bases."""
    pairs = [(letters, [q, q + 1], 1.0) for q in range(qubits - 1) for letters in ("XX", "YY", "ZZ")]
    return SparsePauliOp.from_sparse_list(pairs, qubits)


def native(circuit: QuantumCircuit, values: np.ndarray) -> Any:
    """Aer's own density matrix, saved once; without the bases."""
    from qiskit_aer import AerSimulator

    bound = circuit.assign_parameters(values)
    bound.save_density_matrix()
    simulator = AerSimulator(method="density_matrix", noise_model=noise(), max_parallel_threads=1)
    return lambda: simulator.run(bound).result().data()["density_matrix"]


def energies(observable: SparsePauliOp, *, rounds: int, trajectories: bool) -> dict[str, float]:
    """Seconds of one noisy energy; where Aer samples trajectories, with `SHOTS` for each basis."""
    circuit = efficient_su2(observable.num_qubits, reps=2, entanglement="linear").decompose()
    values = np.random.default_rng(1).uniform(-3, 3, circuit.num_parameters)
    kernel = Engine(noise_model=noise()).estimator_plan(circuit, observable)
    method = "statevector" if trajectories else "density_matrix"
    aer = Engine(noise_model=noise(), engine="aer", method=method).estimator_plan(circuit, observable)
    contestants = {
        "kernel": lambda: kernel.run(values, shots=None, seed=1),
        "Aer's density matrix, one save": native(circuit, values),
    }
    slow = "Aer, trajectories" if trajectories else "Aer, a density matrix per basis"
    found = interleaved(contestants, rounds=max(rounds, 3), slice_seconds=0.05, clock=time.process_time)
    shots = SHOTS if trajectories else None
    times = []
    with in_this_process():
        aer.run(values, shots=shots and 8, seed=1)  # compile
        for _ in range(rounds):  # seconds to minutes each
            start = time.process_time()
            aer.run(values, shots=shots, seed=1)
            times.append(time.process_time() - start)
    return found | {slow: statistics.median(times)}


def gradient(qubits: int) -> dict[str, float]:
    """Seconds of an energy and of a gradient by all parameters."""
    circuit = efficient_su2(qubits, reps=2, entanglement="linear").decompose()
    values = np.random.default_rng(1).uniform(-3, 3, circuit.num_parameters)
    plan = Engine(noise_model=noise()).estimator_plan(circuit, heisenberg(qubits))
    calls = {
        "energy": lambda: plan.run(values, shots=None, seed=1),
        "gradient": lambda: plan.gradient(values),
    }
    return interleaved(calls, slice_seconds=0.05, clock=time.process_time)


def main() -> None:
    """Measure and print."""
    h4 = compose("hamiltonian=h4").hamiltonian.build()
    rows = {
        "4, 3 bases": energies(heisenberg(4), rounds=9, trajectories=False),
        "8, 3 bases": energies(heisenberg(8), rounds=3, trajectories=False),
        "H4 (8), 38 bases": energies(h4, rounds=1, trajectories=False),
        "10, 3 bases": energies(heisenberg(10), rounds=1, trajectories=True),
        "12, 3 bases": energies(heisenberg(12), rounds=1, trajectories=True),
    }
    print(table(f"One noisy energy [ms]; trajectories with {SHOTS} shots", "qubits", rows, 1e-3, "kernel"))
    slopes = {str(qubits): gradient(qubits) for qubits in (4, 8, 10)}
    print(table("A noisy gradient by all parameters [ms]", "qubits", slopes, 1e-3, "energy"))
    per_basis, sampled = "Aer, a density matrix per basis", "Aer, trajectories"

    def ratio(label: str, slow: str) -> dict[str, float]:
        return {label: rows[label][slow] / rows[label]["kernel"]}

    share = {"8": slopes["8"]["gradient"] / slopes["8"]["energy"]}
    print(
        goals(
            [
                Goal("noisy energy: Aer per basis / kernel", 40, ratio("8, 3 bases", per_basis)),
                Goal("noisy energy: Aer per basis / kernel", 300, ratio("H4 (8), 38 bases", per_basis)),
                Goal("noisy energy: trajectories / kernel", 80, ratio("10, 3 bases", sampled)),
                Goal("noisy energy: trajectories / kernel", 20, ratio("12, 3 bases", sampled)),
                Goal("noisy gradient / energy, 48 parameters", 6, share, at_most=True),
            ]
        )
    )


if __name__ == "__main__":
    read(__name__, __doc__)
    main()
