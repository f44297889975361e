"""Valid files and requests, and what becomes of them when a few bytes, values or elements are changed."""

from __future__ import annotations

import base64
import copy
import io
import json
import random
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

DEVICE = "local_ideal"
NUMBERS = (
    "0", "-1", "1", "2", "255", "256", "65536", "2147483648", "4294967296", "18446744073709551616",
    "-9223372036854775809", "1e308", "1e999", "-1e-320", "NaN", "inf", "0x10", "1e",
    "9" * 400, "00", "1_0", "٣", "0.1", "1/0",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e-300, 1e308, float("nan"), float("inf"),
    "", "x", "\0", "\ud800", "é" * 20, "x" * 5000, [], {}, [[]], [None], [1, "x"], {"__type__": "ndarray"},
    {"__type__": "QuantumCircuit", "__value__": "AAAA"}, {"__type__": "complex", "__value__": [1, 2]}, {"": 1},
)  # fmt: skip


@dataclass(frozen=True)
class Payload:
    """Something valid."""

    name: str
    """A file name, or the method and path of a request."""
    content: bytes
    """The file, or the body of the request."""


def circuits() -> list[Any]:
    """Parameters, a definition, control flow, a unitary, an evolution: what QPY has its own words for."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
    from qiskit.circuit import Parameter, ParameterVector
    from qiskit.circuit.library import PauliEvolutionGate, UnitaryGate, efficient_su2
    from qiskit.quantum_info import SparsePauliOp

    plain = QuantumCircuit(2)
    plain.ry(Parameter("a"), 0)
    plain.cx(0, 1)
    plain.measure_all()
    inner = QuantumCircuit(2, name="inner")
    inner.h(0)
    inner.rzz(0.3, 0, 1)
    nested = QuantumCircuit(3, 1)
    nested.append(inner.to_gate(), [0, 2])
    nested.append(inner.to_gate().control(1), [0, 1, 2])
    nested.measure(0, 0)
    flow = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(2, "c"))
    flow.h(0)
    flow.measure(0, 0)
    with flow.if_test((flow.clbits[0], 1)):
        flow.x(1)
    with flow.for_loop(range(3)):
        flow.ry(0.1, 0)
    flow.measure(1, 1)
    matrix = QuantumCircuit(1)
    matrix.append(UnitaryGate(np.array([[0, 1], [1, 0]])), [0])
    matrix.append(PauliEvolutionGate(SparsePauliOp(["X", "Z"], [0.1, 0.2]), time=Parameter("t")), [0])
    vector = ParameterVector("θ", 2)
    summed = QuantumCircuit(2, 2, global_phase=vector[0])
    summed.rx(2 * vector[0] + vector[1] ** 2, 0)
    summed.delay(100, 1)
    summed.measure([0, 1], [0, 1])
    return [plain, nested, flow, matrix, summed, efficient_su2(3, reps=1)]


def files() -> list[Payload]:
    """One or more of every format that is read."""
    from qiskit import qasm2, qasm3, qpy

    found = []
    for number, circuit in enumerate(circuits()):
        for version in (13, qpy.common.QPY_VERSION):
            buffer = io.BytesIO()
            qpy.dump(circuit, buffer, version=version)
            found.append(Payload(f"{number}.qpy", buffer.getvalue()))
        found.append(Payload(f"{number}.qasm", qasm3.dumps(circuit).encode()))
    bell = "qreg q[2]; creg c[2]; h q[0]; g(pi/3) q[1]; cx q[0],q[1]; measure q -> c;"
    bell = f'OPENQASM 2.0; include "qelib1.inc"; gate g(a) q {{rx(a/2) q;}} {bell}'
    found.append(Payload("two.qasm", qasm2.dumps(qasm2.loads(bell)).encode()))
    loop = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput angle[32] a;\nqubit[2] q;\nbit[2] c;\nh q[0];\n'
    loop += "for int i in [0:2] { ry(a) q[1]; }\nif (c[0]) { x q[1]; }\nc = measure q;\n"
    found.append(Payload("loop.qasm", loop.encode()))
    integrals = " &FCI NORB=   2,NELEC= 2,MS2=0,\n  ORBSYM=1,1,\n  ISYM=1,\n &END\n"
    integrals += " 0.6757 1 1 1 1\n 0.1809 2 1 2 1\n 0.6645 2 2 1 1\n 0.6986 2 2 2 2\n"
    integrals += " -1.2563 1 1 0 0\n -0.4719 2 2 0 0\n 0.7199 0 0 0 0\n"
    found.append(Payload("FCIDUMP", integrals.encode()))
    texts = {
        "words.json": '{"XX": 0.5, "ZZ": -1.0, "IZ": 0.25}',
        "terms.json": '[["XX", [0.5, 0.0]], ["ZI", 1.5]]',
        "lines.txt": "XX 0.5\nZZ -1.0\nIZ 0.25\n",
        "sum.txt": "0.5 [X0 X1] +\n-1.0 [Z0 Z2] +\n0.1 []\n",
        "python.txt": "SparsePauliOp(['XX', 'ZZ'], coeffs=[0.5+0.j, -1.+0.j])",
        "terms.yaml": "XX: 0.5\nZZ: -1.0\n",
        "table.csv": "pauli,coefficient\nXX,0.5\nZZ,-1.0\n",
        "water.xyz": "3\nwater\nO 0.0 0.0 0.1173\nH 0.0 0.7572 -0.4692\nH 0.0 -0.7572 -0.4692\n",
        "edges.csv": "source,target,weight\n0,1,1.0\n1,2,0.5\n0,2,2.0\n",
        "edges.txt": "0 1\n1 2\n2 3\n3 0\n",
        "edges.json": '[[0, 1, 1.0], [1, 2, 0.5]]',
        "graph.json": '{"nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1, "weight": 2.0}]}',
        "graph.dimacs": "c a comment\np edge 3 2\ne 1 2\ne 2 3\n",
        "graph.mtx": "%%MatrixMarket matrix coordinate real symmetric\n3 3 2\n2 1 1.0\n3 2 0.5\n",
        "graph.metis": "3 2\n2\n1 3\n2\n",
        "gset.txt": "3 2\n1 2 1\n2 3 -1\n",
        "qubo.json": '{"linear": {"a": 1.0, "b": -1.0}, "quadratic": [["a", "b", 2.0]]}',
        "matrix.txt": "0 1 2\n1 0 3\n2 3 0\n",
    }  # fmt: skip
    found.extend(Payload(name, text.encode()) for name, text in texts.items())
    for name, array in {
        "hermitian.npy": np.array([[1, 1j], [-1j, 2]]),
        "weights.npy": np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 0.5], [2.0, 0.5, 0.0]]),
        "columns.npy": np.asfortranarray(np.eye(4)),
    }.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        found.append(Payload(name, buffer.getvalue()))
    return found


def requests() -> list[Payload]:
    """What the client sends, for every route, and jobs of all programs."""
    from qiskit.quantum_info import SparsePauliOp
    from qiskit_ibm_runtime import RuntimeEncoder

    plain, nested, flow, matrix, summed, ansatz = circuits()
    observables = [{"ZZ": 1.0, "XI": 0.5}, {"IZ": -1.0}]
    jobs: list[tuple[str, Any]] = [
        ("sampler", {"pubs": [[plain, [0.5], 10], [nested, [], 7]], "version": 2}),
        ("sampler", {"pubs": [[plain, np.linspace(0, 1, 6).reshape(3, 2, 1), None]], "options": {"default_shots": 20}}),
        ("sampler", {"pubs": [[flow, None, 5], [summed, [0.1, 0.2], 5]],
                     "options": {"simulator": {"seed_simulator": 3}}}),
        ("estimator", {"pubs": [[plain.remove_final_measurements(inplace=False), observables, [[0.1], [0.2]], 0.1]]}),
        ("estimator", {"pubs": [[ansatz, SparsePauliOp(["ZZZ", "XXI"], [1, 2]).to_list()[0][0], [0.1] * 12, 0]],
                       "options": {"default_precision": 0.2, "resilience_level": 0, "execution": {"rep_delay": 1e-4}}}),
        ("estimator", {"pubs": [[matrix, ["X", "Z"], {"t": [0.1, 0.2]}]], "options": {"seed_estimator": 1}}),
    ]  # fmt: skip
    common = {"backend": DEVICE, "tags": ["a", "b"], "cost": 100}
    found = [
        _request("POST /jobs", {"program_id": program, "params": params, **common}, RuntimeEncoder)
        for program, params in jobs
    ]
    found.append(_request("POST /jobs", _executor(plain), RuntimeEncoder))
    for mode in ("dedicated", "batch"):
        found.append(
            _request(
                "POST /sessions", {"mode": mode, "backend": DEVICE, "max_ttl": 100, "interactive_ttl": 10}
            )
        )
    found += [
        _request("PATCH /sessions/@", {"accepting_jobs": False}),
        _request("PUT /jobs/@/tags", {"tags": ["x", "y"]}),
        *(
            Payload(name, b"")
            for name in (
                "DELETE /sessions/@/close", "GET /sessions/@",
                "GET /jobs?limit=3&offset=1&tags=a&created_after=2026-01-01",
                "GET /jobs/@?exclude_params=false", "GET /jobs/@/results", "GET /jobs/@/metrics", "GET /jobs/@/logs",
                "POST /jobs/@/cancel", "DELETE /jobs/@", "GET /backends", f"GET /backends/{DEVICE}/properties",
                "GET /instances/usage",
            )
        ),
    ]  # fmt: skip
    return found


def _request(name: str, body: Any, encoder: type[json.JSONEncoder] | None = None) -> Payload:
    return Payload(name, json.dumps(body, cls=encoder).encode())


def _executor(circuit: Any) -> dict[str, Any]:
    """A quantum program as the client-side Sampler sends it."""
    from qiskit_ibm_runtime import ExecutorOptions
    from qiskit_ibm_runtime.quantum_program import QuantumProgram
    from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

    program = QuantumProgram(shots=10)
    program.append_circuit_item(circuit, circuit_arguments=np.array([0.5]))
    model = QUANTUM_PROGRAM_PARAMS_CONVERTERS["v2.0"].encoder(program, ExecutorOptions())
    params = json.loads(model.model_dump_json())
    return {"program_id": "executor", "backend": DEVICE, "params": params}


def mutated(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A few changes of bytes, numbers and pieces."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        chance.choice(BYTE_CHANGES)(data, others, chance)
    return bytes(data)


def _flip(data: bytearray, _others: list[bytes], chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(data: bytearray, _others: list[bytes], chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice((0, 1, 127, 128, 255, 10, 32, 34, 48, 91, 123))


def _word(data: bytearray, _others: list[bytes], chance: random.Random) -> None:
    """A big-endian number of 2, 4 or 8 bytes at its limits."""
    width = chance.choice((2, 4, 8))
    if len(data) > width:
        place = chance.randrange(len(data) - width)
        most = 2 ** (8 * width)
        number = chance.choice((0, 1, 2**8, most // 2, most - 1, 2**16 - 1))
        data[place : place + width] = number.to_bytes(width, "big")


def _cut(data: bytearray, _others: list[bytes], chance: random.Random) -> None:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    del data[start : end if chance.random() < 0.5 else min(end, start + 8)]


def _end(data: bytearray, _others: list[bytes], chance: random.Random) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _double(data: bytearray, _others: list[bytes], chance: random.Random) -> None:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    data[end:end] = data[start:end] * chance.choice((1, 1, 2, 50))


def _splice(data: bytearray, others: list[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    start, end = sorted(chance.randrange(len(other) + 1) for _ in range(2))
    place = chance.randrange(len(data) + 1)
    data[place : place + chance.choice((0, end - start))] = other[start:end]


def _number(data: bytearray, _others: list[bytes], chance: random.Random) -> None:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(data)))
    if found:
        match = chance.choice(found)
        data[match.start() : match.end()] = chance.choice(NUMBERS).encode()


def _letters(data: bytearray, _others: list[bytes], chance: random.Random) -> None:
    found = list(re.finditer(rb"[A-Za-z_]+", bytes(data)))
    if len(found) > 1:
        one, other = chance.sample(found, 2)
        data[one.start() : one.end()] = other.group()


BYTE_CHANGES: list[Callable[[bytearray, list[bytes], random.Random], None]] = [
    _flip, _flip, _set, _word, _cut, _end, _double, _splice, _number, _number, _letters,
]  # fmt: skip


def mutated_object(value: Any, others: list[bytes], chance: random.Random) -> Any:
    """JSON with a few of its values exchanged, removed, repeated, moved or nested; packed data with changed bytes."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            return value
        inside, key = chance.choice(places)
        content = inside[key]
        packed = isinstance(content, str) and len(content) > 30 and _unpacked(content)
        if packed and chance.random() < 0.9:
            changed = mutated(packed, others, chance)
            inside[key] = base64.b64encode(zlib.compress(changed)).decode()
            continue
        change = chance.randrange(8)
        if change < 4:
            inside[key] = copy.deepcopy(chance.choice(VALUES))
        elif change == 4:
            del inside[key]
        elif change == 5:
            other, name = chance.choice(places)
            inside[key] = copy.deepcopy(other[name])
        elif change == 6:
            inside[key] = [copy.deepcopy(content)] * chance.choice((1, 2, 300))
        else:
            for _ in range(chance.choice((1, 3, 70, 600))):
                inside[key] = [inside[key]]
            break  # copying it would recurse as deep
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            yield item, key
            waiting.append(item[key])


def _unpacked(text: str) -> bytes | None:
    try:
        return zlib.decompress(base64.b64decode(text))
    except (ValueError, zlib.error):
        return None
