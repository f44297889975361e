"""Backends as the API describes them: the snapshot's own files, or a description made from the target."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qiskit.transpiler import Target

from runner.declare.backend import BackendConfig
from runner.runtime import LocalBackend
from runner.runtime.backends import snapshot

IDEAL_QUBITS = 24
IDEAL_GATES = (
    "id", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg", "p", "rx", "ry", "rz", "u",
    "cx", "cy", "cz", "ch", "cp", "crx", "cry", "crz", "cu", "rxx", "ryy", "rzx", "swap", "iswap",
    "ccx", "ccz", "cswap",
)  # fmt: skip
"""Those of any angle are for clients that ask for `use_fractional_gates`, which they believe to be there by rx or rzz;
of rzz they take angles from 0 to π/2 alone, so that it is left out: others do what it does."""
CONTROL_FLOW = {
    "box",
    "break_loop",
    "continue_loop",
    "for_loop",
    "if_else",
    "store",
    "switch_case",
    "while_loop",
}
NOT_GATES = {"measure", "reset", "delay", *CONTROL_FLOW}
CLASSIFIED = 2
"""Level of measurement that is simulated: bits; 1 would be points in the plane of the readout signal."""
TUNABLE = ("Heron", "Nighthawk")
"""Processors whose couplers are tuned, and count as physical qubits."""
UPDATED = "2026-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class ServedDevice:
    """One backend that a client can use."""

    name: str
    """Its name in the API; a snapshot has the real device's."""
    backend: LocalBackend
    """What runs its jobs."""
    configuration: dict[str, Any]
    """The API's configuration."""
    properties: dict[str, Any]
    """The API's properties; empty where nothing is known."""

    @property
    def qubits(self) -> int:
        """Number of qubits."""
        return int(self.configuration["n_qubits"])

    @property
    def physical_qubits(self) -> int:
        """Qubits and, where these are built like qubits, couplers together, as the service counts them."""
        if (self.configuration.get("processor_type") or {}).get("family") not in TUNABLE:
            return self.qubits
        return self.qubits + len({tuple(sorted(pair)) for pair in self.configuration["coupling_map"] or ()})

    @property
    def calibration(self) -> str | None:
        """Id of the one calibration it has; None where nothing is known of its errors."""
        date = self.properties.get("last_update_date")
        return None if date is None else f"{self.name}-{date}"


def describe(backend: LocalBackend, declared: BackendConfig) -> ServedDevice:
    """Describe a backend that was built from the configuration `declared`."""
    source = declared.snapshot
    if source is not None:
        fake: Any = snapshot(source)
        folder = Path(fake.dirname)
        configuration = json.loads((folder / fake.conf_filename).read_text(encoding="utf-8"))
        properties = json.loads((folder / fake.props_filename).read_text(encoding="utf-8"))
    else:
        name = f"local_{declared.name}"
        configuration = _configuration(name, backend)
        properties = {} if backend.ideal else _properties(name, backend.target)
    configuration["simulator"] = False  # the client opens no session on a simulator
    configuration["meas_levels"] = [CLASSIFIED]
    return ServedDevice(configuration["backend_name"], backend, configuration, properties)


def _configuration(name: str, backend: LocalBackend) -> dict[str, Any]:
    target = backend.target
    gates = [gate for gate in target.operation_names if gate not in NOT_GATES]
    qubits = target.num_qubits or IDEAL_QUBITS
    coupling = None
    if backend.ideal:
        gates, qubits = [gate for gate in IDEAL_GATES if gate in target.operation_names], IDEAL_QUBITS
    elif (graph := target.build_coupling_map()) is not None:
        coupling = [list(edge) for edge in graph.get_edges()]
    return {
        "backend_name": name,
        "backend_version": "1.0.0",
        "n_qubits": qubits,
        "basis_gates": gates,
        "gates": [_gate(gate, target, ideal=backend.ideal) for gate in gates],
        "local": False,
        "simulator": False,
        "conditional": False,
        "open_pulse": False,
        "memory": True,
        "max_shots": 10_000_000,
        "max_experiments": 300,
        "coupling_map": coupling,
        "dynamic_reprate_enabled": False,
        "supported_instructions": [*gates, "measure", "reset", "delay"],
        "description": backend.description or "a device of the local runtime",
        "dt": (target.dt or 1e-9) * 1e9,
        "processor_type": {"family": "Local", "revision": "1"},
        "n_registers": 1,
        "online_date": UPDATED,
    }


def _gate(name: str, target: Target, *, ideal: bool) -> dict[str, Any]:
    gate: dict[str, Any] = {
        "name": name,
        "parameters": [f"p{index}" for index in range(len(target.operation_from_name(name).params))],
        "qasm_def": "",
    }
    places = [] if ideal else [list(qubits) for qubits in target[name] or () if qubits is not None]
    if places:
        gate["coupling_map"] = places
    return gate


def _properties(name: str, target: Target) -> dict[str, Any]:
    """Error rates, durations and decay times of a target in the API's form."""
    measurements = target["measure"] if "measure" in target.operation_names else {}
    qubits = []
    for number in range(target.num_qubits or 0):
        known = []
        decay = target.qubit_properties[number] if target.qubit_properties else None
        if decay is not None and decay.t1:
            known += [_fact("T1", decay.t1 * 1e6, "us"), _fact("T2", (decay.t2 or decay.t1) * 1e6, "us")]
        reading = measurements.get((number,)) if measurements else None
        if reading is not None:
            if reading.error is not None:
                known.append(_fact("readout_error", reading.error, ""))
            if reading.duration is not None:
                known.append(_fact("readout_length", reading.duration * 1e9, "ns"))
        qubits.append(known)
    gates = [
        {
            "gate": gate,
            "name": gate + "_".join(str(qubit) for qubit in places),
            "qubits": list(places),
            "parameters": [
                *([_fact("gate_error", facts.error, "")] if facts.error is not None else []),
                *([_fact("gate_length", facts.duration * 1e9, "ns")] if facts.duration is not None else []),
            ],
        }
        for gate in target.operation_names
        if gate not in NOT_GATES
        for places, facts in (target[gate] or {}).items()
        if places is not None and facts is not None
    ]
    return {
        "backend_name": name,
        "backend_version": "1.0.0",
        "last_update_date": UPDATED,
        "qubits": qubits,
        "gates": gates,
        "general": [],
    }


def _fact(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"date": UPDATED, "name": name, "unit": unit, "value": value}
