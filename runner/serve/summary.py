"""What a job was asked and what it answered, in a few numbers a person can read: circuits, values, counts."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.primitives import PrimitiveResult

from runner.serve.wire import Unpacking

MOST = 12
"""PUBs, values or bitstrings that are shown of more."""
MAX_RESULT = 4 << 20
"""Results of more bytes are not read for a summary."""

Facts = dict[str, Any]


def asked(params: Any, reading: Unpacking) -> list[Facts]:
    """The circuits of a job, and what each was to be run with.

    Args:
        params: As the job was submitted.
        reading: Unpacks them.
    """
    pubs = params.get("pubs") if isinstance(params, dict) else None
    if isinstance(pubs, list):
        return [_pub(reading(pub)) for pub in pubs[:MOST] if isinstance(pub, list)]
    program = params.get("quantum_program") if isinstance(params, dict) else None
    shots = program.get("shots") if isinstance(program, dict) else None
    found = []
    for circuit in _circuits(params, reading):
        found.append(_facts(circuit) | ({} if shots is None else {"shots": shots}))
        if len(found) == MOST:
            break
    return found


def answered(content: bytes) -> list[Facts]:
    """What a result says, by PUB or layer; of programs that are neither, whose data only they interpret, the shapes."""
    if len(content) > MAX_RESULT:
        return [{"note": f"{len(content) / (1 << 20):.1f} MiB, too much to be shown here"}]
    from qiskit_ibm_runtime import RuntimeDecoder

    told = json.loads(content)
    if not isinstance(told, dict) or "__type__" in told:
        return [_read(pub) for pub in list(json.loads(content, cls=RuntimeDecoder))[:MOST]]
    if any(isinstance(item, dict) and item.get("__class__") == "LayerError" for item in told.get("data", [])):
        return [_layer(layer) for layer in json.loads(content, cls=RuntimeDecoder)["data"][:MOST]]
    result = _client_side(content.decode())
    if result is not None:
        return [_read(pub) for pub in list(result)[:MOST]]
    return [_shapes(item) for item in told.get("data", [])[:MOST] if isinstance(item, dict)]


def _client_side(content: str) -> PrimitiveResult | None:
    """What a client-side Estimator or Sampler makes of the data, by the client's own decoders.

    Returns:
        None where the program was another, or sent nothing along that its data could be interpreted by.
    """
    from qiskit_ibm_runtime.decoders.defaults import DEFAULT_DECODERS

    found: Any = content
    try:
        for decoder in DEFAULT_DECODERS["executor"]:
            if decoder.is_applicable(found):
                found = decoder.decode(found)
    except (ValueError, TypeError, LookupError, AttributeError):  # what was sent along is the program's own
        return None
    return found if isinstance(found, PrimitiveResult) else None


def _pub(pub: Sequence[Any]) -> Facts:
    circuit, *rest = pub
    facts = _facts(circuit)
    if rest and isinstance(rest[0], dict | list) and _words(rest[0]):
        facts["observables"] = _words(rest.pop(0))
    values = rest[0] if rest else None
    last = rest[1] if len(rest) > 1 else None
    if isinstance(values, np.ndarray) and values.ndim > 1:
        facts["parameter_sets"] = int(np.prod(values.shape[:-1]))
    if last is not None:
        facts["shots" if isinstance(last, int) else "precision"] = last
    return facts


def _words(value: Any) -> int:
    """How many observables are in nested lists of them."""
    if isinstance(value, list):
        return sum(map(_words, value))
    return int(isinstance(value, str | dict) and not _is_values(value))


def _is_values(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(one, list | np.ndarray) for one in value.values())


def _facts(circuit: QuantumCircuit) -> Facts:
    wires = {qubit for item in circuit.data if item.operation.name != "barrier" for qubit in item.qubits}
    return {
        "name": circuit.name,
        "qubits": len(wires),
        "depth": circuit.depth(),
        "two_qubit_gates": circuit.num_nonlocal_gates(),
        "parameters": circuit.num_parameters,
        "gates": {str(name): int(count) for name, count in list(circuit.count_ops().items())[:MOST]},
    }


def _circuits(value: Any, reading: Unpacking) -> Iterator[QuantumCircuit]:
    """Circuits anywhere in what was submitted, in either form that the client has for them."""
    if isinstance(value, list):
        for item in value:
            yield from _circuits(item, reading)
    elif isinstance(value, dict):
        if value.get("__type__") == "QuantumCircuit":
            yield reading(value)
        elif isinstance(value.get("b64_data"), str):
            yield from _loaded(reading.inflate(value["b64_data"]))
        else:
            for item in value.values():
                yield from _circuits(item, reading)


def _loaded(content: bytes) -> list[QuantumCircuit]:
    """Circuits as client-side primitives send them, which were loaded with limits when they were submitted."""
    from ibm_quantum_schemas.common.qpy import ANNOTATION_FACTORIES
    from qiskit import qpy

    try:
        return list(qpy.load(io.BytesIO(content), annotation_factories=ANNOTATION_FACTORIES))
    except QiskitError:
        return []


def _read(pub: Any) -> Facts:
    data = pub.data
    known = set(data.keys())
    if "evs" in known:
        values, errors = np.ravel(data.evs), np.ravel(data["stds"] if "stds" in known else [])
        errors = errors if len(errors) == len(values) else np.full(len(values), np.nan)
        return {
            "values": [
                [float(value), float(error) if np.isfinite(error) else None]
                for value, error in zip(values[:MOST], errors[:MOST], strict=True)
            ],
            "of": len(values),
        }
    registers = {}
    for name, bits in data.items():
        if not hasattr(bits, "get_counts"):
            continue
        counts = sorted(bits.get_counts().items(), key=lambda item: (-item[1], item[0]))
        registers[name] = {"counts": counts[:MOST], "of": len(counts), "shots": sum(n for _, n in counts)}
    return {"registers": registers}


def _layer(layer: Any) -> Facts:
    """Which gates a layer has, and the largest rates of its errors."""
    number = dict(zip(layer.circuit.qubits, layer.qubits, strict=True))
    gates = [
        f"{item.operation.name}({','.join(str(number[bit]) for bit in item.qubits)})"
        for item in layer.circuit.data
    ]
    rates = zip(layer.error.generators.to_labels(), layer.error.rates.tolist(), strict=True)
    most = sorted(rates, key=lambda one: -one[1])
    return {
        "layer": f"{' '.join(gates)} on {', '.join(map(str, layer.qubits))}",
        "rates": most[:MOST],
        "of": len(most),
    }


def _shapes(item: Facts) -> Facts:
    results = item.get("results")
    return {
        "shapes": {
            str(name): one.get("shape")
            for name, one in (results if isinstance(results, dict) else {}).items()
            if isinstance(one, dict)
        }
    }
