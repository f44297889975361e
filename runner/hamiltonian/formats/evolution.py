"""The operator of the one PauliEvolutionGate in a QPY file."""

from __future__ import annotations

from pathlib import Path

from runner.declare.files import qpy_circuits
from runner.hamiltonian.formats.number import real_part
from runner.hamiltonian.formats.reading import Reading, read_terms
from runner.hamiltonian.formats.source import Source
from runner.hamiltonian.formats.word import Word, WordTerm


def read(path: Path, key: str, *, qubits: int | None, order: str) -> Reading:
    """The operator on the circuit's qubits; the gate's time is no part of it.

    Raises:
        ConfigError: there is no such gate or more than one, or its operator is not real.
    """
    from qiskit.circuit.library import PauliEvolutionGate
    from qiskit.quantum_info import SparseObservable, SparsePauliOp

    source = Source(path, key, "")
    found = [
        (circuit, instruction)
        for circuit in qpy_circuits(path, key)
        for instruction in circuit.data
        if isinstance(instruction.operation, PauliEvolutionGate)
    ]
    operator = found[0][1].operation.operator if len(found) == 1 else None
    if isinstance(operator, SparseObservable):
        operator = SparsePauliOp.from_sparse_observable(operator)
    if not isinstance(operator, SparsePauliOp):
        raise source.refuse(
            f"holds {len(found)} PauliEvolutionGates of one operator; put the Hamiltonian into exactly one"
        )
    circuit, instruction = found[0]
    others = [item.name for item in circuit.data if item.name not in ("barrier", instruction.name)]
    if others:
        raise source.refuse(f"holds {others[0]!r} beside the PauliEvolutionGate; put nothing else into it")
    places = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
    operator = operator.apply_layout(places, circuit.num_qubits)
    terms = [
        WordTerm(Word(label, None), real_part(complex(value), f"{value:.6g}", source, None), None)
        for label, value in operator.to_list()
    ]
    return read_terms(terms, source, "QPY of a PauliEvolutionGate", qubits=qubits, order=order)
