"""Misread bitstrings of a run: what is measured of the readout first, and what is told of the bits then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner import engine, mitigation
from runner.errors import ConfigError
from runner.run.mitigation import CALIBRATION

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from runner.mitigation import Misread
    from runner.run.context import Lab
    from runner.services.protocol import Backend

KEY = "experiment.readout_mitigation.enable"


def require_readout(circuit: QuantumCircuit, backend: Backend) -> None:
    """Refuse to correct what is not misread, or what is read on the way.

    Args:
        circuit: measured ISA circuit.
        backend: where it runs.

    Raises:
        ConfigError: with the reason.
    """
    mitigation.require_installed()
    qubits = measured_qubits(circuit)
    if backend.planner is not None and not backend.planner.misreads(sorted(set(qubits.values()))):
        raise ConfigError(
            f"cannot act: {backend.name} misreads none of these qubits; leave it off, or use a backend with noise",
            key=KEY,
        )


def measured_qubits(circuit: QuantumCircuit) -> dict[int, int]:
    """Which qubit each classical bit was read from.

    Raises:
        ConfigError: one is not read at the end of the circuit, once.
    """
    anatomy = engine.dissect(circuit)
    if anatomy.dynamic or len(anatomy.final) < circuit.num_clbits:
        raise ConfigError(
            "takes circuits whose bits are all read at the end, and this one has others; leave it off",
            key=KEY,
        )
    return anatomy.final


def register_qubits(circuit: QuantumCircuit) -> dict[str, list[int]]:
    """Register → the qubit of each of its bits, the first bit first."""
    final = measured_qubits(circuit)
    place = {bit: index for index, bit in enumerate(circuit.clbits)}
    return {register.name: [final[place[bit]] for bit in register] for register in circuit.cregs}


def calibrated(lab: Lab, circuit: QuantumCircuit, shots: int | None) -> Misread | None:
    """How the circuit's qubits are misread, by one job of two circuits; None where its numbers are made up.

    Args:
        lab: where the run takes place.
        circuit: measured ISA circuit.
        shots: of each; None: as many as the estimator has.
    """
    qubits = sorted(set(measured_qubits(circuit).values()))
    circuits = mitigation.calibration_circuits(qubits, circuit.num_qubits)
    found = lab.stream(CALIBRATION).sample(*((one,) for one in circuits), shots=shots)
    return None if lab.made_up else mitigation.Misread.of(qubits, *(part.data.read for part in found))
