"""Which device a circuit runs on, where that is left to the devices' calibration (`backend=best`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from runner.declare.backend import BestBackend
from runner.declare.config import RunConfig
from runner.errors import ConfigError
from runner.lazy import np
from runner.run.problem import fit, unheard

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp
    from qiskit.transpiler import Target

    from runner.services.ibm import IbmMachine

FREE = ("barrier", "delay", "measure")
"""Instructions whose errors are not those of gates."""
SHOWN = 5
"""Devices that are told with their numbers."""


class UnknownErrorError(Exception):
    """A device does not tell how often an instruction fails."""


@dataclass(frozen=True, kw_only=True)
class RatedDevice:
    """A device and what the circuit would come to on it."""

    name: str
    """The device's name."""
    fidelity: float = 0.0
    """Estimated: `gates` times `readout`."""
    gates: float = 0.0
    """Π (1 − error) over the gates of the transpiled circuit."""
    readout: float = 0.0
    """Π (1 − error) over the qubits that the observable reads."""
    two_qubit_gates: int = 0
    """Of the transpiled circuit."""
    calibrated: str | None = None
    """When the device was calibrated, as it says."""
    problem: str | None = None
    """Why it cannot be chosen."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The devices that were looked at, the best first."""

    candidates: tuple[RatedDevice, ...]
    """Those that cannot be chosen come last."""

    @property
    def chosen(self) -> RatedDevice:
        """The best."""
        return self.candidates[0]

    def words(self) -> str:
        """What was chosen and why, in a sentence."""
        best, possible = self.chosen, [one for one in self.candidates if one.problem is None]
        others = ", ".join(f"{one.name} {one.fidelity:.3f}" for one in possible[1:SHOWN])
        left = len(possible) - SHOWN
        rest = f"; {others}{f' and {left} lower' if left > 0 else ''}" if others else ""
        return (
            f"{best.name}: estimated fidelity {best.fidelity:.3f} (gates {best.gates:.3f}, readout {best.readout:.3f}, "
            f"{best.two_qubit_gates} two-qubit gates; calibrated {best.calibrated or 'at no told time'}){rest}"
        )

    def as_rows(self) -> list[dict[str, object]]:
        """As calibration.json has it."""
        return [asdict(one) for one in self.candidates]


def estimate(circuit: QuantumCircuit, observable: SparsePauliOp, target: Target) -> tuple[float, float]:
    """What of a circuit's gates and of its readout succeeds: the products of (1 − error).

    Args:
        circuit: made of the target's instructions.
        observable: in its layout; every qubit that some term looks at is read once.
        target: with the errors of the calibration.

    Raises:
        UnknownErrorError: the target does not tell one.
    """
    gates = 0.0
    for item in circuit.data:
        if item.operation.name not in FREE:
            qubits = tuple(circuit.find_bit(bit).index for bit in item.qubits)
            gates += _log_success(target, item.operation.name, qubits)
    paulis = observable.paulis
    read = np.flatnonzero((paulis.x | paulis.z).any(axis=0)).tolist()
    readout = sum(_log_success(target, "measure", (qubit,)) for qubit in read)
    return math.exp(gates), math.exp(readout)


def _log_success(target: Target, name: str, qubits: tuple[int, ...]) -> float:
    facts = target[name].get(qubits) if name in target.operation_names else None
    error = None if facts is None else facts.error
    if error is None:
        raise UnknownErrorError(f"it does not tell the error of {name} on {qubits}")
    return math.log1p(-error) if error < 1 else -math.inf


def settled(
    config: RunConfig,
    stage: Callable[[str], None] = unheard,
    *,
    chosen: str | None = None,
    offline: bool = False,
) -> tuple[RunConfig, Choice | None]:
    """A declaration whose backend is one device, and how it was chosen.

    Args:
        config: any declaration; only `backend=best` leaves a choice.
        stage: told in words what is done next.
        chosen: what an earlier process of the run has chosen.
        offline: without an account, take snapshots for the machines they are of, as a forecast does.

    Raises:
        ConfigError: there is no device that could be chosen.
    """
    best = config.backend
    if not isinstance(best, BestBackend):
        return config, None
    if chosen is not None:
        return replace(config, backend=best.settled(chosen)), None
    if not config.experiment.needs_problem:
        raise ConfigError(
            f"chooses by the circuit of ansatz and hamiltonian, and experiment={config.experiment.name} has others; "
            "name the device",
            key="backend",
        )
    hamiltonian = config.hamiltonian.build()
    ansatz = config.ansatz.build(hamiltonian)
    candidates = [
        _candidate(name, machine, ansatz, hamiltonian, config, stage)
        for name, machine in best.devices(ansatz.num_qubits, offline=offline)
    ]
    candidates.sort(key=lambda one: (one.problem is not None, -one.fidelity, one.name))
    if not candidates:
        raise ConfigError(f"no device has {ansatz.num_qubits} qubits and works", key="backend")
    if (problem := candidates[0].problem) is not None:
        raise ConfigError(f"no device can be chosen; {candidates[0].name}: {problem}", key="backend")
    choice = Choice(candidates=tuple(candidates))
    return replace(config, backend=best.settled(choice.chosen.name)), choice


def _candidate(
    name: str,
    machine: IbmMachine,
    ansatz: QuantumCircuit,
    hamiltonian: SparsePauliOp,
    config: RunConfig,
    stage: Callable[[str], None],
) -> RatedDevice:
    stage(f"transpiling for {name}")
    when = machine.calibrated
    try:
        circuit = fit(ansatz, machine, config)
        gates, readout = estimate(circuit, hamiltonian.apply_layout(circuit.layout), machine.target)
    except (ConfigError, UnknownErrorError) as error:
        return RatedDevice(name=name, calibrated=when, problem=str(error))
    if not gates * readout:
        return RatedDevice(
            name=name, calibrated=when, problem="a gate or qubit of the circuit does not work there"
        )
    return RatedDevice(
        name=name,
        fidelity=gates * readout,
        gates=gates,
        readout=readout,
        two_qubit_gates=circuit.num_nonlocal_gates(),
        calibrated=when,
    )
