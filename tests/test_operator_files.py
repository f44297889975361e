"""Operators in other programs' words: the same in every format, never another one, and refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from qiskit.quantum_info import SparsePauliOp

from runner.errors import ConfigError
from tests.choices import choice
from tests.operator_writers import WRITERS, some_terms


def read(path: Path, content: str | bytes, **changes):
    """The declaration of a file with this content, and its operator."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    declared = choice("hamiltonian", "file", path=str(path), **changes)
    return declared, declared.build()


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_operator_that_was_written(tmp_path: Path, name: str) -> None:
    """A random operator, written by this test from the format's description: exactly it is read."""
    for seed in range(3):
        terms = some_terms(seed)
        if "I" not in "".join(label[0] for label, _ in terms) and not any(
            label[0] != "I" for label, _ in terms
        ):
            continue
        _, operator = read(tmp_path / name, WRITERS[name](terms))

        assert dict(operator.to_list()) == dict(terms)
        if name not in ("matrix.npy",):
            assert operator.to_list() == SparsePauliOp.from_list(terms).to_list()


@pytest.mark.parametrize(
    "name", ["plain.txt", "openfermion.txt", "matrix.npy", "sparse.json", "evolution.qpy"]
)
def test_the_other_bit_order_mirrors_the_qubits(tmp_path: Path, name: str) -> None:
    """hamiltonian.qubit_order=big: every label turned around."""
    terms = some_terms(1)
    _, operator = read(tmp_path / name, WRITERS[name](terms), qubit_order="big")

    assert dict(operator.to_list()) == {label[::-1]: number for label, number in terms}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ZZ one\nXI 0.5\n", r":1: 'one' is no number; write e.g. -0.5"),
        ("ZZ 0.5\nXI O.5\n", r":2: 'O.5' is no number"),
        ("ZZ 0.5\nXQ 0.5\n", r":2: 'XQ' is no Pauli word \('Q' is no Pauli\)"),
        ("pauli coeff\npauli coeff\nZZ 1\n", r":2: 'pauli' is no Pauli word"),
        ("ZZ 0.5+0.1j\n", r":1: '0.5\+0.1j' has an imaginary part"),
        ("pauli,real,imag\nZZ,0.5,0.1\n", r":2: '0.5 \+ 0.1i' has an imaginary part"),
        ("ZZ 1e999\n", r":1: '1e999' is not finite"),
        ("ZZ nan\n", r":1: 'nan' is no number"),
        ("ZZ 1/0\n", r":1: '1/0' is no number"),
        ("ZZ\nXX\n", r":1: 'ZZ' has no coefficient"),
        ("ZZ 50 %\nXX 1\n", r":2: 'XX 1' has 2 columns, the first row 3"),
        ("ZZ;0,5\nXX;0.5\n", r":1: '0,5' has a decimal comma, '0.5' a point"),
        ("0 ZZ 1\n1 XX 2\n", r":1: 'ZZ' .*|:1: '0 ZZ 1' has 2 columns of numbers with several readings"),
        ("ZZ 0.1 0.2\nXX 0.3 0.4\n", r":1: 'ZZ 0.1 0.2' has 2 columns of numbers with no reading"),
        ("index,pauli,coeff\n0,ZZ,1\n2,XX,2\n", r":2: the index column does not count"),
        ("pauli,coeff,coefficient\nZZ,1,2\n", r":1: .* names coefficient twice"),
        ("pauli,coeff,group\nZZ,1,2\n", r":1: 'group' is neither"),
        ("3 3\nZZ 1\nXX 2\n", r":1: '3 3' is not the size of what follows, 2 qubits and 2 terms"),
        ('"ZZ,1\nXX,2\n', r":1: '\"ZZ,1' has a quote too few"),
        ("ZZ,,1\nXX,,2\n", r":1: 'ZZ,,1' has an empty column"),
        ("\ufeffZZ 1\x00\n", r":1: .* holds a control character"),
        ('[["ZZ", 1], ["XX", true]]', r":1: 'true' is no number"),
        ('[["ZZ", 1],\n ["XX", NaN]]', r":2: 'NaN' is no number"),
        ('{"terms": {"ZZ": 1}, "constant": 0.7}', r":1: 'constant' is no known key beside an operator"),
        ('{"terms": {"ZZ": 1}, "num_qubits": 3}', r"labels have 2 letters, and .* 3"),
        ('{"paulis": ["ZZ", "XX"], "coeffs": [1]}', r"the lists do not fit: 2 of label, 1 of coefficient"),
        ('{"a": [1, 2], "b": ["ZZ", "XX"]}', r"holds no operator that is known by its key \(a, b\)"),
        ('{"terms": [["ZZ", 1]], "terms": [["XX", 1]]}', r"'terms' stands twice"),
        ('[["ZZ", [1, 0], [2, 0]]]', r":1: .* can be read in two ways"),
        ("SparsePauliOp(['ZZ', 'XX'], coeffs=[1, ..., 2])", r"lists do not fit"),
        ("SparsePauliOp(['ZZ' 'XX'], coeffs=[1.0])", r":1: 'ZZXX' is put together"),
        ("__import__('os').system('x')", r":1: .*__import__"),
        ("0.5 [X0 Y1] +\n", r":1: ends with '\+': a term is missing"),
        ("0.5 [X0 Y1]\n0.5 [X1]\n", r":2: '0.5' is not expected there"),
        ("0.5 [X0 Y0]\n", r":1: 'X0 Y0' names a qubit twice"),
        ("(0.5+0j [X0]\n", r":1: "),
        ("0.5 * X(0) @ Y(1) + 0.5", r":1: '0.5' stands without a Pauli word"),
        ("0.5 * X(0) Y(1) @", r":1: "),
        ("0.5*ZZ - - 0.3*XI", r":1: '-' is not expected there"),
        ("0.5*ZZ 0.3*XI", r":1: '0.3' is not expected there"),
        ("terms:\n  - [ZZ, 1\n", r":2: is not YAML|:3: is not YAML"),
        ("ZZ: 0.5\nXX: on\n", r":2: 'on' is no number"),
        ("ZZ: 010\nXX: 1:30\n", r":2: '1:30' is no number"),
        ("X0 1\nZZ 2\n", r":2: 'ZZ' has no numbers of qubits"),
        ("0.5 [X1000]", r":1: 'X1000' names qubit 1000"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_line(tmp_path: Path, content: str, message: str) -> None:
    """No row is dropped or guessed."""
    with pytest.raises(ConfigError, match=message):
        read(tmp_path / "h", content)
